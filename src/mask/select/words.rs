//! Words of 64 entries.

use super::key::{By, Rank};

/// Entries that share a word.
pub const BITS: usize = 64;

/// How many words hold `len` bits.
#[inline(always)]
pub fn words(len: usize) -> usize {
    len.div_ceil(BITS)
}

/// The bits that belong to entries in a word that holds `len` of them, of which the last word may hold fewer than 64.
#[inline(always)]
pub fn used(len: usize) -> u64 {
    if len >= BITS { u64::MAX } else { (1 << len) - 1 }
}

/// 64 flags as the bits of a word: bit i is `flag(i)`.
///
/// Goes by bytes: a compiler makes vector code of the first loop, at 16 or more flags an instruction, and a
/// multiplication moves the low bits of 8 bytes side by side. No two of its partial products meet, so nothing carries.
#[inline(always)]
pub fn pack(flag: impl Fn(usize) -> bool) -> u64 {
    let mut bytes = [0u8; BITS];
    for (i, byte) in bytes.iter_mut().enumerate() {
        *byte = flag(i).into();
    }
    let mut word = 0;
    for (i, eight) in arrays::<_, 8>(&bytes).enumerate() {
        word |= (u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56) << (8 * i);
    }
    word
}

/// The whole chunks of a slice, as arrays, so that loops over them have a fixed length.
#[inline(always)]
pub fn arrays<T, const N: usize>(slice: &[T]) -> impl ExactSizeIterator<Item = &[T; N]> {
    slice
        .chunks_exact(N)
        .map(|chunk| chunk.try_into().expect("the length of a chunk"))
}

/// The keys of a word's entries; those behind the last entry are of no meaning.
#[inline(always)]
pub fn keys<T: Rank, B: By>(entries: &[T]) -> [T::Key; BITS] {
    match <&[T; BITS]>::try_from(entries) {
        Ok(entries) => std::array::from_fn(|i| B::key(entries[i])),
        Err(_) => {
            let mut keys = [T::Key::default(); BITS];
            keys.iter_mut()
                .zip(entries)
                .for_each(|(key, x)| *key = B::key(*x));
            keys
        }
    }
}

/// The lowest `count` bits that are set in `word`, or all of them where there are fewer.
#[inline]
pub fn lowest_bits(word: u64, count: usize) -> u64 {
    if count >= word.count_ones() as usize {
        return word;
    }
    let mut rest = word;
    for _ in 0..count {
        rest &= rest - 1;
    }
    word ^ rest
}

/// The highest `count` bits that are set in `word`, or all of them where there are fewer.
#[inline]
pub fn highest_bits(word: u64, count: usize) -> u64 {
    let set = word.count_ones() as usize;
    word & !lowest_bits(word, set - count.min(set))
}

/// Positions of the bits that are set, from the lowest.
#[inline(always)]
pub fn ones(mut word: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = word.trailing_zeros() as usize;
        word &= word.wrapping_sub(1);
        (bit < BITS).then_some(bit)
    })
}

/// The word of a prior mask that belongs to 64 entries, of which there may be only `len`; where there is no mask, all
/// of them are left.
#[inline(always)]
pub fn prior_word(prior: Option<&[u64]>, word: usize, len: usize) -> u64 {
    prior.map_or(u64::MAX, |prior| prior[word]) & used(len)
}

/// How many of `len` entries a prior mask leaves.
pub fn survivors(prior: Option<&[u64]>, len: usize) -> usize {
    let Some(prior) = prior else { return len };
    let (full, rest) = (len / BITS, len % BITS);
    let whole: usize = prior[..full].iter().map(|word| word.count_ones() as usize).sum();
    whole
        + prior
            .get(full)
            .map_or(0, |last| (last & used(rest)).count_ones() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packs_and_picks() {
        for seed in 0..200u64 {
            let word = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(seed as u32);
            assert_eq!(pack(|i| word >> i & 1 == 1), word);
            let set: Vec<_> = ones(word).collect();
            assert_eq!(set.len(), word.count_ones() as usize);
            for count in 0..=70 {
                let picked: Vec<_> = ones(lowest_bits(word, count)).collect();
                assert_eq!(picked, set[..count.min(set.len())]);
                let picked: Vec<_> = ones(highest_bits(word, count)).collect();
                assert_eq!(picked, set[set.len() - count.min(set.len())..]);
            }
        }
    }

    #[test]
    fn counts_survivors_without_trailing_bits() {
        assert_eq!(survivors(None, 70), 70);
        assert_eq!(survivors(Some(&[u64::MAX, u64::MAX]), 70), 70);
        assert_eq!(survivors(Some(&[1]), 64), 1);
        assert_eq!(survivors(Some(&[]), 0), 0);
    }
}
