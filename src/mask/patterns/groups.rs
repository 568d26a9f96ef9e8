//! The groups of a tensor: each m consecutive entries along one dimension, of which n are kept.

use super::Wide;
use super::channels::axis;
use super::floats::with_wide;
use super::piece::{Piece, Rows};
use super::read::{Buffer, Entries};
use crate::error::{PatternError, Result};
use crate::mask::bits::BITS;
use crate::mask::parallel::{Threads, vectorized};
use crate::mask::random;
use crate::mask::select::{Element, Key, Order};

/// Number of groups that are processed side by side.
const LANES: usize = 64;

/// Groups larger than this are sorted. In smaller ones every entry is compared with every other, which needs no
/// branches.
const COMPARED: usize = 16;

/// Entries that a thread processes at a time, about.
const PART: usize = 1 << 15;

/// A tensor seen as groups. Group `g` has as its entries `j = 0, 1, …` those of row-major index
/// `(g / inner × of + j) × inner + g mod inner`, so that the groups numbered from `g / inner × inner` on fill a slab
/// of `of × inner` entries that lie one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Groups {
    keep: usize,
    of: usize,
    inner: usize,
    entries: usize,
}

/// A NaN among the entries that remain, so that they cannot be ranked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct FoundNan;

impl Groups {
    /// The groups of `of` entries along `dim`, which may count from the end, of a tensor of `shape`.
    pub(crate) fn along(dim: isize, shape: &[usize], keep: usize, of: usize) -> Result<Self> {
        check(keep, of)?;
        let axis = axis(dim, shape)?;
        if !shape[axis].is_multiple_of(of) {
            return Err(PatternError::Indivisible {
                dim,
                shape: shape.to_vec(),
                of,
            }
            .into());
        }
        let entries = shape.iter().product();
        Ok(Groups {
            keep,
            of,
            inner: if entries == 0 {
                0
            } else {
                shape[axis + 1..].iter().product()
            },
            entries,
        })
    }

    /// How many entries the pattern prunes of a tensor of which nothing is pruned yet.
    pub(crate) fn requested(&self) -> usize {
        self.entries / self.of * (self.of - self.keep)
    }

    /// The length of a slab, the number of entries after which new groups begin.
    fn slab(&self) -> usize {
        self.of * self.inner
    }

    /// The tensor in parts of whole groups, of about `most` entries each. A part is several consecutive slabs. If a
    /// slab is too long, a part is several neighbouring groups of it: one run for each entry of a group, of at least
    /// `fewest` entries.
    pub(crate) fn pieces(self, most: usize, fewest: usize) -> impl Iterator<Item = Piece> + Clone + Send {
        let Groups {
            of, inner, entries, ..
        } = self;
        let slab = self.slab().max(1);
        let width = (most / of).max(fewest).clamp(1, inner.max(1));
        let (step, runs) = if width == inner {
            ((most / slab).max(1) * slab, 1)
        } else {
            (slab, of)
        };
        (0..entries).step_by(step).flat_map(move |first| {
            let (end, width) = match runs {
                1 => (step.min(entries - first), step),
                _ => (inner, width),
            };
            (0..end).step_by(width).map(move |column| Piece {
                first: first + column,
                len: width.min(end - column),
                runs,
                stride: inner,
            })
        })
    }

    /// Prunes a piece, whose packed mask so far is `words`: in each group the lowest-ranked entries, ties by index,
    /// until only as many remain as the pattern keeps. Entries pruned before count as pruned.
    pub(crate) fn prune(&self, rows: Rows<'_>, order: Order, words: &mut [u64]) -> Result<(), FoundNan> {
        debug_assert_eq!(rows.stride, rows.piece.len, "runs follow each other");
        // The piece by itself is also a tensor of groups.
        let inner = if rows.piece.runs == 1 {
            self.inner
        } else {
            rows.piece.len
        };
        let groups = Groups { inner, ..*self };
        vectorized(
            #[inline(always)]
            || {
                with_wide!(rows.values, values => match order {
                    Order::Magnitude => groups.prune_by(values, Key::magnitude, words),
                    Order::Value => groups.prune_by(values, Key::value, words),
                })
            },
        )
    }

