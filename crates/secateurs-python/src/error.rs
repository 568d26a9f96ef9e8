//! Errors of the library as Python exceptions, with the same messages.

use std::io::ErrorKind;

use pyo3::exceptions::{
    PyFileExistsError, PyFileNotFoundError, PyIndexError, PyOSError, PyPermissionError, PyValueError,
};
use pyo3::prelude::*;
use secateurs::Error;
use secateurs::error::PatternError;

/// The Python exception of an error. PyTorch has an `IndexError` for a dimension that does not exist, and so have we.
pub(crate) fn raise(error: Error) -> PyErr {
    let message = error.to_string();
    match innermost(&error) {
        Error::Pattern(PatternError::DimOutOfRange { .. }) => PyIndexError::new_err(message),
        Error::Io { error, .. } => of_io(error.kind(), message),
        _ => PyValueError::new_err(message),
    }
}

/// The Python exception of an error of the system.
pub(crate) fn of_io(kind: ErrorKind, message: String) -> PyErr {
    match kind {
        ErrorKind::NotFound => PyFileNotFoundError::new_err(message),
        ErrorKind::AlreadyExists => PyFileExistsError::new_err(message),
        ErrorKind::PermissionDenied => PyPermissionError::new_err(message),
        _ => PyOSError::new_err(message),
    }
}

fn innermost(error: &Error) -> &Error {
    match error {
        Error::Parameter { error, .. } => innermost(error),
        error => error,
    }
}
