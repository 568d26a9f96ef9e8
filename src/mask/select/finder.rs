//! Selection over a stream: the cut, found by counting.

use super::cut::Cut;
use super::element::Element;
use super::error::{SelectError, check_prior};
use super::key::{Key, Order, Rank, Scale, fill_keys};
use super::pass::first_nan;
use super::source::BLOCK;
use super::stream_bracket::{Ends, StreamBracket};
use super::vector::Vector;
use super::words::{ones, prior_word, words};
use crate::mask::bits::BITS;

mod stored;

/// Bits of a wide key that the first pass leaves open: it tells apart the sign, the exponent of 11 bits and the first
/// 10 bits of the mantissa. That is all that `f16` and `bf16` have, so these need one pass, and `f32` a second one for
/// its other 13 bits.
const COARSE: u32 = 42;
/// Counters of one exponent. Only the exponents that occur have counters, so the first pass takes a few 100 kB for
/// typical weights, and 32 MB at worst.
const PER_EXPONENT: usize = 1024;
/// Bits that each later pass settles.
const FINE: u32 = 14;

/// Finds the [`Cut`] of a stream of chunks that need not fit in memory and may be of several float types.
///
/// Feed it the whole stream, end the pass, and repeat with the same stream until the cut is found: one pass for `f16`
/// and `bf16` (and for values that are exact in these), two for `f32`, four for `f64`. Values of different types
/// compare exactly. The finder counts entries and stores none, so its memory does not grow with the stream. It can be
/// serialised between chunks; the numbers of chunks then begin again.
///
/// ```
/// use half::bf16;
/// use secateurs::mask::select::{CutFinder, Order};
///
/// let (a, mut b) = ([0.5_f32, -2.0, 0.1], [bf16::from_f32(0.5), bf16::from_f32(-1.0)]);
/// let mut finder = CutFinder::new(3, Order::Magnitude);
/// let cut = loop {
///     finder.feed(&a, None)?;
///     finder.feed(&b, None)?;
///     if let Some(cut) = finder.end_pass()? {
///         break cut;
///     }
/// };
/// assert_eq!((cut.threshold(), cut.ties_to_prune()), (0.5, 2));
///
/// let mut writer = cut.writer();
/// let mut mask = [0];
/// writer.mask(&a, None, &mut mask);                 // as a mask …
/// assert_eq!(mask, [0b010]);
/// writer.zero(&mut b, None);                        // … or in place
/// assert_eq!(b, [bf16::ZERO, bf16::from_f32(-1.0)]);
/// # Ok::<(), secateurs::mask::select::SelectError>(())
/// ```
#[derive(Clone, Debug)]
pub struct CutFinder {
    requested: usize,
    order: Order,
    /// Number of the chunk that comes next in this pass.
    chunk: usize,
    /// Entries that remain in the chunks of this pass.
    remaining: usize,
    /// After the first pass, the keys that are still possible: a range of `bits` bits from `low` on.
    range: Option<Range>,
    counts: Counts,
    /// All keys of this stream, or-ed: bits that are 0 here need no counting.
    seen: i64,
    /// Counters of every key of `f16` and of `bf16`, if there are any.
    narrow: [Vec<u64>; 2],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct Range {
    low: i64,
    bits: u32,
    /// Entries that remain below `low`.
    below: usize,
}

impl Range {
    /// Bits of a key that this pass does not tell apart.
    fn shift(&self) -> u32 {
        self.bits.saturating_sub(FINE)
    }
}

#[derive(Clone, Debug)]
enum Counts {
    /// Of the first pass after a sample: around the place where the sample expects the cut.
    Expected(StreamBracket),
    /// Of the first pass: by sign and exponent, then by the first bits of the mantissa.
    Coarse(Vec<Vec<u64>>),
    /// Of a later pass: of equal parts of the range.
    Fine(Vec<u64>),
}

impl CutFinder {
    /// A finder of the cut that prunes `k` entries.
    pub fn new(k: usize, order: Order) -> Self {
        CutFinder {
            requested: k,
            order,
            chunk: 0,
            remaining: 0,
            range: None,
            counts: Counts::coarse(),
            seen: 0,
            narrow: [Vec::new(), Vec::new()],
        }
    }

