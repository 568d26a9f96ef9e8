//! [`Plan`]: what a method wants pruned, described rather than done.

use super::amount::Amount;
use super::norm::Norm;
use super::packed::Mask;

/// What a method wants pruned, in terms that the engine carries out itself.
///
/// The built-in methods are descriptions: *which units* may fall (entries or channels), *how many* ([`Amount`]),
/// and *by what* they are ranked. The engine carries a description out on views of any float type, without
/// gathering survivors, over one tensor or many. A method of your own that ranks in one of these ways can return
/// its plan from [`PruningMethod::plan`](super::PruningMethod::plan) and gain the same.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Plan<'a> {
    /// Prune nothing.
    Nothing,
    /// Prune what this mask prunes.
    Mask(&'a Mask),
    /// Prune the lowest-ranked entries.
    Entries {
        /// How many of the entries that are left.
        amount: Amount,
        /// What ranks them.
        by: EntryRank,
    },
    /// Prune the lowest-ranked channels.
    Channels {
        /// How many of the channels that are left.
        amount: Amount,
        /// The dimension that numbers the channels; from the end where negative.
        dim: isize,
        /// What ranks them.
        by: ChannelRank,
    },
}

/// What ranks entries.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum EntryRank {
    /// The absolute value: −9 ranks as 9.
    Magnitude,
    /// The value, sign and all: −9 ranks below 0.
    Value,
    /// Chance, from this seed.
    Random {
        /// The seed of the method.
        seed: u64,
    },
}

/// What ranks channels.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum ChannelRank {
    /// A norm of the channel's entries.
    Norm(Norm),
    /// Chance, from this seed.
    Random {
        /// The seed of the method.
        seed: u64,
    },
}
