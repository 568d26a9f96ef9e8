//! Reading and writing a file by position, so that threads can share it.
//!
//! No mapping: that is unsafe code, and a file that is truncated under a mapping kills the process.

use std::fs::File;
use std::io;

/// A file that is read and written at given positions only.
#[derive(Debug)]
pub(in crate::checkpoint) struct Positional {
    file: File,
    /// Where the system knows no positional calls, a position is set and used under this lock.
    #[cfg(not(unix))]
    cursor: std::sync::Mutex<()>,
}

impl Positional {
    pub fn new(file: File) -> Self {
        Positional {
            file,
            #[cfg(not(unix))]
            cursor: Default::default(),
        }
    }

    /// The file itself, for its length, times and flushing.
    pub fn file(&self) -> &File {
        &self.file
    }

    #[cfg(unix)]
    pub fn read_exact_at(&self, buffer: &mut [u8], position: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(&self.file, buffer, position)
    }

    #[cfg(unix)]
    pub fn write_all_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::write_all_at(&self.file, bytes, position)
    }

    #[cfg(not(unix))]
    pub fn read_exact_at(&self, buffer: &mut [u8], position: u64) -> io::Result<()> {
        use std::io::{Read, Seek};
        let _cursor = self
            .cursor
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        (&self.file).seek(io::SeekFrom::Start(position))?;
        (&self.file).read_exact(buffer)
    }

    #[cfg(not(unix))]
    pub fn write_all_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        use std::io::{Seek, Write};
        let _cursor = self
            .cursor
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        (&self.file).seek(io::SeekFrom::Start(position))?;
        (&self.file).write_all(bytes)
    }
}
