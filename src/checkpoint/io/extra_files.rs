//! [`ExtraFiles`]: the files of a folder that hold no tensors, such as configuration and tokenizer.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::failed;
use super::staging::is_staging;
use crate::error::{CheckpointError, Error, Result};

/// Folders that are not part of a model: version control and caches.
const LEFT_OUT: [&str; 3] = [".git", ".cache", "__pycache__"];

/// The files of a folder that are copied as they are, by their paths in it.
#[derive(Debug, Default)]
pub(in crate::checkpoint) struct ExtraFiles {
    root: PathBuf,
    pub files: Vec<PathBuf>,
    /// In an order in which they can be made.
    folders: Vec<PathBuf>,
}

impl ExtraFiles {
    /// Finds every file below a folder except those at its top that are to be skipped. Links are followed.
    ///
    /// Each file is opened, so that one that cannot be read is found before any work is done.
    pub fn find(root: &Path, skip: impl Fn(&OsStr) -> bool) -> Result<Self> {
        let mut found = ExtraFiles {
            root: root.to_owned(),
            ..ExtraFiles::default()
        };
        found.add(Path::new(""), &skip, &mut Vec::new())?;
        Ok(found)
    }

    /// Adds what is in the folder `inner`; `around` are the folders that it is in.
    fn add(&mut self, inner: &Path, skip: &impl Fn(&OsStr) -> bool, around: &mut Vec<PathBuf>) -> Result<()> {
        let folder = self.root.join(inner);
        let real = fs::canonicalize(&folder).map_err(failed("read", &folder))?;
        if around.contains(&real) {
            return Err(not_copied(
                folder,
                "it is a link to a folder that it lies in, so that it cannot be copied; remove the link",
            ));
        }
        around.push(real);
        let mut names = Vec::new();
        for entry in fs::read_dir(&folder).map_err(failed("read", &folder))? {
            names.push(entry.map_err(failed("read", &folder))?.file_name());
        }
        names.sort();
        let top = inner.as_os_str().is_empty();
        for name in names {
            if top && skip(&name) || is_staging(&name) {
                continue;
            }
            let inner = inner.join(&name);
            let path = self.root.join(&inner);
            let metadata = fs::metadata(&path).map_err(failed("read", &path))?;
            if metadata.is_dir() {
                if !LEFT_OUT.iter().any(|left_out| name == *left_out) {
                    self.folders.push(inner.clone());
                    self.add(&inner, skip, around)?;
                }
            } else if metadata.is_file() {
                File::open(&path).map_err(failed("read", &path))?;
                self.files.push(inner);
            } else {
                return Err(not_copied(
                    path,
                    "it is neither a file nor a folder, so that it cannot be copied; move it elsewhere",
                ));
            }
        }
        around.pop();
        Ok(())
    }

    /// Copies the files into a new folder, and waits until they are on the disk.
    pub fn copy_into(&self, into: &Path) -> Result<()> {
        for folder in &self.folders {
            let to = into.join(folder);
            fs::create_dir(&to).map_err(failed("create", &to))?;
        }
        for file in &self.files {
            let (from, to) = (self.root.join(file), into.join(file));
            fs::copy(&from, &to).map_err(failed("copy", &from))?;
            // Opened for reading: a copy of a file that cannot be written to cannot be, either.
            let flushed = File::open(&to).and_then(|file| file.sync_all());
            flushed.map_err(failed("flush", &to))?;
        }
        Ok(())
    }
}

fn not_copied(path: PathBuf, reason: &str) -> Error {
    Error::Checkpoint(CheckpointError::NotCheckpoint {
        path,
        reason: reason.to_owned(),
    })
}
