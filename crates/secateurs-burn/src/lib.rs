//! Pruning for [burn](burn_core): masks over the parameters of modules that exist already.
//!
//! A [`BurnModel`] holds a module. It implements [`secateurs::Prunable`], so every function of [`secateurs::prune`]
//! works on it. The code of the module stays as it is.
//!
//! ```
//! use burn::nn::{LinearConfig, loss::CrossEntropyLossConfig};
//! use burn::optim::{AdamConfig, GradientsParams};
//! use burn::tensor::{Device, Tensor};
//! use secateurs::prune;
//! use secateurs_burn::BurnModel;
//!
//! let device = Device::flex().autodiff();
//! let mut model = BurnModel::new(LinearConfig::new(64, 10).init(&device));
//! prune::l1_unstructured(&mut model, "weight", 0.9)?;
//!
//! // Fine-tune as ever: pruned weights stay 0.
//! let mut optimizer = AdamConfig::new().init();
//! let (images, labels) = (Tensor::<2>::ones([2, 64], &device), Tensor::from_data([3, 4], &device));
//! let loss = CrossEntropyLossConfig::new().init(&device).forward(model.module.forward(images), labels);
//! let grads = GradientsParams::from_grads(loss.backward(), &model.module);
//! model.module = optimizer.step(1e-3, model.module, grads);
//!
//! prune::remove_all(&mut model)?; // makes it permanent
//! let plain = model.module; // a module as any other, with zeros in it
//! assert_eq!(plain.weight.val().equal_elem(0.0).int().sum().into_scalar::<i64>(), 576);
//! # Ok::<(), secateurs::Error>(())
//! ```
//!
//! # What happens to the module
//!
//! A mask is a [`Reparameterization`](burn_core::module::Reparameterization) of burn's, [`PruneMask`], which stays with
//! its parameter wherever the module goes: through optimisers, `valid`, `train`, clones, devices and records. The
//! stored value keeps the original, and layers compute with the masked one. Gradients under a mask are 0.
//! [`prune::discard`](secateurs::prune::discard) gives back the stored value as it is by then: the moments of an
//! optimiser, and weight decay, still move it under the mask.
//!
//! - burn allows one reparameterization for each parameter, and a second one is silently dropped. So a parameter with a
//!   LoRA adapter cannot be pruned ([`Error::Reparameterized`]), and an adapter has no effect on a pruned parameter:
//!   remove the mask first.
//! - burn can take off only all reparameterizations of a module at once. `remove` and `discard` therefore fail
//!   ([`Error::NotAlone`]) while the module has any that is not a mask. `Module::materialize` folds masks and adapters
//!   together.
//! - Parameters inside of reparameterizations, such as the factors of LoRA, are not listed. Buffers that are no `Param`,
//!   such as the running mean of `BatchNorm`, are, but cannot be pruned.
//! - Quantized parameters cannot be pruned, and are not listed. Remove masks before you quantize.
//! - A `Param` that was cloned into two fields is two parameters, as it is for burn's optimisers.
//!
//! # Records
//!
//! Records hold the masks: that of `fc.weight` is `fc.weight.secateurs.pruned`. A module without masks refuses such a
//! record; [`BurnModel::load_record`] attaches them first. What is loaded trains on bit for bit. The history of each
//! mask, the methods that made it, is not in the record.
//!
//! # Names and dimensions
//!
//! Paths are those of burn's records. `dim` is the dimension of the tensor as the layer holds it. **The weight of
//! `Linear` is `[in, out]`**, so dimension 1 numbers output channels and dimension 0 input channels, unlike PyTorch. The
//! weight of a `Conv2d` is `[out, in / groups, height, width]`, as in PyTorch: dimension 0 numbers output channels.
//! Patterns along one dimension, such as 2:4, take it as an argument.
//!
//! # Dense gradients
//!
//! RigL regrows the weights whose gradients would be largest if they were not masked. A masked module does not have
//! these gradients, but a materialised clone does. It computes the same, and its parameters have the same ids:
//!
//! ```
//! # use burn::{module::Module, nn::LinearConfig, tensor::{Device, Tensor}};
//! # use burn::optim::GradientsParams;
//! # use secateurs::prune;
//! # use secateurs_burn::{BurnModel, to_array};
//! # let device = Device::flex().autodiff();
//! # let mut model = BurnModel::new(LinearConfig::new(4, 2).init(&device));
//! # prune::l1_unstructured(&mut model, "weight", 0.5)?;
//! let dense = model.module.clone().materialize();
//! let loss = dense.forward(Tensor::<2>::ones([1, 4], &device)).sum();
//! let grads = GradientsParams::from_grads(loss.backward(), &dense);
//! let scores = to_array(&grads.get::<2>(model.module.weight.id).unwrap().abs())?;
//! # assert_eq!(scores.view().len(), 8);
//! # Ok::<(), secateurs::Error>(())
//! ```
//!
//! # While training
//!
//! The pruners of [`secateurs::train`] take a `BurnModel`; call them after the optimiser's step. The optimiser sees a
//! gradient of 0 for an entry under a mask, so that its moments and its weight decay still move the original value, and
//! nobody sees it until the entry comes back. Where entries grow ([`DynamicPruner`](secateurs::train::DynamicPruner)),
//! they start at zero all the same, with what is left of their moments. Records hold originals and masks, so every run can
//! go on from one with the same bits.
//!
//! # Costs
//!
//! A mask takes a byte for each entry on the device, and a bit in the `BurnModel`. Each pass through a pruned layer
//! computes its masked weight anew, which takes the memory of one more copy until the backward pass. Weights are copied
//! to the host to be ranked, one parameter at a time in local pruning, all at once in global pruning. Taking masks off
//! needs a copy of all pruned parameters for a moment.

mod error;
mod mask;
mod model;
mod record;
mod rewrite;
mod values;
mod walk;

pub use error::{Error, Result};
pub use mask::PruneMask;
pub use model::BurnModel;
pub use values::to_array;

/// The version of burn that this crate works with.
pub use burn_core;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
