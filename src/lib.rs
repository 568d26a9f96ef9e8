//! Neural-network pruning.

#[cfg(feature = "safetensors")]
pub mod checkpoint;
mod damage;
mod depth;
mod error;
pub mod mask;
pub mod nn;
pub mod prune;
pub mod tensor;

pub use damage::Damage;
pub use error::{Error, Result};
pub use {serde, typetag};
