//! The first half of pruning: what falls, found by reading, and held in next to no memory.

use ndarray::{ArrayView, IxDyn};

use super::extent::{Extent, whole};
use super::flow::CHUNK;
use super::lots::{Lots, stream_key};
use super::norms::Channels;
use super::values::{Float, Values, with_floats};
use super::work::{Phase, Progress};
use super::{Checkpoint, Scope};
use crate::error::{Error, Result};
use crate::mask::select::{Cut, CutFinder, Order, SelectError};
use crate::mask::{Amount, ChannelRank, EntryRank, Norm, Plan};

/// What falls in one tensor: a rule that yields its mask chunk by chunk.
#[derive(Clone, Debug)]
pub(super) enum Verdict {
    /// Nothing.
    Keep,
    /// The entries under a cut.
    Entries { cut: Cut, of: Ranks },
    /// The channels that are not kept.
    Channels { channels: Channels, kept: Vec<bool> },
}

/// What a cut is a cut of.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ranks {
    /// The entries themselves.
    Values,
    /// The random stream of this key.
    Lots([u8; 32]),
}

/// What falls in all tensors.
#[derive(Clone, Debug)]
pub(super) struct Verdicts {
    /// By tensor, in the order in which they are ranked.
    pub each: Vec<Verdict>,
    /// Units that each tensor was asked for, or all together.
    pub asked: Asked,
}

#[derive(Clone, Debug)]
pub(super) enum Asked {
    Each(Vec<usize>),
    /// There is one cut for all: what equals it falls in the first tensors first.
    Together(usize),
}

impl Checkpoint {
    /// Finds what falls in these tensors, which are given by number and in the order of their names.
    pub(super) fn find(&self, tensors: &[usize], plan: &Plan<'_>, scope: Scope) -> Result<Verdicts> {
        let unsupported = |reason| Error::Unsupported {
            method: format!("{plan:?}"),
            reason,
        };
        match (*plan, scope) {
            (Plan::Nothing, _) => locally(tensors, |_, _| Ok((Verdict::Keep, 0))),
            (Plan::Entries { amount, by }, Scope::Local) => locally(tensors, |place, tensor| {
                let (asked, cut) = self
                    .cut(&[(place, tensor)], amount, by)
                    .map_err(|error| error.at(self.tensors()[tensor].name()))?;
                let of = Ranks::of(by, place);
                Ok((Verdict::Entries { cut, of }, asked))
            }),
            (Plan::Entries { amount, by }, Scope::Global) => {
                let placed: Vec<_> = tensors.iter().copied().enumerate().collect();
                let (asked, cut) = self.cut(&placed, amount, by)?;
                let each = (0..tensors.len()).map(|place| Verdict::Entries {
                    cut,
                    of: Ranks::of(by, place),
                });
                Ok(Verdicts {
                    each: each.collect(),
                    asked: Asked::Together(asked),
                })
            }
            (Plan::Channels { amount, dim, by }, Scope::Local) => locally(tensors, |place, tensor| {
                self.channels(place, tensor, amount, dim, by)
                    .map_err(|error| error.at(self.tensors()[tensor].name()))
            }),
            (Plan::Channels { .. }, Scope::Global) => Err(unsupported(
                "global pruning ranks single entries, so only unstructured methods can",
            )),
            _ => Err(unsupported(
                "the tensors of a checkpoint fall by entries or by channels",
            )),
        }
    }

    /// The cut that an amount of the entries of these tensors falls under, and how many that is.
    fn cut(&self, placed: &[(usize, usize)], amount: Amount, by: EntryRank) -> Result<(usize, Cut)> {
        let all: usize = placed
            .iter()
            .map(|&(_, tensor)| self.tensors()[tensor].entries())
            .sum();
        let asked = amount.units(all, all)?; // nothing is masked in a file (S3)
        let order = match by {
            EntryRank::Magnitude => Order::Magnitude,
            _ => Order::Value,
        };
        let mut finder = CutFinder::new(asked, order);
        loop {
            match by {
                EntryRank::Random { seed } => self.feed_lots(&mut finder, placed, seed)?,
                _ => self.feed(&mut finder, placed)?,
            }
            match finder.end_pass() {
                Ok(Some(cut)) => return Ok((asked, cut)),
                Ok(None) => {}
                Err(error) => return Err(self.select_error(error, placed[0].1, 0)),
            }
        }
    }

    /// Shows all entries to a finder, once.
    fn feed(&self, finder: &mut CutFinder, placed: &[(usize, usize)]) -> Result<()> {
        let extents = placed
            .iter()
            .flat_map(|&(_, tensor)| whole(tensor, &self.tensors()[tensor], 64));
        self.look(Phase::Ranking, extents, |extent, values| {
            with_floats!(values, values => finder.feed(values, None), raw => Ok(()))
                .map_err(|error| self.select_error(error, extent.tensor, extent.first))
        })
    }

