//! Entries of any number of tensors, of any float types, ranked together: by their values, by their share of their
//! tensor's norm, or at random; with or without caps.

use std::cmp::Ordering;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::floats::with_wide;
use super::{Floats, Piece, with_floats};
use crate::error::{AmountError, Error, Result};
use crate::mask::parallel::vectorized;
use crate::mask::select::{Cut, CutFinder, CutWriter, Order, SelectError, sample_hash};
use crate::mask::{EntryRank, random};

/// The numbers of entries for which a sample pays. With fewer, it takes as long as a pass; with more, too many keys
/// would be undecided. Tests use small numbers.
const SAMPLED: Range<usize> = if cfg!(test) { 1 << 10 } else { 1 << 18 }..2_000_000_000;

/// From this many entries on, the sample is doubled. At 2 billion entries, it leaves about 7 million keys undecided, of
/// the 8 million that a file's workers may hold; a single one would leave more than 9.
const LARGE: usize = 500_000_000;

/// What the entries of one tensor are ranked by.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Ranks {
    /// The entries themselves.
    Values,
    /// Their share of the norm of the tensor.
    Shares {
        #[serde(with = "bits")]
        norm: f64,
    },
    /// The random stream of this key.
    Random([u8; 32]),
}

/// A float as its bits, which formats of text hold exactly, too, and where it is infinite.
mod bits {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(x: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        x.to_bits().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        u64::deserialize(deserializer).map(f64::from_bits)
    }
}

impl Ranks {
    /// What the entries of the tensor at `place` are ranked by, where norms play no part.
    pub(crate) fn by(by: EntryRank, place: usize) -> Self {
        match by {
            EntryRank::Random { seed } => Ranks::Random(random::stream_key(seed, place as u64, 0)),
            EntryRank::Magnitude | EntryRank::Value => Ranks::Values,
        }
    }

    /// The scores of a piece: its `values`, or what is written into `buffer`.
    pub(crate) fn of<'a>(self, piece: Piece, values: Floats<'a>, buffer: &'a mut Vec<f64>) -> Floats<'a> {
        match self {
            Ranks::Values => values,
            Ranks::Shares { norm } => {
                shares(values, norm, buffer);
                Floats::F64(buffer)
            }
            Ranks::Random(stream) => {
                buffer.clear();
                for run in piece.each_run() {
                    random::append_words(stream, run.start, run.len(), buffer);
                }
                Floats::F64(buffer)
            }
        }
    }

    /// Whether the entries have to be known.
    pub(crate) fn reads(self) -> bool {
        !matches!(self, Ranks::Random(_))
    }
}

/// The scores of entries of a tensor with this norm.
fn shares(values: Floats<'_>, norm: f64, scores: &mut Vec<f64>) {
    /// So many entries, as f32 and as f64, stay in the first-level cache.
    const BLOCK: usize = 2048;
    let len = with_floats!(values, values => values.len());
    scores.resize(len, 0.0);
    let mut wide = Vec::new();
    for (number, scores) in scores.chunks_mut(BLOCK).enumerate() {
        let start = number * BLOCK;
        let block = values.part(start..start + scores.len());
        vectorized(
            #[inline(always)]
            || {
                with_wide!(block.widen(&mut wide), block => {
                    for (score, x) in scores.iter_mut().zip(block) {
                        *score = share(num_traits::AsPrimitive::as_(*x), norm);
                    }
                });
            },
        );
    }
}

/// The score of an entry of a tensor with this norm: `x / norm`, in f64.
///
/// If the norm is 0, all entries rank as 0. If it is infinite, finite entries rank as 0, and infinite ones stay
/// infinite.
#[inline(always)]
fn share(x: f64, norm: f64) -> f64 {
    if norm == 0.0 {
        0.0
    } else if x.is_infinite() {
        x
    } else {
        x / norm
    }
}

/// A tensor among those that are ranked together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    /// Its place among them.
    pub(crate) place: usize,
    /// What its entries are ranked by.
    pub(crate) ranks: Ranks,
    /// Only entries under this cut are ranked, if there is one.
    pub(crate) cap: Option<Cut>,
}

/// A source of the entries of tensors that are ranked together.
pub(crate) trait Source {
    /// How many entries of a tensor remain, and how many it has.
    fn entries(&self, place: usize) -> (usize, usize);

    /// Whether one pass over a tensor's own entries does not tell all of them apart, as it does for types of 16 bits.
    fn is_wide(&self, place: usize) -> bool;

    /// The Euclidean norms of this many tensors.
    fn norms(&self, tensors: usize) -> Result<Vec<f64>>;

    /// Appends the scores of some consecutive entries, of those that remain.
    fn sample(&self, part: &Part, entries: Range<usize>, sample: &mut Vec<f64>) -> Result<()>;

    /// How a sample is taken: the number of consecutive entries at a time, as few as can be read cheaply; and how many
    /// standard deviations it is trusted to. Entries that lie near each other are alike, so that a sample of runs says
    /// less than one of as many single entries.
    fn sampling(&self) -> (usize, f64);

