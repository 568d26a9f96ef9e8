//! Where the keys of entries come from: from memory, or from a random stream.

use super::error::{SelectError, check_prior};
use super::key::{Key, Scale};
use super::words::{count_remaining, words};
use crate::mask::bits::BITS;
use crate::mask::parallel::vectorized;

/// Entries whose keys are made at once. A block of keys of any type stays in the fastest cache.
pub const BLOCK: usize = 1024;
/// Entries of one task, so that an index in it has 16 bits. It has to be a multiple of [`BLOCK`].
pub const TASK: usize = 1 << 16;

/// Segments of entries, each perhaps with a prior mask.
pub trait Source<K>: Sync {
    /// What the keys mean.
    fn scale(&self) -> Scale<K>;

    /// Whether keys are spread evenly over the scale, so that no sample is needed to know the quantiles.
    fn is_even(&self) -> bool;

    /// How many segments there are.
    fn segments(&self) -> usize;

    /// How many entries a segment has.
    fn len(&self, segment: usize) -> usize;

    /// The prior mask of a segment.
    fn prior(&self, segment: usize) -> Option<&[u64]>;

    /// Fills in the keys of a block, which begins at a multiple of [`BLOCK`] and is that long or ends its segment.
    /// Says whether one of the entries is NaN.
    fn block(&self, segment: usize, start: usize, len: usize, block: &mut Block<K>) -> bool;

    /// Appends the keys of some single entries.
    fn entries(&self, segment: usize, indices: &[usize], keys: &mut Vec<K>);
}

/// The keys of a block, and what a source made beforehand for the next ones.
pub struct Block<K> {
    pub keys: [K; BLOCK],
    /// Some keys that follow each other, and the segment and the entry at which they begin.
    pub ahead: Option<((usize, usize), Vec<K>)>,
}

impl<K: Key> Block<K> {
    pub fn new() -> Self {
        Block {
            keys: [K::default(); BLOCK],
            ahead: None,
        }
    }

    /// The keys by words; those past the last entry mean nothing.
    #[inline(always)]
    pub fn words(&self) -> &[[K; BITS]] {
        self.keys.as_chunks().0
    }
}

/// What is to be selected, and from what.
pub struct Problem<'s, K> {
    /// Where the keys come from.
    pub source: &'s dyn Source<K>,
    /// How many entries are to be pruned.
    pub k: usize,
    /// How many remain unpruned.
    pub remaining: usize,
    /// How many entries there are, with the pruned ones.
    pub entries: usize,
}

impl<'s, K: Key> Problem<'s, K> {
    /// Checks that the prior masks fit and that enough entries remain.
    pub fn new(source: &'s dyn Source<K>, k: usize) -> Result<Self, SelectError> {
        let (mut remaining, mut entries) = (0, 0);
        for segment in 0..source.segments() {
            let (len, prior) = (source.len(segment), source.prior(segment));
            check_prior(segment, len, prior)?;
            entries += len;
            remaining += vectorized(
                #[inline(always)]
                || count_remaining(prior, len),
            );
        }
        if k > remaining {
            return Err(SelectError::TooLarge {
                requested: k,
                remaining,
            });
        }
        Ok(Problem {
            source,
            k,
            remaining,
            entries,
        })
    }

    /// The prior mask of a stretch of a segment.
    #[inline(always)]
    pub fn prior(&self, segment: usize, start: usize, len: usize) -> Option<&'s [u64]> {
        let prior = self.source.prior(segment);
        prior.map(|prior| &prior[start / BITS..][..words(len)])
    }
}
