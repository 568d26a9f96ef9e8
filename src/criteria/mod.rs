//! Importance scores and pruning from arrays: arrays in, arrays out. No models, no gradients, no files.
//!
//! A score says what is important. Any method prunes by it ([`prune::apply_with_scores`](crate::prune::apply_with_scores)),
//! parameters can be ranked together by it ([`GlobalOptions::scores`](crate::mask::GlobalOptions::scores)), and a
//! schedule can repeat that ([`Pruner::step_with_scores`](crate::train::Pruner::step_with_scores)).
//!
//! | criterion | needs | what is pruned |
//! |---|---|---|
//! | [`lamp`] | weights | the lowest, ranked together |
//! | [`GradientScores::taylor`] | weights and gradients of some batches | the lowest |
//! | [`GradientScores::snip`] | gradients at initialisation | the lowest, ranked together |
//! | [`grasp`] | gradients at three points, at initialisation | the lowest by value, ranked together |
//! | [`GradientScores::movement`] | gradients of each step of fine-tuning | the lowest by value |
//! | [`wanda`] | weights and norms of inputs | the lowest of each output: [`per_output`] |
//! | [`owl`] | outliers among scores of each layer | gives each layer a sparsity of its own |
//! | [`sparse_gpt`] | weights and inputs | chooses by itself, and updates what it keeps |
//!
//! SynFlow needs a network to compute with: `train::synflow`.

mod error;
mod gradient_scores;
mod grasp;
mod lamp;
mod owl;
pub mod sparse_gpt;
mod wanda;

use ndarray::ArrayD;

pub use error::CriteriaError;
pub use gradient_scores::GradientScores;
pub use grasp::grasp;
pub use lamp::lamp;
pub use owl::{outlier_share, owl};
pub use wanda::{InputNorms, per_output, wanda};

use crate::error::{MaskError, Result};
use crate::mask::FloatView;

/// The values in f64, in standard layout; an error if one of them is NaN.
fn values(view: &FloatView<'_>) -> Result<ArrayD<f64>> {
    let values = view.to_f64();
    match values.iter().position(|x| x.is_nan()) {
        Some(index) => Err(MaskError::NanScore {
            parameter: None,
            index,
        }
        .into()),
        None => Ok(values),
    }
}

/// Refuses an array of another shape.
fn same_shape(what: &'static str, view: &FloatView<'_>, expected: &[usize]) -> Result<()> {
    if view.shape() == expected {
        return Ok(());
    }
    Err(MaskError::ShapeMismatch {
        what,
        expected: expected.to_vec(),
        got: view.shape().to_vec(),
    }
    .into())
}
