//! [`save_files`]: files of any kind, written as the outputs of this crate are.

use std::collections::BTreeSet;
use std::path::Path;

use crate::checkpoint::Existing;
use crate::checkpoint::io::{Inputs, Kind, OutputFile, Staged, commit};
use crate::error::{Error, Result};

/// Pieces that are smaller are written together.
const BUFFER: usize = 1 << 16;

/// Writes files, so that all of them appear whole or none does: for each path, `write` is called once, with its number and
/// the new file.
///
/// `inputs` are the files that they are made from: none of them is ever written to, whatever path leads to it, and the
/// outputs have the permissions of the first one. Every file is written under another name, and all are renamed when all
/// are complete and on the disk.
///
/// ```
/// use secateurs::Error;
/// use secateurs::checkpoint::{Existing, save_files};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("greeting");
/// save_files(&[&path], &[], Existing::Refuse, |_, file| {
///     file.append(b"good ")?;
///     file.append(b"day")
/// })?;
/// assert_eq!(std::fs::read(&path)?, b"good day");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// Whatever `write` returns; [`OutputError`](crate::error::OutputError) for an output that exists and is not to be
/// replaced, that is no regular file, or that is an input or another output; [`Error::Io`] if a file cannot be written.
pub fn save_files<E: From<Error>>(
    files: &[&Path],
    inputs: &[&Path],
    existing: Existing,
    mut write: impl FnMut(usize, &mut SavedFile) -> Result<(), E>,
) -> Result<(), E> {
    let apart = Inputs {
        files: inputs.iter().map(|path| path.to_path_buf()).collect(),
        folders: Vec::new(),
    };
    let mut staged: Vec<Staged> = Vec::new();
    for path in files {
        let next = Staged::new(path, Kind::File, existing, &apart, &BTreeSet::new())?;
        staged.iter().try_for_each(|other| next.check_apart_from(other))?;
        staged.push(next);
    }
    for (number, staged) in staged.iter().enumerate() {
        let mut file = SavedFile {
            file: OutputFile::create(&staged.path(), 0, inputs.first().copied())?,
            position: 0,
            buffer: Vec::new(),
        };
        write(number, &mut file)?;
        file.flush()?;
        file.file.sync()?;
    }
    Ok(commit(staged)?)
}

/// A file that [`save_files`] writes.
#[derive(Debug)]
pub struct SavedFile {
    file: OutputFile,
    position: u64,
    buffer: Vec<u8>,
}

impl SavedFile {
    /// Writes bytes after those that were written before.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if they cannot be written.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        if self.buffer.len() + bytes.len() > BUFFER {
            self.flush()?;
        }
        if bytes.len() < BUFFER {
            self.buffer.extend_from_slice(bytes);
            return Ok(());
        }
        self.write(bytes)
    }

    fn flush(&mut self) -> Result<()> {
        let buffer = std::mem::take(&mut self.buffer);
        self.write(&buffer)?;
        self.buffer = buffer;
        self.buffer.clear();
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_at(bytes, self.position)?;
        self.position += bytes.len() as u64;
        Ok(())
    }
}
