//! [`TensorSummary`]: what a search has to know of a tensor.

use safetensors::Dtype;
use serde::{Deserialize, Serialize};

use crate::checkpoint::{Checkpoint, TensorInfo, listing};

/// Name, type and shape of a tensor, which can be sent to another process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TensorSummary {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
}

impl TensorSummary {
    /// Name of the tensor.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Type of its entries.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// Its dimensions.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// How many entries it has.
    pub fn entries(&self) -> usize {
        // No file holds more. A summary that was read may claim so.
        self.shape
            .iter()
            .fold(1, |entries, len| entries.saturating_mul(*len))
    }

    /// Whether it is one of the weights that are pruned by default: see [`is_weight`](crate::checkpoint::is_weight).
    pub fn is_weight(&self) -> bool {
        listing::is_weight(&self.name, self.dtype, &self.shape)
    }

    /// Whether it says the same as a header.
    pub(super) fn is_of(&self, info: &TensorInfo) -> bool {
        (self.dtype, &self.shape[..]) == (info.dtype(), info.shape())
    }
}

impl listing::Named for TensorSummary {
    fn name(&self) -> &str {
        self.name()
    }

    fn dtype(&self) -> Dtype {
        self.dtype()
    }
}

impl Checkpoint {
    /// Names, types and shapes of all tensors of this checkpoint, which may be one file of a larger one.
    pub fn summarize(&self) -> Vec<TensorSummary> {
        let summary = |info: &TensorInfo| TensorSummary {
            name: info.name().to_owned(),
            dtype: info.dtype(),
            shape: info.shape().to_vec(),
        };
        self.tensors().iter().map(summary).collect()
    }
}
