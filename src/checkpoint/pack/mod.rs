//! Packed checkpoints: the zeros of pruned tensors take one bit each.
//!
//! [`Checkpoint::pack`](super::Checkpoint::pack) writes one, and [`Checkpoint::unpack`](super::Checkpoint::unpack)
//! restores the very bytes that were packed, headers included.
//!
//! # Layout
//!
//! A packed checkpoint is a safetensors checkpoint, with the names of the `sparse-bitmask` format of
//! compressed-tensors. Of a packed tensor `fc.weight`, a row-major array of `n` entries, there are four tensors in
//! the same file. Their names begin with `fc`: a name that ends in `.weight` loses that, any other is taken whole.
//!
//! | tensor | dtype | shape | what it holds |
//! |---|---|---|---|
//! | `fc.compressed` | that of the tensor | `[k]` | the `k` entries that are not +0.0, in row-major order |
//! | `fc.bitmask` | U8 | `[rows, ⌈n / rows / 8⌉]` | a bit for each entry, 1 where it is in `compressed` |
//! | `fc.row_offsets` | I64 | `[rows]` | for each row, how many entries of `compressed` come before it |
//! | `fc.shape` | I64 | `[rank]` | the shape of the tensor |
//!
//! Entry `i` is bit `i % 8` of byte `i / 8` of the bitmask, counted from the lowest bit. The bits after the last
//! entry are 0.
//!
//! A matrix whose rows are of 512 entries or more, and of a multiple of 8, has the rows that it has: its parts are
//! those that compressed-tensors reads. Anything else, such as a kernel of a convolution or a matrix of narrow rows,
//! is packed as one row, which compressed-tensors does not read: 8 bytes for the offset of each row, and bits that
//! fill each row up to a byte, would take more than the bits that count.
//!
//! At 90 % sparsity a wide matrix of f32 takes 1/32 + 1/10 of its bytes, which is 13.1 %, and up to 2/512 for the
//! offsets, 13.6 % in all; anything else takes 13.1 %. Each dimension and each row
//! take 8 bytes more, which do not matter from about a thousand entries on. Tensors that would not become smaller, with what their names take in the header,
//! are copied as they are, and so are tensors of other dtypes than F64, F32, F16 and BF16, and those for whose parts
//! another tensor has taken a name.
//!
//! The header's metadata are those of the original, and two more: `secateurs.pack` is `1`, the version of this
//! layout, and `secateurs.header` the JSON header of the original file, to the last space. The original index of a
//! sharded checkpoint is the text `secateurs.index` in the `metadata` of the new one. A tensor of the original header
//! whose own name is in the packed file is plain there; any other is packed.
//!
//! # What counts as absent
//!
//! Only +0.0, the zero with no bit set. A −0.0 is a value like any other (compressed-tensors drops it), unless
//! [`Zeros::Canonical`] asks to make it +0.0 first. Every chunk is unpacked again, from the
//! bytes that are about to be written, and compared with what was read.

mod bits;
mod error;
mod form;
mod read;
mod record;
mod report;
mod unpack;
mod write;

pub use error::PackError;
pub use report::{PackReport, PackedTensor, UnpackReport};
pub use write::Zeros;
