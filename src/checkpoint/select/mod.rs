//! The first half of pruning: what is pruned, found by reading, and held in next to no memory.
//!
//! How units are scored and chosen is the business of the mask layer; here its patterns are fed from a file.

mod bytes_to_read;
mod entries;

use super::stream::chunk::{CHUNK_BYTES, entries_per_chunk, whole};
use super::stream::values::{Float, Values, with_floats};
use super::stream::{Chunk, Phase};
use super::{Checkpoint, Scope, Unit};
use crate::error::{CheckpointError, Error, MaskError, Result};
use crate::mask::patterns::blocks::{BlockSelection, Blocks};
use crate::mask::patterns::channels::ChannelSelection;
use crate::mask::patterns::entries::EntrySelection;
use crate::mask::patterns::groups::{FoundNan, Groups};
use crate::mask::patterns::piece::Rows;
use crate::mask::patterns::{Floats, Piece};
use crate::mask::select::Order;
use crate::mask::{Amount, BlockRank, ChannelRank, EntryRank, GlobalOptions, Mask, Plan, random};

pub(super) use entries::{Goal, Listed, ranked};

pub(super) use crate::mask::patterns::channels::Channels;

/// Partial sums that are held at once.
const PLACES: usize = CHUNK_BYTES / size_of::<f64>();

/// Fewer consecutive entries than these are not worth a read of their own.
const SHORTEST_RUN: usize = 64;

/// What is pruned of one tensor: a rule that yields its mask chunk by chunk.
#[derive(Clone, Debug)]
pub(super) enum Selection {
    /// Nothing.
    Keep,
    /// The entries under a cut.
    Entries(EntrySelection),
    /// The channels that are not kept.
    Channels(ChannelSelection),
    /// All but the highest entries of each group. Each group is for itself, so nothing has to be found beforehand.
    Groups {
        groups: Groups,
        by: EntryRank,
        /// The random stream of the tensor.
        stream: [u8; 32],
    },
    /// The blocks that are not kept.
    Blocks(BlockSelection),
}

/// What is pruned of all tensors.
#[derive(Clone, Debug)]
pub(super) struct Selections {
    /// By tensor, in the order in which they are ranked.
    pub each: Vec<Selection>,
    /// Units that were requested of each tensor, or of all together.
    pub requested: Requested,
    /// What was requested.
    pub unit: Unit,
}

#[derive(Clone, Debug)]
pub(super) enum Requested {
    Each(Vec<usize>),
    /// There is one cut for all: ties are pruned in the first tensors first.
    Together(usize),
    /// Of each of some of the tensors that are ranked together, of which others are elsewhere; and how many ties with the
    /// cut are pruned in all tensors before it.
    Share {
        requested: Vec<usize>,
        ties_before: Vec<usize>,
    },
}

impl Checkpoint {
    /// Finds what is pruned of these tensors, which are given by number and in the order of their names. `zeros` says how
    /// many entries of each rank lowest and count as pruned before.
    pub(super) fn select(
        &self,
        tensors: &[usize],
        zeros: &[usize],
        plan: &Plan<'_>,
        scope: Scope,
        options: &GlobalOptions<'_>,
    ) -> Result<Selections> {
        if let (Plan::Entries { amount, by }, Scope::Global) = (*plan, scope) {
            return self.entries_together(tensors, zeros.iter().sum(), amount, by, options);
        }
        let unit = match plan {
            Plan::Channels { .. } => Unit::Channels,
            Plan::Blocks { .. } => Unit::Blocks,
            _ => Unit::Entries,
        };
        let found = tensors.iter().enumerate().map(|(place, &tensor)| {
            let found = match *plan {
                Plan::Nothing => Ok((Selection::Keep, 0)),
                Plan::Entries { amount, by } => self.entries_of(tensors, place, zeros[place], amount, by),
                Plan::Channels { amount, dim, by } => self.channels(place, tensor, amount, dim, by),
                Plan::Groups { keep, of, dim, by } => {
                    let seed = match by {
                        EntryRank::Random { seed } => seed,
                        EntryRank::Magnitude | EntryRank::Value => 0,
                    };
                    let groups = Groups::along(dim, self.tensors()[tensor].shape(), keep, of);
                    groups.map(|groups| {
                        let selection = Selection::Groups {
                            groups,
                            by,
                            stream: random::stream_key(seed, place as u64, 0),
                        };
                        (selection, groups.requested())
                    })
                }
                Plan::Blocks {
                    amount,
                    height,
                    width,
                    by,
                } => self.blocks(tensor, amount, (height, width), by),
                Plan::Mask(_) => Err(Error::Mask(MaskError::Unsupported {
                    method: format!("{plan:?}"),
                    reason: "the tensors of a checkpoint are pruned by entries, channels, groups or blocks",
                })),
            };
            found.map_err(|error| error.at(self.tensors()[tensor].name()))
        });
        let (each, requested) = found.collect::<Result<Vec<_>>>()?.into_iter().unzip();
        Ok(Selections {
            each,
            requested: Requested::Each(requested),
            unit,
        })
    }

