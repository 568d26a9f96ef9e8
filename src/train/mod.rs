//! Pruning during training: gradually, again and again, or with regrowth.
//!
//! Pruning once at the end costs the most accuracy. Everything here works on any [`Prunable`](crate::Prunable), so on
//! modules of [`nn`](crate::nn), models of candle and burn, and your own. A training loop gains one call per step:
//!
//! ```
//! use ndarray::Array2;
//! use secateurs::train::{Pruner, Schedule};
//! use secateurs::{ArrayModel, prune};
//!
//! let mut model = ArrayModel::new();
//! model.insert("fc.weight", Array2::from_shape_fn((20, 50), |(i, j)| ((7 * i + 13 * j) % 101) as f32 / 50.0 - 1.0))?;
//!
//! let schedule = Schedule::cubic(0.0, 0.9, 100..=900)?.every(100)?;
//! let mut pruner = Pruner::new(&model, prune::weights(&model), schedule)?;
//! for step in 0..1000 {
//!     // … forward, backward, and a step of the optimiser
//!     if let Some(update) = pruner.step(&mut model, step)? {
//!         println!("{update}"); // step 900: 900 of 1000 entries pruned, 90.00 % (13 newly, 0 regrown)
//!     }
//! }
//! assert_eq!(prune::mask(&model, "fc.weight")?.unwrap().count_pruned(), 900);
//! # Ok::<(), secateurs::Error>(())
//! ```
//!
//! | to | use |
//! |---|---|
//! | prune step by step while training | [`Schedule`], [`Pruner`] |
//! | exchange weak entries for promising ones (SET, RigL) | [`DynamicPruner`], [`drop_and_grow`] |
//! | give each layer a density of its own | [`erdos_renyi`], [`erdos_renyi_kernel`] |
//! | find lottery tickets: prune, rewind the rest, train again | [`Snapshot`] |
//! | prune before training, without data | `synflow`, for modules of `nn` |
//!
//! # Optimisers
//!
//! A mask hides entries from the model; what the optimiser does to them differs. The optimisers of
//! [`nn`](crate::nn) leave entries under a mask alone, with their moments at zero. The crates for candle and burn say in
//! their documentation what happens there.
//!
//! # Resuming, and several replicas
//!
//! What a pruner has done so far is a small serialisable value, [`PrunerState`]. Saved with the model and its optimiser,
//! a run that is killed and resumed ends with the same masks. All choices follow from weights, scores and seeds, so
//! replicas that hold the same ones compute the same masks and need not exchange them.

mod densities;
mod drop_and_grow;
mod dynamic;
mod error;
mod parameters;
mod pruner;
mod schedule;
mod share;
mod snapshot;
#[cfg(feature = "nn")]
mod synflow;
mod update;

pub use densities::{erdos_renyi, erdos_renyi_kernel};
pub use drop_and_grow::{Exchange, Growth, drop_and_grow};
pub use dynamic::DynamicPruner;
pub use error::TrainError;
pub use pruner::Pruner;
pub use schedule::Schedule;
pub use snapshot::Snapshot;
#[cfg(feature = "nn")]
pub use synflow::synflow;
pub use update::{ParameterUpdate, PrunerState, Update};
