//! Importance scores and pruning from arrays: arrays in, arrays out. No models, no gradients, no files.

mod error;
pub mod sparse_gpt;

pub use error::CriteriaError;