    /// Keys that may be held between a pass and the next one, by each finder.
    fn most_keys(&self) -> usize;

    /// Feeds all that is to be ranked of these tensors to a finder, once.
    fn pass(&self, parts: &[Part], finder: CutFinder) -> Result<CutFinder>;

    /// The error of a tensor that was not the same in two passes.
    fn changed(&self, place: usize) -> Error;
}

/// How many entries of a tensor may be pruned, if the cap allows fewer than remain.
pub(crate) type Caps<'a> = Option<&'a [usize]>;

/// The order of the scores.
pub(crate) fn order(by: EntryRank) -> Order {
    match by {
        EntryRank::Magnitude => Order::Magnitude,
        EntryRank::Value | EntryRank::Random { .. } => Order::Value,
    }
}

/// Finds the `requested` lowest of the entries that remain in `tensors` tensors together, pruning no more of each
/// than its cap allows. All caps together must allow `requested`.
pub(crate) fn select(
    source: &impl Source,
    tensors: usize,
    (requested, caps): (usize, Caps<'_>),
    by: EntryRank,
    normalized: bool,
) -> Result<Vec<EntrySelection>> {
    let order = order(by);
    let ranks: Vec<Ranks> = match by {
        EntryRank::Magnitude | EntryRank::Value if normalized => {
            let norms = source.norms(tensors)?;
            norms.into_iter().map(|norm| Ranks::Shares { norm }).collect()
        }
        _ => (0..tensors).map(|place| Ranks::by(by, place)).collect(),
    };
    let parts = ranks.into_iter().enumerate();
    let mut parts: Vec<Part> = parts
        .map(|(place, ranks)| Part {
            place,
            ranks,
            cap: None,
        })
        .collect();
    // The candidates of all tensors are ranked together. Entries above the cap of their tensor are kept.
    for (part, cap) in parts.iter_mut().zip(caps.unwrap_or_default()) {
        part.cap = Some(cap_of(source, part, *cap, order)?);
    }
    let cut = cut(source, &parts, requested, order, caps)?;
    let selections = parts.into_iter().map(|part| EntrySelection {
        cut,
        ranks: part.ranks,
        cap: part.cap,
    });
    Ok(selections.collect())
}

/// Finds the `requested` lowest of the entries of one tensor, the one at `place`.
pub(crate) fn select_of(
    source: &impl Source,
    place: usize,
    requested: usize,
    by: EntryRank,
) -> Result<EntrySelection> {
    let ranks = Ranks::by(by, place);
    let part = Part {
        place,
        ranks,
        cap: None,
    };
    Ok(EntrySelection {
        cut: cut(source, &[part], requested, order(by), None)?,
        ranks,
        cap: None,
    })
}

/// The threshold below which the candidates of a tensor lie, where its cap allows this number of them.
pub(crate) fn cap_of(source: &impl Source, part: &Part, most: usize, order: Order) -> Result<Cut> {
    cut(source, std::slice::from_ref(part), most, order, None)
}

/// The cut that the `requested` lowest entries of these tensors are under. `caps` says how many entries are under the
/// caps of the parts, if they have any.
fn cut(source: &impl Source, parts: &[Part], requested: usize, order: Order, caps: Caps<'_>) -> Result<Cut> {
    let mut finder = CutFinder::new(requested, order);
    if let Some((sample, entries)) = sample(source, parts, caps)? {
        finder = finder.expecting(&sample, entries, source.most_keys(), source.sampling().1);
    }
    loop {
        finder = source.pass(parts, finder)?;
        match finder.end_pass() {
            Ok(Some(cut)) => return Ok(cut),
            Ok(None) => {}
            Err(SelectError::TooLarge { requested, remaining }) => {
                return Err(AmountError::TooLarge { requested, remaining }.into());
            }
            Err(_) => return Err(source.changed(parts[0].place)),
        }
    }
}

/// The passes that finding a cut usually takes, over tensors with this many entries in all, whose scores have at most
/// this many bits: one after a sample, else one for every 16 bits.
#[cfg(feature = "checkpoint")]
pub(crate) fn usual_passes(entries: usize, bits: usize) -> u64 {
    match SAMPLED.contains(&entries) {
        true => 1,
        false => bits.div_ceil(16) as u64,
    }
}

/// A sample of the scores that are ranked, and how many of these there are. `None` if a sample would save no pass. The
/// result does not depend on it.
fn sample(source: &impl Source, parts: &[Part], caps: Caps<'_>) -> Result<Option<(Vec<f64>, usize)>> {
    let sizes = parts.iter().map(|part| source.entries(part.place));
    let (remaining, entries) = sizes.fold((0, 0), |(a, b), (c, d)| (a + c, b + d));
    let wide = |part: &Part| part.ranks != Ranks::Values || source.is_wide(part.place);
    if !SAMPLED.contains(&entries) || !parts.iter().any(wide) {
        return Ok(None);
    }
    // As many as the undecided keys that they leave, about. A smaller sample leaves more undecided keys, a larger one
    // fewer.
    let (run, _) = source.sampling();
    let size = (entries as f64).powf(2.0 / 3.0) as usize;
    let runs = (if entries < LARGE { size } else { 2 * size }).div_ceil(run);
    let stretch = entries / runs;
    let mut sample = Vec::with_capacity(runs * run);
    let (mut number, mut before) = (0, 0);
    for (i, part) in parts.iter().enumerate() {
        let (remaining, entries) = source.entries(part.place);
        let (end, own) = (before + entries, sample.len());
        loop {
            let place = number * stretch + sample_hash(number as u64 + 1) as usize % stretch;
            if place >= end {
                break;
            }
            number += 1;
            let first = place - before;
            source.sample(part, first..first + run.min(end - place), &mut sample)?;
        }
        if let (Some(cap), Some(caps)) = (part.cap, caps) {
            let share = caps[i] as f64 / remaining.max(1) as f64;
            keep_under(&cap, share, &mut sample, own);
        }
        before = end;
    }
    Ok(Some((sample, caps.map_or(remaining, |caps| caps.iter().sum()))))
}

/// Keeps those of `sample[first..]` that are under a cap, which this share of all entries is. Of ties with the cap's
/// cut, which are under it only in part, as many stay as make up the share.
fn keep_under(cap: &Cut, share: f64, sample: &mut Vec<f64>, first: usize) {
    let all = sample.len() - first;
    let (mut kept, mut ties) = (first, Vec::new());
    for i in first..sample.len() {
        match cap.compare(sample[i]) {
            Ordering::Less => {
                sample[kept] = sample[i];
                kept += 1;
            }
            Ordering::Equal => ties.push(sample[i]),
            Ordering::Greater => {}
        }
    }
    sample.truncate(kept);
    let expected = (share * all as f64).round() as usize;
    ties.truncate(expected.saturating_sub(kept - first));
    sample.append(&mut ties);
}

/// Which entries of a tensor are pruned: those under a cut, except those that are not under its cap.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EntrySelection {
    pub(crate) cut: Cut,
    pub(crate) ranks: Ranks,
    pub(crate) cap: Option<Cut>,
}

