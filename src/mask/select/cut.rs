//! Selection over a stream: first the cut, by counting, then the mask, by comparing.

use super::between::Between;
use super::key::{By, ByMagnitude, ByValue, Key, Rank};
use super::words::{BITS, keys, lowest_bits, ones, pack, prior_word, words};
use super::{Element, Order, SelectError};
use crate::mask::parallel::vectorized;

/// Bits of a wide key that the first pass leaves open: it tells apart the sign, the exponent of 11 bits and the first
/// 10 bits of the mantissa. That is all that `f16` and `bf16` have, so these need one pass, and `f32` a second one for
/// its other 13 bits.
const COARSE: u32 = 42;
/// Counters of one exponent. Only the exponents that occur have counters, so the first pass takes a few 100 kB where
/// the values are what weights are, and 32 MB at worst.
const PER_EXPONENT: usize = 1024;
/// Bits that each later pass settles.
const FINE: u32 = 16;

/// The place where what falls ends: the key of the k-th lowest entry, and how many of its equals fall.
///
/// All entries that rank below the key fall, and of those that equal it the first [`equals_to_fall`]. It holds for
/// any float type, whatever types it was found in. [`CutFinder`] finds it; [`writer`] carries it out.
///
/// [`equals_to_fall`]: Cut::equals_to_fall
/// [`writer`]: Cut::writer
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The wide key: that of the value as an `f64`.
    key: i64,
    equals: usize,
    order: Order,
}

impl Cut {
    /// The cut that nothing falls under.
    fn nothing(order: Order) -> Self {
        Cut {
            key: f64::LOWEST,
            equals: 0,
            order,
        }
    }

    /// The value, or the magnitude, of the k-th lowest entry; −∞ where k is 0.
    ///
    /// For reports: comparing with it does not give exactly k entries where several equal it.
    pub fn threshold(&self) -> f64 {
        let magnitude = f64::from_bits(self.key.unsigned_abs());
        if self.key < 0 { -magnitude } else { magnitude }
    }

    /// How many of the entries that equal the threshold fall: the first ones of the stream.
    pub fn equals_to_fall(&self) -> usize {
        self.equals
    }

    /// What the entries were ranked by.
    pub fn order(&self) -> Order {
        self.order
    }

    /// Begins to write the selection. The writer has to see the same chunks in the same order as the finder; they may
    /// be divided in another way, except that a chunk with a prior mask begins where a word of the mask does.
    pub fn writer(&self) -> CutWriter {
        CutWriter {
            cut: *self,
            equals_left: self.equals,
        }
    }
}

/// Finds the [`Cut`] of a stream of chunks that need not fit in memory and may be of several float types.
///
/// Feed it the whole stream, end the pass, and feed it the same stream again until the cut is there: after one pass
/// where the values are `f16` or `bf16` (or are no finer, whatever their type), two for `f32`, four for `f64`. Values
/// of different types compare exactly, by value. It counts and gathers nothing, so that its memory does not grow with
/// the stream.
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
/// assert_eq!((cut.threshold(), cut.equals_to_fall()), (0.5, 2));
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
    asked: usize,
    order: Order,
    /// Number of the chunk that comes next in this pass.
    chunk: usize,
    /// Entries left in the chunks of this pass.
    survivors: usize,
    /// The keys that are still possible: `bits` bits from `low` on, after the first pass.
    range: Option<Range>,
    counts: Counts,
    /// All keys of this stream, or-ed: bits that are 0 here need no counting.
    seen: i64,
    /// Counters of every key of `f16` and of `bf16`, where there are any.
    narrow: [Vec<u64>; 2],
}

#[derive(Clone, Copy, Debug)]
struct Range {
    low: i64,
    bits: u32,
    /// Entries left below `low`.
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
    /// Of the first pass where a sample was seen: around the place where it expects the cut.
    Expected(Between),
    /// Of the first pass: by sign and exponent, then by the first bits of the mantissa.
    Coarse(Vec<Vec<u64>>),
    /// Of a later pass: of equal parts of the range.
    Fine(Vec<u64>),
}

