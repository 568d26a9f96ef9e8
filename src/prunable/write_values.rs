//! [`WriteValues`]: models whose values can be replaced.

use std::collections::HashSet;

use super::Prunable;
use super::error::ModelError;
use crate::error::{ListError, MaskError, Result};
use crate::mask::FloatArray;

/// A model whose original values can be replaced, which pruning itself never needs.
///
/// [`train::Snapshot`](crate::train::Snapshot) rewinds a model through it.
pub trait WriteValues: Prunable {
    /// Replaces the original values of several parameters: all of them, or none if there is an error. Masks and
    /// histories stay.
    ///
    /// # Errors
    ///
    /// As [`check_values`]. An implementation calls it first.
    fn write_values(&mut self, values: Vec<(String, FloatArray)>) -> Result<()>;
}

/// Checks values before they are written: each path leads to a parameter of their shape and type, and no parameter is
/// listed twice.
///
/// # Errors
///
/// [`ModelError`], [`ListError::ListedTwice`], or a [`MaskError`] inside an
/// [`Error::Parameter`](crate::Error::Parameter).
pub fn check_values<M: Prunable + ?Sized>(model: &M, values: &[(String, FloatArray)]) -> Result<()> {
    let mut seen = HashSet::new();
    for (path, array) in values {
        let view = model.view(path)?;
        if !seen.insert(view.id()) {
            return Err(ListError::ListedTwice { path: path.clone() }.into());
        }
        if array.shape() != view.shape() {
            let mismatch = MaskError::ShapeMismatch {
                what: "the array of new values",
                expected: view.shape().to_vec(),
                got: array.shape().to_vec(),
            };
            return Err(crate::Error::from(mismatch).at(path));
        }
        if array.float_type() != view.float_type() {
            return Err(ModelError::OtherType {
                path: path.clone(),
                expected: view.float_type(),
                got: array.float_type(),
            }
            .into());
        }
    }
    Ok(())
}
