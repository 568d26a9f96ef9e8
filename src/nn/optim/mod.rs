//! Optimisers: [`Sgd`], [`Adam`] and [`AdamW`].
//!
//! An optimiser updates the *originals* of parameters from the gradients of a backward pass. Of a pruned parameter, it
//! updates only the entries that are kept. The original of a pruned entry stays as it is, bit for bit: neither
//! momentum nor weight decay changes it, and [`discard`](crate::prune::discard) restores what was pruned. PyTorch's
//! optimisers let it decay and drift under the mask.
//!
//! The running numbers of a pruned entry, such as its momentum, become 0 in the next step. If a later mask keeps the
//! entry again, it starts afresh from its original. Only the number of steps, by which Adam corrects its means, is that
//! of the whole parameter.
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
mod entries;
mod moments;
mod settings;
mod sgd;
mod state;
mod update;

pub use adam::{Adam, AdamW};
pub use settings::{AdamSettings, OptimiserSettings, SgdSettings};
pub use sgd::Sgd;
pub use state::OptimiserState;