    /// Prunes a tensor in memory, whose packed mask so far is `words`.
    pub(crate) fn prune_all(
        &self,
        entries: &Entries<'_>,
        order: Order,
        words: &mut [u64],
    ) -> Result<(), FoundNan> {
        self.each_part(words, |piece, words| {
            let mut done = Ok(());
            entries.feed(piece, usize::MAX, &mut Buffer::default(), &mut |rows| {
                done = self.prune(rows, order, words);
            });
            done
        })
    }

    /// Prunes a tensor at random, by the words of a stream.
    pub(crate) fn prune_all_at_random(&self, stream: [u8; 32], words: &mut [u64]) -> Result<(), FoundNan> {
        self.each_part(words, |piece, words| self.prune_at_random(piece, stream, words))
    }

    /// Prunes a piece at random, by the words of a stream.
    pub(crate) fn prune_at_random(
        &self,
        piece: Piece,
        stream: [u8; 32],
        words: &mut [u64],
    ) -> Result<(), FoundNan> {
        let mut keys = Vec::with_capacity(piece.entries());
        for run in piece.each_run() {
            random::append_words(stream, run.start, run.len(), &mut keys);
        }
        self.prune(Rows::packed(piece, Wide::F64(&keys)), Order::Value, words)
    }

    /// Calls `prune` with all parts of the tensor and their bits, from several threads.
    fn each_part(
        &self,
        words: &mut [u64],
        prune: impl Fn(Piece, &mut [u64]) -> Result<(), FoundNan> + Sync + Send,
    ) -> Result<(), FoundNan> {
        // Parts are of whole slabs and of whole words.
        let slab = self.slab().max(1);
        let least = slab * (BITS >> slab.trailing_zeros().min(BITS.trailing_zeros()));
        let each = PART.div_ceil(least) * least;
        let mut parts: Vec<_> = words.chunks_mut(each / BITS).enumerate().collect();
        let done = Threads::of(self.entries).each(&mut parts, |(number, words)| {
            let first = *number * each;
            prune(Piece::run(first, each.min(self.entries - first)), words)
        });
        done.into_iter().collect()
    }

    #[inline(always)]
    fn prune_by<T: Element>(
        &self,
        values: &[T],
        key: impl Fn(T::Key) -> T::Key + Copy,
        words: &mut [u64],
    ) -> Result<(), FoundNan> {
        let bits = T::bits(values);
        let key = |at: usize| (key(bits[at]), T::Key::magnitude(bits[at]) > T::HIGHEST);
        if self.of <= COMPARED {
            self.compare(values.len(), key, words)
        } else {
            self.sort(values.len(), key, words)
        }
    }

