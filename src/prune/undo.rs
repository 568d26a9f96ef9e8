//! How to end pruning: make it permanent, or drop the mask.

use super::model::ByRef;
use crate::error::{ModelError, Result};
use crate::prunable::{MaskAction, MaskChange, Prunable};

/// Makes the pruning of a parameter permanent: pruned entries become zeros in the parameter itself, and mask and
/// history are dropped. The parameter keeps its identity and its place, and the outputs of the model do not change.
///
/// PyTorch's `prune.remove`.
///
/// ```
/// use ndarray::array;
/// use secateurs::{ArrayModel, prune};
///
/// let mut model = ArrayModel::new();
/// model.insert("weight", array![[0.1, -3.0]])?;
/// prune::l1_unstructured(&mut model, "weight", 1)?;
/// prune::remove(&mut model, "weight")?;
/// assert_eq!(model.get::<f64>("weight"), Some(&array![[0.0, -3.0]].into_dyn()));
/// assert!(prune::remove(&mut model, "weight").is_err()); // not pruned any more
/// # Ok::<(), secateurs::Error>(())
/// ```
///
/// # Errors
///
/// [`ModelError::UnknownParameter`] for an unknown path, [`ModelError::NotPruned`] if there is no mask.
pub fn remove<M: Prunable + ?Sized>(model: &mut M, path: &str) -> Result<()> {
    end(&mut ByRef(model), path, MaskAction::Remove)
}

/// Makes the pruning of all parameters of a model permanent, and returns the paths of those that were pruned.
///
/// ```
/// use ndarray::array;
/// use secateurs::{ArrayModel, prune};
///
/// let mut model = ArrayModel::new();
/// model.insert("weight", array![[0.1, -3.0]])?;
/// prune::l1_unstructured(&mut model, "weight", 0.5)?;
/// assert_eq!(prune::remove_all(&mut model)?, ["weight"]);
/// assert!(!prune::is_pruned(&model));
/// # Ok::<(), secateurs::Error>(())
/// ```
///
/// # Errors
///
/// Whatever keeps the model from changing its parameters. After an error, the model is unchanged.
pub fn remove_all<M: Prunable + ?Sized>(model: &mut M) -> Result<Vec<String>> {
    let model: &mut dyn Prunable = &mut ByRef(model);
    model.check_whole()?;
    let mut paths = Vec::new();
    for path in model.paths() {
        if model.view(&path)?.pruning().is_some() {
            paths.push(path);
        }
    }
    let changes = paths.iter().map(|path| MaskChange {
        path: path.clone(),
        action: MaskAction::Remove,
    });
    let changes = changes.collect();
    model.commit(changes)?;
    Ok(paths)
}

/// Drops the mask and the history of a parameter, so that the model computes with the original values again.
///
/// ```
/// use ndarray::array;
/// use secateurs::{ArrayModel, prune};
///
/// let mut model = ArrayModel::new();
/// model.insert("weight", array![[0.1, -3.0]])?;
/// prune::l1_unstructured(&mut model, "weight", 1)?;
/// prune::discard(&mut model, "weight")?;
/// assert_eq!(model.get::<f64>("weight"), Some(&array![[0.1, -3.0]].into_dyn()));
/// # Ok::<(), secateurs::Error>(())
/// ```
///
/// # Errors
///
/// As [`remove`].
pub fn discard<M: Prunable + ?Sized>(model: &mut M, path: &str) -> Result<()> {
    end(&mut ByRef(model), path, MaskAction::Discard)
}

fn end(model: &mut dyn Prunable, path: &str, action: MaskAction) -> Result<()> {
    let view = model.view(path)?;
    if view.pruning().is_none() {
        return Err(ModelError::NotPruned {
            path: path.to_owned(),
        }
        .into());
    }
    let path = view.path().to_owned();
    drop(view);
    model.commit(vec![MaskChange { path, action }])
}
