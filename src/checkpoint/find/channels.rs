//! Channels, ranked by norms that are added up while they stream by.
//!
//! The order of additions is that of the mask layer (S5), so that a file gets the masks of the array in it: entries
//! that differ only in the dimensions before the channel's are added first, in row-major order; the sums so found are
//! added in lanes.

use ndarray::{ArrayView, IxDyn};

use super::Verdict;
use super::ranks::draw;
use crate::checkpoint::Checkpoint;
use crate::checkpoint::extent::{CHUNK, Extent};
use crate::checkpoint::values::{Float, Values, with_floats};
use crate::checkpoint::work::Phase;
use crate::error::{Error, PatternError, Result};
use crate::mask::bits::clear;
use crate::mask::lanes::{Lanes, largest, smallest, sum};
use crate::mask::norm::Kind;
use crate::mask::{Amount, ChannelRank, Norm, Plan, random};

/// Partial sums that are held at once.
const PLACES: usize = CHUNK / size_of::<f64>();

/// A tensor of a checkpoint as channels: entry `(o, c, i)` has row-major index `(o × count + c) × inner + i`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::checkpoint) struct Channels {
    outer: usize,
    pub count: usize,
    pub inner: usize,
}

impl Channels {
    pub fn along(dim: isize, shape: &[usize]) -> Result<Self> {
        if shape.len() < 2 {
            return Err(Error::Pattern(PatternError::NoChannels {
                shape: shape.to_vec(),
            }));
        }
        let rank = shape.len() as isize;
        if !(-rank..rank).contains(&dim) {
            return Err(Error::Pattern(PatternError::DimOutOfRange {
                dim,
                shape: shape.to_vec(),
            }));
        }
        let axis = dim.rem_euclid(rank) as usize;
        Ok(Channels {
            outer: shape[..axis].iter().product(),
            count: shape[axis],
            inner: shape[axis + 1..].iter().product(),
        })
    }

    /// The channel of an entry, and how many entries from this one on are in a row in it.
    pub fn of(&self, entry: usize) -> (usize, usize) {
        (entry / self.inner % self.count, self.inner - entry % self.inner)
    }

    fn slab(&self) -> usize {
        self.count * self.inner
    }

    /// Clears the bits of what falls in an extent.
    pub fn mask(&self, stays: &[bool], extent: Extent, kept: &mut [u64]) {
        let mut entry = 0;
        while entry < extent.len {
            let (channel, run) = self.of(extent.first + entry);
            let end = extent.len.min(entry + run);
            if !stays[channel] {
                clear(kept, entry..end);
            }
            entry = end;
        }
    }

    /// The entries in the order in which they are added: block by block of places, and of each block slab by slab.
    /// Short slabs are read several at once.
    fn extents(self, tensor: usize) -> impl Iterator<Item = Extent> + Clone + Send {
        let slab = self.slab();
        let several = (PLACES / slab.max(1)).max(1);
        let block = PLACES.min(slab.max(1));
        (0..slab).step_by(block).flat_map(move |place| {
            (0..self.outer).step_by(several).map(move |o| {
                // Where several slabs are read at once, a block is a whole slab.
                let len = block.min(slab - place) * several.min(self.outer - o);
                Extent::run(tensor, o * slab + place, len)
            })
        })
    }
}

/// How entries are mapped and joined: `(Σ |x|ⁿ)^(1/n)` and its limits.
#[derive(Clone, Copy, Debug)]
enum Fold {
    Largest,
    Smallest,
    NotZero,
    Sum,
    Squares,
    Powers(f64),
}

impl Fold {
    /// `None` for the nuclear norm, which is no fold.
    fn of(norm: Norm) -> Option<Fold> {
        Some(match norm.kind() {
            Kind::Nuclear => return None,
            Kind::Frobenius => Fold::Squares,
            Kind::Order(f64::INFINITY) => Fold::Largest,
            Kind::Order(f64::NEG_INFINITY) => Fold::Smallest,
            Kind::Order(0.0) => Fold::NotZero,
            Kind::Order(1.0) => Fold::Sum,
            Kind::Order(2.0) => Fold::Squares,
            Kind::Order(n) => Fold::Powers(n),
        })
    }

    fn empty(self) -> f64 {
        match self {
            Fold::Smallest => f64::INFINITY,
            _ => 0.0,
        }
    }

    fn join(self) -> fn(f64, f64) -> f64 {
        match self {
            Fold::Largest => largest,
            Fold::Smallest => smallest,
            _ => sum,
        }
    }

    fn root(self, sum: f64) -> f64 {
        match self {
            Fold::Squares => sum.sqrt(),
            Fold::Powers(n) => libm::pow(sum, 1.0 / n),
            _ => sum,
        }
    }

