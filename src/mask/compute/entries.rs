//! The lowest entries of several tensors in memory, ranked together.

use std::ops::Range;
use std::sync::OnceLock;

use super::tensor::Tensor;
use crate::error::{AmountError, Error, MaskError, Result};
use crate::mask::float_view::FloatView;
use crate::mask::parallel::Threads;
use crate::mask::patterns::channels::euclidean_norm;
use crate::mask::patterns::entries::{EntrySelection, Part, Source, Ties, select};
use crate::mask::patterns::read::{Buffer, Entries};
use crate::mask::patterns::{Floats, Piece, with_floats};
use crate::mask::select::{self, CutFinder, Order, RandomSegment, SelectError, ViewSegment};
use crate::mask::{EntryRank, GlobalOptions, Mask, random};

/// Entries that are ranked at once. A multiple of 64, so that each chunk begins where a word of a mask does.
const CHUNK: usize = 4096;

/// Entries that a thread deals with at a time.
const TASK: usize = 1 << 16;

/// Keys that each thread's part of a pass may hold.
const MOST_KEYS: usize = 1 << 20;

/// The masks of the tensors without the `requested` lowest-ranked entries of all of them.
pub(super) fn lowest(
    by: EntryRank,
    tensors: &[Tensor<'_>],
    requested: usize,
    options: &GlobalOptions<'_>,
) -> Result<Vec<Mask>> {
    let limits: Vec<usize> = tensors
        .iter()
        .map(|t| options.prunable(t.name, t.remaining(), t.scores.len()))
        .collect();
    options.achievable(requested, &limits)?;
    if matches!(by, EntryRank::Random { .. }) && options.is_normalized() {
        return Err(MaskError::Unsupported {
            method: format!("{by:?}"),
            reason: "random ranks have no norm; leave `normalize` off",
        }
        .into());
    }
    let capped = limits
        .iter()
        .zip(tensors)
        .any(|(limit, t)| *limit < t.remaining());
    let fast = if capped || options.is_normalized() {
        None
    } else {
        of_one_type(by, tensors, requested)
    };
    let words = match fast {
        Some(words) => words?,
        None => {
            let memory = Memory::new(tensors);
            let caps = capped.then_some(&limits[..]);
            let selections = select(
                &memory,
                tensors.len(),
                (requested, caps),
                by,
                options.is_normalized(),
            )?;
            memory.apply(0, &selections)
        }
    };
    let pairs = words.into_iter().zip(tensors);
    pairs
        .map(|(words, t)| Mask::from_words(t.scores.shape(), words))
        .collect()
}

/// The same for tensors of one type that are ranked as they are or at random, in about one pass. `None` for others.
fn of_one_type(by: EntryRank, tensors: &[Tensor<'_>], requested: usize) -> Option<Result<Vec<Vec<u64>>>> {
    let order = match by {
        EntryRank::Magnitude => Order::Magnitude,
        EntryRank::Value => Order::Value,
        EntryRank::Random { seed } => {
            let segments = tensors.iter().enumerate().map(|(place, t)| RandomSegment {
                len: t.scores.len(),
                prior: t.prior.map(Mask::as_words),
                key: random::stream_key(seed, place as u64, 0),
            });
            let words = select::lowest_random(&segments.collect::<Vec<_>>(), requested);
            return Some(words.map_err(|error| named(error, tensors)));
        }
    };
    macro_rules! of_one_type {
        ($($variant:ident)*) => {$(
            let typed = tensors.iter().map(|tensor| match &tensor.scores {
                FloatView::$variant(scores) => Some(ViewSegment {
                    values: scores.view(),
                    prior: tensor.prior.map(Mask::as_words),
                }),
                _ => None,
            });
            if let Some(segments) = typed.collect::<Option<Vec<_>>>() {
                let words = select::lowest_of_views(&segments, requested, order);
                return Some(words.map_err(|error| named(error, tensors)));
            }
        )*};
    }
    of_one_type!(F32 BF16 F16 F64);
    None
}

/// An error of selection.
fn named(error: SelectError, tensors: &[Tensor<'_>]) -> Error {
    match error {
        SelectError::Nan { segment, index } => nan(index).at(tensors[segment].name),
        SelectError::TooLarge { requested, remaining } => {
            AmountError::TooLarge { requested, remaining }.into()
        }
        SelectError::PriorLength { .. } | SelectError::StreamChanged => {
            unreachable!("masks have their tensors' shapes, and arrays do not change")
        }
    }
}

fn nan(index: usize) -> Error {
    MaskError::NanScore {
        parameter: None,
        index,
    }
    .into()
}

/// Tensors in memory, of any types.
struct Memory<'a, 't> {
    tensors: &'a [Tensor<'t>],
    entries: Vec<Entries<'a>>,
    /// The entries of each tensor that are under its cap, once the caps are known.
    under: Vec<OnceLock<Vec<u64>>>,
}

impl<'a, 't> Memory<'a, 't> {
    fn new(tensors: &'a [Tensor<'t>]) -> Self {
        Memory {
            tensors,
            entries: tensors.iter().map(Tensor::entries).collect(),
            under: tensors.iter().map(|_| OnceLock::new()).collect(),
        }
    }

    /// What the entries of a tensor are ranked by.
    fn rank<'b>(&'b self, part: &Part, range: Range<usize>, buffers: &'b mut Buffers) -> Floats<'b> {
        let piece = Piece::run(range.start, range.len());
        let values = if part.ranks.reads() {
            self.entries[part.place].run(range, &mut buffers.values)
        } else {
            Floats::F64(&[])
        };
        part.ranks.of(piece, values, &mut buffers.ranked)
    }

    /// The words of a tensor's mask so far.
    fn words(&self, place: usize) -> Vec<u64> {
        self.tensors[place].mask().into_words()
    }

    /// The entries of a tensor that are to be ranked, packed. Empty words mean all entries.
    fn candidates(&self, part: &Part) -> Option<&[u64]> {
        let Some(cap) = part.cap else {
            return self.tensors[part.place].prior.map(Mask::as_words);
        };
        Some(self.under[part.place].get_or_init(|| {
            let selection = EntrySelection {
                cut: cap,
                ranks: part.ranks,
                cap: None,
            };
            let kept = self.apply(part.place, &[selection]).swap_remove(0);
            let mut under = self.words(part.place);
            under.iter_mut().zip(kept).for_each(|(word, kept)| *word &= !kept);
            under
        }))
    }

    /// The masks of consecutive tensors, to which selections are applied.
    ///
    /// Tasks do not wait for each other: each begins as if no ties had been pruned before it. A task that pruned too
    /// many ties is run again.
    fn apply(&self, first: usize, selections: &[EntrySelection]) -> Vec<Vec<u64>> {
        let mut masks: Vec<_> = (0..selections.len())
            .map(|place| self.words(first + place))
            .collect();
        let mut tasks = Vec::new();
        for (number, words) in masks.iter_mut().enumerate() {
            let part = Part {
                place: first + number,
                ranks: selections[number].ranks,
                cap: None,
            };
            let chunks = words.chunks_mut(TASK / 64).enumerate();
            tasks.extend(chunks.map(|(chunk, words)| Apply {
                selection: selections[number],
                part,
                first: chunk * TASK,
                words,
            }));
        }
        let entries = selections.iter().enumerate();
        let entries = entries
            .map(|(number, _)| self.entries[first + number].len())
            .sum();
        let ties = Threads::of(entries).each(&mut tasks, |task| self.apply_task(task, Ties::default()));
        let (mut before, mut place) = (Ties::default(), first);
        for (mut task, mut ties) in tasks.into_iter().zip(ties) {
            if task.part.place != place {
                (before.of_cap, place) = (0, task.part.place);
            }
            let pruned = |ties: Ties| Ties {
                of_cut: before.of_cut + ties.of_cut,
                of_cap: before.of_cap + ties.of_cap,
            };
            let Apply { selection, first, .. } = task;
            let (all, of_cap) = (
                selection.cut.ties_to_prune(),
                selection.cap.map_or(0, |cap| cap.ties_to_prune()),
            );
            if pruned(ties).of_cut > all || pruned(ties).of_cap > of_cap {
                match self.tensors[place].prior {
                    Some(prior) => {
                        let words = &prior.as_words()[first / 64..];
                        task.words.copy_from_slice(&words[..task.words.len()]);
                    }
                    None => {
                        task.words.fill(u64::MAX);
                        let len = self.entries[place].len() - first;
                        if len < task.words.len() * 64 {
                            crate::mask::bits::clear(task.words, len..task.words.len() * 64);
                        }
                    }
                }
                let after = self.apply_task(&mut task, before);
                ties = Ties {
                    of_cut: after.of_cut - before.of_cut,
                    of_cap: after.of_cap - before.of_cap,
                };
            }
            before = Ties {
                of_cut: before.of_cut + ties.of_cut,
                of_cap: before.of_cap + ties.of_cap,
            };
        }
        masks
    }

    /// Applies a selection to the entries of a task, after some ties were pruned before it. Returns all ties pruned
    /// so far.
    fn apply_task(&self, task: &mut Apply<'_>, before: Ties) -> Ties {
        let mut buffers = Buffers::default();
        let mut writer = task.selection.writer(before);
        let end = self.entries[task.part.place].len();
        for (number, words) in task.words.chunks_mut(CHUNK / 64).enumerate() {
            let first = task.first + number * CHUNK;
            let ranked = self.rank(&task.part, first..end.min(first + CHUNK), &mut buffers);
            writer.apply(ranked, words);
        }
        writer.ties()
    }
}

/// A part of a mask, to which a selection is to be applied.
struct Apply<'m> {
    selection: EntrySelection,
    part: Part,
    first: usize,
    words: &'m mut [u64],
}

