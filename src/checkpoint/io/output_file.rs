//! [`OutputFile`]: a file that is written by position.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};

use super::{Positional, failed};
use crate::error::Result;

/// A new file that is written by position.
#[derive(Debug)]
pub(crate) struct OutputFile {
    path: PathBuf,
    file: Positional,
}

impl OutputFile {
    /// Creates a file of this length. It gets the permissions of the file `like`, so that what others may not read
    /// in an input they may not read in an output.
    pub fn create(path: &Path, len: u64, like: Option<&Path>) -> Result<Self> {
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(path)
            .map_err(failed("create", path))?;
        if let Some(like) = like {
            let permissions = fs::metadata(like).map_err(failed("read", like))?.permissions();
            file.set_permissions(permissions)
                .map_err(failed("set the permissions of", path))?;
        }
        file.set_len(len).map_err(failed("make room in", path))?;
        Ok(OutputFile {
            path: path.to_owned(),
            file: Positional::new(file),
        })
    }

    pub fn write_at(&self, bytes: &[u8], position: u64) -> Result<()> {
        self.file
            .write_all_at(bytes, position)
            .map_err(failed("write", &self.path))
    }

    /// Waits until the file is on the disk.
    pub fn sync(&self) -> Result<()> {
        self.file.file().sync_all().map_err(failed("flush", &self.path))
    }
}
