//! Packed checkpoints: the zeros of pruned tensors take one bit each.
//!
//! [`Checkpoint::pack`](super::Checkpoint::pack) writes one, and [`Checkpoint::unpack`](super::Checkpoint::unpack)
//! restores the very bytes that were packed, headers included.
//!
//! A packed checkpoint is for storage and transport. No program loads it as a model, not even by mistake: its files
//! have the names of the original ones, but do not begin as safetensors files do, and are refused as damaged.
//!
//! # Format, version 2
//!
//! A packed file is 8 bytes, `89 53 45 43 41 54 50 0A` (`\x89SECATP\n`), and then what a safetensors file consists of:
//! the length of the header as a little-endian u64, a JSON header, and data. Offsets count from the end of the header.
//!
//! Of a packed tensor `fc.weight`, a row-major array of `n` entries, there are two tensors. Their names begin with
//! `fc`: a name that ends in `.weight` loses that, any other is taken whole.
//!
//! | tensor | dtype | shape | what it holds |
//! |---|---|---|---|
//! | `fc.compressed` | that of the tensor | `[k]` | the `k` entries that are not +0.0, in row-major order |
//! | `fc.bitmask` | U8 | `[⌈n / 8⌉]` | a bit for each entry, 1 where it is in `compressed` |
//!
//! Entry `i` is bit `i % 8` of byte `i / 8` of the bitmask, counted from the lowest bit. The bits after the last
//! entry are 0. At 90 % sparsity a tensor of f32 takes 1/32 + 1/10 of its bytes, which is 13.1 %.
//!
//! Tensors that would not become smaller, with what their names take in the header, are copied as they are, and so are
//! tensors of other dtypes than F64, F32, F16 and BF16, and those for whose parts another tensor has taken a name.
//!
//! One more tensor in each file, `secateurs.crc32.` and the number of the file from 0 on, of dtype U32, holds the
//! checksum of every tensor of the original file, packed or not: the CRC-32 (of zlib, PNG and gzip) of its bytes as
//! unpacking restores them. They come in the order of the tensors' bytes in the original file. `unpack` compares every
//! one before the output gets its name.
//!
//! The header's metadata are those of the original, and three more: `secateurs.pack` is `2`, the version of the format;
//! `secateurs.header` is the JSON header of the original file, to the last space; and `secateurs.header.crc32` its
//! CRC-32, in eight hexadecimal digits. The original index of a sharded checkpoint is the text `secateurs.index` in the
//! `metadata` of the new one, and `secateurs.index.crc32` its checksum. A tensor of the original header whose own name
//! is in the packed file is plain there; any other is packed.
//!
//! # Version 1
//!
//! Files of version 1 are unpacked, and no longer written. They are safetensors files, without the first 8 bytes,
//! and have no checksums. A packed tensor has two parts more: `fc.shape`, an I64 for each dimension, and
//! `fc.row_offsets`, an I64 for each row, which says how many entries of `compressed` come before it. A matrix whose
//! rows are of 512 entries or more, and of a multiple of 8, has the rows that it has; anything else has one. The
//! bitmask is of shape `[rows, ⌈n / rows / 8⌉]`.
//!
//! # What counts as absent
//!
//! Only +0.0, the zero with no bit set. A −0.0 is a value like any other unless
//! [`Zeros::Canonical`] asks to make it +0.0 first. Every chunk is unpacked again, from the
//! bytes that are about to be written, and compared with what was read.

mod bits;
mod checksum;
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

use super::{Checkpoint, Shard};
use crate::error::Result;

impl Checkpoint {
    /// Checks that the tensors are those of a model: that the checkpoint is not packed.
    ///
    /// # Errors
    ///
    /// [`PackError::PackedAlready`](crate::error::PackError::PackedAlready).
    pub fn check_unpacked(&self) -> Result<()> {
        self.shards().iter().try_for_each(check_unpacked)
    }
}

/// Refuses a file of packed tensors.
pub(crate) fn check_unpacked(shard: &Shard) -> Result<()> {
    if record::is_packed(shard) {
        return Err(PackError::PackedAlready {
            path: shard.path().to_owned(),
        }
        .into());
    }
    Ok(())
}
