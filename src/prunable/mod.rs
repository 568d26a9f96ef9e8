//! placeholder
mod error;
mod nearest;
pub use error::ModelError;
pub(crate) use nearest::nearest;
