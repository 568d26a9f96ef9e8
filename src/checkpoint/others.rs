//! The files of a folder that hold no tensors: configuration, tokenizer, index, and whatever else lies there.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use super::Checkpoint;
use super::draft::is_leftover;
use crate::error::{CheckpointError, Error, Result};

impl Checkpoint {
    /// Copies every file of the folder except `skip`, folders in it included, and returns their names. Links are
    /// followed, so that what is copied stands by itself.
    pub(super) fn copy_others(&self, into: &Path, skip: impl Fn(&OsStr) -> bool) -> Result<Vec<PathBuf>> {
        let mut copied = Vec::new();
        if self.is_folder() {
            let mut around = Vec::new();
            copy(self.path(), into, Path::new(""), &skip, &mut around, &mut copied)?;
        }
        Ok(copied)
    }
}

/// Copies `root/inner` into `into/inner`; `around` are the folders that this one is in.
fn copy(
    root: &Path,
    into: &Path,
    inner: &Path,
    skip: &impl Fn(&OsStr) -> bool,
    around: &mut Vec<PathBuf>,
    copied: &mut Vec<PathBuf>,
) -> Result<()> {
    let folder = root.join(inner);
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Io {
            action: "read or write",
            path,
            error: source,
        }
    };
    let real = fs::canonicalize(&folder).map_err(io(&folder))?;
    if around.contains(&real) {
        return Err(Error::Checkpoint(CheckpointError::NotCheckpoint {
            path: folder,
            reason: "it is a link to a folder that it lies in, so that it cannot be copied".into(),
        }));
    }
    around.push(real);
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).map_err(io(&folder))? {
        names.push(entry.map_err(io(&folder))?.file_name());
    }
    names.sort();
    for name in names {
        let top = inner.as_os_str().is_empty();
        if top && (skip(&name) || is_leftover(&name.to_string_lossy())) {
            continue;
        }
        let inner = inner.join(&name);
        let (from, to) = (root.join(&inner), into.join(&inner));
        let metadata = fs::metadata(&from).map_err(io(&from))?;
        if metadata.is_dir() {
            fs::create_dir(&to).map_err(io(&to))?;
            copy(root, into, &inner, skip, around, copied)?;
        } else if metadata.is_file() {
            fs::copy(&from, &to).map_err(io(&from))?;
            copied.push(inner);
        } else {
            return Err(Error::Checkpoint(CheckpointError::NotCheckpoint {
                path: from,
                reason: "it is neither a file nor a folder, so that it cannot be copied".into(),
            }));
        }
    }
    around.pop();
    Ok(())
}
