//! [`MaskChange`]: what is to become of the mask of one parameter.

use std::collections::HashSet;

use super::Prunable;
use super::error::ModelError;
use super::pruning::Pruning;
use crate::error::{Error, ListError, Result};

/// What is to become of the mask of one parameter.
#[derive(Clone, Debug)]
pub struct MaskChange {
    /// Path of the parameter, as the model lists it.
    pub path: String,
    /// What is to be done.
    pub action: MaskAction,
}

/// What is to be done with the mask of a parameter.
#[derive(Clone, Debug)]
pub enum MaskAction {
    /// Put this mask and history in place of those that the parameter has, if any. The original values stay.
    Set(Pruning),
    /// Make the masked values the parameter's own: +0.0 wherever the mask prunes. Drop mask and history.
    Remove,
    /// Drop mask and history. The original values are the parameter's own again.
    Discard,
}

/// Checks changes before they are made: each path leads to a parameter, no parameter is changed twice, masks have their
/// parameter's shape, and only pruned parameters lose a mask.
///
/// A model's [`commit`](Prunable::commit) calls this first, and then cannot fail half-way.
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
            MaskAction::Remove | MaskAction::Discard => {}
        }
    }
    Ok(())
}
