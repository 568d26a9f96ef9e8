//! Which paths lead to the same file: compared by what the system says, not by spelling.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Kind, OutputError, parent};
use crate::error::Result;

/// Files and folders that no output may be, replace or lie inside.
#[derive(Debug, Default)]
pub(crate) struct Inputs {
    /// Files: no output may be one of them, or a folder that holds one.
    pub files: Vec<PathBuf>,
    /// Folders: no output may lie in them, either.
    pub folders: Vec<PathBuf>,
}

/// What a path leads to, links followed. Two paths with equal identities lead to one file.
#[cfg(unix)]
type Identity = (u64, u64);
#[cfg(not(unix))]
type Identity = PathBuf;

#[cfg(unix)]
fn identity(path: &Path) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt;
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn identity(path: &Path) -> Option<Identity> {
    fs::canonicalize(path).ok()
}

/// The identities of the folders that a path is in, its links followed or not.
fn around(path: &Path) -> Vec<Identity> {
    let parents = [Some(parent(path).to_owned()), linked(path)];
    let real = parents
        .iter()
        .flatten()
        .filter_map(|path| fs::canonicalize(path).ok());
    real.flat_map(|folder| folder.ancestors().filter_map(identity).collect::<Vec<_>>())
        .collect()
}

/// The folder of what a path leads to.
fn linked(path: &Path) -> Option<PathBuf> {
    Some(parent(&fs::canonicalize(path).ok()?).to_owned())
}

/// Whether two outputs would have one name.
pub(super) fn same_place(a: &Path, b: &Path) -> bool {
    let exists = identity(a).is_some() && identity(a) == identity(b);
    exists || a.file_name() == b.file_name() && identity(parent(a)) == identity(parent(b))
}

/// Whether a path lies inside a folder.
pub(super) fn lies_in(path: &Path, folder: &Path) -> bool {
    identity(folder).is_some_and(|folder| around(path).contains(&folder))
}

impl Inputs {
    /// Refuses an output that would be, replace or lie inside an input.
    pub(super) fn check_apart(&self, target: &Path, kind: Kind) -> Result<()> {
        let refused = |reason| {
            Err(OutputError::Refused {
                path: target.to_owned(),
                reason,
            }
            .into())
        };
        for input in self.folders.iter().chain(&self.files) {
            if same_place(input, target) {
                return refused("it is the input; choose another name");
            }
            if kind == Kind::Folder && lies_in(input, target) {
                return refused("the input lies in it; choose another name");
            }
        }
        if self.folders.iter().any(|folder| lies_in(target, folder)) {
            return refused("it lies in the input, of which every file is copied; choose another folder");
        }
        Ok(())
    }
}
