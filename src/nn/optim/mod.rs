//! Optimisers: [`Sgd`] and [`Adam`].
//!
//! An optimiser updates the *originals* of parameters, pruned or not, from the gradients of a backward pass. Where a
//! mask prunes, the gradient is exactly +0.0. So an optimiser without weight decay and momentum does not change the
//! originals of pruned entries.
//!
//! State is kept by parameter id. Pruning and removing keep the id, so an optimiser that was made before pruning
//! keeps working. A model that was cloned or loaded has new ids. For such a model, or in another process,
//! [`state`](Sgd::state) saves settings and state by path, and [`load_state`](Sgd::load_state) restores them.
//!
//! ```
//! use ndarray::array;
//! use rand::SeedableRng;
//! use secateurs::nn::{Linear, Module, loss, optim::Sgd};
//! use secateurs::tensor::Tensor;
//!
//! let mut model = Linear::new(2, 1, &mut rand_chacha::ChaCha8Rng::seed_from_u64(0))?;
//! let mut optimiser = Sgd::new(0.02)?.momentum(0.5)?;
//! let (input, target) = (Tensor::new(array![[1.0, 2.0]]), Tensor::new(array![[3.0]]));
//! for _ in 0..100 {
//!     let gradients = loss::mse(&model.forward(&input)?, &target)?.backward()?;
//!     optimiser.step(&mut model, &gradients)?;
//! }
//! assert!((model.forward(&input)?.item()? - 3.0).abs() < 0.01);
//! # Ok::<(), secateurs::Error>(())
//! ```

mod adam;
mod settings;
mod sgd;
mod state;
mod update;

pub use adam::Adam;
pub use settings::{AdamSettings, OptimiserSettings, SgdSettings};
pub use sgd::Sgd;
pub use state::OptimiserState;
