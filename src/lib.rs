//! Neural-network pruning: find the weights that matter least, and remove them.
//!
//! The masks, the methods and the manners of PyTorch's `torch.nn.utils.prune`, exact to the last weight: as many fall
//! as were asked for, the same ones everywhere, and a call that fails changes nothing.
//!
//! ```
//! use ndarray::array;
//! use secateurs::nn::{Linear, Module, ParamTreeExt};
//! use secateurs::prune;
//! use secateurs::tensor::Tensor;
//!
//! let mut layer = Linear::from_arrays(array![[0.1, -2.0, 0.3], [4.0, 0.2, -0.5]], None)?;
//!
//! // Prune the half of the weights that is lowest in magnitude.
//! let report = prune::l1_unstructured(&mut layer, "weight", 0.5)?;
//! assert_eq!((report.pruned, report.entries), (3, 6));
//!
//! // Forward sees the mask; the original stays below it, to be fine-tuned.
//! let output = layer.forward(&Tensor::new(array![[1.0, 1.0, 1.0]]))?;
//! assert_eq!(output.to_array(), array![[-2.0, 3.5]].into_dyn());
//!
//! // Bake it in.
//! prune::remove(&mut layer, "weight")?;
//! assert_eq!(layer.parameter("weight")?.original(), array![[0.0, -2.0, 0.0], [4.0, 0.0, -0.5]].into_dyn());
//! # Ok::<(), secateurs::Error>(())
//! ```
//!
//! # Where things are
//!
//! | module | holds |
//! |---|---|
//! | [`prune`] | functions that prune parameters of modules: start here |
//! | [`mask`] | the mask layer, free of modules: amounts, masks, methods, selection |
//! | [`nn`] | modules, layers, losses, optimisers, state dicts |
//! | [`tensor`] | tensors with automatic differentiation |
//!
//! Anything that trains elsewhere, in candle or burn, needs [`mask`] alone.
//!
//! # Features
//!
//! - `safetensors` (default): state dicts as safetensors files, with PyTorch's keys.
//! - `rayon` (default): more than one thread, with the same result.
//!
//! # Names of serialised types
//!
//! Methods and modules are serialised through [`typetag`], which with [`serde`] is re-exported for implementors.

#[cfg(feature = "checkpoint")]
pub mod checkpoint;
mod depth;
pub mod error;
pub mod mask;
#[cfg(feature = "nn")]
pub mod nn;
pub mod prunable;
pub mod prune;
#[cfg(feature = "nn")]
pub mod tensor;

pub use error::{Error, Result};
pub use {serde, typetag};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
