//! Masks that are given: tensors of 0 and 1, read chunk by chunk as packed words.

use num_traits::One;
use safetensors::Dtype;

use super::extent::Extent;
use super::values::{Values, with_floats};
use super::{Checkpoint, TensorInfo};
use crate::error::{CheckpointError, Error, MaskError, Result};

/// What the name of a mask has behind that of its tensor.
pub(super) const SUFFIX: &str = "_mask";

/// Checks that a tensor can be the mask of another by its type and shape.
///
/// PyTorch saves masks in the type of their weights; files of masks have booleans.
pub(super) fn check_mask(mask: &TensorInfo, of: &TensorInfo) -> Result<()> {
    if !matches!(mask.dtype(), Dtype::BOOL | Dtype::U8) && !mask.is_float() {
        return Err(Error::Checkpoint(CheckpointError::NotMask {
            name: mask.name().into(),
            reason: "a mask has dtype BOOL, U8 or a floating-point one",
        }));
    }
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

impl Checkpoint {
    /// Reads a part of a mask: a bit for each entry, set where it is kept. `entries` is memory for what is read.
    pub(super) fn read_mask(&self, extent: Extent, entries: &mut Values, kept: &mut Vec<u64>) -> Result<()> {
        self.read_extent(extent, entries)?;
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
                index: extent.first + at,
                value,
            })
            .at(self.tensors()[extent.tensor].name())),
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
