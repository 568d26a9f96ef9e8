//! The layers, one per file.

mod activation;
mod batch_norm;
mod conv;
mod dropout;
mod embedding;
mod flatten;
mod linear;
mod lstm;
mod pool;
mod sequential;

pub use activation::{Relu, Sigmoid, Tanh};
pub use batch_norm::{BatchNorm, BatchNorm1d, BatchNorm2d, BatchNormConfig};
pub use conv::{Conv, Conv1d, Conv2d, Conv3d, ConvConfig, PerDim};
pub use dropout::Dropout;
pub use embedding::Embedding;
pub use flatten::Flatten;
pub use linear::Linear;
pub use lstm::{Lstm, LstmConfig, LstmState};
pub use pool::{AdaptiveAvgPool2d, AvgPool2d, MaxPool2d, PoolConfig};
pub use sequential::Sequential;

use super::ParamStore;
use crate::error::{Error, MaskError, ModelError, Result};
use crate::prunable::nearest;

/// Checks a store that was given or loaded: each of these parameters must have this shape. Some may be `absent`.
fn expect_shapes<'a>(
    store: &ParamStore,
    expected: impl IntoIterator<Item = (&'static str, &'a [usize])>,
    absent: bool,
) -> Result<()> {
    for (what, expected) in expected {
        match store.parameter(what).map(|parameter| parameter.shape()) {
            Some(got) if got != expected => {
                return Err(Error::Mask(MaskError::ShapeMismatch {
                    what,
                    expected: expected.to_vec(),
                    got: got.to_vec(),
                }));
            }
            None if !absent => {
                let nearest = nearest(what, store.parameters().map(|(name, _)| name));
                return Err(Error::Model(ModelError::UnknownParameter {
                    path: what.to_owned(),
                    nearest,
                }));
            }
            _ => {}
        }
    }
    Ok(())
}
