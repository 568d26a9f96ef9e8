//! [`InputFile`]: a file of which only what is needed is read, when it is needed.

use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::SystemTime;

use crate::entries::CHUNK;
use crate::error::{Error, Result};

/// A file that is read by position. A model may be larger than memory, and even one that is not would be read into
/// fresh pages, which takes longer than all that is computed with it.
#[derive(Debug)]
pub struct InputFile {
    path: PathBuf,
    file: Mutex<File>,
    state: State,
    failed: OnceLock<String>,
}

/// What shows that a file has changed.
type State = (u64, Option<SystemTime>);

impl InputFile {
    /// Opens a file. `real` is where it lies, `path` what errors call it.
    pub fn open(path: &Path, real: &Path) -> Result<Self> {
        let opened = File::open(real).and_then(|file| Ok((file.metadata()?, file)));
        let (metadata, file) = opened.map_err(|error| failed(path, error))?;
        if !metadata.is_file() {
            let error = "it is not a regular file, so that no part of it can be read by itself";
            return Err(failed(path, io::Error::other(error)));
        }
        Ok(InputFile {
            path: path.to_owned(),
            file: Mutex::new(file),
            state: state(&metadata),
            failed: OnceLock::new(),
        })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its length when it was opened.
    pub fn len(&self) -> u64 {
        self.state.0
    }

    /// Reads it from its begin. Nothing else may read it meanwhile.
    pub fn reader(&self) -> Result<File> {
        let file = self.lock().try_clone();
        let rewound = file.and_then(|mut file| file.rewind().map(|()| file));
        rewound.map_err(|error| self.failed(error))
    }

    /// Reads as many bytes as fit, from this place on.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        let mut file = self.lock();
        let read = file.seek(SeekFrom::Start(offset));
        read.and_then(|_| file.read_exact(buffer)).map_err(|error| {
            // Analysis takes what it cannot read for unknown; `check` tells it from what is unknown.
            let _ = self.failed.set(error.to_string());
            self.failed(error)
        })
    }

    /// Gives all bytes, in order.
    pub fn for_each_chunk(&self, take: &mut dyn FnMut(&[u8])) -> Result<()> {
        let mut buffer = vec![0; CHUNK];
        let mut at = 0;
        while at < self.len() {
            let left = usize::try_from(self.len() - at).map_or(CHUNK, |left| left.min(CHUNK));
            self.read_at(&mut buffer[..left], at)?;
            take(&buffer[..left]);
            at += left as u64;
        }
        Ok(())
    }

    /// The error of what the system said.
    pub fn failed(&self, error: io::Error) -> Error {
        failed(&self.path, error)
    }

    /// An error if something could not be read, or if the file has changed since it was opened.
    pub fn check(&self) -> Result<()> {
        if let Some(error) = self.failed.get() {
            return Err(self.failed(io::Error::other(error.clone())));
        }
        let now = self.lock().metadata().map_err(|error| self.failed(error))?;
        if state(&now) != self.state {
            return Err(self.failed(io::Error::other("it has changed meanwhile; try again")));
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, File> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn state(metadata: &Metadata) -> State {
    (metadata.len(), metadata.modified().ok())
}

fn failed(path: &Path, error: io::Error) -> Error {
    Error::Io {
        action: "read",
        path: path.to_owned(),
        error,
    }
}