    /// Chooses by comparing each entry of a group with every other one: an entry is pruned if fewer entries rank
    /// before it than are to be pruned.
    #[inline(always)]
    fn compare<K: Ord + Copy + Default>(
        &self,
        entries: usize,
        key: impl Fn(usize) -> (K, bool) + Copy,
        words: &mut [u64],
    ) -> Result<(), FoundNan> {
        let mut keys = [[K::default(); LANES]; COMPARED];
        let mut rows = [[0_u8; LANES]; COMPARED]; // 1 for an entry that remains
        let mut pruned = [[0_u8; LANES]; COMPARED];
        let groups = entries / self.of;
        for first in (0..groups).step_by(LANES) {
            let width = LANES.min(groups - first);
            let (mut nan, mut pruning) = (false, [0_u8; LANES]);
            self.places(first, width, |j, lane, flat| {
                let ((key, is_nan), remains) = (key(flat), bit(words, flat));
                keys[j][lane] = key;
                rows[j][lane] = remains.into();
                nan |= remains && is_nan;
                pruning[lane] += u8::from(remains);
            });
            if nan {
                return Err(FoundNan);
            }
            for pruning in &mut pruning {
                *pruning = pruning.saturating_sub(self.keep as u8);
            }
            for j in 0..self.of {
                let mut before = [0_u8; LANES];
                for other in 0..j {
                    for lane in 0..LANES {
                        before[lane] += rows[other][lane] & u8::from(keys[other][lane] <= keys[j][lane]);
                    }
                }
                for other in j + 1..self.of {
                    for lane in 0..LANES {
                        before[lane] += rows[other][lane] & u8::from(keys[other][lane] < keys[j][lane]);
                    }
                }
                for lane in 0..LANES {
                    pruned[j][lane] = rows[j][lane] & u8::from(before[lane] < pruning[lane]);
                }
            }
            if self.inner == 1 {
                // Entries come in order, so that each word is written once.
                let mut word = first * self.of / BITS;
                let mut gone = 0;
                self.places(first, width, |j, lane, flat| {
                    if flat / BITS != word {
                        words[word] &= !gone;
                        (word, gone) = (flat / BITS, 0);
                    }
                    gone |= u64::from(pruned[j][lane]) << (flat % BITS);
                });
                words[word] &= !gone;
            } else {
                self.places(first, width, |j, lane, flat| {
                    if pruned[j][lane] != 0 {
                        words[flat / BITS] &= !(1 << (flat % BITS));
                    }
                });
            }
        }
        Ok(())
    }

    /// Visits the entries of `width` groups from `first` on, as `(entry of the group, lane, row-major index)`, in an
    /// order that suits the memory layout.
    #[inline(always)]
    fn places(&self, first: usize, width: usize, mut visit: impl FnMut(usize, usize, usize)) {
        if self.inner == 1 {
            // Groups of consecutive entries, without a division for each.
            for lane in 0..width {
                for j in 0..self.of {
                    visit(j, lane, (first + lane) * self.of + j);
                }
            }
            return;
        }
        let mut lane = 0;
        while lane < width {
            let (slab, column) = ((first + lane) / self.inner, (first + lane) % self.inner);
            let run = (self.inner - column).min(width - lane);
            for j in 0..self.of {
                let flat = (slab * self.of + j) * self.inner + column;
                for i in 0..run {
                    visit(j, lane + i, flat + i);
                }
            }
            lane += run;
        }
    }

    /// Chooses by selecting from a list of each group's entries.
    fn sort<K: Ord + Copy + Default>(
        &self,
        entries: usize,
        key: impl Fn(usize) -> (K, bool) + Copy,
        words: &mut [u64],
    ) -> Result<(), FoundNan> {
        let mut ranked = Vec::with_capacity(self.of);
        for group in 0..entries / self.of {
            ranked.clear();
            let first = group / self.inner * self.slab() + group % self.inner;
            for flat in (first..first + self.slab()).step_by(self.inner) {
                if bit(words, flat) {
                    let (key, is_nan) = key(flat);
                    if is_nan {
                        return Err(FoundNan);
                    }
                    ranked.push((key, flat));
                }
            }
            let pruning = ranked.len().saturating_sub(self.keep);
            if pruning > 0 {
                ranked.select_nth_unstable(pruning - 1);
                for (_, flat) in &ranked[..pruning] {
                    words[flat / BITS] &= !(1 << (flat % BITS));
                }
            }
        }
        Ok(())
    }
}

#[inline(always)]
fn bit(words: &[u64], at: usize) -> bool {
    words[at / BITS] >> (at % BITS) & 1 == 1
}

/// Refuses groups of nothing, and to keep more of a group than there is.
pub(crate) fn check(keep: usize, of: usize) -> Result<()> {
    if of == 0 || keep > of {
        return Err(PatternError::KeepOf { keep, of }.into());
    }
    Ok(())
}
