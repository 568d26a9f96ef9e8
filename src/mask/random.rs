//! The random numbers behind random masks: one stream for each use of a method, addressed by position.
//!
//! The key of unit `i` (an entry by its row-major index, a channel by its number) is word `i` of a ChaCha8 stream.
//! The units with the lowest keys are pruned, ties by index. Any part of a stream can be computed without the rest,
//! so a mask can be split over threads and chunks. These definitions never change, because a change would alter the
//! masks of a given seed.

use super::select::random_words;

/// The key of the stream of one use of a random method: the little-endian bytes of the method's seed, the index
/// of the parameter it serves, the index of the update it serves, and a tag.
pub(crate) fn stream_key(seed: u64, parameter: u64, update: u64) -> [u8; 32] {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&parameter.to_le_bytes());
    key[16..24].copy_from_slice(&update.to_le_bytes());
    key[24..].copy_from_slice(b"secateur");
    key
}

/// Appends the words of a stream from number `first` on, as floats, which hold 32 bits exactly.
pub(crate) fn append_words(stream: [u8; 32], first: usize, count: usize, words: &mut Vec<f64>) {
    let mut some = [0; 1024];
    for start in (0..count).step_by(some.len()) {
        let some = &mut some[..(count - start).min(1024)];
        random_words(&stream, (first + start) as u64, some);
        words.extend(some.iter().map(|word| f64::from(*word)));
    }
}
