//! Pruning for [candle](candle_core): masks over the variables of models that exist already.
//!
//! A [`CandleModel`] lists the variables of a `VarMap` by name. It implements [`secateurs::Prunable`], so every
//! function of [`secateurs::prune`] works on it. The code of the network stays as it is.
//!
//! ```
//! use candle_core::{DType, Device, Tensor};
//! use candle_nn::{AdamW, Module, Optimizer, VarBuilder, VarMap, linear, loss};
//! use secateurs::prune;
//! use secateurs_candle::CandleModel;
//!
//! let vars = VarMap::new();
//! let layer = linear(64, 10, VarBuilder::from_varmap(&vars, DType::F32, &Device::Cpu).pp("fc"))?;
//!
//! let mut model = CandleModel::new(&vars); // after the layers
//! prune::l1_unstructured(&mut model, "fc.weight", 0.9)?;
//!
//! // Fine-tune: a step that keeps pruned weights at 0.
//! let mut optimizer = AdamW::new_lr(vars.all_vars(), 1e-3)?;
//! let (images, labels) = (Tensor::ones((2, 64), DType::F32, &Device::Cpu)?, Tensor::new(&[3u32, 4], &Device::Cpu)?);
//! let loss = loss::cross_entropy(&layer.forward(&images)?, &labels)?;
//! model.backward_step(&mut optimizer, &loss)?;
//!
//! prune::remove_all(&mut model)?; // makes it permanent
//! let zeros = layer.weight().eq(0.0)?.to_dtype(DType::U32)?.sum_all()?.to_scalar::<u32>()?;
//! assert_eq!(zeros, 576);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What happens to the variables
//!
//! candle has no hooks, so a mask is applied to the variable itself: pruned entries become +0.0 in place, and the
//! network computes with them at once. The variable keeps its identity, so layers and optimisers go on with it. The
//! model keeps the original values of pruned entries, and only of those, until [`prune::remove`](secateurs::prune::remove)
//! drops them or [`prune::discard`](secateurs::prune::discard) puts them back. Masks take a bit for each entry.
//!
//! Optimisers know nothing of masks. AdamW moves an entry whose gradient is 0 as long as its moments are not, so that
//! masking gradients is not enough: an optimiser that was used before pruning would bring every pruned weight back.
//! [`CandleModel::step`] masks the gradients, lets the optimiser step, and applies the masks again. Moments of pruned
//! entries stay in the optimiser and decay there. An entry that is regrown starts with what is left of them, unless a
//! new optimiser is made.
//!
//! # While training
//!
//! The pruners of [`secateurs::train`] take a `CandleModel`; call them after [`CandleModel::step`]. Gradients with respect
//! to effective weights, which RigL needs, are those in the `GradStore` before `step` masks them. Original values are as
//! they were when they were pruned: no optimiser moves them. A file holds zeros in their place, so a run that recomputes
//! its masks from them ([`Pruner::recompute`](secateurs::train::Pruner::recompute)) cannot go on from a file with the same
//! bits; one whose masks only become sparser can.
//!
//! # Costs
//!
//! Contiguous weights in the memory of the CPU are ranked where they are. Those of a GPU are copied to the host to be
//! ranked, one parameter at a time; masks are applied there by candle's own operations.
//! [`ParameterView::values`](secateurs::prunable::ParameterView::values) of a pruned parameter, which gives original
//! values, makes a copy; ranking does not need it.
//!
//! # Names and dimensions
//!
//! Names are those in the `VarMap`, as in the checkpoint, sorted. `fc.weight` of a `Linear` is `[out, in]` and that of
//! a `Conv2d` is `[out, in / groups, height, width]`, as in PyTorch: dimension 0 numbers output channels.
//!
//! A variable that has two names is listed by the first. Variables of integers, and of floats of 8 bits and fewer, are
//! not listed.

mod error;
mod file;
mod model;
mod rewrite;
mod storage;
mod train;

pub use error::{Error, Result};
pub use model::CandleModel;
pub use storage::to_array;

/// The version of candle that this crate works with.
pub use candle_core;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
