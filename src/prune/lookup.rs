//! What is pruned, by which method, and what is usually pruned.

use std::sync::Arc;

use crate::error::Result;
use crate::mask::{Mask, PruningContainer, PruningMethod};
use crate::prunable::{Prunable, Pruning, is_weight};

/// Whether any parameter of the model is pruned. PyTorch's `prune.is_pruned`.
pub fn is_pruned<M: Prunable + ?Sized>(model: &M) -> bool {
    let pruned = |path: &String| model.view(path).is_ok_and(|view| view.pruning().is_some());
    model.paths().iter().any(pruned)
}

/// The mask of a parameter, or `None` if it is not pruned. PyTorch's `module.weight_mask`.
///
/// # Errors
///
/// [`ModelError::UnknownParameter`](crate::error::ModelError::UnknownParameter) for a path that leads nowhere.
pub fn mask<M: Prunable + ?Sized>(model: &M, path: &str) -> Result<Option<Arc<Mask>>> {
    Ok(model.view(path)?.pruning().map(|pruning| pruning.mask().clone()))
}

/// The method that pruned a parameter, or the container of all methods that did; `None` if it is not pruned.
///
/// # Errors
///
/// [`ModelError::UnknownParameter`](crate::error::ModelError::UnknownParameter) for a path that leads nowhere.
pub fn hook<M: Prunable + ?Sized>(model: &M, path: &str) -> Result<Option<Arc<dyn PruningMethod>>> {
    Ok(model
        .view(path)?
        .pruning()
        .map(|pruning| pruning.history().clone()))
}

/// The container of the methods that pruned a parameter, or `None` if fewer than two did.
///
/// # Errors
///
/// [`ModelError::UnknownParameter`](crate::error::ModelError::UnknownParameter) for a path that leads nowhere.
pub fn container<M: Prunable + ?Sized>(model: &M, path: &str) -> Result<Option<PruningContainer>> {
    Ok(model.view(path)?.pruning().and_then(Pruning::container).cloned())
}

/// The paths of the parameters that are usually pruned, in the order of the model: weights of two or more dimensions
/// that, by their names, are not embeddings, norms or the head of a language model. [`is_weight`] has the exact rule,
/// which the command `secateurs prune` follows, too. A parameter with several paths is listed once.
///
/// ```
/// use ndarray::{Array1, Array2};
/// use secateurs::{ArrayModel, prune};
///
/// let mut model = ArrayModel::new();
/// model.insert("embed.weight", Array2::<f32>::zeros((9, 4)))?;
/// model.insert("0.weight", Array2::<f32>::zeros((3, 4)))?;
/// model.insert("0.bias", Array1::<f32>::zeros(3))?;
/// assert_eq!(prune::weights(&model), ["0.weight"]);
/// # Ok::<(), secateurs::Error>(())
/// ```
pub fn weights<M: Prunable + ?Sized>(model: &M) -> Vec<String> {
    let mut paths = model.paths();
    paths.retain(|path| is_weight(path) && model.view(path).is_ok_and(|view| view.shape().len() >= 2));
    paths
}
