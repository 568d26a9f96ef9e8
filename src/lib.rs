//! Neural-network pruning.

pub mod mask;

mod error;

pub use error::{Error, Result};
