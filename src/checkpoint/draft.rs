//! [`Draft`]: output that is written beside its place and renamed into it when it is whole.
//!
//! A draft of `out` is called `.out.<process>-<time>.secateurs-partial`. Whoever is killed leaves one behind; the next
//! run for the same output knows it by its name and removes it. Names never repeat, so that no run can rename what
//! another is still writing.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::Checkpoint;
use crate::error::{CheckpointError, Error, Result};

const PARTIAL: &str = ".secateurs-partial";
const REPLACED: &str = ".secateurs-replaced";

/// What to do where the output is there already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Existing {
    /// Refuse, before any work is done.
    #[default]
    Refuse,
    /// Replace it, once the new output is whole.
    Replace,
}

/// Output under a name of its own, until it is committed. Dropped before that, it is removed.
#[derive(Debug)]
pub(super) struct Draft {
    target: PathBuf,
    partial: PathBuf,
    existing: Existing,
    folder: bool,
    committed: bool,
}

impl Draft {
    /// Checks that output of `checkpoint` can go to `target`, and clears away what killed runs left there.
    pub fn begin(checkpoint: &Checkpoint, target: &Path, folder: bool, existing: Existing) -> Result<Self> {
        let bad = |reason| {
            Error::Checkpoint(CheckpointError::BadOutput {
                path: target.to_owned(),
                reason,
            })
        };
        let Some(name) = target.file_name() else {
            return Err(bad("this is no name for an output"));
        };
        let parent = parent(target);
        if !parent.is_dir() {
            return Err(bad("the folder that it should be in does not exist"));
        }
        clear_leftovers(target)?;
        check_apart(checkpoint, target, folder)?;
        check_existing(target, folder, existing)?;
        let partial = parent.join(beside(name, PARTIAL));
        let made = if folder {
            fs::create_dir(&partial)
        } else {
            File::create_new(&partial).map(drop)
        };
        made.map_err(|source| Error::Io {
            action: "read or write",
            path: partial.clone(),
            error: source,
        })?;
        Ok(Draft {
            target: target.to_owned(),
            partial,
            existing,
            folder,
            committed: false,
        })
    }

    /// Where to write: an empty file, or an empty folder.
    pub fn path(&self) -> &Path {
        &self.partial
    }

    /// Gives the output its name. Files have to be flushed already.
    pub fn commit(mut self) -> Result<()> {
        let io = |source| Error::Io {
            action: "read or write",
            path: self.target.clone(),
            error: source,
        };
        check_existing(&self.target, self.folder, self.existing)?; // it may have come meanwhile
        if self.folder {
            sync_folder(&self.partial).map_err(io)?;
        }
        let aside = if self.folder && self.target.exists() {
            let aside = self
                .target
                .with_file_name(beside(self.target.file_name().unwrap_or_default(), REPLACED));
            fs::rename(&self.target, &aside).map_err(io)?;
            Some(aside)
        } else {
            None
        };
        if let Err(error) = fs::rename(&self.partial, &self.target) {
            if let Some(aside) = aside {
                let _ = fs::rename(aside, &self.target); // back to what was there
            }
            return Err(io(error));
        }
        sync_folder(parent(&self.target)).map_err(io)?;
        if let Some(aside) = aside {
            fs::remove_dir_all(&aside).map_err(io)?;
        }
        self.committed = true;
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.committed {
            let _ = remove(&self.partial); // there is an error under way already
        }
    }
}

/// The input is never written to, nor anything inside of it, nor anything around it replaced.
pub(super) fn check_apart(checkpoint: &Checkpoint, target: &Path, folder: bool) -> Result<()> {
    let bad = |reason| {
        Error::Checkpoint(CheckpointError::BadOutput {
            path: target.to_owned(),
            reason,
        })
    };
    let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let place = real(parent(target)).join(target.file_name().unwrap_or_default());
    let places = [place, real(target)];
    let shards = checkpoint.shards().iter().map(|shard| shard.path());
    for input in shards.chain([checkpoint.path()]) {
        for input in [
            real(input),
            real(parent(input)).join(input.file_name().unwrap_or_default()),
        ] {
            if places.contains(&input) {
                return Err(bad("it is the input; choose another name"));
            }
            if folder && places.iter().any(|place| input.starts_with(place)) {
                return Err(bad("the input lies in it; choose another name"));
            }
        }
    }
    if folder && checkpoint.is_folder() {
        let input = real(checkpoint.path());
        if places.iter().any(|place| place.starts_with(&input)) {
            return Err(bad(
                "it lies in the input, of which every file is copied; choose another folder",
            ));
        }
    }
    Ok(())
}

