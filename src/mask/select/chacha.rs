//! Words of ChaCha8 streams, some blocks side by side.

use crate::mask::parallel::vectorized;

/// Words of 32 bits in a block of the stream.
pub const WORDS: usize = 16;
/// Blocks that are made side by side: what one vector register holds of each word, on most machines.
const LANES: usize = 8;

type Lanes = [u32; LANES];

/// Fills `out` with the words of a stream (nonce 0) from word number `first` on.
///
/// It is the stream of `rand_chacha::ChaCha8Rng`, which a test compares it with. It is here because every lane of the
/// arrays below is a block of its own, which compilers turn into vector code of whatever width there is at run time;
/// `rand_chacha` chooses its width when it is compiled, and makes four blocks at a time.
pub(crate) fn random_words(key: &[u8; 32], first: u64, out: &mut [u32]) {
    let (mut block, skip) = (first / WORDS as u64, (first % WORDS as u64) as usize);
    let mut some = [0; WORDS];
    let (head, out) = out.split_at_mut(out.len().min((WORDS - skip) % WORDS));
    if !head.is_empty() {
        blocks(key, block, &mut some, |word| word);
        head.copy_from_slice(&some[skip..][..head.len()]);
        block += 1;
    }
    let (whole, tail) = out.split_at_mut(out.len() / WORDS * WORDS);
    blocks(key, block, whole, |word| word);
    if !tail.is_empty() {
        blocks(key, block + (whole.len() / WORDS) as u64, &mut some, |word| word);
        tail.copy_from_slice(&some[..tail.len()]);
    }
}

/// Fills whole blocks with what `map` makes of the words of a stream, from a block on.
#[inline(always)]
pub fn blocks<W: Copy>(key: &[u8; 32], block: u64, out: &mut [W], map: impl Fn(u32) -> W + Copy) {
    vectorized(
        #[inline(always)]
        || {
            let mut block = block;
            for out in out.chunks_mut(WORDS * LANES) {
                let words = lanes(key, block);
                for (lane, out) in out.chunks_exact_mut(WORDS).enumerate() {
                    for (out, word) in out.iter_mut().zip(&words) {
                        *out = map(word[lane]);
                    }
                }
                block += LANES as u64;
            }
        },
    )
}

/// As many blocks as there are lanes: word by word, each in all lanes.
#[inline(always)]
fn lanes(key: &[u8; 32], block: u64) -> [Lanes; WORDS] {
    let mut start = [[0; LANES]; WORDS];
    for (word, constant) in start
        .iter_mut()
        .zip([0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574])
    {
        *word = [constant; LANES];
    }
    for (word, bytes) in start[4..].iter_mut().zip(key.as_chunks().0) {
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
    for (word, start) in x.iter_mut().zip(start) {
        *word = std::array::from_fn(|lane| word[lane].wrapping_add(start[lane]));
    }
    x
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
                let first = block * WORDS as u64 + skip;
                let mut rng = ChaCha8Rng::from_seed(key);
                rng.set_word_pos(u128::from(first));
                let mut words = vec![0; len];
                random_words(&key, first, &mut words);
                for word in words {
                    assert_eq!(word, rng.next_u32());
                }
            }
        }
    }
}
