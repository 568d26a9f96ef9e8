//! [`Failure`]: the message that a command ends with.

use std::fmt;

use secateurs::error::{CheckpointError, Error, OutputError};

/// Why a command could not be carried out.
#[derive(Debug)]
pub enum Failure {
    /// Options that do not go together, and what does.
    Options(String),
    /// What the library refused.
    Library(secateurs::Error),
}

impl Failure {
    pub fn options(text: impl Into<String>) -> Self {
        Failure::Options(text.into())
    }
}

impl From<secateurs::Error> for Failure {
    fn from(error: secateurs::Error) -> Self {
        Failure::Library(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Options(text) => f.write_str(text),
            // The library does not know the option.
            Failure::Library(Error::Checkpoint(CheckpointError::Output(OutputError::Exists { path }))) => {
                let path = path.display();
                write!(
                    f,
                    "{path} exists already; nothing was written; --force replaces it"
                )
            }
            Failure::Library(error) => write!(f, "{error}"),
        }
    }
}
