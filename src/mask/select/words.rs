//! Words of 64 entries.

use crate::mask::bits::BITS;

/// How many words hold `len` bits.
#[inline(always)]
pub fn words(len: usize) -> usize {
    len.div_ceil(BITS)
}

/// The bits that belong to entries in a word that holds `len` of them; the last word may hold fewer than 64.
#[inline(always)]
pub fn used(len: usize) -> u64 {
    if len >= BITS { u64::MAX } else { (1 << len) - 1 }
}

/// The lowest `count` bits that are set in `word`, or all of them if there are fewer.
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

/// The highest `count` bits that are set in `word`, or all of them if there are fewer.
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

/// The word of a prior mask for 64 entries, of which only `len` may exist. Without a mask, all of them remain.
#[inline(always)]
pub fn prior_word(prior: Option<&[u64]>, word: usize, len: usize) -> u64 {
    prior.map_or(u64::MAX, |prior| prior[word]) & used(len)
}

/// How many of `len` entries a prior mask keeps.
pub fn count_remaining(prior: Option<&[u64]>, len: usize) -> usize {
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
    fn picks_from_both_ends() {
        for seed in 0..200u64 {
            let word = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(seed as u32);
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
    fn counts_remaining_entries_without_trailing_bits() {
        assert_eq!(count_remaining(None, 70), 70);
        assert_eq!(count_remaining(Some(&[u64::MAX, u64::MAX]), 70), 70);
        assert_eq!(count_remaining(Some(&[1]), 64), 1);
        assert_eq!(count_remaining(Some(&[]), 0), 0);
    }
}
