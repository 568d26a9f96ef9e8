//! Selection by lot.

use super::chacha::{WORDS, chacha8};
use super::key::ByMagnitude;
use super::source::{BLOCK, Source};
use super::{SelectError, engine};

/// Entries of which some are to fall by lot.
#[derive(Clone, Copy, Debug)]
pub struct RandomSegment<'a> {
    /// How many entries there are.
    pub len: usize,
    /// The packed mask so far, as in [`Segment`](super::Segment).
    pub prior: Option<&'a [u64]>,
    /// The key of the random stream: entry i ranks by 32-bit word i of the ChaCha8 stream of this key.
    pub key: [u8; 32],
}

/// Lets k of the entries that are left in all segments together fall by lot, and gives each segment's new mask.
///
/// Entry i of a segment ranks by word i (32 bits) of the ChaCha8 stream of the segment's key, counter and nonce from 0:
/// the word that `rand_chacha::ChaCha8Rng::from_seed(key)` gives at its i-th `next_u32`. The k lowest fall; equal ones
/// as in [`lowest`](super::lowest). So k distinct entries fall, every set of k is as likely as any other, and a key
/// gives the same mask for ever.
///
/// # Errors
///
/// [`SelectError::TooMany`] and [`SelectError::PriorLength`].
///
/// ```
/// use secateurs::mask::select::{RandomSegment, lowest_random};
///
/// let mask = lowest_random(&[RandomSegment { len: 10, prior: None, key: [7; 32] }], 4)?;
/// assert_eq!(mask[0][0].count_ones(), 6);
/// # Ok::<(), secateurs::mask::select::SelectError>(())
/// ```
pub fn lowest_random(segments: &[RandomSegment<'_>], k: usize) -> Result<Vec<Vec<u64>>, SelectError> {
    engine::lowest::<_, ByMagnitude>(segments, k)
}

impl Source for [RandomSegment<'_>] {
    type Item = u32;

    const EVEN: bool = true;

    fn segments(&self) -> usize {
        <[_]>::len(self)
    }

    #[inline(always)]
    fn len(&self, segment: usize) -> usize {
        self[segment].len
    }

    #[inline(always)]
    fn prior(&self, segment: usize) -> Option<&[u64]> {
        self[segment].prior
    }

    #[inline(always)]
    fn block<'a>(
        &'a self,
        segment: usize,
        start: usize,
        len: usize,
        buffer: &'a mut [u32; BLOCK],
    ) -> &'a [u32] {
        chacha8(&self[segment].key, (start / WORDS) as u64, buffer);
        &buffer[..len]
    }

    fn entry(&self, segment: usize, index: usize) -> u32 {
        let mut buffer = [0; BLOCK];
        self.block(segment, index - index % BLOCK, BLOCK, &mut buffer)[index % BLOCK]
    }
}
