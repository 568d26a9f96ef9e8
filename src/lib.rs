//! Neural-network pruning.

mod depth;
mod error;
pub mod mask;
pub mod nn;
pub mod prune;
pub mod tensor;

pub use error::{Error, Result};
pub use {serde, typetag};
