//! The first half of pruning: what falls, found by reading, and held in next to no memory.

mod blocks;
mod channels;
mod entries;
mod groups;
mod ranks;

use super::extent::{Extent, whole};
use super::values::{Float, Values, count, with_floats};
use super::work::Phase;
use super::{Checkpoint, Scope, Unit};
use crate::error::{CheckpointError, Error, MaskError, Result};
use crate::mask::groups::FoundNan;
use crate::mask::select::Cut;
use crate::mask::{GlobalOptions, Plan};

pub(super) use blocks::Tiles;
pub(super) use channels::Channels;
pub(super) use entries::under;
pub(super) use groups::GroupRule;
pub(super) use ranks::Ranks;

/// What falls in one tensor: a rule that yields its mask chunk by chunk.
#[derive(Clone, Debug)]
pub(super) enum Verdict {
    /// Nothing.
    Keep,
    /// The entries under a cut, except those that a cap spares: it lets only what is under a cut of its own fall.
    Entries {
        cut: Cut,
        ranks: Ranks,
        cap: Option<Cut>,
    },
    /// The channels that are not kept.
    Channels { channels: Channels, kept: Vec<bool> },
    /// All but the highest entries of each group.
    Groups(GroupRule),
    /// The blocks whose bit is 0.
    Blocks { tiles: Tiles, kept: Vec<u64> },
}

/// What falls in all tensors.
#[derive(Clone, Debug)]
pub(super) struct Verdicts {
    /// By tensor, in the order in which they are ranked.
    pub each: Vec<Verdict>,
    /// Units that each tensor was asked for, or all together.
    pub asked: Asked,
    /// What was asked for.
    pub unit: Unit,
}

#[derive(Clone, Debug)]
pub(super) enum Asked {
    Each(Vec<usize>),
    /// There is one cut for all: what equals it falls in the first tensors first.
    Together(usize),
}

impl Checkpoint {
    /// Finds what falls in these tensors, which are given by number and in the order of their names.
    pub(super) fn find(
        &self,
        tensors: &[usize],
        plan: &Plan<'_>,
        scope: Scope,
        options: &GlobalOptions<'_>,
    ) -> Result<Verdicts> {
        if let (Plan::Entries { amount, by }, Scope::Global) = (*plan, scope) {
            return self.entries_together(tensors, amount, by, options);
        }
        let unit = match plan {
            Plan::Channels { .. } => Unit::Channels,
            Plan::Blocks { .. } => Unit::Blocks,
            _ => Unit::Entries,
        };
        let found = tensors.iter().enumerate().map(|(place, &tensor)| {
            let found = match *plan {
                Plan::Nothing => Ok((Verdict::Keep, 0)),
                Plan::Entries { amount, by } => self.entries_of(place, tensor, amount, by),
                Plan::Channels { amount, dim, by } => self.channels(place, tensor, amount, dim, by),
                Plan::Groups { keep, of, dim, by } => {
                    let rule = GroupRule::new(self.tensors()[tensor].shape(), (keep, of), dim, (by, place));
                    rule.map(|rule| (Verdict::Groups(rule), rule.falling()))
                }
                Plan::Blocks {
                    amount,
                    height,
                    width,
                    by,
                } => self.blocks(tensor, amount, (height, width), by),
                Plan::Mask(_) => Err(Error::Mask(MaskError::Unsupported {
                    method: format!("{plan:?}"),
                    reason: "the tensors of a checkpoint fall by entries, channels, groups or blocks",
                })),
            };
            found.map_err(|error| error.at(self.tensors()[tensor].name()))
        });
        let (each, asked) = found.collect::<Result<Vec<_>>>()?.into_iter().unzip();
        Ok(Verdicts {
            each,
            asked: Asked::Each(asked),
            unit,
        })
    }

    /// Names the first NaN of a tensor that has one.
    pub(super) fn first_nan(&self, tensor: usize) -> Result<Error> {
        let info = &self.tensors()[tensor];
        let mut first = None;
        self.look(Phase::Ranking, whole(tensor, info, 64), |extent, values| {
            if first.is_none() {
                let at = with_floats!(values, values => values.iter().position(Float::is_not_a_number), raw => None);
                first = at.map(|at| extent.first + at);
            }
            Ok(())
        })?;
        Ok(match first {
            Some(index) => Error::Mask(MaskError::NanScore {
                parameter: Some(info.name().to_owned()),
                index,
            }),
            None => self.changed(tensor),
        })
    }

    /// The error of a tensor that was not the same twice.
    fn changed(&self, tensor: usize) -> Error {
        Error::Checkpoint(CheckpointError::ChangedMeanwhile {
            path: self.shards()[self.tensors()[tensor].shard].path().to_owned(),
        })
    }
}

impl Verdict {
    /// The parts of the tensor, each of which can be masked when what comes before it has been.
    pub fn extents(
        &self,
        checkpoint: &Checkpoint,
        tensor: usize,
    ) -> impl Iterator<Item = Extent> + Clone + Send + use<> {
        let info = &checkpoint.tensors()[tensor];
        let (groups, others) = match self {
            Verdict::Groups(rule) => (Some(rule.extents(tensor, info)), None),
            _ => (None, Some(whole(tensor, info, 64))),
        };
        let groups = groups.into_iter().flatten();
        groups.chain(others.into_iter().flatten())
    }

    /// Clears the bits of what falls in an extent, where that depends on nothing before it: everywhere but under a cut.
    pub fn mask(&self, extent: Extent, values: &Values, kept: &mut [u64]) -> Result<(), FoundNan> {
        match self {
            Verdict::Keep | Verdict::Entries { .. } => Ok(()),
            Verdict::Channels {
                channels,
                kept: stays,
            } => {
                channels.mask(stays, extent, kept);
                Ok(())
            }
            Verdict::Groups(rule) => rule.mask(extent, values, kept),
            Verdict::Blocks { tiles, kept: stays } => {
                tiles.mask(stays, extent, kept);
                Ok(())
            }
        }
    }

    /// Units that there are, of a tensor of so many entries, and units that fell where so many entries fell.
    pub fn units(&self, entries: usize, fell: usize) -> (usize, usize) {
        match self {
            Verdict::Keep | Verdict::Entries { .. } | Verdict::Groups(_) => (entries, fell),
            Verdict::Channels { kept, .. } => (kept.len(), kept.iter().filter(|kept| !**kept).count()),
            Verdict::Blocks { tiles, kept } => (tiles.count(), tiles.count() - count(kept)),
        }
    }
}
