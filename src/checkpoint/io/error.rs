//! [`OutputError`]: an output that cannot be written where it was requested.

use std::path::PathBuf;

/// An output that cannot be written where it was requested. Nothing was written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutputError {
    /// An output that exists already, and is not to be replaced.
    #[error("{path} exists already; nothing was written: choose another name, or allow it to be replaced", path = path.display())]
    Exists {
        /// The requested output.
        path: PathBuf,
    },
    /// An output that would be, replace or lie inside an input or another output, or that nobody can mean to replace.
    #[error("cannot write {path}: {reason}", path = path.display())]
    Refused {
        /// The requested output.
        path: PathBuf,
        /// Why not, and what to do.
        reason: &'static str,
    },
    /// A folder that holds files which are not part of the new output, and would be deleted with it.
    #[error(
        "cannot replace {path}: the output does not contain {}, which would be deleted; \
         move or delete what is in the way, or choose another folder",
        listed(names, *count),
        path = path.display()
    )]
    WouldDelete {
        /// The requested output.
        path: PathBuf,
        /// Some of the files, by their paths in the folder.
        names: Vec<PathBuf>,
        /// How many there are.
        count: usize,
    },
}

fn listed(names: &[PathBuf], count: usize) -> String {
    let shown: Vec<_> = names.iter().map(|name| format!("`{}`", name.display())).collect();
    let more = count - names.len().min(count);
    match more {
        0 => shown.join(", "),
        _ => format!("{} and {more} more files", shown.join(", ")),
    }
}
