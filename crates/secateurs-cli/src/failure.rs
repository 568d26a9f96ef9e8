//! [`Failure`]: what is told on the way out.

use secateurs::error::CheckpointError;
use std::fmt;

/// Why a command could not be carried out, as told to a person.
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
            // The library does not know how a command asks for it.
            Failure::Library(error @ secateurs::Error::Checkpoint(CheckpointError::OutputExists { .. })) => {
                write!(f, "{error}; --force replaces it")
            }
            Failure::Library(error) => write!(f, "{error}"),
        }
    }
}
