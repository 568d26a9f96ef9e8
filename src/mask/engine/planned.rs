//! Carries out plans, on views of any float type, without gathering the entries that remain.

use ndarray::{ArrayViewD, CowArray, IxDyn};

use super::{GlobalOutcome, Outcome, Ranked, Tensor, entries, no_options, not_global, patterns, prepare};
use crate::error::{Error, MaskError, Result};
use crate::mask::blocks::Blocks;
use crate::mask::channels::Channels;
use crate::mask::effective::{Entries, Masked};
use crate::mask::float_view::{FloatView, with_floats};
use crate::mask::groups::Groups;
use crate::mask::select::Element;
use crate::mask::{ChannelRank, GlobalOptions, Mask, Norm, Plan, random};

/// Carries a plan out on one tensor.
pub(super) fn compute(plan: &Plan<'_>, tensor: &Tensor<'_>) -> Result<Outcome> {
    match *plan {
        Plan::Channels { .. } | Plan::Groups { .. } | Plan::Blocks { .. } => {
            with_floats!(&tensor.scores, scores => compute_pattern(plan, scores, tensor.prior, tensor.masked))
        }
        Plan::Nothing | Plan::Mask(_) | Plan::Entries { .. } => {
            let outcome = compute_global(plan, std::slice::from_ref(tensor), &GlobalOptions::default())?;
            let [mask] = outcome.masks.try_into().expect("one tensor gives one mask");
            Ok(Outcome {
                mask,
                requested: outcome.requested,
                pruned: outcome.pruned,
            })
        }
    }
}

fn compute_pattern<T: Element>(
    plan: &Plan<'_>,
    scores: &ArrayViewD<'_, T>,
    prior: Option<&Mask>,
    masked: Masked,
) -> Result<Outcome> {
    match *plan {
        Plan::Channels { amount, dim, by } => {
            let channels = Channels::along(dim, scores.shape())?;
            let mut kept = match prior {
                Some(prior) => channels.left(prior),
                // A channel without entries is wholly pruned from the start.
                None => vec![!scores.is_empty(); channels.count()],
            };
            let remaining: Vec<usize> = (0..kept.len()).filter(|&c| kept[c]).collect();
            let requested = amount.units(remaining.len(), kept.len())?;
            for channel in lowest_channels(&channels, by, scores, prior, masked, remaining, requested)? {
                kept[channel] = false;
            }
            Ok(Outcome {
                mask: channels.mask(prior, &kept),
                requested: Some(requested),
                pruned: requested,
            })
        }
        Plan::Groups { keep, of, dim, by } => {
            let groups = Groups::along(dim, scores.shape(), keep, of)?;
            patterns::groups(groups, by, scores, prior)
        }
        Plan::Blocks {
            amount,
            height,
            width,
            by,
        } => {
            let blocks = Blocks::of(scores.shape(), height, width)?;
            patterns::blocks(blocks, amount, by, scores, prior, masked)
        }
        Plan::Nothing | Plan::Mask(_) | Plan::Entries { .. } => {
            unreachable!("these are of all tensors together")
        }
    }
}

