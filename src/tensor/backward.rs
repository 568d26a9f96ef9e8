//! [`Backward`]: the backward pass through a graph.

use std::collections::{BTreeMap, BTreeSet};
use std::iter::repeat_n;

use ndarray::ArrayViewD;

use super::error::TensorError;
use super::gradients::Gradients;
use super::graph::{Node, Origin, Tensor};
use super::id::ParamId;
use super::kernel::{Shared, contiguous};
use super::slot::Slot;
use crate::error::{Error, Result};

/// Which parameters keep a dense gradient.
#[derive(Debug, Clone)]
enum Dense {
    All,
    Of(BTreeSet<ParamId>),
}

impl Dense {
    fn requested(&self, id: ParamId) -> bool {
        match self {
            Dense::All => true,
            Dense::Of(ids) => ids.contains(&id),
        }
    }
}

/// A backward pass with options. [`Tensor::backward`] runs one without.
///
/// ```
/// use ndarray::arr1;
/// use secateurs::tensor::{Backward, Tensor};
///
/// let w = Tensor::variable(arr1(&[1.0, 2.0]));
/// let y = w.square();
/// let gradients = Backward::of(&y).cotangent(arr1(&[1.0, 10.0]).view().into_dyn()).dense().run()?;
/// assert_eq!(gradients.wrt(&w).unwrap(), arr1(&[2.0, 40.0]).into_dyn());
/// # Ok::<(), secateurs::Error>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "nothing happens before `run`"]
pub struct Backward<'a> {
    root: &'a Tensor,
    cotangent: Option<ArrayViewD<'a, f32>>,
    dense: Dense,
}

impl<'a> Backward<'a> {
    /// A backward pass from `root`.
    pub fn of(root: &'a Tensor) -> Self {
        Backward {
            root,
            cotangent: None,
            dense: Dense::Of(BTreeSet::new()),
        }
    }

    /// Starts from this gradient of the root, of the root's shape. Without it the root must hold one element, and
    /// its gradient is 1.
    pub fn cotangent(mut self, cotangent: ArrayViewD<'a, f32>) -> Self {
        self.cotangent = Some(cotangent);
        self
    }

    /// Keeps the dense gradient of every parameter: that of its effective tensor, including pruned entries.
    pub fn dense(mut self) -> Self {
        self.dense = Dense::All;
        self
    }

    /// Keeps the dense gradient of these parameters, in addition to those requested before.
    pub fn dense_for(mut self, ids: impl IntoIterator<Item = ParamId>) -> Self {
        if let Dense::Of(requested) = &mut self.dense {
            requested.extend(ids);
        }
        self
    }

    /// Runs the backward pass. The graph stays as it is, so that it can be run again.
    ///
    /// # Errors
    ///
    /// [`TensorError`](crate::error::TensorError) if the root needs no gradient, if it has not exactly one element
    /// and no cotangent was given, if the cotangent does not have the root's shape, or if leaves of one id have two
    /// shapes; [`MaskError::ShapeMismatch`](crate::error::MaskError::ShapeMismatch) if a mask has another shape than
    /// its parameter.
    pub fn run(self) -> Result<Gradients> {
        let root = &*self.root.0;
        let fail = |reason: &str, other: Option<&[usize]>| {
            let shapes = [Some(root.value.shape()), other];
            Error::Tensor(TensorError {
                op: "backward",
                reason: reason.to_owned(),
                shapes: shapes.into_iter().flatten().map(<[usize]>::to_vec).collect(),
            })
        };
        if !root.wants_gradient() {
            return Err(fail(
                "no gradient was recorded: the tensor comes from constants only, or was computed under `no_grad`; compute it from parameters, outside `no_grad`",
                None,
            ));
        }
        let seed = match self.cotangent {
            Some(cotangent) if cotangent.shape() != root.value.shape() => {
                return Err(fail(
                    "the cotangent must have the shape of the tensor",
                    Some(cotangent.shape()),
                ));
            }
            Some(cotangent) => contiguous(cotangent.to_shared()),
            None if root.value.len() != 1 => {
                return Err(fail(
                    "only a tensor of one element has a gradient without a cotangent; reduce it first, or use `backward_from`",
                    None,
                ));
            }
            None => Shared::from_elem(root.value.raw_dim(), 1.0),
        };

        let mut gradients = Gradients::default();
        // Every consumer of a node has a greater id, so the waiting node with the greatest id has its whole gradient.
        let mut waiting: BTreeMap<u64, (&Node, Slot)> = BTreeMap::new();
        let mut slot = Slot::new(root.value.raw_dim());
        slot.add(seed);
        waiting.insert(root.id, (root, slot));
        while let Some((_, (node, slot))) = waiting.pop_last() {
            let Some(grad) = slot.into_sum() else { continue };
            match &node.origin {
                Origin::Constant => {}
                Origin::Leaf { id, mask } => {
                    if let Some(other) = gradients.shape(*id)
                        && other != grad.shape()
                    {
                        return Err(fail(
                            &format!(
                                "leaves of two shapes, {:?} and {:?}, have one id; give each parameter an id of its own",
                                other,
                                grad.shape()
                            ),
                            None,
                        ));
                    }
                    let kept = self.dense.requested(*id).then(|| grad.clone());
                    let grad = match mask {
                        // Masking selects: a NaN or an infinity under the mask becomes +0.0. S10
                        Some(mask) => contiguous(mask.apply(grad.view())?.into_shared()),
                        None => grad,
                    };
                    gradients.deliver(*id, grad, kept);
                }
                Origin::Derived(edges) => {
                    // `repeat_n` clones for all but the last edge, which owns the gradient and may work in place.
                    for (edge, grad) in edges.iter().zip(repeat_n(grad, edges.len())) {
                        let parent = &*edge.parent.0;
                        let (_, slot) = waiting
                            .entry(parent.id)
                            .or_insert_with(|| (parent, Slot::new(parent.value.raw_dim())));
                        (edge.vjp)(grad, slot);
                    }
                }
            }
        }
        Ok(gradients)
    }
}

impl Tensor {
    /// The gradients of this scalar with respect to every parameter it was computed from.
    ///
    /// PyTorch: `loss.backward()`, except that the gradients are returned.
    ///
    /// ```
    /// use ndarray::arr1;
    /// use secateurs::tensor::Tensor;
    ///
    /// let w = Tensor::variable(arr1(&[1.0, -2.0, 3.0]));
    /// let gradients = w.square().sum().backward()?;
    /// assert_eq!(gradients.wrt(&w).unwrap(), arr1(&[2.0, -4.0, 6.0]).into_dyn());
    /// # Ok::<(), secateurs::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`TensorError`](crate::error::TensorError) if there is not exactly one element, or if no operations were
    /// recorded.
    pub fn backward(&self) -> Result<Gradients> {
        Backward::of(self).run()
    }

    /// As [`Tensor::backward`], from a given gradient of this tensor, which may have any shape.
    ///
    /// PyTorch: `y.backward(gradient=cotangent)`.
    ///
    /// # Errors
    ///
    /// [`TensorError`](crate::error::TensorError) if the cotangent has another shape, or if no operations were
    /// recorded.
    pub fn backward_from(&self, cotangent: ArrayViewD<'_, f32>) -> Result<Gradients> {
        Backward::of(self).cotangent(cotangent).run()
    }

    /// As [`Tensor::backward`], keeping also the dense gradient of every parameter: see [`Gradients::dense`].
    ///
    /// # Errors
    ///
    /// As [`Tensor::backward`].
    pub fn backward_dense(&self) -> Result<Gradients> {
        Backward::of(self).dense().run()
    }
}
