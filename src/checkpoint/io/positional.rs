//! Reading and writing a file by position, so that threads can share it.
//!
//! No mapping: that is unsafe code, and a file that is truncated under a mapping kills the process.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::open_files::Place;

/// A file that is read and written at given positions only. It need not be open all the time.
#[derive(Debug)]
pub(in crate::checkpoint) struct Positional {
    path: PathBuf,
    writable: bool,
    identity: Identity,
    place: Place,
    /// Where the system knows no positional calls, a position is set and used under this lock.
    #[cfg(not(unix))]
    cursor: std::sync::Mutex<()>,
}

/// What tells a file from another one of its name.
#[cfg(unix)]
type Identity = (u64, u64);
#[cfg(not(unix))]
type Identity = ();

#[cfg(unix)]
fn identity(metadata: &Metadata) -> Identity {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino())
}

#[cfg(not(unix))]
fn identity(_: &Metadata) -> Identity {}

impl Positional {
    /// Opens a file to be read.
    pub fn open(path: &Path) -> io::Result<Self> {
        Positional::new(path, File::open(path)?, false)
    }

    /// A file that is open to be written.
    pub fn of_output(path: &Path, file: File) -> io::Result<Self> {
        Positional::new(path, file, true)
    }

    fn new(path: &Path, file: File, writable: bool) -> io::Result<Self> {
        Ok(Positional {
            path: path.to_owned(),
            writable,
            identity: identity(&file.metadata()?),
            place: Place::new(file),
            #[cfg(not(unix))]
            cursor: Default::default(),
        })
    }

    /// The file itself, for its length, times and flushing.
    pub fn file(&self) -> io::Result<Arc<File>> {
        self.place.file(|| {
            let mut options = OpenOptions::new();
            let file = options
                .read(!self.writable)
                .write(self.writable)
                .open(&self.path)?;
            if identity(&file.metadata()?) == self.identity {
                return Ok(file);
            }
            Err(io::Error::other("another file has taken its place"))
        })
    }

    #[cfg(unix)]
    pub fn read_exact_at(&self, buffer: &mut [u8], position: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(&*self.file()?, buffer, position)
    }

    #[cfg(unix)]
    pub fn write_all_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::write_all_at(&*self.file()?, bytes, position)
    }

    #[cfg(not(unix))]
    pub fn read_exact_at(&self, buffer: &mut [u8], position: u64) -> io::Result<()> {
        use std::io::{Read, Seek};
        let _cursor = self
            .cursor
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let file = self.file()?;
        (&*file).seek(io::SeekFrom::Start(position))?;
        (&*file).read_exact(buffer)
    }

    #[cfg(not(unix))]
    pub fn write_all_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        use std::io::{Seek, Write};
        let _cursor = self
            .cursor
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let file = self.file()?;
        (&*file).seek(io::SeekFrom::Start(position))?;
        (&*file).write_all(bytes)
    }
}
