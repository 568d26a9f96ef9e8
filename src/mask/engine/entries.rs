//! The lowest entries of several tensors, ranked together: as they are, by their share of a norm, or by chance; and
//! under caps.

use ndarray::ArrayViewD;
use num_traits::AsPrimitive;

use super::Tensor;
use super::planned::{first_nan, slice, standard};
use crate::error::{AmountError, Error, MaskError, Result};
use crate::mask::effective::{Entries, Masked};
use crate::mask::float_view::{FloatView, with_floats};
use crate::mask::normalize::{EuclideanNorm, normalized};
use crate::mask::select::{self, CutFinder, Element, Order, RandomSegment, Segment, SelectError};
use crate::mask::{EntryRank, GlobalOptions, Mask, random};

/// So many quotients are held at once. A multiple of 64, so that each chunk begins where a word of a mask does.
const CHUNK: usize = 4096;

/// The masks of the tensors without the `requested` lowest-ranked entries of all of them.
pub(super) fn lowest_of(
    by: EntryRank,
    tensors: &[Tensor<'_>],
    requested: usize,
    options: &GlobalOptions<'_>,
) -> Result<Vec<Mask>> {
    macro_rules! of_one_type {
        ($($variant:ident)*) => {$(
            let typed: Option<Vec<_>> = tensors
                .iter()
                .map(|tensor| match &tensor.scores {
                    FloatView::$variant(scores) => Some(Ranked::new(tensor, scores.view())),
                    _ => None,
                })
                .collect();
            if let Some(typed) = typed {
                return lowest(by, &typed, requested, options);
            }
        )*};
    }
    of_one_type!(F32 BF16 F16 F64);
    // Of several types: as f64, which holds them all exactly.
    let wide: Vec<_> = tensors
        .iter()
        .map(|tensor| with_floats!(&tensor.scores, scores => scores.mapv(|x| AsPrimitive::<f64>::as_(x))))
        .collect();
    let ranked: Vec<_> = tensors
        .iter()
        .zip(&wide)
        .map(|(tensor, scores)| Ranked::new(tensor, scores.view()))
        .collect();
    lowest(by, &ranked, requested, options)
}

/// A tensor whose type is known.
struct Ranked<'a, T> {
    name: &'a str,
    scores: ArrayViewD<'a, T>,
    prior: Option<&'a Mask>,
    masked: Masked,
}

impl<'a, T> Ranked<'a, T> {
    fn new(tensor: &'a Tensor<'_>, scores: ArrayViewD<'a, T>) -> Self {
        Ranked {
            name: tensor.name,
            scores,
            prior: tensor.prior,
            masked: tensor.masked,
        }
    }

    fn left(&self) -> usize {
        self.prior.map_or(self.scores.len(), Mask::count_kept)
    }

    fn mask(&self) -> Mask {
        self.prior
            .cloned()
            .unwrap_or_else(|| Mask::ones(self.scores.shape()))
    }
}

