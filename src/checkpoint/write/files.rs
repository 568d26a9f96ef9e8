//! [`save_files`]: files of any kind, written as the outputs of this crate are.

use std::collections::BTreeSet;
use std::path::Path;

use crate::checkpoint::Existing;
use crate::checkpoint::io::{Inputs, Kind, OutputFile, Staged, commit};
use crate::error::Result;

/// Writes files, each from pieces that follow each other, so that all of them appear whole or none does.
///
/// `inputs` are the files that they were made from: none of them is ever written to, whatever path leads to it, and the
/// outputs have the permissions of the first one. Every file is written under another name, and all are renamed when all
/// are complete.
///
/// ```
/// use secateurs::checkpoint::{Existing, save_files};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("greeting");
/// save_files(&[(&path, &[b"good ", b"day"])], &[], Existing::Refuse)?;
/// assert_eq!(std::fs::read(&path)?, b"good day");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`OutputError`](crate::error::OutputError) for an output that exists and is not to be replaced, that is not a regular
/// file, or that is an input or another output; [`Error::Io`](crate::Error::Io) if a file cannot be written.
pub fn save_files(files: &[(&Path, &[&[u8]])], inputs: &[&Path], existing: Existing) -> Result<()> {
    let apart = Inputs {
        files: inputs.iter().map(|path| path.to_path_buf()).collect(),
        folders: Vec::new(),
    };
    let mut staged: Vec<Staged> = Vec::new();
    for (path, _) in files {
        let next = Staged::new(path, Kind::File, existing, &apart, &BTreeSet::new())?;
        staged.iter().try_for_each(|other| next.check_apart_from(other))?;
        staged.push(next);
    }
    for (staged, (_, pieces)) in staged.iter().zip(files) {
        let len = pieces.iter().map(|piece| piece.len() as u64).sum();
        let file = OutputFile::create(&staged.path(), len, inputs.first().copied())?;
        let mut position = 0;
        for piece in *pieces {
            file.write_at(piece, position)?;
            position += piece.len() as u64;
        }
        file.sync()?;
    }
    commit(staged)
}
