//! Tensors that remember how they were computed: just enough of PyTorch to run and train what is to be pruned.
//!
//! A [`Tensor`] is an immutable `f32` array of any shape. Operations are methods that return new tensors; where an
//! operand wants a gradient, the result remembers its operands, and [`Tensor::backward`] walks back through them.
//!
//! ```
//! use ndarray::{arr1, arr2};
//! use secateurs::tensor::Tensor;
//!
//! let x = Tensor::new(arr2(&[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]));
//! let w = Tensor::variable(arr2(&[[0.1, -0.2], [0.3, 0.4]]));
//! let b = Tensor::variable(arr1(&[0.0, 0.5]));
//!
//! let loss = x.linear(&w, Some(&b))?.relu().cross_entropy(&[1, 0, 1])?;
//! let gradients = loss.backward()?;
//!
//! assert_eq!(gradients.wrt(&w).unwrap().shape(), [2, 2]);
//! assert_eq!(gradients.wrt(&b).unwrap().shape(), [2]);
//! assert!(gradients.get(w.id().unwrap()).is_some());
//! # Ok::<(), secateurs::Error>(())
//! ```
//!
//! # What there is
//!
//! | | |
//! |---|---|
//! | make | [`Tensor::new`], [`Tensor::scalar`], [`Tensor::variable`], [`Tensor::parameter`], [`Tensor::pruned_parameter`], [`Tensor::detach`] |
//! | read | [`Tensor::value`], [`Tensor::to_array`], [`Tensor::item`], [`Tensor::shape`], [`Tensor::id`] |
//! | arithmetic (broadcasting) | [`add`](Tensor::add), [`sub`](Tensor::sub), [`mul`](Tensor::mul), [`div`](Tensor::div), [`neg`](Tensor::neg), [`scale`](Tensor::scale), [`add_scalar`](Tensor::add_scalar) |
//! | elementwise | [`exp`](Tensor::exp), [`ln`](Tensor::ln), [`sqrt`](Tensor::sqrt), [`powi`](Tensor::powi), [`square`](Tensor::square), [`relu`](Tensor::relu), [`sigmoid`](Tensor::sigmoid), [`tanh`](Tensor::tanh) |
//! | reductions | [`sum`](Tensor::sum), [`mean`](Tensor::mean), [`sum_axis`](Tensor::sum_axis), [`mean_axis`](Tensor::mean_axis) |
//! | products | [`matmul`](Tensor::matmul), [`linear`](Tensor::linear), [`conv`](Tensor::conv) |
//! | shape | [`reshape`](Tensor::reshape), [`flatten`](Tensor::flatten), [`transpose`](Tensor::transpose), [`permute`](Tensor::permute) |
//! | parts | [`narrow`](Tensor::narrow), [`select`](Tensor::select), [`index_select`](Tensor::index_select), [`concat`](Tensor::concat), [`stack`](Tensor::stack) |
//! | losses | [`log_softmax`](Tensor::log_softmax), [`cross_entropy`](Tensor::cross_entropy), [`mse`](Tensor::mse) |
//! | gradients | [`backward`](Tensor::backward), [`backward_from`](Tensor::backward_from), [`backward_dense`](Tensor::backward_dense), [`Backward`], [`Gradients`], [`no_grad`] |
//!
//! # What holds everywhere
//!
//! * Shapes that do not fit are an error, never a panic. Negative dimensions count from the end.
//! * NaN and infinity go through as IEEE 754 has it. Where a gradient selects (`relu`, a pruned entry) it selects
//!   and does not multiply, so that 0 · ∞ brings no NaN.
//! * Tensors are `Send + Sync`, and several threads may run forward and backward on the same ones.
//! * A graph of any depth is walked and dropped without recursion.

mod backward;
mod error;
mod id;
mod kernel;
mod node;
mod ops;
mod record;

use std::fmt;
use std::sync::Arc;

use ndarray::{ArcArray, Array, ArrayD, ArrayViewD, Dimension, IxDyn, arr0};

pub use backward::{Backward, Gradients};
pub use error::TensorError;
pub use id::ParamId;
pub use ops::ConvOptions;
pub use record::{is_grad_enabled, no_grad};

use crate::mask::Mask;
use crate::{Error, Result};
use node::{Node, Origin};

/// An immutable `f32` array of any shape, and how it was computed.
///
/// A clone is the same tensor, and costs nothing. It is dropped with what it was computed from, as far as nobody
/// else holds that.
///
/// PyTorch: `torch.Tensor`, without operations in place.
#[derive(Clone)]
pub struct Tensor(Arc<Node>);

impl Tensor {
    fn leaf(value: ArcArray<f32, IxDyn>, origin: Origin) -> Self {
        Tensor(Arc::new(Node::new(kernel::contiguous(value), origin)))
    }

    /// A constant: data that wants no gradient.
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

    /// A leaf that wants a gradient, under a fresh id.
    ///
    /// PyTorch: `torch.tensor(..., requires_grad=True)`.
    pub fn variable<D: Dimension>(array: Array<f32, D>) -> Self {
        Self::parameter(ParamId::fresh(), array.into_dyn().into_shared())
    }

    /// A leaf that wants a gradient, filed under the id of the parameter it is the value of.
    ///
    /// Several leaves may carry one id (a parameter read once per step of a sequence, say); their gradients add up.
    pub fn parameter(id: ParamId, value: ArcArray<f32, IxDyn>) -> Self {
        Self::leaf(value, Origin::Leaf { id, mask: None })
    }

    /// As [`Tensor::parameter`], of a pruned one: `effective` is its value as forward sees it, with +0.0 where
    /// `mask` prunes.
    ///
    /// Its gradient is exactly +0.0 where the mask prunes, whatever arrives there; what did arrive is kept where
    /// [`Backward::dense`] asks for it. A mask of another shape makes the backward pass fail.
    pub fn pruned_parameter(id: ParamId, effective: ArcArray<f32, IxDyn>, mask: Arc<Mask>) -> Self {
        Self::leaf(effective, Origin::Leaf { id, mask: Some(mask) })
    }

    /// The id of a leaf that wants a gradient; `None` for constants and for results of operations.
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
        match kernel::slice(&self.0.value) {
            &[element] => Ok(element),
            elements => Err(Error::Tensor(TensorError {
                op: "item",
                reason: format!("{} elements, where there has to be 1", elements.len()),
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
        // Not what it was computed from: that can be long.
        f.debug_struct("Tensor")
            .field("shape", &self.shape())
            .field("id", &self.id())
            .field("requires_grad", &self.requires_grad())
            .field("value", &self.value())
            .finish()
    }
}