    /// Shows the random ranks of all entries to a finder, once.
    fn feed_lots(&self, finder: &mut CutFinder, placed: &[(usize, usize)], seed: u64) -> Result<()> {
        const STEP: usize = CHUNK / size_of::<f64>();
        let total = placed.iter().map(|&(_, tensor)| self.tensors()[tensor].bytes());
        let total = total.sum();
        let (mut ranks, mut done) = (Vec::new(), 0);
        for &(place, tensor) in placed {
            let mut lots = Lots::new(stream_key(seed, place));
            for extent in whole(tensor, &self.tensors()[tensor], STEP) {
                lots.ranks(extent.len, &mut ranks);
                finder
                    .feed(&ranks, None)
                    .map_err(|error| self.select_error(error, tensor, extent.first))?;
                done += self.bytes_of(extent);
                self.work.tell(Progress {
                    phase: Phase::Ranking,
                    done,
                    total,
                });
            }
        }
        Ok(())
    }

    /// What a selection stumbled over in the chunk of a tensor that begins at entry `first`.
    fn select_error(&self, error: SelectError, tensor: usize, first: usize) -> Error {
        let info = &self.tensors()[tensor];
        match error {
            SelectError::Nan { index, .. } => Error::NanScore {
                parameter: Some(info.name().to_owned()),
                index: first + index,
            },
            SelectError::TooMany { asked, left } => Error::AmountTooLarge { asked, left },
            // No prior masks are given; so it is the file that was not the same twice.
            SelectError::PriorLength { .. } | SelectError::StreamChanged => Error::ChangedMeanwhile {
                path: self.shards()[info.shard].path().to_owned(),
            },
        }
    }

    /// The channels of a tensor that fall, and how many.
    fn channels(
        &self,
        place: usize,
        tensor: usize,
        amount: Amount,
        dim: isize,
        by: ChannelRank,
    ) -> Result<(Verdict, usize)> {
        let info = &self.tensors()[tensor];
        let channels = Channels::along(dim, info.shape())?;
        let asked = amount.units(channels.count, channels.count)?;
        let mut order: Vec<usize> = (0..channels.count).collect();
        match by {
            ChannelRank::Norm(norm) => match self.channel_norms(tensor, channels, norm)? {
                Some(norms) => {
                    if norms.iter().any(|norm| norm.is_nan()) {
                        return Err(self.first_nan(tensor)?);
                    }
                    order.sort_by(|&a, &b| norms[a].total_cmp(&norms[b])); // stable: ties by number
                }
                None => {
                    let kept = self.channels_in_memory(tensor, channels, amount, dim, norm)?;
                    return Ok((Verdict::Channels { channels, kept }, asked));
                }
            },
            ChannelRank::Random { seed } => {
                let mut ranks = Vec::new();
                Lots::new(stream_key(seed, place)).ranks(channels.count, &mut ranks);
                order.sort_by(|&a, &b| ranks[a].total_cmp(&ranks[b]));
            }
        }
        let mut kept = vec![true; channels.count];
        for channel in &order[..asked] {
            kept[*channel] = false;
        }
        Ok((Verdict::Channels { channels, kept }, asked))
    }

    /// The channels that the mask layer keeps of a tensor that is loaded whole.
    fn channels_in_memory(
        &self,
        tensor: usize,
        channels: Channels,
        amount: Amount,
        dim: isize,
        norm: Norm,
    ) -> Result<Vec<bool>> {
        let info = &self.tensors()[tensor];
        let plan = Plan::Channels {
            amount,
            dim,
            by: ChannelRank::Norm(norm),
        };
        let all = Extent {
            tensor,
            first: 0,
            len: info.entries(),
        };
        let mut values = Values::default();
        self.read_extent(all, &mut Vec::new(), &mut values)?;
        let mask = with_floats!(&values, values => {
            let array = ArrayView::from_shape(IxDyn(info.shape()), values).expect("as many entries as the shape");
            plan.compute(array, None)?.mask
        }, raw => unreachable!("only floats are pruned"));
        let mut kept = vec![true; channels.count];
        for (entry, bit) in mask.iter().enumerate().filter(|(_, bit)| !bit) {
            kept[channels.of(entry).0] = bit;
        }
        Ok(kept)
    }

    /// Names the first NaN of a tensor that has one.
    fn first_nan(&self, tensor: usize) -> Result<Error> {
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
            Some(index) => Error::NanScore {
                parameter: Some(info.name().to_owned()),
                index,
            },
            None => Error::ChangedMeanwhile {
                path: self.shards()[info.shard].path().to_owned(),
            },
        })
    }
}

impl Ranks {
    fn of(by: EntryRank, place: usize) -> Self {
        match by {
            EntryRank::Random { seed } => Ranks::Lots(stream_key(seed, place)),
            EntryRank::Magnitude | EntryRank::Value => Ranks::Values,
        }
    }
}

/// Finds what falls in each tensor alone; `find` is given its place in the list and its number.
fn locally(tensors: &[usize], find: impl Fn(usize, usize) -> Result<(Verdict, usize)>) -> Result<Verdicts> {
    let found = tensors
        .iter()
        .enumerate()
        .map(|(place, tensor)| find(place, *tensor));
    let (each, asked) = found.collect::<Result<Vec<_>>>()?.into_iter().unzip();
    Ok(Verdicts {
        each,
        asked: Asked::Each(asked),
    })
}
