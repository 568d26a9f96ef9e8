//! Selection: exactly the k lowest of any number of weights, at the speed of memory.
//!
//! Magnitude pruning needs no sorting, and nearly no memory: whether a weight falls depends on one number, the key of
//! the k-th lowest. There are three ways to it, and all give the same answer: exactly k fall, lowest key first, and of
//! equal keys the one that comes first.
//!
//! | way | for |
//! |---|---|
//! | [`lowest`] | weights in memory, of one type: about one pass over them |
//! | [`CutFinder`], then [`Cut::writer`] | weights that fit in no memory or are of several types: some passes over a stream |
//! | [`lowest_random`] | k weights by lot: the keys are words of a random stream that is never stored |
//!
//! Masks are packed: bit i % 64 of word i / 64 belongs to entry i, 1 is kept and 0 is pruned, and the bits behind the
//! last entry are 0.
//!
//! ```
//! use secateurs::mask::select::{Order, Segment, lowest};
//!
//! let weights = [0.5, -0.1, 3.0, 0.1_f32];
//! let masks = lowest(&[Segment::new(&weights)], 1, Order::Magnitude)?;
//! assert_eq!(masks, [[0b1101]]);                 // −0.1 and 0.1 are equally low: the first one falls
//!
//! let again = lowest(&[Segment { values: &weights, prior: Some(&masks[0]) }], 2, Order::Magnitude)?;
//! assert_eq!(again, [[0b0100]]);
//! # Ok::<(), secateurs::mask::select::SelectError>(())
//! ```

mod between;
mod bracket;
mod chacha;
mod cut;
mod engine;
mod key;
mod random;
mod source;
mod words;

pub use cut::{Cut, CutFinder, CutWriter};
pub use random::{RandomSegment, lowest_random};

use half::{bf16, f16};
use key::{ByMagnitude, ByValue};

/// A float that can be ranked: `f16`, `bf16`, `f32` or `f64`.
///
/// It is sealed: selection knows the bits of these types.
pub trait Element: key::Rank + num_traits::AsPrimitive<f64> {
    /// +0.0, which a pruned entry is.
    const ZERO: Self;
}

impl Element for f16 {
    const ZERO: Self = f16::ZERO;
}

impl Element for bf16 {
    const ZERO: Self = bf16::ZERO;
}

impl Element for f32 {
    const ZERO: Self = 0.0;
}

impl Element for f64 {
    const ZERO: Self = 0.0;
}

/// What entries are ranked by. −0.0 and +0.0 are equal in both, −∞ and +∞ are numbers, NaN is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Order {
    /// The absolute value: −9 ranks as 9.
    Magnitude,
    /// The value, sign and all.
    Value,
}

/// Weights that lie in memory, in logical row-major order.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a, T> {
    /// The entries.
    pub values: &'a [T],
    /// The packed mask so far, one bit for each entry. Entries whose bit is 0 are pruned already: they are not ranked,
    /// and stay pruned. `None` is nothing pruned yet.
    pub prior: Option<&'a [u64]>,
}

impl<'a, T> Segment<'a, T> {
    /// Weights of which none is pruned yet.
    pub fn new(values: &'a [T]) -> Self {
        Self { values, prior: None }
    }
}

/// Why there is no selection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SelectError {
    /// More entries asked for than are left.
    #[error("asked to prune {asked} entries, but only {left} are left unpruned")]
    TooMany {
        /// Entries asked for.
        asked: usize,
        /// Entries not yet pruned.
        left: usize,
    },
    /// A NaN among the entries to be ranked, so not one under the prior mask. Of several the first is named.
    #[error("cannot rank NaN: entry {index} of segment {segment} is NaN")]
    Nan {
        /// Number of the segment, or of the chunk of a stream.
        segment: usize,
        /// Index of the first NaN in it.
        index: usize,
    },
    /// A prior mask whose length is not that of its segment.
    #[error("the prior mask of segment {segment} has {got} words; its entries need {expected}")]
    PriorLength {
        /// Number of the segment, or of the chunk of a stream.
        segment: usize,
        /// Words that are needed: one for every 64 entries begun.
        expected: usize,
        /// Words that were given.
        got: usize,
    },
    /// A stream that was not the same in a later pass.
    #[error("the stream changed between two passes")]
    StreamChanged,
}

/// Finds the k lowest of the entries that are left in all segments together, and gives each segment's new mask.
///
/// Exactly k entries fall. Of equal ones, those of the first segment fall first, and in a segment those of the lowest
/// index. What a prior mask has pruned is not ranked and stays pruned. The result depends on nothing else, not on the
/// number of threads either.
///
/// # Errors
///
/// [`SelectError::TooMany`] where k is more than are left, [`SelectError::Nan`] where any entry that is left is NaN,
/// [`SelectError::PriorLength`] where a prior mask has not the length of its segment.
///
/// ```
/// use secateurs::mask::select::{Order, Segment, SelectError, lowest};
///
/// let (a, b) = ([0.5_f32, 2.0], [1.0, -3.0]);
/// assert_eq!(lowest(&[Segment::new(&a), Segment::new(&b)], 2, Order::Magnitude)?, [[0b10], [0b10]]);
/// assert_eq!(lowest(&[Segment::new(&a), Segment::new(&b)], 1, Order::Value)?, [[0b11], [0b01]]);
/// assert_eq!(lowest(&[Segment::new(&a)], 3, Order::Value), Err(SelectError::TooMany { asked: 3, left: 2 }));
/// # Ok::<(), SelectError>(())
/// ```
pub fn lowest<T: Element>(
    segments: &[Segment<'_, T>],
    k: usize,
    order: Order,
) -> Result<Vec<Vec<u64>>, SelectError> {
    match order {
        Order::Magnitude => engine::lowest::<_, ByMagnitude>(segments, k),
        Order::Value => engine::lowest::<_, ByValue>(segments, k),
    }
}

#[cfg(test)]
mod tests;
