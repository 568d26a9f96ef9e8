//! Selection at random.

use bytemuck::cast_slice_mut;

use super::error::SelectError;
use super::key::Scale;
use super::random_words::random_words;
use super::solve;
use super::source::{Block, Source};

/// A segment of entries, of which some are to be pruned at random.
#[derive(Clone, Copy, Debug)]
pub struct RandomSegment<'a> {
    /// How many entries there are.
    pub len: usize,
    /// The packed mask so far, as in [`Segment`](super::Segment).
    pub prior: Option<&'a [u64]>,
    /// The key of the random stream: entry i ranks by 32-bit word i of the ChaCha8 stream of this key.
    pub key: [u8; 32],
}

/// Prunes k of the entries that remain in all segments together, at random, and returns each segment's new mask.
///
/// Entry i of a segment ranks by word i (32 bits) of the ChaCha8 stream of the segment's key, counter and nonce from
/// 0: the word that `rand_chacha::ChaCha8Rng::from_seed(key)` gives at its i-th `next_u32`. The k entries with the
/// lowest words are pruned, ties as in [`lowest`](super::lowest). So exactly k entries are pruned, every set of k
/// entries is equally likely, and a key always gives the same mask.
///
/// # Errors
///
/// [`SelectError::TooLarge`] and [`SelectError::PriorLength`].
///
/// ```
/// use secateurs::mask::select::{RandomSegment, lowest_random};
///
/// let mask = lowest_random(&[RandomSegment { len: 10, prior: None, key: [7; 32] }], 4)?;
/// assert_eq!(mask[0][0].count_ones(), 6);
/// # Ok::<(), secateurs::mask::select::SelectError>(())
/// ```
pub fn lowest_random(segments: &[RandomSegment<'_>], k: usize) -> Result<Vec<Vec<u64>>, SelectError> {
    solve::lowest(&Random(segments), k)
}

/// Words of random streams.
pub(super) struct Random<'a>(pub(super) &'a [RandomSegment<'a>]);

impl Source<i32> for Random<'_> {
    fn scale(&self) -> Scale<i32> {
        Scale {
            lowest: i32::MIN,
            highest: i32::MAX,
            widen: i64::from,
            narrow: None,
        }
    }

    fn is_even(&self) -> bool {
        true
    }

    fn segments(&self) -> usize {
        self.0.len()
    }

    fn len(&self, segment: usize) -> usize {
        self.0[segment].len
    }

    fn prior(&self, segment: usize) -> Option<&[u64]> {
        self.0[segment].prior
    }

    fn block(&self, segment: usize, start: usize, len: usize, block: &mut Block<i32>) -> bool {
        let keys = &mut block.keys[..len];
        random_words(&self.0[segment].key, start as u64, cast_slice_mut(keys));
        // With the top bit flipped, signed comparison sees the order of the unsigned words.
        keys.iter_mut().for_each(|key| *key ^= i32::MIN);
        false
    }

    fn entries(&self, segment: usize, indices: &[usize], keys: &mut Vec<i32>) {
        for &index in indices {
            let mut word = [0];
            random_words(&self.0[segment].key, index as u64, &mut word);
            keys.push(word[0] as i32 ^ i32::MIN);
        }
    }
}
