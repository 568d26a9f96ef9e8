//! The channels of a tensor: its slices along one dimension, their norms, and masks without them.

use std::ops::Range;

use num_traits::AsPrimitive;

use super::fold::{Fold, Units};
use super::piece::{Piece, Rows};
use super::read::{Buffer, Entries, PLACES};
use super::{floats::with_wide, nuclear};
use crate::error::{NormError, PatternError, Result};
use crate::mask::bits::{self, BITS};
use crate::mask::parallel::{Threads, vectorized};
use crate::mask::{Mask, Norm, random};

/// The least number of places in a thread's share, so that each run it reads is long enough for the processor to
/// prefetch.
const FEWEST_PLACES: usize = 1024;

/// A tensor seen as channels: entry `(o, c, i)` has row-major index `(o × count + c) × inner + i`. Entries with the
/// same `o` form a slab, and an entry's index in its slab is its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Channels {
    axis: usize,
    outer: usize,
    /// Number of channels. A tensor without entries has none.
    pub(crate) count: usize,
    /// Consecutive entries of a channel.
    pub(crate) inner: usize,
}

impl Channels {
    /// The channels of a tensor of `shape` along `dim`, which may count from the end.
    pub(crate) fn along(dim: isize, shape: &[usize]) -> Result<Self> {
        if shape.len() < 2 {
            return Err(PatternError::NoChannels {
                shape: shape.to_vec(),
            }
            .into());
        }
        let axis = axis(dim, shape)?;
        if shape.contains(&0) {
            // No entries, however long the other dimensions are: there may be more of these than memory has bytes.
            return Ok(Channels {
                axis,
                outer: 0,
                count: 0,
                inner: 0,
            });
        }
        Ok(Channels {
            axis,
            outer: shape[..axis].iter().product(),
            count: shape[axis],
            inner: shape[axis + 1..].iter().product(),
        })
    }

    /// A tensor of this many entries as one channel.
    pub(crate) fn whole(entries: usize) -> Self {
        Channels {
            axis: 0,
            outer: 1,
            count: 1,
            inner: entries,
        }
    }

    /// The dimension that numbers the channels, from 0.
    pub(crate) fn axis(&self) -> usize {
        self.axis
    }

    /// The channel of an entry, and how many consecutive entries from this one on belong to it.
    pub(crate) fn of(&self, entry: usize) -> (usize, usize) {
        (entry / self.inner % self.count, self.inner - entry % self.inner)
    }

    fn slab(&self) -> usize {
        self.count * self.inner
    }

    /// For each channel, whether any of its entries is kept.
    pub(crate) fn remaining(&self, mask: Option<&Mask>) -> Vec<bool> {
        let Some(mask) = mask else {
            return vec![true; self.count];
        };
        let slab = self.slab();
        let mut any = vec![0; slab.div_ceil(BITS)];
        for o in 0..self.outer {
            bits::or_from(&mut any, mask.as_words(), o * slab, slab);
        }
        let channels = (0..self.count).map(|c| c * self.inner..(c + 1) * self.inner);
        channels.map(|places| bits::any_set(&any, places)).collect()
    }

    /// An accumulator of norms, still to be fed. `shape` is that of the tensor.
    pub(crate) fn scorer(self, norm: Norm, shape: &[usize]) -> Result<ChannelScorer> {
        let way = match Fold::of_norm(norm) {
            Some(fold) => Way::Fold {
                fold,
                places: Vec::new(),
                units: Units::new(fold),
            },
            None => Way::Nuclear {
                columns: match (self.axis, shape) {
                    (0 | 1, &[_, _, columns]) | (2, &[_, columns, _]) => columns,
                    _ => {
                        return Err(NormError::NotMatrices {
                            shape: shape.to_vec(),
                        }
                        .into());
                    }
                },
            },
        };
        Ok(ChannelScorer {
            channels: self,
            way,
            scores: Vec::new(),
        })
    }

