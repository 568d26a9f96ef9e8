//! Staged outputs: written whole under another name, and renamed into place together.
//!
//! The staged output of `out` lies in a folder beside it, `.out.<random>.secateurs-partial`:
//!
//! | name | holds |
//! |---|---|
//! | `lock` | the advisory lock that a run holds while it lives |
//! | `output` | the new file or folder |
//! | `together` | the staging folders of all outputs of the run, where there are several |
//! | `replaced` | what had the name before, while names change |
//! | `complete` | in the first staging folder of a run: all of its outputs are whole and are getting their names |
//!
//! A run that is killed leaves the folder behind. Whoever can take its lock knows that its owner is gone, also in
//! another process namespace, and cleans up: outputs that were complete get their names, and anything else becomes
//! what it was. The next run for the same output does so.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fs4::{FileExt, TryLockError};
use tempfile::TempDir;

use super::identity::{Inputs, lies_in, same_place};
use super::{OutputError, failed, parent};
use crate::error::Result;

const SUFFIX: &str = ".secateurs-partial";
const LOCK: &str = "lock";
const OUTPUT: &str = "output";
const TOGETHER: &str = "together";
const REPLACED: &str = "replaced";
const COMPLETE: &str = "complete";

/// A staging folder without a lock that is younger than this may be about to get one.
const LOCK_TAKES: Duration = Duration::from_secs(60);

/// Names of files that a message lists at most.
const LISTED: usize = 3;

/// The staging folders of this process, which [`discard_staged`] removes.
static STAGED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// What to do where the output exists already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Existing {
    /// Refuse, before any work is done.
    #[default]
    Refuse,
    /// Replace it, once the new output is whole. Only a regular file is replaced, or a folder of which the new output
    /// contains every file.
    Replace,
}

/// What an output is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Folder,
}

/// An output that is being written. Dropped before [`commit`], it is removed.
#[derive(Debug)]
pub(crate) struct Staged {
    target: PathBuf,
    kind: Kind,
    existing: Existing,
    folder: PathBuf,
    /// Whether the folder stays when this is dropped.
    kept: bool,
    _lock: Option<File>,
}

impl Staged {
    /// Checks that an output can go to `target`, cleans up what killed runs left there, and makes room for the output.
    /// `contents` are the files of a folder, by their paths in it.
    pub fn new(
        target: &Path,
        kind: Kind,
        existing: Existing,
        inputs: &Inputs,
        contents: &BTreeSet<PathBuf>,
    ) -> Result<Self> {
        let refused = |reason| OutputError::Refused {
            path: target.to_owned(),
            reason,
        };
        let Some(name) = target.file_name() else {
            return Err(refused("this is not the name of a file or folder").into());
        };
        let folder = parent(target);
        if !folder.is_dir() {
            return Err(refused("the folder that it should be in does not exist; create it first").into());
        }
        let target = folder.join(name); // without a slash at the end, which would follow a link
        inputs.check_apart(&target, kind)?;
        clean_up_after(&target)?;
        check_existing(&target, kind, existing, contents)?;
        let (folder, lock) = staging_folder(folder, name)?;
        let staged = Staged {
            target,
            kind,
            existing,
            folder: folder.keep(),
            kept: false,
            _lock: lock,
        };
        if kind == Kind::Folder {
            let path = staged.path();
            fs::create_dir(&path).map_err(failed("create", &path))?;
        }
        Ok(staged)
    }

    /// Where to write: a file that does not exist yet, or an empty folder.
    pub fn path(&self) -> PathBuf {
        self.folder.join(OUTPUT)
    }

    /// Refuses an output that would be, or lie inside, another one of the same run.
    pub fn check_apart_from(&self, other: &Staged) -> Result<()> {
        let reason = if same_place(&self.target, &other.target) {
            "another output of this run has this name; choose another one"
        } else if lies_in(&self.target, &other.target) {
            "it lies in the output, which is replaced as a whole; choose another folder"
        } else {
            return Ok(());
        };
        Err(OutputError::Refused {
            path: self.target.clone(),
            reason,
        }
        .into())
    }

    fn replaced(&self) -> PathBuf {
        self.folder.join(REPLACED)
    }

