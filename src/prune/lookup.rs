//! What is pruned, by what, and what people prune.

use std::sync::Arc;

use crate::error::Result;
use crate::mask::{Mask, PruningContainer, PruningMethod};
use crate::nn::{ParamTree, ParamTreeExt};

/// Whether any parameter of the tree is pruned. PyTorch's `prune.is_pruned`.
pub fn is_pruned<T: ParamTree + ?Sized>(module: &T) -> bool {
    module
        .named_parameters()
        .iter()
        .any(|(_, parameter)| parameter.is_pruned())
}

/// The mask of a parameter, or `None` where it is not pruned.
///
/// # Errors
///
/// [`ModelError::UnknownParameter`](crate::error::ModelError::UnknownParameter) for a path that leads nowhere.
pub fn mask<'a, T: ParamTree + ?Sized>(module: &'a T, path: &str) -> Result<Option<&'a Mask>> {
    Ok(module.parameter(path)?.mask())
}

/// The method that pruned a parameter, or the container of all that did, or `None` where it is not pruned.
///
/// # Errors
///
/// [`ModelError::UnknownParameter`](crate::error::ModelError::UnknownParameter) for a path that leads nowhere.
pub fn hook<'a, T: ParamTree + ?Sized>(
    module: &'a T,
    path: &str,
) -> Result<Option<&'a Arc<dyn PruningMethod>>> {
    Ok(module.parameter(path)?.hook())
}

/// The container of the methods that pruned a parameter, or `None` where fewer than two did.
///
/// # Errors
///
/// [`ModelError::UnknownParameter`](crate::error::ModelError::UnknownParameter) for a path that leads nowhere.
pub fn container<'a, T: ParamTree + ?Sized>(
    module: &'a T,
    path: &str,
) -> Result<Option<&'a PruningContainer>> {
    Ok(module.parameter(path)?.container())
}

/// The paths that people prune: of the parameters of two or more dimensions whose name starts with `weight`
/// (`0.weight`, `lstm.weight_ih_l0`), in order. Biases and the scales of norms are not among them.
///
/// ```
/// # use rand::SeedableRng;
/// # let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(0);
/// use secateurs::nn::{Linear, Relu, Sequential};
/// use secateurs::prune;
///
/// let model = Sequential::new().push(Linear::new(4, 3, &mut rng)).push(Relu::new()).push(Linear::new(3, 2, &mut rng));
/// assert_eq!(prune::weights(&model), ["0.weight", "2.weight"]);
/// ```
pub fn weights<T: ParamTree + ?Sized>(module: &T) -> Vec<String> {
    let mut paths = module.parameter_paths();
    paths.retain(|path| {
        let name = path.rsplit('.').next().unwrap_or(path);
        let dims = module
            .parameter(path)
            .map_or(0, |parameter| parameter.shape().len());
        name.starts_with("weight") && dims >= 2
    });
    paths
}
