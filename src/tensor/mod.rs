//! Tensors with automatic differentiation: just enough of PyTorch to run and train the models that are pruned.
//!
//! A [`Tensor`] is an immutable `f32` array of any shape. Operations are methods that return new tensors. If an
//! operand needs a gradient, the result remembers its operands, and [`Tensor::backward`] walks back through them.
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
//! # Operations
//!
//! | | |
//! |---|---|
//! | make | [`Tensor::new`], [`Tensor::scalar`], [`Tensor::variable`], [`Tensor::parameter`], [`Tensor::pruned_parameter`], [`Tensor::detach`] |
//! | read | [`Tensor::value`], [`Tensor::to_array`], [`Tensor::item`], [`Tensor::shape`], [`Tensor::id`] |
//! | arithmetic (broadcasting) | [`add`](Tensor::add), [`sub`](Tensor::sub), [`mul`](Tensor::mul), [`div`](Tensor::div), [`neg`](Tensor::neg), [`scale`](Tensor::scale), [`add_scalar`](Tensor::add_scalar) |
//! | elementwise | [`exp`](Tensor::exp), [`ln`](Tensor::ln), [`sqrt`](Tensor::sqrt), [`powi`](Tensor::powi), [`square`](Tensor::square), [`relu`](Tensor::relu), [`sigmoid`](Tensor::sigmoid), [`tanh`](Tensor::tanh) |
//! | reductions | [`sum`](Tensor::sum), [`mean`](Tensor::mean), [`sum_axis`](Tensor::sum_axis), [`mean_axis`](Tensor::mean_axis) |
//! | products | [`matmul`](Tensor::matmul), [`linear`](Tensor::linear), [`conv`](Tensor::conv) |
//! | pooling | [`max_pool2d`](Tensor::max_pool2d), [`avg_pool2d`](Tensor::avg_pool2d), [`adaptive_avg_pool2d`](Tensor::adaptive_avg_pool2d) |
//! | normalisation | [`batch_norm`](Tensor::batch_norm), [`batch_norm_with`](Tensor::batch_norm_with), [`keep`](Tensor::keep) |
//! | shape | [`reshape`](Tensor::reshape), [`flatten`](Tensor::flatten), [`transpose`](Tensor::transpose), [`permute`](Tensor::permute) |
//! | parts | [`narrow`](Tensor::narrow), [`select`](Tensor::select), [`index_select`](Tensor::index_select), [`concat`](Tensor::concat), [`stack`](Tensor::stack) |
//! | losses | [`log_softmax`](Tensor::log_softmax), [`cross_entropy`](Tensor::cross_entropy), [`mse`](Tensor::mse) |
//! | gradients | [`backward`](Tensor::backward), [`backward_from`](Tensor::backward_from), [`backward_dense`](Tensor::backward_dense), [`Backward`], [`Gradients`], [`no_grad`] |
//!
//! # Common rules
//!
//! * Shapes that do not fit are an error, never a panic. Negative dimensions count from the end.
//! * NaN and infinity follow IEEE 754. The gradients of `relu` and of pruned entries are selected, not multiplied by
//!   0, so that 0 · ∞ makes no NaN.
//! * Tensors are `Send + Sync`, and several threads may run forward and backward on the same ones.
//! * A graph of any depth is walked and dropped without recursion.

// From the bottom up, each file imports only from those before it: error, id, grad_mode; kernel (loops over arrays),
// functions (of one number), product (of matrices), slot (a gradient that adds up), graph (values and where they came
// from), gradients, value, backward, ops.
mod backward;
mod error;
mod functions;
mod grad_mode;
mod gradients;
mod graph;
mod id;
mod kernel;
mod ops;
mod product;
mod slot;
mod value;

pub use backward::Backward;
pub use error::TensorError;
pub use grad_mode::{is_grad_enabled, no_grad};
pub use gradients::Gradients;
pub use graph::Tensor;
pub use id::ParamId;
pub(crate) use ops::LstmLayer;
pub use ops::{BatchStatistics, ConvOptions, PoolOptions};
