//! Selection by lot.

use super::cut::{CutFinder, check_prior};
use super::key::ByMagnitude;
use super::words::words;
use super::{Order, SelectError};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

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
    const CHUNK: usize = 4096;
    let mut finder = CutFinder::new(k, Order::Magnitude);
    let cut = loop {
        for (number, segment) in segments.iter().enumerate() {
            check_prior(number, segment.len, segment.prior)?;
            let mut rng = ChaCha8Rng::from_seed(segment.key);
            for start in (0..segment.len).step_by(CHUNK) {
                let end = segment.len.min(start + CHUNK);
                let keys: Vec<u32> = (start..end).map(|_| rng.next_u32()).collect();
                let prior = segment.prior.map(|prior| &prior[start / 64..words(end)]);
                finder.feed_by::<u32, ByMagnitude>(&keys, prior)?;
            }
        }
        if let Some(cut) = finder.end_pass()? {
            break cut;
        }
    };
    let mut writer = cut.writer();
    Ok(segments
        .iter()
        .map(|segment| {
            let mut mask = vec![0; words(segment.len)];
            let mut rng = ChaCha8Rng::from_seed(segment.key);
            for start in (0..segment.len).step_by(CHUNK) {
                let end = segment.len.min(start + CHUNK);
                let keys: Vec<u32> = (start..end).map(|_| rng.next_u32()).collect();
                let prior = segment.prior.map(|prior| &prior[start / 64..words(end)]);
                writer.chunk_by::<u32, ByMagnitude>(
                    keys.len(),
                    prior,
                    |a, b| &keys[a..b],
                    |word, kept| mask[start / 64 + word] = kept,
                );
            }
            mask
        })
        .collect())
}