/// The masks of the tensors without the `requested` lowest-ranked entries of all of them.
fn lowest<T: Element>(
    by: EntryRank,
    tensors: &[Ranked<'_, T>],
    requested: usize,
    options: &GlobalOptions<'_>,
) -> Result<Vec<Mask>> {
    let rooms: Vec<usize> = tensors
        .iter()
        .map(|t| options.prunable(t.name, t.left(), t.scores.len()))
        .collect();
    let reachable = rooms.iter().sum();
    if let Some(max_sparsity) = options.lowest_cap()
        && requested > reachable
    {
        return Err(Error::Amount(AmountError::Capped {
            requested,
            achievable: reachable,
            max_sparsity,
        }));
    }
    let order = match by {
        EntryRank::Magnitude => Order::Magnitude,
        EntryRank::Value => Order::Value,
        EntryRank::Random { .. } if options.is_normalized() => {
            return Err(Error::Mask(MaskError::Unsupported {
                method: format!("{by:?}"),
                reason: "what ranks by chance has no norm to be ranked by",
            }));
        }
        EntryRank::Random { seed } => {
            let lens = tensors.iter().map(|t| t.scores.len()).collect();
            return under_caps(&ByChance { seed, lens }, tensors, &rooms, requested);
        }
    };
    let standard: Vec<_> = tensors.iter().map(|t| standard(&t.scores)).collect();
    let values: Vec<&[T]> = standard.iter().map(slice).collect();
    if options.is_normalized() {
        let norms = tensors.iter().zip(&values);
        let norms = norms
            .map(|(t, values)| norm(values, t.prior, t.masked).map_err(|error| error.at(t.name)))
            .collect::<Result<_>>()?;
        let ranking = ByShare { values, order, norms };
        under_caps(&ranking, tensors, &rooms, requested)
    } else {
        under_caps(&Plainly { values, order }, tensors, &rooms, requested)
    }
}

/// As [`lowest`], where of each tensor no more fall than it has room for, which in all is enough.
fn under_caps<T>(
    ranking: &impl Ranking,
    tensors: &[Ranked<'_, T>],
    rooms: &[usize],
    requested: usize,
) -> Result<Vec<Mask>> {
    let priors: Vec<_> = tensors.iter().map(|t| t.prior.map(Mask::as_words)).collect();
    let words = if rooms.iter().zip(tensors).all(|(room, t)| *room == t.left()) {
        ranking
            .lowest(0, &priors, requested)
            .map_err(|error| named(error, tensors))?
    } else {
        // What each tensor may lose is ranked together; what it may not is spared.
        let (mut spared, mut candidates) = (Vec::new(), Vec::new());
        for (position, (tensor, room)) in tensors.iter().zip(rooms).enumerate() {
            let spare = ranking.lowest(position, &priors[position..=position], *room);
            let spare = spare
                .map_err(|error| named(error, &tensors[position..]))?
                .swap_remove(0);
            let left = tensor.mask();
            let pairs = left.as_words().iter().zip(&spare);
            candidates.push(pairs.map(|(left, spare)| left & !spare).collect::<Vec<_>>());
            spared.push(spare);
        }
        let candidates: Vec<_> = candidates.iter().map(|words| Some(&words[..])).collect();
        let mut kept = ranking
            .lowest(0, &candidates, requested)
            .map_err(|error| named(error, tensors))?;
        for (kept, spared) in kept.iter_mut().flatten().zip(spared.iter().flatten()) {
            *kept |= spared;
        }
        kept
    };
    words
        .into_iter()
        .zip(tensors)
        .map(|(words, t)| Mask::from_words(t.scores.shape(), words))
        .collect()
}

/// An error of selection, about the tensors that it saw.
fn named<T>(error: SelectError, tensors: &[Ranked<'_, T>]) -> Error {
    match error {
        SelectError::Nan { segment, index } => Error::Mask(MaskError::NanScore {
            parameter: None,
            index,
        })
        .at(tensors[segment].name),
        SelectError::TooMany { requested, remaining } => {
            Error::Amount(AmountError::TooLarge { requested, remaining })
        }
        SelectError::PriorLength { .. } | SelectError::StreamChanged => {
            unreachable!("masks have their tensors' shapes, and arrays do not change")
        }
    }
}

/// What the entries of all tensors of a call are ranked by.
trait Ranking {
    /// Finds the `k` lowest of the entries that are left in as many tensors as there are `priors`, from tensor number
    /// `first` on, and gives their new masks. Segments in errors are counted from `first`, too.
    fn lowest(&self, first: usize, priors: &[Option<&[u64]>], k: usize)
    -> Result<Vec<Vec<u64>>, SelectError>;
}

/// By magnitude or value, as they are.
struct Plainly<'a, T> {
    values: Vec<&'a [T]>,
    order: Order,
}

impl<T: Element> Ranking for Plainly<'_, T> {
    fn lowest(
        &self,
        first: usize,
        priors: &[Option<&[u64]>],
        k: usize,
    ) -> Result<Vec<Vec<u64>>, SelectError> {
        let pairs = self.values[first..].iter().zip(priors);
        let segments: Vec<_> = pairs.map(|(&values, &prior)| Segment { values, prior }).collect();
        select::lowest(&segments, k, self.order)
    }
}

/// By magnitude or value, divided by the norm of the tensor.
struct ByShare<'a, T> {
    values: Vec<&'a [T]>,
    order: Order,
    norms: Vec<f64>,
}

