//! Neural-network pruning.
pub mod error;
pub use error::{Error, Result};
