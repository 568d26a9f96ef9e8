//! The parameters of a model together with their gradients.

use std::collections::HashSet;

use ndarray::ArrayViewD;

use crate::error::Result;
use crate::nn::{ParamTree, Parameter, walk};
use crate::tensor::Gradients;

/// Calls `update` once with each parameter, and its gradient if it has one.
///
/// A gradient of another shape, of a leaf that a caller made under the parameter's id, is not the parameter's.
///
/// # Errors
///
/// [`ModelError::Inconsistent`](crate::error::ModelError::Inconsistent) if the tree contradicts itself.
pub(super) fn for_each_parameter<T: ParamTree + ?Sized>(
    model: &mut T,
    gradients: &Gradients,
    mut update: impl FnMut(&mut Parameter, Option<ArrayViewD<'_, f32>>),
) -> Result<()> {
    walk::check(model)?;
    let mut updated = HashSet::new(); // a shared parameter has several paths
    walk::walk_mut(model, &mut |_, store| {
        for (_, parameter) in store.parameters_mut() {
            if updated.insert(parameter.id()) {
                let gradient = gradients.get(parameter.id());
                let own = gradient.filter(|gradient| gradient.shape() == parameter.shape());
                update(parameter, own);
            }
        }
    });
    Ok(())
}
