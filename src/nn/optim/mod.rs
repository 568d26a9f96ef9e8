//! Optimisers: [`Sgd`] and [`Adam`].
//!
//! An optimiser updates the *originals* of parameters, pruned or not, from the gradients of a backward pass. Where
//! a mask prunes, the gradient is exactly +0.0, so that momentum and the like leave pruned entries to themselves.
//! State is kept by parameter id, which pruning and removing keep, so an optimiser made before still works after
//! (S13); [`state`](Sgd::state) gives it by path, to be saved and loaded into another process.
//!
//! ```
//! use ndarray::array;
//! use rand::SeedableRng;
//! use secateurs::nn::{Linear, Module, loss, optim::Sgd};
//! use secateurs::tensor::Tensor;
//!
//! let mut model = Linear::new(2, 1, &mut rand_chacha::ChaCha8Rng::seed_from_u64(0));
//! let mut optimiser = Sgd::new(0.02)?.momentum(0.5)?;
//! let (input, target) = (Tensor::new(array![[1.0, 2.0]]), Tensor::new(array![[3.0]]));
//! for _ in 0..100 {
//!     let gradients = loss::mse(&model.forward(&input)?, &target)?.backward()?;
//!     optimiser.step(&mut model, &gradients);
//! }
//! assert!((model.forward(&input)?.item()? - 3.0).abs() < 0.01);
//! # Ok::<(), secateurs::Error>(())
//! ```

mod adam;
mod sgd;
mod state;

pub use adam::Adam;
pub use sgd::Sgd;
pub use state::OptimiserState;

use ndarray::ArrayViewD;

use super::{ParamTree, Parameter, tree};
use crate::error::{Error, NnError, Result};
use crate::tensor::Gradients;

/// Calls `update` with each parameter that has a gradient, and that gradient.
///
/// One of another shape, of a leaf that a caller made under the parameter's id, is none of its own.
fn for_each_gradient<T: ParamTree + ?Sized>(
    model: &mut T,
    gradients: &Gradients,
    mut update: impl FnMut(&mut Parameter, ArrayViewD<'_, f32>),
) {
    tree::walk_mut(model, "", &mut |_, store| {
        for (_, parameter) in store.parameters_mut() {
            let gradient = gradients.get(parameter.id());
            if let Some(gradient) = gradient.filter(|gradient| gradient.shape() == parameter.shape()) {
                update(parameter, gradient);
            }
        }
    });
}

/// A setting that is finite and not negative.
fn non_negative(what: &'static str, setting: &'static str, value: f64) -> Result<f64> {
    if value >= 0.0 && value.is_finite() {
        return Ok(value);
    }
    Err(Error::Nn(NnError::Setting {
        what,
        setting,
        value: value.to_string(),
        reason: "it has to be finite and not negative",
    }))
}

/// A setting in [0, 1).
fn below_one(what: &'static str, setting: &'static str, value: f64) -> Result<f64> {
    if (0.0..1.0).contains(&value) {
        return Ok(value);
    }
    Err(Error::Nn(NnError::Setting {
        what,
        setting,
        value: value.to_string(),
        reason: "it has to be in [0, 1)",
    }))
}
