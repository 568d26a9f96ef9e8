//! Bytes of a file as floats, and floats as bytes.

use half::{bf16, f16};
use safetensors::Dtype;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::mask::bits::{BITS, masked};
use crate::mask::parallel::vectorized;
use crate::mask::select::Element;

/// A float of which a file is made.
pub(in crate::checkpoint) trait Float:
    Element + PartialEq + FromBytes + IntoBytes + Immutable
{
    /// The same number with its bytes reversed, on machines that do not store them as files do, which is
    /// little-endian.
    fn swapped(self) -> Self;
    /// Whether it is +0.0 or −0.0. Like the following, by its bits, which is fast for all types.
    fn is_zero(&self) -> bool;
    fn is_negative_zero(&self) -> bool;
    fn is_not_a_number(&self) -> bool;
}

macro_rules! float {
    ($($float:ty)*) => {$(
        impl Float for $float {
            fn swapped(self) -> Self {
                Self::from_le_bytes(self.to_ne_bytes())
            }

            #[inline(always)]
            fn is_zero(&self) -> bool {
                self.to_bits() << 1 == 0
            }

            #[inline(always)]
            fn is_negative_zero(&self) -> bool {
                self.to_bits() == (-Self::ZERO).to_bits()
            }

            #[inline(always)]
            fn is_not_a_number(&self) -> bool {
                self.to_bits() << 1 > Self::INFINITY.to_bits() << 1
            }
        }
    )*};
}

float!(f16 bf16 f32 f64);

/// Entries of one tensor, of the type that it has.
#[derive(Debug)]
pub(in crate::checkpoint) enum Values {
    F16(Vec<f16>),
    BF16(Vec<bf16>),
    F32(Vec<f32>),
    F64(Vec<f64>),
    /// Of any other type, which are never interpreted.
    Raw(Vec<u8>),
}

impl Default for Values {
    fn default() -> Self {
        Values::Raw(Vec::new())
    }
}

/// Runs `$body` with `$values` bound to a vector of floats; on raw bytes, which are never interpreted, it runs `$raw`.
macro_rules! with_floats {
    ($chunk:expr, $values:ident => $body:expr, raw => $raw:expr) => {
        match $chunk {
            $crate::checkpoint::stream::values::Values::F16($values) => $body,
            $crate::checkpoint::stream::values::Values::BF16($values) => $body,
            $crate::checkpoint::stream::values::Values::F32($values) => $body,
            $crate::checkpoint::stream::values::Values::F64($values) => $body,
            $crate::checkpoint::stream::values::Values::Raw(_) => $raw,
        }
    };
}
pub(in crate::checkpoint) use with_floats;

impl Values {
    /// Fills in bytes as they are stored, so many, as entries of this type; as raw bytes where it is `None`. The memory
    /// of what was there is used again where it is of the same type.
    pub fn fill<E>(
        &mut self,
        dtype: Option<Dtype>,
        len: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        match (dtype, &*self) {
            (Some(Dtype::F16), Values::F16(_))
            | (Some(Dtype::BF16), Values::BF16(_))
            | (Some(Dtype::F32), Values::F32(_))
            | (Some(Dtype::F64), Values::F64(_))
            | (None, Values::Raw(_)) => {}
            (Some(Dtype::F16), _) => *self = Values::F16(Vec::new()),
            (Some(Dtype::BF16), _) => *self = Values::BF16(Vec::new()),
            (Some(Dtype::F32), _) => *self = Values::F32(Vec::new()),
            (Some(Dtype::F64), _) => *self = Values::F64(Vec::new()),
            _ => *self = Values::Raw(Vec::new()),
        }
        if let Values::Raw(raw) = self {
            raw.resize(len, 0);
            return fill(raw);
        }
        with_floats!(self, values => {
            fill(room(values, len))?;
        }, raw => {});
        self.swap_bytes();
        Ok(())
    }

    /// The bytes of the entries, as they are stored. On machines that store them otherwise, the entries are of no
    /// further use.
    pub fn stored(&mut self) -> &[u8] {
        self.swap_bytes();
        match self {
            Values::F16(values) => values.as_bytes(),
            Values::BF16(values) => values.as_bytes(),
            Values::F32(values) => values.as_bytes(),
            Values::F64(values) => values.as_bytes(),
            Values::Raw(raw) => raw,
        }
    }

    /// Changes between the byte order of files and that of the machine, which are mostly the same.
    fn swap_bytes(&mut self) {
        if cfg!(target_endian = "big") {
            with_floats!(self, values => values.iter_mut().for_each(|x| *x = x.swapped()), raw => {});
        }
    }
}

/// The memory of entries that take `len` bytes in total.
fn room<T: Float>(values: &mut Vec<T>, len: usize) -> &mut [u8] {
    values.resize(len / size_of::<T>(), T::ZERO);
    values.as_mut_slice().as_mut_bytes()
}

/// Makes +0.0 of the entries whose bit is 0, and returns how many entries are zero then, of either sign.
pub(in crate::checkpoint) fn select<T: Float>(values: &mut [T], kept: &[u64]) -> usize {
    vectorized(
        #[inline(always)]
        || {
            let mut zeros = 0;
            for (block, &word) in values.chunks_mut(BITS).zip(kept) {
                match <&mut [T; BITS]>::try_from(&mut *block) {
                    Ok(block) => *block = masked(block, word, T::ZERO),
                    Err(_) => {
                        for (i, value) in block.iter_mut().enumerate() {
                            *value = if word >> i & 1 == 1 { *value } else { T::ZERO };
                        }
                    }
                }
                zeros += block
                    .iter()
                    .map(|value| usize::from(*value == T::ZERO))
                    .sum::<usize>();
            }
            zeros
        },
    )
}

/// How many entries are zero, of either sign.
pub(in crate::checkpoint) fn zeros<T: Float>(values: &[T]) -> usize {
    vectorized(
        #[inline(always)]
        || values.iter().map(|value| usize::from(*value == T::ZERO)).sum(),
    )
}

/// How many bits are set.
pub(in crate::checkpoint) fn count(words: &[u64]) -> usize {
    words.iter().map(|word| word.count_ones() as usize).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_survive_bit_for_bit() {
        let bytes: Vec<u8> = (0..=255).chain([0, 0, 0x80, 0x7f, 1, 0, 0xc0, 0xff]).collect();
        let mut values = Values::default();
        for dtype in [
            Some(Dtype::F16),
            Some(Dtype::BF16),
            Some(Dtype::F32),
            Some(Dtype::F64),
            None,
        ] {
            let fill = |room: &mut [u8]| {
                room.copy_from_slice(&bytes);
                Ok::<_, ()>(())
            };
            values.fill(dtype, bytes.len(), fill).unwrap();
            assert_eq!(values.stored(), bytes, "{dtype:?}");
        }
    }

    #[test]
    fn what_is_pruned_is_positive_zero() {
        let mut values = [f32::NAN, -2.0, f32::INFINITY, -0.0, -0.0, 5.0]; // S10
        assert_eq!(select(&mut values, &[0b110000]), 5);
        assert_eq!(
            values.map(f32::to_bits),
            [0, 0, 0, 0, (-0.0f32).to_bits(), 5f32.to_bits()]
        );
    }
}