/// Carries a plan out on several tensors, all ranked together.
pub(super) fn compute_global(
    plan: &Plan<'_>,
    tensors: &[Tensor<'_>],
    options: &GlobalOptions<'_>,
) -> Result<GlobalOutcome> {
    let before: usize = tensors.iter().map(Tensor::remaining).sum();
    let (masks, requested) = match *plan {
        Plan::Nothing => (tensors.iter().map(Tensor::mask).collect(), Some(0)),
        Plan::Mask(_) if options.lowest_cap().is_some() || options.is_normalized() => {
            return Err(no_options(plan));
        }
        Plan::Mask(mask) => {
            let masks = tensors.iter().map(|tensor| {
                let shape = tensor.scores.shape();
                let fits = if mask.shape() == shape {
                    tensor.mask().and(mask)
                } else {
                    Err(Error::from(MaskError::ShapeMismatch {
                        what: "the custom mask",
                        expected: shape.to_vec(),
                        got: mask.shape().to_vec(),
                    }))
                };
                fits.map_err(|error| error.at(tensor.name))
            });
            (masks.collect::<Result<_>>()?, None)
        }
        Plan::Entries { amount, by } => {
            let requested = amount.units(before, tensors.iter().map(|t| t.scores.len()).sum())?;
            (
                entries::lowest_of(by, tensors, requested, options)?,
                Some(requested),
            )
        }
        Plan::Channels { .. } | Plan::Groups { .. } | Plan::Blocks { .. } => return Err(not_global(plan)),
    };
    let after: usize = masks.iter().map(Mask::count_kept).sum();
    Ok(GlobalOutcome {
        masks,
        requested,
        pruned: before - after,
    })
}

impl Plan<'_> {
    /// Carries the plan out on one tensor of scores of any float type.
    ///
    /// # Errors
    ///
    /// As [`mask::compute`](crate::mask::compute).
    pub fn compute<'a>(&self, scores: impl Into<FloatView<'a>>, prior: Option<&Mask>) -> Result<Outcome> {
        let scores = scores.into();
        let tensor = Tensor::given("", &scores, prior);
        tensor.check()?;
        compute(self, &tensor)
    }

    /// Carries the plan out on several tensors, all ranked together.
    ///
    /// # Errors
    ///
    /// As [`mask::compute_global`](crate::mask::compute_global).
    pub fn compute_global(&self, tensors: &[Ranked<'_>]) -> Result<GlobalOutcome> {
        self.compute_global_with(tensors, &GlobalOptions::default())
    }

    /// Carries the plan out on several tensors, all ranked together, with these options.
    ///
    /// # Errors
    ///
    /// As [`mask::compute_global_with`](crate::mask::compute_global_with).
    pub fn compute_global_with(
        &self,
        tensors: &[Ranked<'_>],
        options: &GlobalOptions<'_>,
    ) -> Result<GlobalOutcome> {
        let tensors = Tensor::all_given(tensors);
        compute_global(self, &prepare(&tensors, options)?, options)
    }
}

/// The `requested` lowest-ranked of the channels that are `remaining`.
fn lowest_channels<T: Element>(
    channels: &Channels<'_>,
    by: ChannelRank,
    scores: &ArrayViewD<'_, T>,
    prior: Option<&Mask>,
    masked: Masked,
    mut remaining: Vec<usize>,
    requested: usize,
) -> Result<Vec<usize>> {
    match by {
        ChannelRank::Norm(norm) => {
            let standard = standard(scores);
            let norms = ranked_norms(channels, slice(&standard), prior, masked, &remaining, norm)?;
            remaining.sort_by(|&a, &b| norms[a].total_cmp(&norms[b])); // stable: ties by index
        }
        ChannelRank::Random { seed } => {
            let keys = random::keys(random::stream_key(seed, 0, 0), channels.count());
            remaining.sort_by_key(|&channel| keys[channel]);
        }
    }
    remaining.truncate(requested);
    Ok(remaining)
}

/// The norms of all channels; of those that are `remaining` none is NaN.
fn ranked_norms<T: Element>(
    channels: &Channels<'_>,
    values: &[T],
    prior: Option<&Mask>,
    masked: Masked,
    remaining: &[usize],
    norm: Norm,
) -> Result<Vec<f64>> {
    let entries = Entries::new(values, prior, masked);
    let is_nan = |norms: &[f64]| remaining.iter().any(|&channel| norms[channel].is_nan());
    let mut norms = channels.norms(entries, norm)?;
    if let (true, Some(prior)) = (is_nan(&norms), prior) {
        // A NaN that is masked already does not count (S8); any other does.
        norms = channels.norms(entries.without_pruned_nans(prior), norm)?;
    }
    if is_nan(&norms) {
        return Err(first_nan(values, prior));
    }
    Ok(norms)
}

/// The error that names the first NaN of those that are ranked.
pub(super) fn first_nan<T: Element>(values: &[T], prior: Option<&Mask>) -> Error {
    let ranked = |index: usize| prior.is_none_or(|prior| prior.bit(index));
    let index = values
        .iter()
        .enumerate()
        .position(|(index, value)| ranked(index) && value.as_().is_nan());
    Error::from(MaskError::NanScore {
        parameter: None,
        index: index.expect("a rank is NaN only where an entry is"),
    })
}

/// The entries in standard layout, copied only where they are not.
pub(super) fn standard<'a, T: Copy>(scores: &'a ArrayViewD<'_, T>) -> CowArray<'a, T, IxDyn> {
    scores.as_standard_layout()
}

pub(super) fn slice<'a, T>(standard: &'a CowArray<'_, T, IxDyn>) -> &'a [T] {
    standard
        .as_slice()
        .expect("an array in standard layout is a slice")
}
