//! Files and folders, whatever they hold: positional reads and writes, staged outputs, copies of other files.

mod error;
mod extra_files;
mod identity;
mod open_files;
mod output_file;
mod positional;
mod staging;

use std::io;
use std::path::Path;

use crate::error::Error;

pub use error::OutputError;
pub(super) use extra_files::ExtraFiles;
pub(crate) use identity::Inputs;
pub(crate) use output_file::OutputFile;
pub(super) use positional::Positional;
pub use staging::{Existing, discard_staged};
pub(crate) use staging::{Kind, Staged, commit};

/// Makes an [`Error::Io`] of what the system said: what was being done, and to which file.
pub(crate) fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |error| Error::Io { action, path, error }
}

/// The folder that a path is in.
pub(super) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