    /// The norm of each channel of a tensor in memory, in f64. A NaN in a channel makes its norm NaN, under every norm.
    pub(crate) fn norms(&self, entries: &Entries<'_>, scorer: &ChannelScorer) -> Vec<f64> {
        let threads = Threads::of(entries.len());
        let fewest = match self.outer {
            1 => 1,
            _ => FEWEST_PLACES,
        };
        let places = self.slab().div_ceil(threads.tasks()).max(fewest);
        let each = places.div_ceil(self.inner.max(1)).max(1);
        let mut tasks: Vec<_> = (0..self.count).step_by(each).collect();
        let norms = threads.each(&mut tasks, |first| {
            let channels = *first..self.count.min(*first + each);
            let (mut scorer, mut buffer) = (scorer.clone(), Buffer::default());
            for piece in scorer.pieces(channels.clone(), PLACES, usize::MAX) {
                let most = scorer.most(4 * PLACES);
                entries.feed(piece, most, &mut buffer, &mut |rows| scorer.feed(rows));
            }
            scorer.finish(channels.len())
        });
        norms.concat()
    }

    /// Scores of channels that are ranked at random: words of a stream.
    pub(crate) fn random_scores(&self, stream: [u8; 32]) -> Vec<f64> {
        let mut words = Vec::with_capacity(self.count);
        random::append_words(stream, 0, self.count, &mut words);
        words
    }

    /// The channels that remain after the `requested` ones with the lowest scores are pruned. The first of several
    /// ties is pruned first.
    pub(crate) fn select(self, scores: &[f64], remaining: Vec<bool>, requested: usize) -> ChannelSelection {
        let mut order: Vec<usize> = (0..self.count).filter(|&channel| remaining[channel]).collect();
        order.sort_by(|&a, &b| scores[a].total_cmp(&scores[b])); // stable: ties by index
        let mut kept = remaining;
        order[..requested]
            .iter()
            .for_each(|&channel| kept[channel] = false);
        // The bits of a slab, if its channels are so short that clearing them one by one would be slow.
        let slab = (self.outer > 1 && self.inner < BITS).then(|| {
            let mut slab = vec![u64::MAX; self.slab().div_ceil(BITS)];
            for channel in (0..self.count).filter(|&channel| !kept[channel]) {
                bits::clear(&mut slab, channel * self.inner..(channel + 1) * self.inner);
            }
            slab
        });
        ChannelSelection {
            channels: self,
            kept,
            pruned: requested,
            slab,
        }
    }
}

/// Finds the norms of channels.
#[derive(Clone, Debug)]
pub(crate) struct ChannelScorer {
    channels: Channels,
    way: Way,
    scores: Vec<f64>,
}

#[derive(Clone, Debug)]
enum Way {
    Fold {
        fold: Fold,
        /// The sums so far at some places.
        places: Vec<f64>,
        units: Units,
    },
    /// Each channel is a matrix of this many columns.
    Nuclear { columns: usize },
}

impl ChannelScorer {
    /// The parts of some channels, in the order in which they are to be fed. `places` places are summed at once: a
    /// part holds the entries at these places, from as many slabs as have `most` entries, at least one.
    pub(crate) fn pieces(
        &self,
        channels: Range<usize>,
        places: usize,
        most: usize,
    ) -> impl Iterator<Item = Piece> + Clone + Send + use<> {
        let Channels { outer, inner, .. } = self.channels;
        let stride = self.channels.slab();
        let (block, most) = match self.way {
            Way::Fold { .. } if outer == 1 => (most, most),
            Way::Fold { .. } => (places, most),
            // Whole channels, as many as can be read together.
            Way::Nuclear { .. } => ((places / (outer * inner).max(1)).max(1) * inner, usize::MAX),
        };
        let end = if outer == 0 { 0 } else { channels.end * inner };
        (channels.start * inner..end)
            .step_by(block.max(1))
            .flat_map(move |place| {
                let len = block.min(end - place);
                let runs = (most / len).clamp(1, outer);
                (0..outer).step_by(runs).map(move |o| Piece {
                    first: o * stride + place,
                    len,
                    runs: runs.min(outer - o),
                    stride,
                })
            })
    }

    /// How many entries of a piece may be fed at once. What must be seen together is not split.
    fn most(&self, most: usize) -> usize {
        match self.way {
            Way::Fold { .. } => most,
            Way::Nuclear { .. } => usize::MAX,
        }
    }

