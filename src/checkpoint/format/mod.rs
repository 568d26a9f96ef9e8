//! What files of tensors say of themselves: headers, indexes, and the layout of new files.

pub(super) mod header;
pub(super) mod index;
pub(crate) mod layout;
mod shard;
mod tensor_info;

pub use shard::Shard;
pub(super) use shard::{MAGIC, pytorch_advice};
pub use tensor_info::TensorInfo;