fn check_existing(target: &Path, folder: bool, existing: Existing) -> Result<()> {
    let bad = |reason| {
        Error::Checkpoint(CheckpointError::BadOutput {
            path: target.to_owned(),
            reason,
        })
    };
    // Not `exists`, which follows links: a link to nowhere is there, too.
    let Ok(metadata) = fs::symlink_metadata(target) else {
        return Ok(());
    };
    match (folder, target.is_dir()) {
        (false, true) => return Err(bad("it is a folder, and the output is a file: name the file")),
        (true, false) => return Err(bad("it is a file, and the output is a folder")),
        _ => {}
    }
    if existing == Existing::Refuse {
        return Err(Error::Checkpoint(CheckpointError::OutputExists {
            path: target.to_owned(),
        }));
    }
    if folder && (metadata.is_symlink() || !is_replaceable(target)) {
        // A slip of the hand must not replace a home.
        return Err(bad(
            "it is a folder that holds no checkpoint, which is not replaced",
        ));
    }
    Ok(())
}

/// Whether a folder is empty, or holds a safetensors file.
fn is_replaceable(folder: &Path) -> bool {
    let Ok(entries) = fs::read_dir(folder) else {
        return false;
    };
    let mut empty = true;
    let mut checkpoint = false;
    for entry in entries.flatten() {
        empty = false;
        checkpoint |= Path::new(&entry.file_name())
            .extension()
            .is_some_and(|end| end == "safetensors");
    }
    empty || checkpoint
}

/// Removes the drafts of runs that were killed, and puts back what one of them was just replacing.
fn clear_leftovers(target: &Path) -> Result<()> {
    let folder = parent(target);
    let io = |path: &Path, source| Error::Io {
        action: "read or write",
        path: path.to_owned(),
        error: source,
    };
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    for entry in fs::read_dir(folder).map_err(|error| io(folder, error))?.flatten() {
        let (path, found) = (entry.path(), entry.file_name());
        let found = found.to_string_lossy();
        let rest = found.strip_prefix('.').and_then(|rest| rest.strip_prefix(&*name));
        let Some(rest) = rest.and_then(|rest| rest.strip_prefix('.')) else {
            continue;
        };
        let of = |end| rest.strip_suffix(end).and_then(process);
        if of(PARTIAL).is_some_and(is_over) {
            remove(&path).map_err(|error| io(&path, error))?;
        } else if of(REPLACED).is_some_and(is_over) {
            if fs::symlink_metadata(target).is_ok() {
                remove(&path).map_err(|error| io(&path, error))?;
            } else {
                fs::rename(&path, target).map_err(|error| io(&path, error))?;
            }
        }
    }
    Ok(())
}

/// Whether a name is that of a draft, or of what one was replacing.
pub(super) fn is_leftover(name: &str) -> bool {
    name.starts_with('.') && (name.ends_with(PARTIAL) || name.ends_with(REPLACED))
}

/// A name beside `name` that no other draft has.
fn beside(name: &std::ffi::OsStr, end: &str) -> OsString {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut beside = OsString::from(".");
    beside.push(name);
    beside.push(format!(".{}-{:x}{end}", std::process::id(), now.as_nanos()));
    beside
}

/// The process that a draft is of, from the middle of its name.
fn process(middle: &str) -> Option<u32> {
    let (process, time) = middle.split_once('-')?;
    u128::from_str_radix(time, 16).ok()?;
    process.parse().ok()
}

/// Whether a process has ended. One with our own number has: it was in another container, or before a restart.
fn is_over(process: u32) -> bool {
    let running = Path::new("/proc/self").exists() && Path::new(&format!("/proc/{process}")).exists();
    process == std::process::id() || !running
}

fn remove(path: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path)?.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    }
}

pub(super) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Makes the names in a folder last; only Unix can and needs to.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(folder)?.sync_all()
    } else {
        Ok(())
    }
}
