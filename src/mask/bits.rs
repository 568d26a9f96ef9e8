//! Ranges of bits in packed words, at any offset, a word at a time.

use std::ops::Range;

/// Entries that share a word.
pub(crate) const BITS: usize = u64::BITS as usize;

/// The 64 bits from bit `start` on; bits after the last word are 0.
#[inline(always)]
pub(crate) fn word_at(words: &[u64], start: usize) -> u64 {
    let (word, shift) = (start / BITS, start % BITS);
    let low = words.get(word).map_or(0, |low| low >> shift);
    if shift == 0 {
        return low;
    }
    low | words.get(word + 1).map_or(0, |high| high << (BITS - shift))
}

/// Whether any bit of a range is set.
pub(crate) fn any_set(words: &[u64], range: Range<usize>) -> bool {
    range
        .clone()
        .step_by(BITS)
        .any(|start| word_at(words, start) & lowest(range.end - start) != 0)
}

/// Clears a range of bits.
pub(crate) fn clear(words: &mut [u64], range: Range<usize>) {
    and(words, range.start, range.len(), |_| 0);
}

/// Sets each of `len` bits of `into` that is set in `from`, where these begin at bit `start`.
pub(crate) fn or_from(into: &mut [u64], from: &[u64], start: usize, len: usize) {
    // Most slabs begin where a word does, and whole words are handled side by side.
    let whole = if start.is_multiple_of(BITS) { len / BITS } else { 0 };
    for (word, from) in into.iter_mut().zip(&from[start / BITS..]).take(whole) {
        *word |= from;
    }
    for (number, word) in into.iter_mut().enumerate().take(len.div_ceil(BITS)).skip(whole) {
        *word |= word_at(from, start + number * BITS) & lowest(len - number * BITS);
    }
}

/// Sets each of the `len` bits of `into` from bit `at` on that is set in `from`, where these begin at bit `start`.
#[cfg(feature = "checkpoint")]
pub(crate) fn or_at(into: &mut [u64], at: usize, from: &[u64], start: usize, len: usize) {
    if at.is_multiple_of(BITS) {
        return or_from(&mut into[at / BITS..], from, start, len);
    }
    let mut bit = 0;
    while bit < len {
        let (word, shift) = ((at + bit) / BITS, (at + bit) % BITS);
        let here = (BITS - shift).min(len - bit);
        into[word] |= (word_at(from, start + bit) & lowest(here)) << shift;
        bit += here;
    }
}

/// Clears each of the `len` bits of `words` from bit `start` on that is not set in `with`, whose bits begin at `from`.
pub(crate) fn and_at(words: &mut [u64], start: usize, len: usize, with: &[u64], from: usize) {
    let aligned = start.is_multiple_of(BITS) && from.is_multiple_of(BITS);
    let whole = if aligned { len / BITS } else { 0 };
    let pairs = words[start / BITS..].iter_mut().zip(&with[from / BITS..]);
    for (word, with) in pairs.take(whole) {
        *word &= with;
    }
    let done = whole * BITS;
    and(words, start + done, len - done, |bit| {
        word_at(with, from + done + bit)
    });
}

/// Clears each of the `len` bits from bit `start` on that is not set in `with(bit)`, which gives the 64 bits from
/// bit number `bit` of the range on.
#[inline(always)]
fn and(words: &mut [u64], start: usize, len: usize, with: impl Fn(usize) -> u64) {
    let mut bit = 0;
    while bit < len {
        let (word, shift) = ((start + bit) / BITS, (start + bit) % BITS);
        let here = (BITS - shift).min(len - bit);
        words[word] &= !((lowest(here) & !with(bit)) << shift);
        bit += here;
    }
}

/// A word whose lowest `count` bits are set.
#[inline(always)]
fn lowest(count: usize) -> u64 {
    if count >= BITS { u64::MAX } else { (1 << count) - 1 }
}

/// The entries whose bits are set in `word`, and `zero` for the others.
///
/// Each bit is tested where it is: the mask of a test is a constant, so that a compiler can test many at once. Words
/// are taken apart into as many parts as make tests as wide as entries.
#[inline(always)]
pub(crate) fn masked<T: Copy>(entries: &[T; BITS], word: u64, zero: T) -> [T; BITS] {
    match size_of::<T>() {
        8 => std::array::from_fn(|i| if word & 1 << i != 0 { entries[i] } else { zero }),
        _ => {
            let halves = [word as u32, (word >> 32) as u32];
            std::array::from_fn(|i| {
                if halves[i / 32] & 1 << (i % 32) != 0 {
                    entries[i]
                } else {
                    zero
                }
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bit(words: &[u64], i: usize) -> bool {
        words[i / BITS] >> (i % BITS) & 1 == 1
    }

    proptest! {
        #[test]
        fn ranges_are_those_of_single_bits(
            words in prop::collection::vec(any::<u64>(), 4),
            with in prop::collection::vec(any::<u64>(), 4),
            start in 0_usize..256,
            len in 0_usize..256,
            from in prop_oneof![Just(0), Just(64), 0_usize..256],
        ) {
            let len = len.min(256 - start).min(256 - from);
            let range = start..start + len;
            prop_assert_eq!(any_set(&words, range.clone()), range.clone().any(|i| bit(&words, i)));

            let mut cleared = words.clone();
            clear(&mut cleared, range.clone());
            let mut anded = words.clone();
            and_at(&mut anded, start, len, &with, from);
            let mut ored = with.clone();
            or_from(&mut ored, &words, start, len);
            #[cfg(feature = "checkpoint")]
            {
                let mut ored = words.clone();
                or_at(&mut ored, start, &with, from, len);
                for i in 0..256 {
                    let inside = range.contains(&i);
                    prop_assert_eq!(bit(&ored, i), bit(&words, i) || inside && bit(&with, from + i - start));
                }
            }
            for i in 0..256 {
                let inside = range.contains(&i);
                prop_assert_eq!(bit(&cleared, i), bit(&words, i) && !inside);
                prop_assert_eq!(bit(&anded, i), bit(&words, i) && (!inside || bit(&with, from + i - start)));
                prop_assert_eq!(bit(&ored, i), bit(&with, i) || i < len && bit(&words, start + i));
            }
        }

        #[test]
        fn masked_entries_are_zero(word in any::<u64>()) {
            let narrow: [u16; BITS] = std::array::from_fn(|i| i as u16 + 1);
            let wide = narrow.map(f64::from);
            let expected: [u16; BITS] = std::array::from_fn(|i| if word >> i & 1 == 1 { narrow[i] } else { 0 });
            prop_assert_eq!(masked(&narrow, word, 0), expected);
            prop_assert_eq!(masked(&narrow.map(f32::from), word, 0.0), expected.map(f32::from));
            prop_assert_eq!(masked(&wide, word, 0.0), expected.map(f64::from));
        }
    }
}
