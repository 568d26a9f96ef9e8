//! [`Prunable`]: the trait that a model implements to be pruned in place.
//!
//! Every function of [`prune`](crate::prune) works on any model that implements this one trait: modules of
//! [`nn`](crate::nn), a map of arrays ([`ArrayModel`](crate::ArrayModel)), or a model of another framework. The model
//! keeps its weights where they are. It stores a [`Pruning`] (mask and history) for each pruned parameter, and
//! implements three functions: list the parameters, view one of them, and commit new masks.
//!
//! ```
//! use std::collections::BTreeMap;
//!
//! use ndarray::{Array2, array};
//! use secateurs::prunable::{MaskAction, MaskChange, ParameterView, Prunable, Pruning, check_changes, unknown_parameter};
//! use secateurs::prune;
//!
//! /// Two matrices, each with a place for its mask.
//! #[derive(Default)]
//! struct Model {
//!     weights: [Array2<f32>; 2],
//!     prunings: [Option<Pruning>; 2],
//! }
//!
//! const PATHS: [&str; 2] = ["first.weight", "second.weight"];
//!
//! impl Prunable for Model {
//!     fn paths(&self) -> Vec<String> {
//!         PATHS.map(String::from).to_vec()
//!     }
//!
//!     fn view(&self, path: &str) -> secateurs::Result<ParameterView<'_>> {
//!         let i = PATHS.iter().position(|each| *each == path).ok_or_else(|| unknown_parameter(self, path))?;
//!         Ok(ParameterView::new(path, i as u64, &self.weights[i], self.prunings[i].as_ref()))
//!     }
//!
//!     fn commit(&mut self, changes: Vec<MaskChange>) -> secateurs::Result<()> {
//!         check_changes(self, &changes)?;
//!         for MaskChange { path, action } in changes {
//!             let i = PATHS.iter().position(|each| *each == path).expect("checked");
//!             match action {
//!                 MaskAction::Set(pruning) => self.prunings[i] = Some(pruning),
//!                 MaskAction::Discard => self.prunings[i] = None,
//!                 MaskAction::Remove => {
//!                     let pruning = self.prunings[i].take().expect("checked");
//!                     pruning.mask().apply_inplace(self.weights[i].view_mut().into_dyn())?;
//!                 }
//!             }
//!         }
//!         Ok(())
//!     }
//! }
//!
//! let mut model = Model { weights: [array![[1.0, -5.0]], array![[0.5], [2.0]]], ..Model::default() };
//! prune::global_unstructured(&mut model, PATHS, prune::L1Unstructured::new(0.5)?)?;
//! prune::remove_all(&mut model)?;
//! assert_eq!(model.weights, [array![[0.0, -5.0]], array![[0.0], [2.0]]]);
//! # Ok::<(), secateurs::Error>(())
//! ```
//!
//! To check an implementation, run the test suite in [`testing`](crate::testing) (feature `testing`).

mod change;
mod error;
mod nearest;
mod pruning;
#[cfg(any(feature = "nn", feature = "checkpoint"))]
pub(crate) mod suffix;
mod view;
mod weights;
mod write_values;

pub use change::{MaskAction, MaskChange, check_changes};
pub use error::ModelError;
#[cfg(any(feature = "nn", feature = "checkpoint"))]
pub(crate) use error::hint;
pub(crate) use nearest::nearest;
pub use pruning::Pruning;
pub use view::{LendValues, ParameterView};
pub use weights::is_weight;
pub use write_values::{WriteValues, check_values};

use crate::error::{Error, Result};

/// A model that can be pruned in place. The [module documentation](self) has an example.
pub trait Prunable {
    /// The paths of all floating-point parameters, such as `weight` or `encoder.0.weight`, in the model's order. Each
    /// parameter is listed once. Tied weights, which have several paths, are listed by the first.
    fn paths(&self) -> Vec<String>;

    /// A view of the parameter at a path. Paths beyond those that [`paths`](Self::paths) lists may be accepted, such as
    /// the other paths of tied weights.
    ///
    /// # Errors
    ///
    /// [`ModelError::UnknownParameter`] if there is none. The function [`unknown_parameter`] makes this error.
    fn view(&self, path: &str) -> Result<ParameterView<'_>>;

    /// Changes the masks of several parameters: all of them, or none if there is an error.
    ///
    /// From then on, the model computes with the original values, except that entries that the mask prunes are +0.0.
    ///
    /// # Errors
    ///
    /// As [`check_changes`]. An implementation calls it first.
    fn commit(&mut self, changes: Vec<MaskChange>) -> Result<()>;

    /// Checks that the model does not contradict itself. Global pruning and [`remove_all`](crate::prune::remove_all),
    /// which are about the model as a whole, call this before they change anything.
    ///
    /// Without an implementation, nothing is checked. Trees of modules check that shared and exclusive access find the
    /// same modules, and that no child leads back to its parent.
    ///
    /// # Errors
    ///
    /// [`ModelError::Inconsistent`] says what is wrong, and where.
    fn check_whole(&mut self) -> Result<()> {
        Ok(())
    }
}

/// The error for a path that leads to no parameter of a model, with the nearest paths.
pub fn unknown_parameter<M: Prunable + ?Sized>(model: &M, path: &str) -> Error {
    ModelError::UnknownParameter {
        path: path.to_owned(),
        nearest: nearest(path, model.paths().iter().map(String::as_str)),
    }
    .into()
}
