//! [`Cut`]: the place in a ranking where pruning ends; and [`CutWriter`], which applies it.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::element::Element;
use super::key::{Key, Order, Rank, Scale, fill_keys};
use super::source::BLOCK;
use super::vector::Vector;
use super::words::{lowest_bits, prior_word, words};
use crate::mask::bits::{BITS, masked};
use crate::mask::parallel::vectorized;

/// The place in a ranking where pruning ends: the key of the k-th lowest entry, and how many of its ties are pruned.
///
/// All entries below the key are pruned, and of the ties at the key the first [`ties_to_prune`]. A cut applies to any
/// float type, whatever types it was found in. [`CutFinder`] finds it, and [`writer`] applies it.
///
/// [`ties_to_prune`]: Cut::ties_to_prune
/// [`writer`]: Cut::writer
/// [`CutFinder`]: super::CutFinder
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cut {
    /// The wide key: that of the value as an `f64`.
    pub(super) key: i64,
    pub(super) ties: usize,
    pub(super) order: Order,
}

impl Cut {
    /// The cut that prunes nothing.
    pub(super) fn nothing(order: Order) -> Self {
        Cut {
            key: -f64::HIGHEST,
            ties: 0,
            order,
        }
    }

    /// The value, or the magnitude, of the k-th lowest entry; −∞ if k is 0.
    ///
    /// It is for reports only: comparing entries with it does not give exactly k entries if there are ties.
    pub fn threshold(&self) -> f64 {
        let magnitude = f64::from_bits(self.key.unsigned_abs());
        if self.key < 0 { -magnitude } else { magnitude }
    }

    /// How many of the ties at the threshold are pruned: the first ones of the stream.
    pub fn ties_to_prune(&self) -> usize {
        self.ties
    }

    /// How a score compares with the threshold.
    pub(crate) fn compare(&self, score: f64) -> Ordering {
        let key = match self.order {
            Order::Magnitude => score.magnitude(),
            Order::Value => score.value(),
        };
        key.cmp(&self.key)
    }

    /// The same cut, by which all of its ties are pruned.
    #[cfg(feature = "checkpoint")]
    pub(crate) fn with_all_ties(self) -> Self {
        Cut {
            ties: usize::MAX,
            ..self
        }
    }

    /// What the entries were ranked by.
    pub fn order(&self) -> Order {
        self.order
    }

    /// Begins to write the selection. The writer has to be given the same entries in the same order as the finder.
    /// They may be divided into other chunks, but a chunk with a prior mask must begin at a word of the mask.
    pub fn writer(&self) -> CutWriter {
        CutWriter {
            cut: *self,
            ties: self.ties,
        }
    }

    /// The same, after this many of the ties were pruned.
    pub(crate) fn writer_after(&self, pruned: usize) -> CutWriter {
        CutWriter {
            cut: *self,
            ties: self.ties.saturating_sub(pruned),
        }
    }
}

/// Applies a [`Cut`], chunk by chunk, in the order of the stream.
///
/// Ties at the threshold are pruned in the order of the stream, until enough are pruned.
#[derive(Clone, Debug)]
pub struct CutWriter {
    cut: Cut,
    /// Ties that are still to be pruned.
    ties: usize,
}

impl CutWriter {
    /// How many ties were pruned so far, by this writer and before it.
    pub(crate) fn ties_pruned(&self) -> usize {
        self.cut.ties - self.ties
    }

    /// Writes the new mask of the next chunk, and returns how many of its entries it newly prunes.
    ///
    /// # Panics
    ///
    /// If `prior` or `mask` does not have one word for every 64 entries begun.
    pub fn mask<T: Element>(&mut self, values: &[T], prior: Option<&[u64]>, mask: &mut [u64]) -> usize {
        assert_eq!(
            mask.len(),
            words(values.len()),
            "the mask has one word for 64 entries"
        );
        assert!(
            prior.is_none_or(|prior| prior.len() == mask.len()),
            "so has the prior mask"
        );
        let scale = Scale::of::<T>(self.cut.order);
        let mut keys = [T::Key::default(); BLOCK];
        let mut pruned = 0;
        for (number, (values, mask)) in values
            .chunks(BLOCK)
            .zip(mask.chunks_mut(BLOCK / BITS))
            .enumerate()
        {
            let prior = prior.map(|prior| &prior[number * (BLOCK / BITS)..][..mask.len()]);
            fill_keys(T::bits(values), self.cut.order, T::HIGHEST, &mut keys);
            pruned += self.write(&keys, values.len(), prior, &scale, mask);
        }
        pruned
    }

    /// Writes +0.0 over all entries of the next chunk that are pruned, now or before, and returns how many are newly
    /// pruned.
    ///
    /// # Panics
    ///
    /// If `prior` does not have one word for every 64 entries begun.
    pub fn zero<T: Element>(&mut self, values: &mut [T], prior: Option<&[u64]>) -> usize {
        const WORDS: usize = 64;
        let mut mask = [0; WORDS];
        let mut pruned = 0;
        assert!(
            prior.is_none_or(|prior| prior.len() == words(values.len())),
            "a word for 64 entries"
        );
        for (i, part) in values.chunks_mut(WORDS * BITS).enumerate() {
            let mask = &mut mask[..words(part.len())];
            let prior = prior.map(|prior| &prior[i * WORDS..][..mask.len()]);
            pruned += self.mask(part, prior, mask);
            keep(part, mask);
        }
        pruned
    }

    /// Writes the mask of the block with these keys.
    pub(super) fn write<K: Key>(
        &mut self,
        keys: &[K; BLOCK],
        len: usize,
        prior: Option<&[u64]>,
        scale: &Scale<K>,
        mask: &mut [u64],
    ) -> usize {
        let low = scale.first_not_below(self.cut.key);
        let ties_are_possible = (scale.widen)(low) == self.cut.key;
        Vector::run(
            #[inline(always)]
            |vector| {
                let mut pruned = 0;
                for (word, (mask, keys)) in mask.iter_mut().zip(keys.as_chunks().0).enumerate() {
                    let remaining = prior_word(prior, word, len - word * BITS);
                    let mut newly = vector.less(keys, low) & remaining;
                    if ties_are_possible && self.ties > 0 {
                        let ties = lowest_bits(vector.equal(keys, low) & remaining, self.ties);
                        self.ties -= ties.count_ones() as usize;
                        newly |= ties;
                    }
                    pruned += newly.count_ones() as usize;
                    *mask = remaining & !newly;
                }
                pruned
            },
        )
    }
}

/// Writes +0.0 over the entries whose bit is 0.
fn keep<T: Element>(values: &mut [T], mask: &[u64]) {
    vectorized(
        #[inline(always)]
        || {
            let (whole, rest) = values.as_chunks_mut::<BITS>();
            for (entries, word) in whole.iter_mut().zip(mask) {
                *entries = masked(entries, *word, T::ZERO);
            }
            let word = mask.last().copied().unwrap_or(0);
            for (i, entry) in rest.iter_mut().enumerate() {
                if word >> i & 1 == 0 {
                    *entry = T::ZERO;
                }
            }
        },
    )
}