    /// The channels of a tensor that are pruned, and how many.
    fn channels(
        &self,
        place: usize,
        tensor: usize,
        amount: Amount,
        dim: isize,
        by: ChannelRank,
    ) -> Result<(Selection, usize)> {
        let shape = self.tensors()[tensor].shape();
        let channels = Channels::along(dim, shape)?;
        let remaining = channels.remaining(None);
        let left = remaining.iter().filter(|remains| **remains).count();
        let requested = amount.units(left, channels.count)?;
        let scores = match by {
            ChannelRank::Norm(norm) => {
                let mut scorer = channels.scorer(norm, shape)?;
                let pieces = scorer.pieces(0..channels.count, PLACES, PLACES);
                self.feed(tensor, pieces, |rows| scorer.feed(rows))?;
                self.without_nan(tensor, scorer.finish(channels.count))?
            }
            ChannelRank::Random { seed } => channels.random_scores(random::stream_key(seed, place as u64, 0)),
        };
        let selection = channels.select(&scores, remaining, requested);
        Ok((Selection::Channels(selection), requested))
    }

    /// The blocks of a tensor that are pruned, and how many.
    fn blocks(
        &self,
        tensor: usize,
        amount: Amount,
        (height, width): (usize, usize),
        by: BlockRank,
    ) -> Result<(Selection, usize)> {
        let blocks = Blocks::of(self.tensors()[tensor].shape(), height, width)?;
        let requested = amount.units(blocks.count(), blocks.count())?;
        let mut scorer = blocks.scorer(by);
        let pieces = blocks.pieces(blocks.bands(), PLACES, PLACES);
        self.feed(tensor, pieces, |rows| scorer.feed(rows))?;
        let scores = self.without_nan(tensor, scorer.finish())?;
        let selection = blocks.select(&scores, &Mask::ones(&[blocks.count()]), requested);
        Ok((Selection::Blocks(selection), requested))
    }

    /// Reads the pieces of a tensor, and feeds them one after the other.
    fn feed(
        &self,
        tensor: usize,
        pieces: impl Iterator<Item = Piece> + Clone + Send,
        mut feed: impl FnMut(Rows<'_>) + Send,
    ) -> Result<()> {
        let mut wide = Vec::new();
        let mut in_order = pieces.clone();
        let chunks = pieces.map(|piece| Chunk::of(tensor, piece.joined()));
        self.for_each_chunk(Phase::Ranking, chunks, |_, values| {
            if let Some(piece) = in_order.next() {
                feed(Rows::packed(piece, floats(values).widen(&mut wide)));
            }
            Ok(())
        })
    }

    /// The scores of a tensor's units, unless one is NaN.
    fn without_nan(&self, tensor: usize, scores: Vec<f64>) -> Result<Vec<f64>> {
        if scores.iter().any(|score| score.is_nan()) {
            return Err(self.first_nan(tensor)?);
        }
        Ok(scores)
    }

    /// Names the first NaN of a tensor that has one.
    pub(super) fn first_nan(&self, tensor: usize) -> Result<Error> {
        let info = &self.tensors()[tensor];
        let mut first = None;
        self.for_each_chunk(Phase::Ranking, whole(tensor, info, 64), |chunk, values| {
            if first.is_none() {
                let at = with_floats!(values, values => values.iter().position(Float::is_not_a_number), raw => None);
                first = at.map(|at| chunk.first + at);
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

/// The entries of a chunk that was read.
fn floats(values: &Values) -> Floats<'_> {
    match values {
        Values::F16(values) => Floats::F16(values),
        Values::BF16(values) => Floats::BF16(values),
        Values::F32(values) => Floats::F32(values),
        Values::F64(values) => Floats::F64(values),
        Values::Raw(_) => Floats::F32(&[]), // not read, as nothing depends on it
    }
}

impl Selection {
    /// The parts of the tensor, each of which can be masked when what comes before it has been.
    pub fn chunks(
        &self,
        checkpoint: &Checkpoint,
        tensor: usize,
    ) -> impl Iterator<Item = Chunk> + Clone + Send + use<> {
        let info = &checkpoint.tensors()[tensor];
        let (groups, others) = match self {
            Selection::Groups { groups, .. } => {
                (Some(groups.pieces(entries_per_chunk(info), SHORTEST_RUN)), None)
            }
            _ => (None, Some(whole(tensor, info, 64))),
        };
        let groups = groups.into_iter().flatten();
        let groups = groups.map(move |piece| Chunk::of(tensor, piece));
        groups.chain(others.into_iter().flatten())
    }

    /// Clears the bits of what is pruned of a chunk, where that depends on nothing before it: everywhere but under a
    /// cut.
    pub fn mask(&self, chunk: Chunk, values: &Values, kept: &mut [u64]) -> Result<(), FoundNan> {
        match self {
            Selection::Keep | Selection::Entries(_) => {}
            Selection::Channels(selection) => selection.apply(chunk.first, chunk.entries(), kept),
            Selection::Blocks(selection) => selection.apply(chunk.first, chunk.entries(), kept),
            Selection::Groups { groups, by, stream } => {
                let order = match by {
                    EntryRank::Magnitude => Order::Magnitude,
                    EntryRank::Value => Order::Value,
                    EntryRank::Random { .. } => {
                        return groups.prune_at_random(chunk.piece(), *stream, kept);
                    }
                };
                let mut wide = Vec::new();
                let rows = Rows::packed(chunk.piece(), floats(values).widen(&mut wide));
                groups.prune(rows, order, kept)?;
            }
        }
        Ok(())
    }

    /// The number of units of a tensor with `entries` entries, and how many of them are pruned.
    pub fn units(&self, entries: usize, pruned: usize) -> (usize, usize) {
        match self {
            Selection::Keep | Selection::Entries(_) | Selection::Groups { .. } => (entries, pruned),
            Selection::Channels(selection) => (selection.count(), selection.pruned()),
            Selection::Blocks(selection) => (selection.count(), selection.pruned()),
        }
    }
}
