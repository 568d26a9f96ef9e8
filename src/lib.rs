//! Neural-network pruning: find the weights that matter least, and remove them.
//!
//! What PyTorch's `torch.nn.utils.prune` does, exact to the last weight: exactly as many weights are pruned as were
//! requested, the same ones on every machine, and a call that fails changes nothing.
//!
//! ```
//! use ndarray::array;
//! use secateurs::{ArrayModel, prune};
//!
//! let mut model = ArrayModel::new();
//! model.insert("fc.weight", array![[0.1, -2.0, 0.3], [4.0, 0.2, -0.5]])?;
//!
//! // Prune the half of the weights with the lowest magnitude. The original values stay under the mask.
//! let report = prune::l1_unstructured(&mut model, "fc.weight", 0.5)?;
//! assert_eq!((report.pruned, report.entries), (3, 6));
//! assert_eq!(prune::mask(&model, "fc.weight")?.unwrap().to_array::<u8>(), array![[0, 1, 0], [1, 0, 1]].into_dyn());
//!
//! // Make it permanent.
//! prune::remove(&mut model, "fc.weight")?;
//! assert_eq!(model.get::<f64>("fc.weight"), Some(&array![[0.0, -2.0, 0.0], [4.0, 0.0, -0.5]].into_dyn()));
//! # Ok::<(), secateurs::Error>(())
//! ```
//!
//! # Where things are
//!
//! | module | holds | feature |
//! |---|---|---|
//! | [`prune`] | the functions that prune the parameters of a model: start here | |
//! | [`train`] | pruning during training: schedules, a pruner for the loop, dynamic sparse training, lottery tickets | |
//! | [`analysis`] | what pruning did to a model and what it would cost: tables and plots | plots: `plot` |
//! | [`prunable`] | [`Prunable`], the trait that a model implements to be pruned | |
//! | [`mask`] | masks from scores: amounts, methods, norms; arrays in, masks out. [`mask::select`] does the same for streams | |
//! | [`criteria`] | importance scores that look at more than magnitudes: LAMP, Taylor, Wanda and others; SparseGPT | |
//! | [`error`] | [`Error`], and the error types that it wraps | |
//! | `nn` | modules, layers, `nn::loss`, `nn::optim`, state dicts | `nn` |
//! | `tensor` | tensors with automatic differentiation | `nn` |
//! | `checkpoint` | safetensors checkpoints of any size: pruned, inspected, compared, packed | `checkpoint` |
//! | `testing` | a test suite for your own implementations of [`Prunable`] | `testing` |
//!
//! [`ArrayModel`], a map of arrays, is the simplest model. Modules of `nn` are models, too. To prune a model of your
//! own or of another framework, implement [`Prunable`] for it.
//!
//! # Features
//!
//! - `nn` (default): modules, tensors with automatic differentiation, optimisers and state dicts.
//! - `checkpoint` (default): safetensors checkpoints of any size. With `nn`, also state dicts as safetensors files.
//! - `rayon` (default): several threads for large tensors, with the same results.
//! - `simd` (default): vector instructions that are found at run time, with the same results.
//! - `plot`: plots of reports, as SVG.
//! - `testing`: a test suite that checks an implementation of [`Prunable`].
//!
//! # Serialisation
//!
//! Methods and modules are serialised through [`typetag`]. It is re-exported, as [`serde`] is, for those who write
//! their own.

pub mod analysis;
mod array_model;
#[cfg(feature = "checkpoint")]
pub mod checkpoint;
pub mod criteria;
mod depth;
pub mod error;
// What streams of a file need is part of the one implementation of each pattern.
#[cfg_attr(not(feature = "checkpoint"), allow(dead_code))]
pub mod mask;
#[cfg(feature = "nn")]
pub mod nn;
pub mod prunable;
pub mod prune;
#[cfg(feature = "nn")]
pub mod tensor;
#[cfg(feature = "testing")]
pub mod testing;
pub mod train;
mod type_names;

pub use array_model::ArrayModel;
pub use error::{Error, Result};
pub use mask::{ArrayElement, FloatArray};
pub use prunable::Prunable;
pub use {serde, typetag};

#[cfg(all(doctest, feature = "nn", feature = "checkpoint"))]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(all(doctest, feature = "nn"))]
#[doc = include_str!("../docs/training.md")]
struct Training;
