//! [`TensorInfo`]: what a header says of a tensor.

use safetensors::Dtype;

use crate::checkpoint::listing;

/// What a checkpoint says of one of its tensors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    pub(super) name: String,
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
    pub(in crate::checkpoint) shard: usize,
    /// First byte in the file.
    pub(crate) begin: u64,
    pub(super) bytes: u64,
}

impl TensorInfo {
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
        self.shape.iter().product()
    }

    /// How many bytes it takes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Number of its file in [`Checkpoint::shards`](crate::checkpoint::Checkpoint::shards).
    pub fn shard(&self) -> usize {
        self.shard
    }

    /// Whether it can be pruned: whether it is of dtype F64, F32, F16 or BF16.
    pub fn is_float(&self) -> bool {
        listing::is_float(self.dtype)
    }

    /// Whether it is one of the weights that are pruned by default: see [`is_weight`](crate::checkpoint::is_weight).
    pub fn is_weight(&self) -> bool {
        listing::is_weight(&self.name, self.dtype, &self.shape)
    }
}