impl<T: Element> ByShare<'_, T> {
    /// The ranks of the entries of a tensor, chunk by chunk: `(first word, ranks)`.
    fn chunks(
        &self,
        tensor: usize,
        mut each: impl FnMut(usize, &[f64]) -> Result<(), SelectError>,
    ) -> Result<(), SelectError> {
        let norm = self.norms[tensor];
        let mut ranks = Vec::with_capacity(CHUNK.min(self.values[tensor].len()));
        for (number, chunk) in self.values[tensor].chunks(CHUNK).enumerate() {
            ranks.clear();
            ranks.extend(chunk.iter().map(|x| normalized(x.as_(), norm)));
            each(number * (CHUNK / 64), &ranks)?;
        }
        Ok(())
    }
}

impl<T: Element> Ranking for ByShare<'_, T> {
    fn lowest(
        &self,
        first: usize,
        priors: &[Option<&[u64]>],
        k: usize,
    ) -> Result<Vec<Vec<u64>>, SelectError> {
        let mut finder = CutFinder::new(k, self.order);
        let cut = loop {
            for (number, prior) in priors.iter().enumerate() {
                self.chunks(first + number, |word, ranks| {
                    finder.feed(ranks, part(*prior, word, ranks.len()))
                })?;
            }
            if let Some(cut) = finder.end_pass()? {
                break cut;
            }
        };
        let mut writer = cut.writer();
        let mut masks = Vec::with_capacity(priors.len());
        for (number, prior) in priors.iter().enumerate() {
            let mut mask = vec![0; self.values[first + number].len().div_ceil(64)];
            self.chunks(first + number, |word, ranks| {
                let mask = &mut mask[word..word + ranks.len().div_ceil(64)];
                writer.mask(ranks, part(*prior, word, ranks.len()), mask);
                Ok(())
            })?;
            masks.push(mask);
        }
        Ok(masks)
    }
}

/// The words of a prior mask from `word` on that belong to `len` entries.
fn part(prior: Option<&[u64]>, word: usize, len: usize) -> Option<&[u64]> {
    prior.map(|prior| &prior[word..word + len.div_ceil(64)])
}

/// The norm of a tensor, of which no entry that is left is NaN. One that is masked counts as 0 (S8).
fn norm<T: Element>(values: &[T], prior: Option<&Mask>, masked: Masked) -> Result<f64> {
    let entries = Entries::new(values, prior, masked);
    let norm_of = |entries: Entries<'_, T>| {
        let mut norm = EuclideanNorm::new();
        entries.each_piece(|piece| norm.feed(piece));
        norm.end()
    };
    let mut norm = norm_of(entries);
    if let (true, Some(prior)) = (norm.is_nan(), prior) {
        norm = norm_of(entries.without_pruned_nans(prior));
    }
    if norm.is_nan() {
        return Err(first_nan(values, prior));
    }
    Ok(norm)
}

/// By chance: each tensor has its own stream of random words.
struct ByChance {
    seed: u64,
    lens: Vec<usize>,
}

impl Ranking for ByChance {
    fn lowest(
        &self,
        first: usize,
        priors: &[Option<&[u64]>],
        k: usize,
    ) -> Result<Vec<Vec<u64>>, SelectError> {
        let segments = priors.iter().enumerate().map(|(number, &prior)| RandomSegment {
            len: self.lens[first + number],
            prior,
            key: random::stream_key(self.seed, (first + number) as u64, 0),
        });
        select::lowest_random(&segments.collect::<Vec<_>>(), k)
    }
}