    /// Moves what has the name of the output out of the way.
    fn set_aside(&self) -> Result<()> {
        match fs::rename(&self.target, self.replaced()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed("replace", &self.target)(error))
            }
            _ => Ok(()),
        }
    }

    fn rename(&self) -> Result<()> {
        let (from, to) = (self.path(), &self.target);
        // A link is never made where something came meanwhile; not all file systems have them.
        if self.kind == Kind::File && self.existing == Existing::Refuse {
            match fs::hard_link(&from, to) {
                Ok(()) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    return Err(OutputError::Exists { path: to.clone() }.into());
                }
                Err(_) => {}
            }
        }
        fs::rename(&from, to).map_err(failed("name the finished output", to))
    }

    /// Brings back what had the name of the output; `named` says whether the output has it now.
    fn undo(&mut self, named: bool) {
        if named {
            let output = self.path();
            let undone = match output.exists() {
                true => fs::remove_file(&self.target), // the other name of a link
                false => fs::rename(&self.target, output),
            };
            if undone.is_err() {
                return;
            }
        }
        let replaced = self.replaced();
        if replaced.exists() && fs::rename(&replaced, &self.target).is_err() {
            self.kept = true; // it is all that there is of what was replaced
        }
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // An interrupt waits until the folder is gone: from then on it is not on the list of those that it removes.
        let mut here = staged_here();
        here.retain(|folder| *folder != self.folder);
        if !self.kept {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// Gives outputs their names, all of them or none. Files are flushed already.
pub(crate) fn commit(mut outputs: Vec<Staged>) -> Result<()> {
    let running = staged_here(); // an interrupt waits
    for output in &outputs {
        let contents = match output.kind {
            Kind::File => BTreeSet::new(),
            Kind::Folder => files_in(&output.path())?,
        };
        // It may have come meanwhile.
        check_existing(&output.target, output.kind, output.existing, &contents)?;
        if output.kind == Kind::Folder {
            sync_folders(&output.path())?;
        }
    }
    // Nothing new is seen beside anything old, whenever the process is killed.
    let [first, ..] = &outputs[..] else {
        return Ok(());
    };
    let complete = first.folder.join(COMPLETE);
    let together = outputs.len() > 1;
    let mut named = 0;
    let done = (|| {
        if together {
            for output in &outputs {
                write_together(output, &outputs)?;
            }
        }
        for output in &outputs {
            if together || output.kind == Kind::Folder {
                output.set_aside()?;
            }
        }
        if together {
            write_synced(&complete, &[])?;
        }
        for output in &outputs {
            output.rename()?;
            named += 1;
        }
        Ok(())
    })();
    if let Err(error) = done {
        let _ = fs::remove_file(&complete);
        for (number, output) in outputs.iter_mut().enumerate().rev() {
            output.undo(number < named);
        }
        drop(running);
        return Err(error);
    }
    let synced = outputs
        .iter()
        .try_for_each(|output| sync_folder(parent(&output.target)));
    drop(running);
    // The first one says that all are complete, and goes last.
    while let Some(output) = outputs.pop() {
        drop(output);
    }
    synced
}

/// Removes the staged outputs of this process, and lets none get its name from now on.
///
/// This is for a thread that handles a signal, right before it ends the process. Outputs that are just getting their
/// names get them first.
pub fn discard_staged() {
    let mut staged = staged_here();
    for folder in staged.drain(..) {
        // Threads that still write may add files meanwhile.
        for _ in 0..10 {
            if fs::remove_dir_all(&folder).is_ok() || !folder.exists() {
                break;
            }
        }
    }
    std::mem::forget(staged);
}

/// Whether a name is that of a staging folder.
pub(super) fn is_staging(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    name.starts_with(b".") && name.ends_with(SUFFIX.as_bytes())
}

/// What a file or folder may not be where an output is to go.
fn check_existing(target: &Path, kind: Kind, existing: Existing, contents: &BTreeSet<PathBuf>) -> Result<()> {
    let refused = |reason| {
        Err(OutputError::Refused {
            path: target.to_owned(),
            reason,
        }
        .into())
    };
    // Not `exists`, which follows links: a link to nowhere is there, too.
    let Ok(metadata) = fs::symlink_metadata(target) else {
        return Ok(());
    };
    if metadata.is_symlink() {
        return refused("it is a link, which is not replaced; name what it leads to, or remove it");
    }
    match (kind, metadata.is_dir(), metadata.is_file()) {
        (Kind::File, true, _) => return refused("it is a folder, and the output is a file: name the file"),
        (Kind::Folder, _, true) => return refused("it is a file, and the output is a folder: name a folder"),
        (_, false, false) => return refused("it is neither a file nor a folder, and is not replaced"),
        _ => {}
    }
    if existing == Existing::Refuse {
        return Err(OutputError::Exists {
            path: target.to_owned(),
        }
        .into());
    }
    if kind == Kind::Folder {
        let mut lost: Vec<PathBuf> = files_in(target)?.difference(contents).cloned().collect();
        if !lost.is_empty() {
            let count = lost.len();
            lost.truncate(LISTED);
            return Err(OutputError::WouldDelete {
                path: target.to_owned(),
                names: lost,
                count,
            }
            .into());
        }
    }
    Ok(())
}

/// Everything below a folder but folders, by its path in it.
fn files_in(root: &Path) -> Result<BTreeSet<PathBuf>> {
    let mut files = BTreeSet::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(inner) = folders.pop() {
        let folder = root.join(&inner);
        for entry in fs::read_dir(&folder).map_err(failed("read", &folder))? {
            let entry = entry.map_err(failed("read", &folder))?;
            let path = inner.join(entry.file_name());
            if entry.file_type().map_err(failed("read", &folder))?.is_dir() {
                folders.push(path);
            } else {
                files.insert(path);
            }
        }
    }
    Ok(files)
}

/// Makes a folder for the staged output of this name, and locks it.
fn staging_folder(beside: &Path, name: &OsStr) -> Result<(TempDir, Option<File>)> {
    let mut prefix = OsString::from(".");
    prefix.push(name);
    prefix.push(".");
    // An interrupt waits until the folder is on the list of those that it removes.
    let mut here = staged_here();
    let folder = tempfile::Builder::new()
        .prefix(&prefix)
        .suffix(SUFFIX)
        .tempdir_in(beside)
        .map_err(failed("create a folder in", beside))?;
    here.push(folder.path().to_owned());
    drop(here);
    // Under its own name it is always locked, as long as its owner lives.
    let (new, lock) = (folder.path().join("lock.new"), folder.path().join(LOCK));
    let file = File::create_new(&new).map_err(failed("create", &new))?;
    // Where the file system has no locks, nobody else can take this one.
    let held = FileExt::try_lock(&file).is_ok();
    fs::rename(&new, &lock).map_err(failed("create", &lock))?;
    Ok((folder, held.then_some(file)))
}

/// Cleans up what killed runs for this output left behind.
fn clean_up_after(target: &Path) -> Result<()> {
    let folder = parent(target);
    for entry in fs::read_dir(folder).map_err(failed("read", folder))?.flatten() {
        if target_of(&entry.path()).as_deref() == Some(target) {
            clean_up(&entry.path())?;
        }
    }
    Ok(())
}

/// The output that a staging folder is for, by its name alone.
fn target_of(staging: &Path) -> Option<PathBuf> {
    let name = staging.file_name()?.to_str()?;
    let name = name.strip_prefix('.')?.strip_suffix(SUFFIX)?;
    let (name, random) = name.rsplit_once('.')?;
    let plain = !name.is_empty() && !random.is_empty() && random.chars().all(|c| c.is_ascii_alphanumeric());
    plain.then(|| parent(staging).join(name))
}

/// Cleans up after the killed run that a staging folder is of, unless it lives.
fn clean_up(staging: &Path) -> Result<()> {
    let Some(_lock) = lock_of_the_dead(staging) else {
        return Ok(());
    };
    let together = fs::read_to_string(staging.join(TOGETHER)).unwrap_or_default();
    // Whatever stands there, only staging folders are touched, and what they are for by their names.
    let mut all: Vec<PathBuf> = together.lines().map(PathBuf::from).collect();
    if !all.iter().any(|one| one.file_name() == staging.file_name()) {
        all = vec![staging.to_owned()];
    }
    let complete = all[0].join(COMPLETE).exists();
    for other in all.iter().rev() {
        let is_this = other.file_name() == staging.file_name();
        let Some(target) = target_of(other).filter(|_| is_this || lock_of_the_dead(other).is_some()) else {
            continue;
        };
        let staging = other;
        let output = staging.join(OUTPUT);
        let is_free = |target: &Path| fs::symlink_metadata(target).is_err();
        if complete && output.exists() && is_free(&target) {
            fs::rename(&output, &target).map_err(failed("name the finished output", &target))?;
        }
        let replaced = staging.join(REPLACED);
        if replaced.exists() && is_free(&target) {
            fs::rename(&replaced, &target).map_err(failed("bring back", &target))?;
        }
        match fs::remove_dir_all(staging) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed("remove", staging)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The lock of a staging folder, if its owner does not hold it any more.
fn lock_of_the_dead(staging: &Path) -> Option<Option<File>> {
    match File::open(staging.join(LOCK)) {
        Ok(file) => match FileExt::try_lock(&file) {
            Ok(()) => Some(Some(file)),
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => None,
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let age = fs::symlink_metadata(staging)
                .ok()?
                .modified()
                .ok()?
                .elapsed()
                .ok()?;
            (age > LOCK_TAKES).then_some(None)
        }
        Err(_) => None,
    }
}

fn write_together(output: &Staged, all: &[Staged]) -> Result<()> {
    let mut text = String::new();
    for other in all {
        let Ok(path) = fs::canonicalize(&other.folder) else {
            continue;
        };
        text.push_str(&path.to_string_lossy());
        text.push('\n');
    }
    write_synced(&output.folder.join(TOGETHER), text.as_bytes())
}

fn write_synced(path: &Path, bytes: &[u8]) -> Result<()> {
    let written = fs::write(path, bytes).and_then(|()| File::open(path)?.sync_all());
    written.map_err(failed("write", path))?;
    sync_folder(parent(path))
}

/// Makes the names in a folder and in all folders below it last.
fn sync_folders(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder).map_err(failed("read", folder))?.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            sync_folders(&entry.path())?;
        }
    }
    sync_folder(folder)
}

/// Makes the names in a folder last; only Unix can and needs to.
fn sync_folder(folder: &Path) -> Result<()> {
    if cfg!(unix) {
        let synced = File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(failed("flush", folder))?;
    }
    Ok(())
}

fn staged_here() -> MutexGuard<'static, Vec<PathBuf>> {
    STAGED.lock().unwrap_or_else(PoisonError::into_inner)
}