    /// Joins entries onto partial results, each onto the one of its place.
    fn add<T: Float>(self, places: &mut [f64], values: &[T]) {
        // A match outside of the loops: each fold gets loops of its own.
        let run = |places: &mut [f64], step: &dyn Fn(&mut [f64], &[T])| {
            for slab in values.chunks_exact(places.len()) {
                step(places, slab);
            }
        };
        macro_rules! each {
            (|$a:ident, $x:ident| $joined:expr) => {
                run(places, &|places, slab| {
                    for ($a, x) in places.iter_mut().zip(slab) {
                        let $x: f64 = x.as_();
                        *$a = $joined;
                    }
                })
            };
        }
        let join = self.join();
        match self {
            Fold::Largest | Fold::Smallest => each!(|a, x| join(*a, x.abs())),
            Fold::NotZero => each!(|a, x| *a + if x.is_nan() { x } else { f64::from(x != 0.0) }),
            Fold::Sum => each!(|a, x| *a + x.abs()),
            Fold::Squares => each!(|a, x| *a + x * x),
            Fold::Powers(n) => each!(|a, x| *a + libm::pow(x.abs(), n)),
        }
    }
}

/// Sums of places become norms, channel by channel.
struct Norms {
    fold: Fold,
    inner: usize,
    lanes: Lanes,
    /// Places of the current channel that are folded in already.
    folded: usize,
    norms: Vec<f64>,
}

impl Checkpoint {
    /// The channels of a tensor that fall, and how many.
    pub(super) fn channels(
        &self,
        place: usize,
        tensor: usize,
        amount: Amount,
        dim: isize,
        by: ChannelRank,
    ) -> Result<(Verdict, usize)> {
        let info = &self.tensors()[tensor];
        let channels = Channels::along(dim, info.shape())?;
        let left = if info.entries() == 0 { 0 } else { channels.count }; // one without entries is wholly pruned
        let asked = amount.units(left, channels.count)?;
        let ranks = match by {
            ChannelRank::Norm(norm) => match self.channel_norms(tensor, channels, norm)? {
                Some(norms) if norms.iter().any(|norm| norm.is_nan()) => {
                    return Err(self.first_nan(tensor)?);
                }
                Some(norms) => norms,
                None => {
                    let kept = self.channels_in_memory(tensor, channels, amount, dim, norm)?;
                    return Ok((Verdict::Channels { channels, kept }, asked));
                }
            },
            ChannelRank::Random { seed } => {
                let mut ranks = Vec::new();
                draw(
                    random::stream_key(seed, place as u64, 0),
                    0,
                    channels.count,
                    &mut ranks,
                );
                ranks
            }
        };
        let mut order: Vec<usize> = (0..channels.count).collect();
        order.sort_by(|&a, &b| ranks[a].total_cmp(&ranks[b])); // stable: ties by number
        let mut kept = vec![true; channels.count];
        order[..asked].iter().for_each(|&channel| kept[channel] = false);
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
        let mut whole = Values::default();
        self.read_extent(Extent::run(tensor, 0, info.entries()), &mut whole)?;
        let mask = with_floats!(&whole, values => {
            let array = ArrayView::from_shape(IxDyn(info.shape()), values).expect("as many entries as the shape");
            plan.compute(array, None)?.mask
        }, raw => unreachable!("only floats are pruned"));
        let mut kept = vec![true; channels.count];
        for (entry, bit) in mask.iter().enumerate().filter(|(_, bit)| !bit) {
            kept[channels.of(entry).0] = bit;
        }
        Ok(kept)
    }

    /// The norm of each channel of a tensor, in constant memory but for the norms themselves.
    /// `None` for the nuclear norm, which has to see whole matrices.
    fn channel_norms(&self, tensor: usize, channels: Channels, norm: Norm) -> Result<Option<Vec<f64>>> {
        let Some(fold) = Fold::of(norm) else {
            return Ok(None);
        };
        let empty = fold.empty();
        let mut norms = Norms {
            fold,
            inner: channels.inner,
            lanes: Lanes::new(empty),
            folded: 0,
            norms: Vec::with_capacity(channels.count),
        };
        if channels.outer * channels.slab() == 0 {
            return Ok(Some(vec![empty; channels.count]));
        }
        let slab = channels.slab();
        let mut places = vec![empty; PLACES.min(slab)];
        self.look(Phase::Ranking, channels.extents(tensor), |extent, values| {
            let width = places.len().min(slab - extent.first % slab);
            let (block, last) = (
                &mut places[..width],
                extent.first / slab + extent.len / width == channels.outer,
            );
            with_floats!(values, values => fold.add(block, values), raw => {});
            if last {
                norms.take(block);
                block.fill(empty);
            }
            Ok(())
        })?;
        Ok(Some(norms.norms))
    }
}

impl Norms {
    /// Folds in the next places, which may end or begin in the middle of a channel.
    fn take(&mut self, mut places: &[f64]) {
        let join = self.fold.join();
        while !places.is_empty() {
            let (now, rest) = places.split_at(places.len().min(self.inner - self.folded));
            self.lanes.fold(now, |x| x, join);
            self.folded += now.len();
            places = rest;
            if self.folded == self.inner {
                self.norms.push(self.fold.root(self.lanes.join(join)));
                (self.lanes, self.folded) = (Lanes::new(self.fold.empty()), 0);
            }
        }
    }
}
