//! [`Failure`]: the message that a command ends with.

use std::fmt;

use secateurs::error::{CheckpointError, Error, MaskError, OutputError, PatternError};

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
            Failure::Library(error) => write_library(error, f),
        }
    }
}

/// The library knows no options, and calls a tensor of a file a parameter.
fn write_library(error: &Error, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match error {
        Error::Parameter { path, error } => {
            write!(f, "tensor `{path}`: ")?;
            write_library(error, f)
        }
        Error::Checkpoint(CheckpointError::Output(OutputError::Exists { path })) => {
            // As it was typed: the library puts a folder before it.
            let path = path.strip_prefix("./").unwrap_or(path).display();
            write!(
                f,
                "{path} exists already; nothing was written; --force replaces it"
            )
        }
        Error::Pattern(PatternError::Indivisible { dim, shape, of }) => write!(
            f,
            "dimension {dim} of shape {shape:?} cannot be divided into groups of {of}; --skip-indivisible leaves such \
             tensors as they are, --dim chooses another dimension"
        ),
        Error::Pattern(PatternError::KeepOf { keep, of }) => write!(
            f,
            "--pattern {keep}:{of} cannot keep {keep} of each {of} entries; N:M keeps N of every M, such as 2:4"
        ),
        Error::Mask(MaskError::NanScore {
            parameter: Some(name),
            index,
        }) => write!(
            f,
            "cannot rank NaN: in `{name}` entry {index} (row-major) is NaN; NaN weights mostly come from a training run \
             that diverged, so check its loss; --exclude leaves the tensor as it is"
        ),
        error => write!(f, "{error}"),
    }
}
