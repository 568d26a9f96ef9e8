//! The result of an operation, tensor by tensor.

mod counts;
mod masking;
mod pruning;

pub(super) use counts::{Counts, share};
pub use masking::{MaskedTensor, MaskingReport};
pub use pruning::{CheckpointReport, TensorReport, Unit};