    /// The same, after a sample was taken from the stream, in which `entries` entries remain. Usually one pass is
    /// then enough, whatever the types. Up to `most` keys are held meanwhile. If the sample misled, one more pass is
    /// needed.
    pub(crate) fn expecting(mut self, sample: &[f64], entries: usize, most: usize, sigmas: f64) -> Self {
        let key = |x: &f64| match self.order {
            Order::Magnitude => x.magnitude(),
            Order::Value => x.value(),
        };
        let mut keys: Vec<i64> = sample.iter().map(key).collect();
        if let Some(bracket) = StreamBracket::guess(&mut keys, self.requested, entries, most, sigmas) {
            self.counts = Counts::Expected(bracket);
        }
        self
    }

    /// Counts the next chunk of the stream. `prior` is the packed mask of the chunk, whose first bit belongs to its
    /// first entry.
    ///
    /// # Errors
    ///
    /// [`SelectError::Nan`] if an entry that remains is NaN, and [`SelectError::PriorLength`]. The segment that they
    /// name is the number of the chunk in this pass.
    pub fn feed<T: Element>(&mut self, values: &[T], prior: Option<&[u64]>) -> Result<(), SelectError> {
        check_prior(self.chunk, values.len(), prior)?;
        let scale = Scale::of::<T>(self.order);
        let ends = match (&self.counts, &self.range) {
            (Counts::Expected(bracket), _) => Some(bracket.ends(&scale)),
            (Counts::Fine(_), Some(range)) => {
                Some(Ends::of(&scale, range.low, range.low + (1 << range.bits)))
            }
            _ => None,
        };
        let mut keys = [T::Key::default(); BLOCK];
        for (number, values) in values.chunks(BLOCK).enumerate() {
            let (len, first) = (values.len(), number * (BLOCK / BITS));
            let prior = prior.map(|prior| &prior[first..first + words(len)]);
            let has_nan = fill_keys(T::bits(values), self.order, T::HIGHEST, &mut keys);
            if has_nan && let Some(nan) = first_nan(&keys[..len], prior, scale) {
                return Err(SelectError::Nan {
                    segment: self.chunk,
                    index: number * BLOCK + nan,
                });
            }
            self.feed_keys(&keys, len, prior, &scale, ends);
        }
        self.chunk += 1;
        Ok(())
    }

    /// Counts the keys of a block.
    pub(super) fn feed_keys<K: Key>(
        &mut self,
        keys: &[K; BLOCK],
        len: usize,
        prior: Option<&[u64]>,
        scale: &Scale<K>,
        ends: Option<Ends<K>>,
    ) {
        Vector::run(
            #[inline(always)]
            |vector| {
                for (word, keys) in keys.as_chunks::<BITS>().0.iter().take(words(len)).enumerate() {
                    let remaining = prior_word(prior, word, len - word * BITS);
                    self.remaining += remaining.count_ones() as usize;
                    if let (Counts::Expected(bracket), Some(ends)) = (&mut self.counts, ends) {
                        bracket.count(vector, keys, remaining, (scale, ends));
                    } else if let (Counts::Fine(_), Some(ends)) = (&self.counts, ends) {
                        // Nearly all keys are outside of the range.
                        let around = ends.around(vector, keys) & remaining;
                        if around != 0 {
                            self.count(&keys.map(scale.widen), around, 1);
                        }
                    } else if let Some(which) = scale.narrow {
                        let counts = &mut self.narrow[which];
                        counts.resize(1 << 16, 0);
                        each(remaining, |i| {
                            counts[(keys[i].to_i64() + (1 << 15)) as usize] += 1
                        });
                    } else {
                        self.count(&keys.map(scale.widen), remaining, 1);
                    }
                }
            },
        )
    }

    /// Counts the wide keys whose bit is set in `remaining`, each of them `times` times.
    #[inline(always)]
    fn count(&mut self, keys: &[i64; BITS], remaining: u64, times: u64) {
        match (&mut self.counts, &self.range) {
            (Counts::Fine(counts), Some(range)) => each(remaining, |i| {
                // Keys below the range wrap to offsets far above it.
                let offset = keys[i].wrapping_sub(range.low) as u64;
                if offset >> range.bits == 0 {
                    counts[(offset >> range.shift()) as usize] += times;
                }
            }),
            (Counts::Coarse(exponents), _) => each(remaining, |i| {
                self.seen |= keys[i];
                let bucket = ((keys[i] >> COARSE) + (1 << (i64::BITS - COARSE - 1))) as usize;
                let counts = &mut exponents[bucket / PER_EXPONENT];
                if counts.is_empty() {
                    counts.resize(PER_EXPONENT, 0);
                }
                counts[bucket % PER_EXPONENT] += times;
            }),
            (Counts::Fine(_), None) | (Counts::Expected(_), _) => {}
        }
    }

