//! Conversions between tensors and arrays.

use std::fmt;
use std::sync::Arc;

use ndarray::{ArcArray, Array, ArrayD, ArrayViewD, Dimension, IxDyn, arr0};

use super::error::TensorError;
use super::graph::{Origin, Tensor};
use super::id::ParamId;
use super::kernel::slice;
use crate::error::{Error, Result};
use crate::mask::Mask;

impl Tensor {
    /// A constant: data that needs no gradient.
    ///
    /// PyTorch: `torch.tensor(...)`.
    ///
    /// ```
    /// use ndarray::arr2;
    /// use secateurs::tensor::Tensor;
    ///
    /// let x = Tensor::new(arr2(&[[1.0, 2.0, 3.0]]));
    /// assert_eq!(x.shape(), [1, 3]);
    /// ```
    pub fn new<D: Dimension>(array: Array<f32, D>) -> Self {
        Self::leaf(array.into_dyn().into_shared(), Origin::Constant)
    }

    /// A constant of shape `[]`.
    pub fn scalar(value: f32) -> Self {
        Self::new(arr0(value))
    }

    /// A leaf that needs a gradient, with a fresh id.
    ///
    /// PyTorch: `torch.tensor(..., requires_grad=True)`.
    pub fn variable<D: Dimension>(array: Array<f32, D>) -> Self {
        Self::parameter(ParamId::fresh(), array.into_dyn().into_shared())
    }

    /// A leaf that needs a gradient, with the id of the parameter whose value it is.
    ///
    /// Several leaves may have the same id, such as a parameter read at every step of a sequence. Their gradients add
    /// up.
    pub fn parameter(id: ParamId, value: ArcArray<f32, IxDyn>) -> Self {
        Self::leaf(value, Origin::Leaf { id, mask: None })
    }

    /// As [`Tensor::parameter`], for a pruned parameter: `effective` is its effective value, with +0.0 where `mask`
    /// prunes.
    ///
    /// Its gradient is exactly +0.0 where the mask prunes, whatever arrives there.
    /// [`Backward::dense`](super::Backward::dense) keeps the gradient that arrives. If the mask has another shape,
    /// the backward pass fails.
    pub fn pruned_parameter(id: ParamId, effective: ArcArray<f32, IxDyn>, mask: Arc<Mask>) -> Self {
        Self::leaf(effective, Origin::Leaf { id, mask: Some(mask) })
    }

    /// The id of a leaf that needs a gradient; `None` for constants and for results of operations.
    pub fn id(&self) -> Option<ParamId> {
        match self.0.origin {
            Origin::Leaf { id, .. } => Some(id),
            Origin::Constant | Origin::Derived(_) => None,
        }
    }

    /// The length of each dimension.
    pub fn shape(&self) -> &[usize] {
        self.0.value.shape()
    }

    /// The number of dimensions.
    pub fn ndim(&self) -> usize {
        self.0.value.ndim()
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.0.value.len()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.0.value.is_empty()
    }

    /// The value.
    pub fn value(&self) -> ArrayViewD<'_, f32> {
        self.0.value.view()
    }

    /// The value as an array of its own.
    pub fn to_array(&self) -> ArrayD<f32> {
        self.value().to_owned()
    }

    /// The value as an array that shares its elements with this tensor, without a copy.
    pub fn to_shared(&self) -> ArcArray<f32, IxDyn> {
        self.shared()
    }

    /// The one element of a tensor that has one, whatever its number of dimensions.
    ///
    /// PyTorch: `t.item()`.
    ///
    /// # Errors
    ///
    /// [`TensorError`](crate::error::TensorError) if there is none, or more than one.
    pub fn item(&self) -> Result<f32> {
        match slice(&self.0.value) {
            &[element] => Ok(element),
            elements => Err(Error::Tensor(TensorError {
                op: "item",
                reason: format!(
                    "there are {} elements; reduce them to one, as by `sum` or `mean`",
                    elements.len()
                ),
                shapes: vec![self.shape().to_vec()],
            })),
        }
    }

    /// Whether a backward pass goes through this tensor.
    pub fn requires_grad(&self) -> bool {
        self.0.wants_gradient()
    }

    /// The same value as a constant, without a copy.
    ///
    /// PyTorch: `t.detach()`.
    pub fn detach(&self) -> Tensor {
        Self::leaf(self.shared(), Origin::Constant)
    }
}

impl<D: Dimension> From<Array<f32, D>> for Tensor {
    /// A constant.
    fn from(array: Array<f32, D>) -> Self {
        Tensor::new(array)
    }
}

impl<D: Dimension> From<ArcArray<f32, D>> for Tensor {
    /// A constant that shares its elements with the array.
    fn from(array: ArcArray<f32, D>) -> Self {
        Self::leaf(array.into_dyn(), Origin::Constant)
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the graph, which can be long.
        f.debug_struct("Tensor")
            .field("shape", &self.shape())
            .field("id", &self.id())
            .field("requires_grad", &self.requires_grad())
            .field("value", &self.value())
            .finish()
    }
}