impl CutFinder {
    /// Begins to look for the cut that `k` entries fall under.
    pub fn new(k: usize, order: Order) -> Self {
        CutFinder {
            asked: k,
            order,
            chunk: 0,
            survivors: 0,
            range: None,
            counts: Counts::coarse(),
            seen: 0,
            narrow: [Vec::new(), Vec::new()],
        }
    }

    /// The same, where a sample of the stream, which has so many entries left, was seen: mostly one pass is enough then,
    /// whatever the types. Up to `most` keys are held meanwhile. If the sample misled, one pass more is needed.
    pub(crate) fn expecting(mut self, sample: &[f64], entries: usize, most: usize) -> Self {
        let key = |x: &f64| match self.order {
            Order::Magnitude => x.magnitude(),
            Order::Value => x.value(),
        };
        let mut keys: Vec<i64> = sample.iter().map(key).collect();
        if let Some(between) = Between::guess(&mut keys, self.asked, entries, most) {
            self.counts = Counts::Expected(between);
        }
        self
    }

    /// Looks at the next chunk of the stream; `prior` is the packed mask of its entries, from its first one on.
    ///
    /// # Errors
    ///
    /// [`SelectError::Nan`] where an entry that is left is NaN, and [`SelectError::PriorLength`]; the segment that
    /// they name is the number of the chunk in this pass.
    pub fn feed<T: Element>(&mut self, values: &[T], prior: Option<&[u64]>) -> Result<(), SelectError> {
        check_prior(self.chunk, values.len(), prior)?;
        match self.order {
            Order::Magnitude => self.feed_by::<T, ByMagnitude>(values, prior)?,
            Order::Value => self.feed_by::<T, ByValue>(values, prior)?,
        }
        self.chunk += 1;
        Ok(())
    }

    pub(super) fn feed_by<T: Rank, B: By>(
        &mut self,
        values: &[T],
        prior: Option<&[u64]>,
    ) -> Result<(), SelectError> {
        vectorized(
            #[inline(always)]
            || self.blocks::<T, B>(values, prior),
        )
    }

    #[inline(always)]
    fn blocks<T: Rank, B: By>(&mut self, values: &[T], prior: Option<&[u64]>) -> Result<(), SelectError> {
        let ends = match &self.counts {
            Counts::Expected(between) => Some(between.ends::<T>()),
            Counts::Coarse(_) | Counts::Fine(_) => None,
        };
        for (word, block) in values.chunks(BITS).enumerate() {
            let left = prior_word(prior, word, block.len());
            if left == 0 {
                continue;
            }
            let highest = block
                .iter()
                .fold(T::MAGNITUDE_LOWEST, |max, x| max.max(x.magnitude()));
            if highest > T::HIGHEST
                && let Some(bit) = ones(left).find(|bit| block[*bit].magnitude() > T::HIGHEST)
            {
                return Err(SelectError::Nan {
                    segment: self.chunk,
                    index: word * BITS + bit,
                });
            }
            self.survivors += left.count_ones() as usize;
            let keys = keys::<T, B>(block);
            if let (Counts::Expected(between), Some(ends)) = (&mut self.counts, ends) {
                between.count::<T>(&keys, left, ends);
            } else if let Some(which) = T::NARROW {
                let counts = &mut self.narrow[which];
                counts.resize(1 << 16, 0);
                each(left, |i| counts[(keys[i].to_i64() + (1 << 15)) as usize] += 1);
            } else {
                self.count(&keys.map(T::widen), left, 1);
            }
        }
        Ok(())
    }