    /// Whether two finders count for the same pass of the same selection, so that they can be merged.
    pub(crate) fn is_of_pass_of(&self, other: &CutFinder) -> bool {
        let same_counts = match (&self.counts, &other.counts) {
            (Counts::Coarse(_), Counts::Coarse(_)) => true,
            (Counts::Fine(ours), Counts::Fine(theirs)) => ours.len() == theirs.len(),
            _ => false,
        };
        let of_pass = |finder: &CutFinder| (finder.requested, finder.order, finder.range);
        same_counts && of_pass(self) == of_pass(other)
    }

    /// Adds what another finder counted in other chunks of the same pass. Both must have begun the pass as copies of
    /// one finder.
    pub(crate) fn merge(&mut self, other: CutFinder) {
        self.remaining = self.remaining.saturating_add(other.remaining);
        self.seen |= other.seen;
        match (&mut self.counts, other.counts) {
            (Counts::Coarse(ours), Counts::Coarse(theirs)) => {
                ours.iter_mut()
                    .zip(theirs)
                    .for_each(|(ours, theirs)| add(ours, theirs));
            }
            (Counts::Fine(ours), Counts::Fine(theirs)) => add(ours, theirs),
            (Counts::Expected(ours), Counts::Expected(theirs)) => ours.merge(theirs),
            _ => debug_assert!(false, "the two finders are not in the same pass"),
        }
        for (ours, theirs) in self.narrow.iter_mut().zip(other.narrow) {
            add(ours, theirs);
        }
    }

    /// Moves what was counted of keys of 16 bits to the counters of wide keys.
    fn widen_narrow(&mut self) {
        for (which, widen) in [half::f16::widen as fn(i16) -> i64, half::bf16::widen]
            .into_iter()
            .enumerate()
        {
            let mut counts = std::mem::take(&mut self.narrow[which]);
            for (key, times) in (i16::MIN..=i16::MAX).zip(&mut counts) {
                if *times > 0 {
                    self.count(&[widen(key); BITS], 1, std::mem::take(times));
                }
            }
            self.narrow[which] = counts;
        }
    }

