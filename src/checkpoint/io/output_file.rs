//! [`OutputFile`]: a file that is written by position.

use std::fs::{self, OpenOptions, Permissions};
use std::path::{Path, PathBuf};

use super::{Positional, failed};
use crate::error::Result;

/// A new file that is written by position.
#[derive(Debug)]
pub(crate) struct OutputFile {
    path: PathBuf,
    file: Positional,
    /// What it will have once it is written: until then it has to be writable.
    permissions: Option<Permissions>,
}

impl OutputFile {
    /// Creates a file of this length. It gets the permissions of the file `like`, so that what others may not read
    /// in an input they may not read in an output. Until it is written, only the user may read it.
    pub fn create(path: &Path, len: u64, like: Option<&Path>) -> Result<Self> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        let permissions = match like {
            Some(like) => {
                #[cfg(unix)]
                std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
                Some(fs::metadata(like).map_err(failed("read", like))?.permissions())
            }
            None => None,
        };
        let file = options.open(path).map_err(failed("create", path))?;
        file.set_len(len).map_err(failed("make room in", path))?;
        Ok(OutputFile {
            path: path.to_owned(),
            file: Positional::of_output(path, file).map_err(failed("create", path))?,
            permissions,
        })
    }

    pub fn write_at(&self, bytes: &[u8], position: u64) -> Result<()> {
        self.file
            .write_all_at(bytes, position)
            .map_err(failed("write", &self.path))
    }

    /// Ends writing: sets the permissions, and waits until the file is on the disk.
    pub fn sync(&self) -> Result<()> {
        let file = self.file.file().map_err(failed("open", &self.path))?;
        if let Some(permissions) = &self.permissions {
            file.set_permissions(permissions.clone())
                .map_err(failed("set the permissions of", &self.path))?;
        }
        file.sync_all().map_err(failed("flush", &self.path))
    }
}
