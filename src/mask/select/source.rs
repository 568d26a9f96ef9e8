//! Where the keys of entries come from: from memory, or from a random stream.

use super::key::Rank;
use super::{Element, Segment};

/// Entries that are fetched at once. A block of any type stays in the fastest cache while it is looked at twice.
pub const BLOCK: usize = 1024;

/// Segments of entries, each perhaps with a prior mask.
pub trait Source: Sync {
    /// What is ranked.
    type Item: Rank;

    /// Whether the items are spread evenly over all that there are, so that no sample is needed to know the quantiles.
    const EVEN: bool;

    /// How many segments there are.
    fn segments(&self) -> usize;

    /// How many entries a segment has.
    fn len(&self, segment: usize) -> usize;

    /// The prior mask of a segment.
    fn prior(&self, segment: usize) -> Option<&[u64]>;

    /// The entries of a block, which begins at a multiple of [`BLOCK`] and is that long or ends its segment. What
    /// has to be made first is made in `buffer`.
    fn block<'a>(
        &'a self,
        segment: usize,
        start: usize,
        len: usize,
        buffer: &'a mut [Self::Item; BLOCK],
    ) -> &'a [Self::Item];

    /// One entry.
    fn entry(&self, segment: usize, index: usize) -> Self::Item;
}

impl<T: Element> Source for [Segment<'_, T>] {
    type Item = T;

    const EVEN: bool = false;

    fn segments(&self) -> usize {
        <[_]>::len(self)
    }

    #[inline(always)]
    fn len(&self, segment: usize) -> usize {
        self[segment].values.len()
    }

    #[inline(always)]
    fn prior(&self, segment: usize) -> Option<&[u64]> {
        self[segment].prior
    }

    #[inline(always)]
    fn block<'a>(&'a self, segment: usize, start: usize, len: usize, _: &'a mut [T; BLOCK]) -> &'a [T] {
        &self[segment].values[start..start + len]
    }

    #[inline(always)]
    fn entry(&self, segment: usize, index: usize) -> T {
        self[segment].values[index]
    }
}