    /// Ends a pass over the stream. `None` means that another pass over the same stream is needed.
    ///
    /// # Errors
    ///
    /// [`SelectError::TooLarge`] after the first pass, if more entries are requested than remain;
    /// [`SelectError::StreamChanged`] if a later pass saw other values than the first one.
    pub fn end_pass(&mut self) -> Result<Option<Cut>, SelectError> {
        self.widen_narrow();
        let remaining = std::mem::take(&mut self.remaining);
        self.chunk = 0;
        if self.requested > remaining {
            return Err(match self.range {
                None => SelectError::TooLarge {
                    requested: self.requested,
                    remaining,
                },
                Some(_) => SelectError::StreamChanged,
            });
        }
        if self.requested == 0 {
            return Ok(Some(Cut::nothing(self.order)));
        }
        if let Counts::Expected(_) = self.counts
            && let Counts::Expected(bracket) = std::mem::replace(&mut self.counts, Counts::coarse())
        {
            let cut = bracket.cut(self.requested);
            return Ok(cut.map(|(key, ties)| Cut {
                key,
                ties,
                order: self.order,
            }));
        }

        // The bucket that holds the k-th lowest.
        let below = self.range.map_or(0, |range| range.below);
        let wanted = self.requested - below;
        let (found, low, mut bits) = match (&self.counts, self.range) {
            (Counts::Coarse(exponents), _) => {
                // An exponent that never occurred has no counters, but its buckets have their numbers.
                let counts = exponents.iter().enumerate().flat_map(|(exponent, counts)| {
                    counts
                        .iter()
                        .enumerate()
                        .map(move |(i, n)| (exponent * PER_EXPONENT + i, *n))
                });
                let found = bucket(counts, wanted);
                let first = -(1 << (i64::BITS - COARSE - 1));
                (
                    found,
                    found.map_or(0, |(at, _, _)| (at as i64 + first) << COARSE),
                    COARSE,
                )
            }
            (Counts::Fine(counts), Some(range)) => {
                let found = bucket(counts.iter().copied().enumerate(), wanted);
                let low = found.map_or(0, |(at, _, _)| range.low + ((at as i64) << range.shift()));
                (found, low, range.shift())
            }
            (Counts::Fine(_), None) | (Counts::Expected(_), _) => (None, 0, 0),
        };
        let Some((_, below_bucket, _)) = found else {
            return Err(SelectError::StreamChanged);
        };
        let below = below + below_bucket;

        // If the low bits are 0 in all keys, the bucket holds only one key.
        if self.seen.trailing_zeros() >= bits {
            bits = 0;
        }
        if bits == 0 {
            return Ok(Some(Cut {
                key: low,
                ties: self.requested - below,
                order: self.order,
            }));
        }
        let range = Range { low, bits, below };
        self.counts = Counts::Fine(vec![0; 1 << (bits - range.shift())]);
        self.range = Some(range);
        Ok(None)
    }
}

impl Counts {
    /// Nothing counted yet, in a first pass.
    fn coarse() -> Self {
        Counts::Coarse(vec![Vec::new(); 1 << (i64::BITS - COARSE - PER_EXPONENT.ilog2())])
    }
}

/// Adds counters. Empty ones have counted nothing.
fn add(ours: &mut Vec<u64>, theirs: Vec<u64>) {
    if ours.is_empty() {
        *ours = theirs;
    } else {
        ours.iter_mut()
            .zip(theirs)
            .for_each(|(ours, theirs)| *ours = ours.saturating_add(theirs));
    }
}

/// Calls `visit` with the position of every bit that is set.
#[inline(always)]
fn each(remaining: u64, visit: impl FnMut(usize)) {
    if remaining == u64::MAX {
        (0..BITS).for_each(visit)
    } else {
        ones(remaining).for_each(visit)
    }
}

/// The first bucket at which the running count is at least `wanted`: its number, the count before it, and its own
/// count.
fn bucket(counts: impl Iterator<Item = (usize, u64)>, wanted: usize) -> Option<(usize, usize, usize)> {
    let mut below = 0_usize;
    for (at, count) in counts {
        let count = count as usize;
        let with = below.saturating_add(count);
        if with >= wanted && count > 0 {
            return Some((at, below, count));
        }
        below = with;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::{Cut, CutFinder, Order};

    /// The cut of a stream of two types, and the passes it took; from a sample, where there is one.
    fn cut(stream: &[f32], k: usize, order: Order, sample: Option<&[f64]>, most: usize) -> (Cut, usize) {
        let mut finder = CutFinder::new(k, order);
        if let Some(sample) = sample {
            finder = finder.expecting(sample, 2 * stream.len(), most, 6.0);
        }
        let narrow: Vec<_> = stream.iter().map(|x| half::bf16::from_f32(*x)).collect();
        for pass in 1.. {
            let mut other = finder.clone();
            finder.feed(stream, None).unwrap();
            other.feed(&narrow, None).unwrap();
            finder.merge(other);
            if let Some(cut) = finder.end_pass().unwrap() {
                return (cut, pass);
            }
        }
        unreachable!()
    }

    #[test]
    fn whatever_the_sample_says_the_cut_is_the_same() {
        let noise = |i: usize| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f32 / (1 << 24) as f32 - 0.5;
        let ties = |i: usize| [0.0, -0.0, 0.25, 1.0, f32::INFINITY, noise(i)][i % 6];
        for stream in [&noise as &dyn Fn(usize) -> f32, &ties] {
            let stream: Vec<f32> = (0..5000).map(stream).collect();
            let good: Vec<f64> = stream.iter().step_by(7).map(|x| f64::from(*x)).collect();
            let bad: Vec<f64> = good.iter().map(|x| x * 3.0 + 1.0).collect();
            let nan = [f64::NAN; 3];
            for order in [Order::Magnitude, Order::Value] {
                for k in (0..=10_000).step_by(477).chain([1, 2, 5000, 9_999, 10_000]) {
                    let (expected, _) = cut(&stream, k, order, None, 0);
                    for (sample, most) in [
                        (&good[..], 10_000),
                        (&good, 5),
                        (&bad, 10_000),
                        (&nan, 9),
                        (&[], 9),
                    ] {
                        let (found, _) = cut(&stream, k, order, Some(sample), most);
                        assert_eq!(found, expected, "{k} {order:?}");
                    }
                }
            }
        }
        let stream: Vec<f32> = (0..5000).map(noise).collect();
        let sample: Vec<f64> = stream.iter().step_by(7).map(|x| f64::from(*x)).collect();
        assert_eq!(cut(&stream, 5000, Order::Magnitude, Some(&sample), 10_000).1, 1);
        assert_eq!(cut(&stream, 5000, Order::Magnitude, None, 0).1, 2);
    }
}