#[derive(Default)]
struct Buffers {
    values: Buffer,
    ranked: Vec<f64>,
}

impl Source for Memory<'_, '_> {
    fn entries(&self, place: usize) -> (usize, usize) {
        (self.tensors[place].remaining(), self.entries[place].len())
    }

    fn is_wide(&self, place: usize) -> bool {
        matches!(self.tensors[place].scores, FloatView::F32(_) | FloatView::F64(_))
    }

    fn norms(&self, tensors: usize) -> Result<Vec<f64>> {
        let mut pairs: Vec<_> = self.entries.iter().zip(self.tensors).take(tensors).collect();
        let all = pairs.iter().map(|(entries, _)| entries.len()).sum();
        let norms = Threads::of(all).each(&mut pairs, |(entries, tensor)| {
            let norm = entries.without_nan(euclidean_norm, |norm| norm.is_nan());
            norm.map_err(|error| error.at(tensor.name))
        });
        norms.into_iter().collect()
    }

    fn sample(&self, part: &Part, entries: Range<usize>, sample: &mut Vec<f64>) -> Result<()> {
        let mut buffers = Buffers::default();
        let prior = self.tensors[part.place].prior;
        let ranked = self.rank(part, entries.clone(), &mut buffers);
        with_floats!(ranked, ranked => {
            let pairs = entries.zip(ranked);
            let remaining = pairs.filter(|(entry, _)| prior.is_none_or(|prior| prior.bit(*entry)));
            sample.extend(remaining.map(|(_, x)| -> f64 { num_traits::AsPrimitive::as_(*x) }));
        });
        Ok(())
    }

