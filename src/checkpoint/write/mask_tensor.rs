//! Masks in files: tensors of 0 and 1, read chunk by chunk as packed words.

use std::path::PathBuf;

use num_traits::One;
use safetensors::Dtype;

use crate::checkpoint::stream::Chunk;
use crate::checkpoint::stream::values::{Values, with_floats};
use crate::checkpoint::{Checkpoint, TensorInfo};
use crate::error::{Error, MaskError, Result};

/// Tensors that cannot serve as masks, or originals without masks.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MaskTensorError {
    /// A tensor that cannot serve as a mask.
    #[error("`{name}` cannot be applied as a mask: {reason}")]
    NotMask {
        /// Name of the tensor.
        name: String,
        /// Why not.
        reason: &'static str,
    },
    /// A file of masks that holds none.
    #[error("{path} contains no masks, which are tensors named `NAME_mask`", path = path.display())]
    NoMasks {
        /// The file.
        path: PathBuf,
    },
    /// A checkpoint without anything that PyTorch's pruning left.
    #[error("{path} contains no `*_orig` and `*_mask` pairs, so there is nothing to bake; use it as it is", path = path.display())]
    NoPairs {
        /// The checkpoint.
        path: PathBuf,
    },
    /// The original of a pruned weight whose mask is not there.
    #[error(
        "`{name}` is the original of a weight that was pruned, but its mask `{mask}` is not in the checkpoint"
    )]
    Unpaired {
        /// Name of the original.
        name: String,
        /// Name that its mask should have.
        mask: String,
    },
    /// A weight that is there already, beside its own original and mask.
    #[error(
        "`{name}` cannot become `{weight}`: there is a tensor of this name already; remove or rename one of them"
    )]
    NameTaken {
        /// Name of the original.
        name: String,
        /// Name that the weight would have.
        weight: String,
    },
}

/// Checks that a tensor can be the mask of another by its type and shape.
///
/// PyTorch saves masks in the type of their weights; files of masks have booleans.
pub(in crate::checkpoint) fn check_mask(mask: &TensorInfo, of: &TensorInfo) -> Result<()> {
    check_mask_dtype(mask)?;
    if mask.shape() != of.shape() {
        let mismatch = Error::Mask(MaskError::ShapeMismatch {
            what: "the mask",
            expected: of.shape().to_vec(),
            got: mask.shape().to_vec(),
        });
        return Err(mismatch.at(of.name()));
    }
    Ok(())
}

/// Checks that a tensor can be a mask by its type.
pub(in crate::checkpoint) fn check_mask_dtype(mask: &TensorInfo) -> Result<()> {
    if matches!(mask.dtype(), Dtype::BOOL | Dtype::U8) || mask.is_float() {
        return Ok(());
    }
    Err(MaskTensorError::NotMask {
        name: mask.name().into(),
        reason: "a mask has dtype BOOL, U8 or a floating-point one",
    }
    .into())
}

impl Checkpoint {
    /// Reads a part of a mask: a bit for each entry, set where it is kept. `entries` is memory to read into.
    pub(in crate::checkpoint) fn read_mask(
        &self,
        chunk: Chunk,
        entries: &mut Values,
        kept: &mut Vec<u64>,
    ) -> Result<()> {
        self.read_chunk(chunk, entries)?;
        kept.clear();
        let faulty = if let Values::Raw(bytes) = entries {
            pack(bytes, 0, 1, kept)
        } else {
            with_floats!(entries, values => {
                pack(values, Default::default(), One::one(), kept)
            }, raw => None)
        };
        match faulty {
            None => Ok(()),
            Some((at, value)) => Err(Error::Mask(MaskError::NotBinary {
                index: chunk.first + at,
                value,
            })
            .at(self.tensors()[chunk.tensor].name())),
        }
    }
}

/// Packs zeros and ones, up to the first entry that is neither, which is returned.
fn pack<T: Copy + PartialEq + ToString>(
    entries: &[T],
    zero: T,
    one: T,
    kept: &mut Vec<u64>,
) -> Option<(usize, String)> {
    for (number, block) in entries.chunks(64).enumerate() {
        let mut word = 0;
        let mut other = false;
        for (i, entry) in block.iter().enumerate() {
            word |= u64::from(*entry == one) << i;
            other |= *entry != one && *entry != zero;
        }
        if other {
            let at = block.iter().position(|entry| *entry != one && *entry != zero)?;
            return Some((number * 64 + at, block[at].to_string()));
        }
        kept.push(word);
    }
    None
}