impl EntrySelection {
    /// Begins to apply the selection to a tensor. The ties of a cut are counted through all tensors that are ranked
    /// together: `ties` says how many, of the cut and of the cap, were pruned before.
    pub(crate) fn writer(&self, ties: Ties) -> EntryWriter {
        EntryWriter {
            cut: self.cut.writer_after(ties.of_cut),
            cap: self.cap.map(|cap| cap.writer_after(ties.of_cap)),
            under: Vec::new(),
            kept: Vec::new(),
        }
    }
}

/// How many ties of the cut, and of the cap, were pruned so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ties {
    pub(crate) of_cut: usize,
    pub(crate) of_cap: usize,
}

/// Applies an [`EntrySelection`] piece by piece, in row-major order. The first of several ties are pruned.
#[derive(Clone, Debug)]
pub(crate) struct EntryWriter {
    cut: CutWriter,
    cap: Option<CutWriter>,
    under: Vec<u64>,
    kept: Vec<u64>,
}

impl EntryWriter {
    /// The ties that were pruned so far.
    pub(crate) fn ties(&self) -> Ties {
        Ties {
            of_cut: self.cut.ties_pruned(),
            of_cap: self.cap.as_ref().map_or(0, CutWriter::ties_pruned),
        }
    }

    /// Clears the bits of pruned entries. `ranked` are the scores of the entries, and `words` is their packed mask so
    /// far.
    pub(crate) fn apply(&mut self, ranked: Floats<'_>, words: &mut [u64]) {
        let candidates = match &mut self.cap {
            Some(cap) => {
                under(cap, ranked, Some(words), &mut self.under);
                &self.under[..]
            }
            None => &*words,
        };
        self.kept.resize(words.len(), 0);
        with_floats!(ranked, ranked => self.cut.mask(ranked, Some(candidates), &mut self.kept));
        if self.cap.is_some() {
            for ((word, kept), under) in words.iter_mut().zip(&self.kept).zip(&self.under) {
                *word = kept | *word & !under;
            }
        } else {
            words.copy_from_slice(&self.kept);
        }
    }
}

/// The entries that remain and are under a cap, packed. `ranked` are their scores.
pub(crate) fn under(
    cap: &mut CutWriter,
    ranked: Floats<'_>,
    remaining: Option<&[u64]>,
    under: &mut Vec<u64>,
) {
    with_floats!(ranked, ranked => {
        under.clear();
        under.resize(ranked.len().div_ceil(64), 0);
        cap.mask(ranked, remaining, under);
        let len = ranked.len();
        for (number, word) in under.iter_mut().enumerate() {
            let all = remaining.map_or(u64::MAX, |remaining| remaining[number]);
            *word = all & !*word;
        }
        if let (Some(last), used @ 1..) = (under.last_mut(), len % 64) {
            *last &= (1 << used) - 1;
        }
    });
}
