//! Selection: exactly the k lowest of any number of weights, at the speed of memory.
//!
//! Magnitude pruning needs no sorting and almost no memory: whether a weight is pruned depends on one number, the key
//! of the k-th lowest weight. There are three ways to select, and all follow the same rule: exactly k weights are
//! pruned, lowest key first, and ties in the order in which they come.
//!
//! | way | for |
//! |---|---|
//! | [`lowest`] | weights in memory, of one type: about one pass over them |
//! | [`CutFinder`], then [`Cut::writer`] | weights that do not fit in memory or are of several types: a few passes over a stream |
//! | [`lowest_random`] | k weights at random: the keys are words of a random stream that is never stored |
//!
//! Masks are packed. Bit i % 64 of word i / 64 belongs to entry i: 1 is kept, 0 is pruned. Bits after the last entry
//! are 0.
//!
//! ```
//! use secateurs::mask::select::{Order, Segment, lowest};
//!
//! let weights = [0.5, -0.1, 3.0, 0.1_f32];
//! let masks = lowest(&[Segment::new(&weights)], 1, Order::Magnitude)?;
//! assert_eq!(masks, [[0b1101]]);                 // −0.1 and 0.1 are tied: the first one is pruned
//!
//! let again = lowest(&[Segment { values: &weights, prior: Some(&masks[0]) }], 2, Order::Magnitude)?;
//! assert_eq!(again, [[0b0100]]);
//! # Ok::<(), secateurs::mask::select::SelectError>(())
//! ```

mod at_random;
#[cfg(all(feature = "simd", target_arch = "x86_64"))]
mod avx2;
mod bracket;
mod cut;
mod element;
mod error;
mod finder;
mod in_memory;
mod key;
mod pass;
mod random_words;
mod sample_hash;
mod settle;
mod solve;
mod source;
mod stream_bracket;
mod ties;
mod vector;
mod words;

pub use at_random::{RandomSegment, lowest_random};
pub use cut::{Cut, CutWriter};
pub use element::Element;
pub use error::SelectError;
pub use finder::CutFinder;
pub use in_memory::{Segment, lowest};
pub use key::Order;

pub(crate) use in_memory::{ViewSegment, lowest_of_views};
pub(crate) use key::Key;
pub(crate) use random_words::random_words;
pub(crate) use sample_hash::sample_hash;

#[cfg(test)]
mod tests;