    fn sampling(&self) -> (usize, f64) {
        (1, 3.5)
    }

    fn most_keys(&self) -> usize {
        MOST_KEYS
    }

    fn pass(&self, parts: &[Part], finder: CutFinder) -> Result<CutFinder> {
        let candidates: Vec<_> = parts.iter().map(|part| self.candidates(part)).collect();
        let lens = parts.iter().map(|part| self.entries[part.place].len());
        let threads = Threads::of(lens.clone().sum());
        let chunks: Vec<(usize, usize)> = lens
            .enumerate()
            .flat_map(|(number, len)| (0..len).step_by(CHUNK).map(move |first| (number, first)))
            .collect();
        // A share has counters of its own, so there are fewer than tasks elsewhere.
        let each = chunks.len().div_ceil((threads.tasks() / 2).max(1)).max(1);
        let mut shares: Vec<_> = chunks.chunks(each).collect();
        let finders = threads.each(&mut shares, |share| -> Result<CutFinder> {
            let (mut finder, mut buffers) = (finder.clone(), Buffers::default());
            for &(number, first) in *share {
                let part = &parts[number];
                let end = self.entries[part.place].len().min(first + CHUNK);
                let ranked = self.rank(part, first..end, &mut buffers);
                let words = first / 64..end.div_ceil(64);
                let candidates = candidates[number].map(|candidates| &candidates[words]);
                let fed = with_floats!(ranked, ranked => finder.feed(ranked, candidates));
                fed.map_err(|error| match error {
                    SelectError::Nan { index, .. } => nan(first + index).at(self.tensors[part.place].name),
                    _ => unreachable!("candidates have a word for 64 entries"),
                })?;
            }
            Ok(finder)
        });
        let mut all: Option<CutFinder> = None;
        for finder in finders {
            let finder = finder?;
            match &mut all {
                Some(all) => all.merge(finder),
                None => all = Some(finder),
            }
        }
        Ok(all.unwrap_or(finder))
    }

    fn changed(&self, _: usize) -> Error {
        unreachable!("arrays do not change")
    }
}