    /// Takes in the next piece. Never inlined: it is long, and is called from several places.
    #[inline(never)]
    pub(crate) fn feed(&mut self, rows: Rows<'_>) {
        vectorized(
            #[inline(always)]
            || self.add(rows),
        );
    }

    #[inline(always)]
    fn add(&mut self, rows: Rows<'_>) {
        let Channels { outer, inner, .. } = self.channels;
        let scores = &mut self.scores;
        match &mut self.way {
            Way::Fold { fold, units, .. } if outer == 1 => {
                units.entries(rows.values, inner, |sum| scores.push(fold.root(sum)));
            }
            Way::Fold { fold, places, units } => {
                places.resize(rows.piece.len, fold.empty());
                fold.add(places, rows);
                if rows.piece.first / self.channels.slab() + rows.piece.runs == outer {
                    units.places(places, inner, |sum| scores.push(fold.root(sum)));
                    places.fill(fold.empty());
                }
            }
            Way::Nuclear { columns } => {
                for channel in 0..rows.piece.len / inner {
                    let mut matrix = Vec::with_capacity(outer * inner);
                    for run in 0..outer {
                        let start = run * rows.stride + channel * inner;
                        with_wide!(rows.values, values => {
                            matrix.extend(values[start..start + inner].iter().map(|x| AsPrimitive::<f64>::as_(*x)))
                        });
                    }
                    scores.push(nuclear::norm(matrix, outer * inner / *columns, *columns));
                }
            }
        }
    }

    /// The norms of this many channels, once all of their pieces have been fed.
    pub(crate) fn finish(mut self, channels: usize) -> Vec<f64> {
        let empty = match self.way {
            Way::Fold { fold, .. } => fold.empty(),
            Way::Nuclear { .. } => 0.0,
        };
        self.scores.resize(channels, empty); // if there are no entries
        self.scores
    }
}

/// Which channels are kept.
#[derive(Clone, Debug)]
pub(crate) struct ChannelSelection {
    channels: Channels,
    kept: Vec<bool>,
    /// Channels that are pruned now and were not before.
    pruned: usize,
    slab: Option<Vec<u64>>,
}

impl ChannelSelection {
    /// Number of channels.
    pub(crate) fn count(&self) -> usize {
        self.channels.count
    }

    /// Number of channels that are pruned now and were not before.
    pub(crate) fn pruned(&self) -> usize {
        self.pruned
    }

    /// Clears the bits of pruned entries, of which the first bit is that of entry `first`.
    pub(crate) fn apply(&self, first: usize, len: usize, words: &mut [u64]) {
        let slab = self.channels.slab();
        let mut entry = 0;
        while entry < len {
            let place = (first + entry) % slab.max(1);
            let end = match &self.slab {
                Some(kept) => {
                    let end = len.min(entry + slab - place);
                    bits::and_at(words, entry, end - entry, kept, place);
                    end
                }
                None => {
                    let (channel, run) = self.channels.of(place);
                    let end = len.min(entry + run);
                    if !self.kept[channel] {
                        bits::clear(words, entry..end);
                    }
                    end
                }
            };
            entry = end;
        }
    }
}

/// The dimension that `dim` means. A negative value counts from the end.
pub(super) fn axis(dim: isize, shape: &[usize]) -> Result<usize> {
    let axis = if dim < 0 {
        dim.checked_add_unsigned(shape.len())
    } else {
        Some(dim)
    };
    axis.and_then(|axis| usize::try_from(axis).ok())
        .filter(|&axis| axis < shape.len())
        .ok_or_else(|| {
            PatternError::DimOutOfRange {
                dim,
                shape: shape.to_vec(),
            }
            .into()
        })
}

/// The Euclidean norm of all entries of a tensor.
pub(crate) fn euclidean_norm(entries: &Entries<'_>) -> f64 {
    let channel = Channels::whole(entries.len());
    let scorer = channel.scorer(Norm::L2, &[]).expect("every tensor has this norm");
    channel.norms(entries, &scorer)[0]
}
