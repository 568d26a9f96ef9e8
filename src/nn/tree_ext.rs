//! [`ParamTreeExt`]: parameters and buffers by path.

use std::sync::Arc;

use ndarray::{ArcArray, IxDyn};

use super::parameter::Parameter;
use super::tree::ParamTree;
use super::walk::{self, for_each_parameter};
use crate::error::{Error, ModelError, Result};
use crate::mask::PruningMethod;
use crate::prunable::nearest;
use crate::prunable::suffix::{MASK, ORIGINAL};

/// What callers can do with every [`ParamTree`].
///
/// If a tree leads back to itself, lists end at the cycle.
pub trait ParamTreeExt: ParamTree {
    /// The parameters of the tree by name. A pruned `weight` is named `weight_orig`.
    ///
    /// PyTorch's `named_parameters`.
    fn named_parameters(&self) -> Vec<(String, &Parameter)> {
        let mut all = Vec::new();
        walk::walk(self, &mut |prefix, store| {
            all.extend(store.parameters().map(|(name, parameter)| {
                let suffix = if parameter.is_pruned() { ORIGINAL } else { "" };
                (format!("{prefix}{name}{suffix}"), parameter)
            }));
        });
        all
    }

    /// The buffers of the tree, including masks: that of a pruned `weight` is `weight_mask`, an array of ones and
    /// zeros.
    ///
    /// PyTorch's `named_buffers`.
    fn named_buffers(&self) -> Vec<(String, ArcArray<f32, IxDyn>)> {
        let mut all = Vec::new();
        walk::walk(self, &mut |prefix, store| {
            all.extend(
                store
                    .buffers()
                    .map(|(name, buffer)| (format!("{prefix}{name}"), buffer)),
            );
            all.extend(store.parameters().filter_map(|(name, parameter)| {
                Some((
                    format!("{prefix}{name}{MASK}"),
                    parameter.mask()?.to_array().into_shared(),
                ))
            }));
        });
        all
    }

    /// The paths of the modules of the tree, in order. The path of the tree itself is `""`.
    ///
    /// PyTorch's `named_modules`.
    fn named_modules(&self) -> Vec<(String, &dyn ParamTree)>
    where
        Self: Sized,
    {
        let mut all: Vec<(String, &dyn ParamTree)> = Vec::new();
        // The only error is that of a cycle, where the list ends.
        let _ = modules(self, "", 0, &mut all);
        all
    }

    /// Puts all modules of the tree into training mode, in which they are at first: dropout drops, and batch
    /// normalisation normalises by the statistics of the batch.
    ///
    /// PyTorch's `module.train()`.
    ///
    /// # Errors
    ///
    /// [`ModelError::Inconsistent`](crate::error::ModelError::Inconsistent) if the tree contradicts itself. In that
    /// case nothing changes.
    fn train(&mut self) -> Result<()> {
        set_training(self, true)
    }

    /// Puts all modules of the tree into evaluation mode: dropout does nothing, and batch normalisation normalises by
    /// the running statistics.
    ///
    /// PyTorch's `module.eval()`.
    ///
    /// ```
    /// use ndarray::arr1;
    /// use rand::SeedableRng;
    /// use secateurs::nn::{Dropout, Module, ParamTreeExt, Sequential};
    /// use secateurs::tensor::Tensor;
    ///
    /// let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(0);
    /// let mut model = Sequential::new().push(Dropout::new(0.5, &mut rng)?);
    /// let input = Tensor::new(arr1(&[1.0; 100]));
    /// assert_ne!(model.forward(&input)?.value(), input.value());
    /// model.eval()?;
    /// assert_eq!(model.forward(&input)?.value(), input.value());
    /// # Ok::<(), secateurs::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`train`](Self::train).
    fn eval(&mut self) -> Result<()> {
        set_training(self, false)
    }

    /// The paths of all parameters (`0.weight`, pruned or not), in order.
    fn parameter_paths(&self) -> Vec<String> {
        let mut all = Vec::new();
        for_each_parameter(self, &mut |path, _| all.push(path));
        all
    }

    /// The parameter at a path, such as `weight` or `encoder.0.weight`. The name of a pruned one in
    /// [`named_parameters`](Self::named_parameters), `weight_orig`, is accepted, too.
    ///
    /// # Errors
    ///
    /// [`ModelError::UnknownParameter`](crate::error::ModelError::UnknownParameter) if there is none.
    fn parameter(&self, path: &str) -> Result<&Parameter> {
        walk::parameter(self, path)
            .or_else(|| seen_as(self, path).and_then(|path| walk::parameter(self, path)))
            .ok_or_else(|| unknown_parameter(self, path))
    }

    /// The parameter at a path, as [`parameter`](Self::parameter) finds it, mutably.
    ///
    /// # Errors
    ///
    /// [`ModelError::UnknownParameter`](crate::error::ModelError::UnknownParameter) if there is none,
    /// [`ModelError::Inconsistent`](crate::error::ModelError::Inconsistent) if shared and mutable access find
    /// different parameters.
    fn parameter_mut(&mut self, path: &str) -> Result<&mut Parameter> {
        self.parameter(path)?; // the nearest names cannot be found while the tree is borrowed mutably
        let path = seen_as(self, path).unwrap_or(path);
        walk::parameter_mut(self, path)
    }

    /// The pruning hooks of this module itself: the name of each pruned parameter, and its method or container.
    ///
    /// PyTorch's `_forward_pre_hooks`.
    fn forward_pre_hooks(&self) -> Vec<(&str, &Arc<dyn PruningMethod>)> {
        self.store()
            .map(|store| store.forward_pre_hooks().collect())
            .unwrap_or_default()
    }
}

impl<T: ParamTree + ?Sized> ParamTreeExt for T {}

fn set_training<T: ParamTree + ?Sized>(tree: &mut T, training: bool) -> Result<()> {
    walk::check(tree)?;
    walk::walk_mut(tree, &mut |_, store| store.set_training(training));
    Ok(())
}

fn modules<'a>(
    tree: &'a dyn ParamTree,
    path: &str,
    depth: usize,
    all: &mut Vec<(String, &'a dyn ParamTree)>,
) -> Result<()> {
    all.push((path.to_owned(), tree));
    for name in tree.child_names() {
        let path = match path {
            "" => name.clone(),
            path => format!("{path}.{name}"),
        };
        walk::check_depth(&path, depth)?;
        if let Some(child) = tree.child(&name) {
            modules(child, &path, depth + 1, all)?;
        }
    }
    Ok(())
}

/// The path of a pruned parameter that `named_parameters` lists by this name: `weight` for `weight_orig`.
fn seen_as<'a, T: ParamTree + ?Sized>(tree: &T, name: &'a str) -> Option<&'a str> {
    let path = name.strip_suffix(ORIGINAL)?;
    walk::parameter(tree, path)?.is_pruned().then_some(path)
}

/// The error for a path that leads to no parameter.
pub(super) fn unknown_parameter<T: ParamTree + ?Sized>(tree: &T, path: &str) -> Error {
    Error::Model(ModelError::UnknownParameter {
        path: path.to_owned(),
        nearest: nearest(path, tree.parameter_paths().iter().map(String::as_str)),
    })
}
