//! [`Gradients`]: what a backward pass returns.

use std::collections::BTreeMap;

use ndarray::{ArrayD, ArrayViewD, ArrayViewMutD};

use super::graph::Tensor;
use super::id::ParamId;
use super::kernel::Shared;
use super::slot::sum;

/// The result of a backward pass: a gradient for each parameter that took part, by id.
///
/// It is a plain value. Nothing is stored in parameters or tensors, so nothing needs zeroing between steps, and
/// passes on several threads do not interfere. A parameter that was used several times has the sum of its gradients.
#[derive(Debug, Clone, Default)]
pub struct Gradients {
    masked: BTreeMap<ParamId, Shared>,
    dense: BTreeMap<ParamId, Shared>,
}

impl Gradients {
    /// The shape of the gradient that a parameter has so far.
    pub(super) fn shape(&self, id: ParamId) -> Option<&[usize]> {
        self.masked.get(&id).map(|g| g.shape())
    }

    pub(super) fn deliver(&mut self, id: ParamId, grad: Shared, dense: Option<Shared>) {
        let grad = sum(self.masked.remove(&id), grad);
        self.masked.insert(id, grad);
        if let Some(dense) = dense {
            let dense = sum(self.dense.remove(&id), dense);
            self.dense.insert(id, dense);
        }
    }

    /// The gradient of a parameter, exactly +0.0 wherever it is pruned. `None` if the parameter took no part.
    pub fn get(&self, id: ParamId) -> Option<ArrayViewD<'_, f32>> {
        self.masked.get(&id).map(|g| g.view())
    }

    /// The gradient of a parameter, mutably, for example to clip it.
    pub fn get_mut(&mut self, id: ParamId) -> Option<ArrayViewMutD<'_, f32>> {
        self.masked.get_mut(&id).map(|g| g.view_mut())
    }

    /// The gradient of a parameter's effective tensor, including pruned entries. It tells how much each of them would
    /// help if it came back.
    ///
    /// `None` if the parameter took no part, or if its dense gradient was not requested; see
    /// [`Backward::dense`](super::Backward::dense). If nothing is pruned, it equals [`Gradients::get`].
    pub fn dense(&self, id: ParamId) -> Option<ArrayViewD<'_, f32>> {
        self.dense.get(&id).map(|g| g.view())
    }

    /// The gradient of a leaf: [`Gradients::get`] by the tensor's id. `None` for a tensor that is not a leaf.
    pub fn wrt(&self, leaf: &Tensor) -> Option<ArrayViewD<'_, f32>> {
        self.get(leaf.id()?)
    }

    /// Removes and returns the gradient of a parameter, without a copy. Its dense gradient is dropped.
    pub fn remove(&mut self, id: ParamId) -> Option<ArrayD<f32>> {
        self.dense.remove(&id);
        self.masked.remove(&id).map(Shared::into_owned)
    }

    /// Every gradient, by rising id.
    pub fn iter(&self) -> impl Iterator<Item = (ParamId, ArrayViewD<'_, f32>)> {
        self.masked.iter().map(|(&id, g)| (id, g.view()))
    }

    /// How many parameters have a gradient.
    pub fn len(&self) -> usize {
        self.masked.len()
    }

    /// Whether no parameter has a gradient.
    pub fn is_empty(&self) -> bool {
        self.masked.is_empty()
    }
}
