//! Words of random streams, from any position on.

use bytemuck::cast_slice_mut;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Fills `out` with 32-bit words of the ChaCha8 stream of a key (nonce 0), from word number `first` on: those that
/// `ChaCha8Rng::from_seed(key)` gives one by one.
pub(crate) fn random_words(key: &[u8; 32], first: u64, out: &mut [u32]) {
    let mut rng = ChaCha8Rng::from_seed(*key);
    rng.set_word_pos(first.into());
    // Many at once, which is several times faster than one by one.
    rng.fill_bytes(cast_slice_mut(out));
    out.iter_mut().for_each(|word| *word = u32::from_le(*word));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_from_any_position() {
        let key = std::array::from_fn(|i| (i * 37 + 5) as u8);
        for block in [0, 64, (1 << 32) - 4, (1 << 40) + 3] {
            for (skip, len) in [
                (0, 1024),
                (0, 15),
                (1, 3),
                (7, 9),
                (7, 500),
                (15, 1),
                (15, 130),
                (3, 0),
            ] {
                let first = block * 16 + skip;
                let mut rng = ChaCha8Rng::from_seed(key);
                rng.set_word_pos(first.into());
                let mut words = vec![0; len];
                random_words(&key, first, &mut words);
                for word in words {
                    assert_eq!(word, rng.next_u32());
                }
            }
        }
    }
}
