//! The entries of a tensor as norms see them, without a copy of the tensor.

use std::ops::Range;

use super::bits::{BITS, masked, word_at};
use super::packed::Mask;
use super::select::Element;

/// What an entry that the prior mask prunes counts as, where a method looks at it: in a norm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Masked {
    /// As what it is: the scores were given.
    AsGiven,
    /// As 0: the scores are a parameter under its mask (S7).
    AsZero,
}

/// So many entries are looked at in one go: they stay in the first-level cache.
pub(crate) const PIECE: usize = 2048;

/// The entries of a tensor in row-major order, of which those that a mask prunes count as 0, or some of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entries<'a, T> {
    values: &'a [T],
    zeros: Zeros<'a>,
}

/// Which entries count as 0 whatever they are.
#[derive(Clone, Copy, Debug)]
enum Zeros<'a> {
    None,
    Pruned(&'a Mask),
    PrunedNans(&'a Mask),
}

impl<'a, T: Element> Entries<'a, T> {
    /// The entries of a tensor under the mask so far.
    pub(crate) fn new(values: &'a [T], prior: Option<&'a Mask>, masked: Masked) -> Self {
        let zeros = match (prior, masked) {
            (Some(prior), Masked::AsZero) => Zeros::Pruned(prior),
            _ => Zeros::None,
        };
        Entries { values, zeros }
    }

    /// The same, but a NaN that is pruned counts as 0 (S8).
    pub(crate) fn without_pruned_nans(self, prior: &'a Mask) -> Self {
        let zeros = match self.zeros {
            Zeros::None => Zeros::PrunedNans(prior),
            zeros => zeros,
        };
        Entries { zeros, ..self }
    }

    /// Number of entries.
    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    /// The `len` entries from `start` on, of which there may be [`PIECE`] at most. They are copied to `buffer` where
    /// some may count as 0.
    #[inline(always)]
    pub(crate) fn piece<'b>(&'b self, start: usize, len: usize, buffer: &'b mut [T; PIECE]) -> &'b [T] {
        let values = &self.values[start..start + len];
        match self.zeros {
            Zeros::None => values,
            Zeros::Pruned(mask) => {
                let words = mask.as_words();
                let (whole, rest) = values.as_chunks::<BITS>();
                let buffer = &mut buffer[..len];
                let (into, into_rest) = buffer.as_chunks_mut::<BITS>();
                for (number, (into, from)) in into.iter_mut().zip(whole).enumerate() {
                    *into = masked(from, word_at(words, start + number * BITS), T::ZERO);
                }
                let word = word_at(words, start + whole.len() * BITS);
                for (i, (into, from)) in into_rest.iter_mut().zip(rest).enumerate() {
                    *into = if word >> i & 1 == 1 { *from } else { T::ZERO };
                }
                buffer
            }
            Zeros::PrunedNans(mask) => {
                let buffer = &mut buffer[..len];
                for (i, (into, from)) in buffer.iter_mut().zip(values).enumerate() {
                    let zero = from.as_().is_nan() && !mask.bit(start + i);
                    *into = if zero { T::ZERO } else { *from };
                }
                buffer
            }
        }
    }

    /// All entries in pieces, in order.
    pub(crate) fn each_piece(&self, look: impl FnMut(&[T])) {
        self.each_piece_of(0..self.len(), look);
    }

    /// The entries of a range in pieces, in order.
    pub(crate) fn each_piece_of(&self, range: Range<usize>, mut look: impl FnMut(&[T])) {
        let mut buffer = [T::ZERO; PIECE];
        for start in range.clone().step_by(PIECE) {
            look(self.piece(start, PIECE.min(range.end - start), &mut buffer));
        }
    }
}
