//! The ways out of pruning: bake the mask in, or drop it.

use crate::error::{Error, ModelError, Result};
use crate::nn::tree::walk_mut;
use crate::nn::{ParamTree, ParamTreeExt, Parameter};

/// Bakes the mask of a parameter in: pruned entries become zeros of the parameter itself, and mask and hook are
/// gone. The parameter keeps its identity and its place (S13), and forward gives what it gave.
///
/// PyTorch's `prune.remove`.
///
/// ```
/// use ndarray::array;
/// use secateurs::nn::{Linear, ParamTreeExt};
/// use secateurs::prune;
///
/// let mut module = Linear::from_arrays(array![[0.1, -3.0]], None)?;
/// prune::l1_unstructured(&mut module, "weight", 1)?;
/// prune::remove(&mut module, "weight")?;
/// assert_eq!(module.parameter("weight")?.original(), array![[0.0, -3.0]].into_dyn());
/// assert!(prune::remove(&mut module, "weight").is_err()); // not pruned any more
/// # Ok::<(), secateurs::Error>(())
/// ```
///
/// # Errors
///
/// [`ModelError::UnknownParameter`](crate::error::ModelError::UnknownParameter) for a path that leads nowhere, [`ModelError::NotPruned`](crate::error::ModelError::NotPruned) where there is nothing to bake.
pub fn remove<T: ParamTree + ?Sized>(module: &mut T, path: &str) -> Result<()> {
    pruned(module, path).map(Parameter::bake)
}

/// Bakes in the masks of all parameters of a tree; gives their paths.
///
/// ```
/// # use rand::SeedableRng;
/// # let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(0);
/// # let mut model = secateurs::nn::Linear::new(4, 3, &mut rng);
/// use secateurs::prune;
///
/// prune::l1_unstructured(&mut model, "weight", 0.5)?;
/// assert_eq!(prune::remove_all(&mut model), ["weight"]);
/// assert!(!prune::is_pruned(&model));
/// # Ok::<(), secateurs::Error>(())
/// ```
pub fn remove_all<T: ParamTree + ?Sized>(module: &mut T) -> Vec<String> {
    let mut removed = Vec::new();
    walk_mut(module, "", &mut |prefix, store| {
        for (name, parameter) in store
            .parameters_mut()
            .filter(|(_, parameter)| parameter.is_pruned())
        {
            removed.push(format!("{prefix}{name}"));
            parameter.bake();
        }
    });
    removed
}

/// Drops the mask and the hook of a parameter and gives the original back, untouched (S20).
///
/// ```
/// use ndarray::array;
/// use secateurs::nn::{Linear, ParamTreeExt};
/// use secateurs::prune;
///
/// let mut module = Linear::from_arrays(array![[0.1, -3.0]], None)?;
/// prune::l1_unstructured(&mut module, "weight", 1)?;
/// prune::discard(&mut module, "weight")?;
/// assert_eq!(module.parameter("weight")?.original(), array![[0.1, -3.0]].into_dyn());
/// # Ok::<(), secateurs::Error>(())
/// ```
///
/// # Errors
///
/// As [`remove`].
pub fn discard<T: ParamTree + ?Sized>(module: &mut T, path: &str) -> Result<()> {
    pruned(module, path).map(Parameter::discard)
}

fn pruned<'a, T: ParamTree + ?Sized>(module: &'a mut T, path: &str) -> Result<&'a mut Parameter> {
    let parameter = module.parameter_mut(path)?;
    if parameter.is_pruned() {
        Ok(parameter)
    } else {
        Err(Error::Model(ModelError::NotPruned {
            path: path.to_owned(),
        }))
    }
}
