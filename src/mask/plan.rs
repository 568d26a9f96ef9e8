//! [`Plan`]: a description of what a method prunes.

use serde::{Deserialize, Serialize};

use super::amount::Amount;
use super::norm::Norm;
use super::packed::Mask;

/// A description of what a method prunes, which the crate carries out itself.
///
/// A plan says *which units* may be pruned (entries, channels or blocks), *how many* ([`Amount`]), and *by what* they
/// are ranked. It is carried out in place on one tensor or many, of any float type. All built-in methods have a plan.
/// A method of your own that ranks in one of these ways can return one from
/// [`PruningMethod::plan`](super::PruningMethod::plan), and is then as fast.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Plan<'a> {
    /// Prune nothing.
    Nothing,
    /// Prune what this mask prunes.
    Mask(&'a Mask),
    /// Prune the lowest-ranked entries.
    Entries {
        /// How many of the entries that remain.
        amount: Amount,
        /// What ranks them.
        by: EntryRank,
    },
    /// Prune the lowest-ranked channels.
    Channels {
        /// How many of the channels that remain.
        amount: Amount,
        /// The dimension that numbers the channels; from the end where negative.
        dim: isize,
        /// What ranks them.
        by: ChannelRank,
    },
    /// Keep the highest-ranked few entries of each group of consecutive ones (N:M).
    Groups {
        /// How many entries of a group to keep. Entries that are pruned already count among those not kept.
        keep: usize,
        /// How many consecutive entries form a group.
        of: usize,
        /// The dimension along which they are consecutive; from the end where negative.
        dim: isize,
        /// What ranks the entries.
        by: EntryRank,
    },
    /// Prune the lowest-ranked blocks: tiles of the last two dimensions.
    Blocks {
        /// How many of the blocks that remain.
        amount: Amount,
        /// Rows of a block; the last ones of a column of blocks may have fewer.
        height: usize,
        /// Columns of a block; the last one of a row of blocks may have fewer.
        width: usize,
        /// What ranks the blocks.
        by: BlockRank,
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
    /// Random keys, from this seed.
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
    /// Random keys, from this seed.
    Random {
        /// The seed of the method.
        seed: u64,
    },
}

/// What ranks blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum BlockRank {
    /// The mean of the squares of the block's entries, so that blocks cut off at an edge compare with whole ones.
    MeanSquare,
    /// The largest absolute value of the block's entries.
    MaxAbs,
}

impl Plan<'_> {
    /// Whether carrying out the plan reads scores. Random ranks and given masks need none.
    pub(crate) fn reads_scores(&self) -> bool {
        match self {
            Plan::Nothing | Plan::Mask(_) => false,
            Plan::Entries { by, .. } | Plan::Groups { by, .. } => !matches!(by, EntryRank::Random { .. }),
            Plan::Channels { by, .. } => !matches!(by, ChannelRank::Random { .. }),
            Plan::Blocks { .. } => true,
        }
    }
}
