//! [`MaskChange`]: a change to the mask of one parameter.

use std::collections::HashSet;

use super::Prunable;
use super::error::ModelError;
use super::pruning::Pruning;
use crate::error::{Error, ListError, Result};

/// A change to the mask of one parameter.
#[derive(Clone, Debug)]
pub struct MaskChange {
    /// Path of the parameter, as the model lists it.
    pub path: String,
    /// What is to be done.
    pub action: MaskAction,
}

/// What to do with the mask of a parameter.
#[derive(Clone, Debug)]
pub enum MaskAction {
    /// Set this mask and history, and replace those that the parameter has, if any. The original values stay.
    Set(Pruning),
    /// Make pruning permanent: write +0.0 wherever the mask prunes, then drop mask and history.
    Remove,
    /// Drop mask and history. The model computes with the original values again.
    Discard,
}

/// Checks changes before they are made: each path leads to a parameter, no parameter is changed twice, masks have their
/// parameter's shape, and only pruned parameters lose a mask.
///
/// A model's [`commit`](Prunable::commit) calls this first, so that it cannot fail half-way.
///
/// # Errors
///
/// [`ModelError`], [`ListError::ListedTwice`], or a [`MaskError`](crate::error::MaskError) inside an
/// [`Error::Parameter`].
pub fn check_changes<M: Prunable + ?Sized>(model: &M, changes: &[MaskChange]) -> Result<()> {
    let mut seen = HashSet::new();
    for MaskChange { path, action } in changes {
        let view = model.view(path)?;
        if !seen.insert(view.id()) {
            return Err(ListError::ListedTwice { path: path.clone() }.into());
        }
        match action {
            MaskAction::Set(pruning) => pruning
                .check(view.name(), view.shape())
                .map_err(|error| error.at(path))?,
            MaskAction::Remove | MaskAction::Discard if view.pruning().is_none() => {
                return Err(Error::from(ModelError::NotPruned { path: path.clone() }));
            }
            // The values may have been replaced since by some of another shape.
            MaskAction::Remove => view.mask().map_or(Ok(()), |mask| {
                let fits = mask.check_shape("the parameter", view.shape());
                fits.map_err(|error| error.at(path))
            })?,
            MaskAction::Discard => {}
        }
    }
    Ok(())
}
