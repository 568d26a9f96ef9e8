//! Blocks of the ChaCha8 stream, some side by side.

use super::source::BLOCK;
use super::words::arrays;

/// Words of 32 bits in a block of the stream.
pub const WORDS: usize = 16;
/// Blocks that are made side by side: what one vector register holds of each word, on most machines.
const LANES: usize = 8;

type Lanes = [u32; LANES];

/// Fills `out` with the stream of a key, nonce 0, from a block on.
///
/// It is the stream of `rand_chacha::ChaCha8Rng`, which a test compares it with. It is here because every lane of the
/// arrays below is a block of its own, which compilers turn into vector code of whatever width there is; `rand_chacha`
/// chooses its width by a feature, and hands out its words one by one.
#[inline(always)]
pub fn chacha8(key: &[u8; 32], block: u64, out: &mut [u32; BLOCK]) {
    for (i, out) in out.chunks_exact_mut(WORDS * LANES).enumerate() {
        lanes(key, block + (i * LANES) as u64, out);
    }
}

#[inline(always)]
fn lanes(key: &[u8; 32], block: u64, out: &mut [u32]) {
    // One check of the length instead of one for each word.
    let out = &mut out[..WORDS * LANES];
    let mut start = [[0; LANES]; WORDS];
    for (word, constant) in start
        .iter_mut()
        .zip([0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574])
    {
        *word = [constant; LANES];
    }
    for (word, bytes) in start[4..].iter_mut().zip(arrays(key)) {
        *word = [u32::from_le_bytes(*bytes); LANES];
    }
    start[12] = std::array::from_fn(|lane| (block + lane as u64) as u32);
    start[13] = std::array::from_fn(|lane| ((block + lane as u64) >> 32) as u32);

    let mut x = start;
    for _ in 0..4 {
        quarter(&mut x, 0, 4, 8, 12);
        quarter(&mut x, 1, 5, 9, 13);
        quarter(&mut x, 2, 6, 10, 14);
        quarter(&mut x, 3, 7, 11, 15);
        quarter(&mut x, 0, 5, 10, 15);
        quarter(&mut x, 1, 6, 11, 12);
        quarter(&mut x, 2, 7, 8, 13);
        quarter(&mut x, 3, 4, 9, 14);
    }
    for word in 0..WORDS {
        for lane in 0..LANES {
            out[lane * WORDS + word] = x[word][lane].wrapping_add(start[word][lane]);
        }
    }
}

#[inline(always)]
fn quarter(x: &mut [Lanes; WORDS], a: usize, b: usize, c: usize, d: usize) {
    add(x, a, b);
    rotate_xor::<16>(x, d, a);
    add(x, c, d);
    rotate_xor::<12>(x, b, c);
    add(x, a, b);
    rotate_xor::<8>(x, d, a);
    add(x, c, d);
    rotate_xor::<7>(x, b, c);
}

#[inline(always)]
fn add(x: &mut [Lanes; WORDS], to: usize, what: usize) {
    x[to] = std::array::from_fn(|lane| x[to][lane].wrapping_add(x[what][lane]));
}

#[inline(always)]
fn rotate_xor<const BY: u32>(x: &mut [Lanes; WORDS], to: usize, what: usize) {
    x[to] = std::array::from_fn(|lane| (x[to][lane] ^ x[what][lane]).rotate_left(BY));
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::{Rng, SeedableRng};

    #[test]
    fn it_is_the_stream_of_rand_chacha() {
        let key = std::array::from_fn(|i| (i * 37 + 5) as u8);
        for block in [0, 64, (1 << 32) - 4, (1 << 40) + 3] {
            let mut rng = ChaCha8Rng::from_seed(key);
            rng.set_word_pos(u128::from(block) * WORDS as u128);
            let mut words = [0; BLOCK];
            chacha8(&key, block, &mut words);
            for word in words {
                assert_eq!(word, rng.next_u32());
            }
        }
    }
}