    /// Counts the wide keys whose bit is set in `left`, each of them so many times.
    #[inline(always)]
    fn count(&mut self, keys: &[i64; BITS], left: u64, times: u64) {
        match (&mut self.counts, &self.range) {
            (Counts::Fine(counts), Some(range)) => each(left, |i| {
                // Keys below the range wrap to offsets far above it.
                let offset = keys[i].wrapping_sub(range.low) as u64;
                if offset >> range.bits == 0 {
                    counts[(offset >> range.shift()) as usize] += times;
                }
            }),
            (Counts::Coarse(exponents), _) => each(left, |i| {
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

    /// Takes in what another finder counted of other chunks of the same pass; both began it as copies of one finder.
    pub(crate) fn merge(&mut self, other: CutFinder) {
        self.survivors += other.survivors;
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

    /// Ends a pass over the stream. `None` means that another pass over the same stream is needed.
    ///
    /// # Errors
    ///
    /// [`SelectError::TooMany`] where more entries are to fall than there are left, after the first pass;
    /// [`SelectError::StreamChanged`] where a later pass saw other values than the first one.
    pub fn end_pass(&mut self) -> Result<Option<Cut>, SelectError> {
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
        let survivors = std::mem::take(&mut self.survivors);
        self.chunk = 0;
        if self.asked > survivors {
            return Err(match self.range {
                None => SelectError::TooMany {
                    asked: self.asked,
                    left: survivors,
                },
                Some(_) => SelectError::StreamChanged,
            });
        }
        if self.asked == 0 {
            return Ok(Some(Cut::nothing(self.order)));
        }
        if let Counts::Expected(_) = self.counts
            && let Counts::Expected(between) = std::mem::replace(&mut self.counts, Counts::coarse())
        {
            let cut = between.cut(self.asked);
            return Ok(cut.map(|(key, equals)| Cut {
                key,
                equals,
                order: self.order,
            }));
        }

        // The bucket that holds the k-th lowest.
        let below = self.range.map_or(0, |range| range.below);
        let wanted = self.asked - below;
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

        // Where the low bits are 0 in all keys, the bucket holds one key only.
        if self.seen.trailing_zeros() >= bits {
            bits = 0;
        }
        if bits == 0 {
            return Ok(Some(Cut {
                key: low,
                equals: self.asked - below,
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

/// Adds up counters, of which there are none where nothing has been counted.
fn add(ours: &mut Vec<u64>, theirs: Vec<u64>) {
    if ours.is_empty() {
        *ours = theirs;
    } else {
        ours.iter_mut()
            .zip(theirs)
            .for_each(|(ours, theirs)| *ours += theirs);
    }
}

/// Calls `see` with the position of every bit that is set.
#[inline(always)]
fn each(left: u64, see: impl FnMut(usize)) {
    if left == u64::MAX {
        (0..BITS).for_each(see)
    } else {
        ones(left).for_each(see)
    }
}

/// The first bucket that takes the running count to `wanted`: its number, the count before it, and its own.
fn bucket(counts: impl Iterator<Item = (usize, u64)>, wanted: usize) -> Option<(usize, usize, usize)> {
    let mut below = 0;
    for (at, count) in counts {
        let count = count as usize;
        if below + count >= wanted && count > 0 {
            return Some((at, below, count));
        }
        below += count;
    }
    None
}

/// Refuses a prior mask that has not one word for every 64 entries begun.
pub fn check_prior(segment: usize, len: usize, prior: Option<&[u64]>) -> Result<(), SelectError> {
    match prior {
        Some(prior) if prior.len() != words(len) => Err(SelectError::PriorLength {
            segment,
            expected: words(len),
            got: prior.len(),
        }),
        _ => Ok(()),
    }
}

/// Carries out a [`Cut`], chunk by chunk, in the order of the stream.
///
/// Equals of the threshold fall in the order in which they come by, until there are enough.
#[derive(Clone, Debug)]
pub struct CutWriter {
    cut: Cut,
    equals_left: usize,
}

impl CutWriter {
    /// Writes the new mask of the next chunk, and says how many of its entries fell just now.
    ///
    /// # Panics
    ///
    /// Where `prior` or `mask` has not one word for every 64 entries begun.
    pub fn mask<T: Element>(&mut self, values: &[T], prior: Option<&[u64]>, mask: &mut [u64]) -> usize {
        assert_eq!(
            mask.len(),
            words(values.len()),
            "the mask has one word for 64 entries"
        );
        assert!(
            prior.is_none_or(|prior| prior.len() == mask.len()),
            "so has the prior mask"
        );
        match self.cut.order {
            Order::Magnitude => self.write::<T, ByMagnitude>(values, prior, mask),
            Order::Value => self.write::<T, ByValue>(values, prior, mask),
        }
    }

    /// Makes +0.0 of all entries of the next chunk that fall, or that fell before, and says how many fell just now.
    ///
    /// # Panics
    ///
    /// Where `prior` has not one word for every 64 entries begun.
    pub fn zero<T: Element>(&mut self, values: &mut [T], prior: Option<&[u64]>) -> usize {
        const WORDS: usize = 64;
        let mut mask = [0; WORDS];
        let mut fell = 0;
        assert!(
            prior.is_none_or(|prior| prior.len() == words(values.len())),
            "a word for 64 entries"
        );
        for (i, part) in values.chunks_mut(WORDS * BITS).enumerate() {
            let mask = &mut mask[..words(part.len())];
            let prior = prior.map(|prior| &prior[i * WORDS..][..mask.len()]);
            fell += self.mask(part, prior, mask);
            vectorized(
                #[inline(always)]
                || {
                    for (word, block) in mask.iter().zip(part.chunks_mut(BITS)) {
                        keep(block, *word);
                    }
                },
            );
        }
        fell
    }

    pub(super) fn write<T: Rank, B: By>(
        &mut self,
        values: &[T],
        prior: Option<&[u64]>,
        mask: &mut [u64],
    ) -> usize {
        let (low, equal) = native::<T>(self.cut.key);
        vectorized(
            #[inline(always)]
            || {
                let mut fell = 0;
                for (word, (mask, block)) in mask.iter_mut().zip(values.chunks(BITS)).enumerate() {
                    let left = prior_word(prior, word, block.len());
                    let keys = keys::<T, B>(block);
                    let mut falls = pack(|i| keys[i] < low) & left;
                    if equal && self.equals_left > 0 {
                        let equals = lowest_bits(pack(|i| keys[i] == low) & left, self.equals_left);
                        self.equals_left -= equals.count_ones() as usize;
                        falls |= equals;
                    }
                    fell += falls.count_ones() as usize;
                    *mask = left & !falls;
                }
                fell
            },
        )
    }
}

/// Makes +0.0 of the entries of a word whose bit is 0.
///
/// The bits become bytes first, eight by a multiplication, and the entries are selected, not skipped: so the second
/// loop has neither branches nor shifts, and is done on whole vectors.
#[inline(always)]
fn keep<T: Element>(block: &mut [T], word: u64) {
    let mut flags = [0u8; BITS];
    for (eight, byte) in flags.chunks_exact_mut(8).zip(word.to_le_bytes()) {
        let each = u64::from(byte).wrapping_mul(0x0101_0101_0101_0101) & 0x8040_2010_0804_0201;
        eight.copy_from_slice(&each.to_le_bytes());
    }
    let select = |x: T, flag: u8| if flag == 0 { T::ZERO } else { x };
    match <&mut [T; BITS]>::try_from(&mut *block) {
        Ok(block) => *block = std::array::from_fn(|i| select(block[i], flags[i])),
        Err(_) => block
            .iter_mut()
            .zip(flags)
            .for_each(|(x, flag)| *x = select(*x, flag)),
    }
}

/// A wide key among the keys of one type: the first key that is not below it, and whether that one equals it.
fn native<T: Rank>(wide: i64) -> (T::Key, bool) {
    let (mut low, mut high) = (T::LOWEST.to_i64(), T::HIGHEST.to_i64());
    while low < high {
        let middle = (low & high) + ((low ^ high) >> 1);
        if T::widen(T::Key::from_i64(middle)) < wide {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    let key = T::Key::from_i64(low);
    (key, T::widen(key) == wide)
}
