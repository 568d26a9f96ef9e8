//! Bits of packed masks: bit `i % 64` of word `i / 64` belongs to entry `i`.

/// Clears the bits of entries `from..until`.
pub(super) fn clear(words: &mut [u64], from: usize, until: usize) {
    if from >= until {
        return;
    }
    let (first, last) = (from / 64, (until - 1) / 64);
    let (low, high) = (u64::MAX << (from % 64), u64::MAX >> (63 - (until - 1) % 64));
    if first == last {
        words[first] &= !(low & high);
    } else {
        words[first] &= !low;
        words[first + 1..last].fill(0);
        words[last] &= !high;
    }
}

/// Clears the bits behind the last of so many entries.
pub(super) fn trim(words: &mut [u64], entries: usize) {
    if let (Some(last), used @ 1..) = (words.last_mut(), entries % 64) {
        *last &= (1 << used) - 1;
    }
}

/// How many bits are set.
pub(super) fn count(words: &[u64]) -> usize {
    words.iter().map(|word| word.count_ones() as usize).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clears_ranges_of_bits() {
        for from in 0..200 {
            for until in from..=256 {
                let mut words = [u64::MAX; 4];
                clear(&mut words, from, until);
                for bit in 0..256 {
                    let set = words[bit / 64] >> (bit % 64) & 1 == 1;
                    assert_eq!(set, !(from..until).contains(&bit), "{from}..{until}: {bit}");
                }
                assert_eq!(count(&words), 256 - (until - from));
            }
        }
        let mut words = [u64::MAX; 2];
        trim(&mut words, 128);
        assert_eq!(count(&words), 128);
        trim(&mut words, 70);
        assert_eq!(words, [u64::MAX, 63]);
    }
}
