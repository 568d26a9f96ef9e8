//! Carries out what built-in methods describe, on views of any float type, without gathering survivors.

use ndarray::{ArrayViewD, CowArray, IxDyn};

use super::{GlobalOutcome, Outcome, Ranked, check_list, check_prior, entries, no_options, patterns};
use crate::error::{Error, MaskError, Result};
use crate::mask::blocks::Blocks;
use crate::mask::channels::Channels;
use crate::mask::effective::{Entries, Masked};
use crate::mask::groups::Groups;
use crate::mask::select::Element;
use crate::mask::{ChannelRank, GlobalOptions, Mask, Norm, Plan, random};

impl Plan<'_> {
    /// Carries the plan out on one tensor of scores of any float type.
    ///
    /// # Errors
    ///
    /// As [`mask::compute`](crate::mask::compute).
    pub fn compute<T: Element>(&self, scores: ArrayViewD<'_, T>, prior: Option<&Mask>) -> Result<Outcome> {
        self.compute_under(scores, prior, Masked::AsGiven)
    }

    /// The same, where entries that are pruned may count as 0.
    pub(super) fn compute_under<T: Element>(
        &self,
        scores: ArrayViewD<'_, T>,
        prior: Option<&Mask>,
        masked: Masked,
    ) -> Result<Outcome> {
        check_prior(&scores, prior)?;
        match *self {
            Plan::Channels { amount, dim, by } => {
                let channels = Channels::along(dim, scores.shape())?;
                let mut kept = match prior {
                    Some(prior) => channels.left(prior),
                    // A channel without entries is wholly pruned from the start.
                    None => vec![!scores.is_empty(); channels.count()],
                };
                let left: Vec<usize> = (0..kept.len()).filter(|&c| kept[c]).collect();
                let requested = amount.units(left.len(), kept.len())?;
                for channel in lowest_channels(&channels, by, &scores, prior, masked, left, requested)? {
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
                patterns::groups(groups, by, &scores, prior)
            }
            Plan::Blocks {
                amount,
                height,
                width,
                by,
            } => {
                let blocks = Blocks::of(scores.shape(), height, width)?;
                patterns::blocks(blocks, amount, by, &scores, prior, masked)
            }
            Plan::Nothing | Plan::Mask(_) | Plan::Entries { .. } => {
                let outcome = self.compute_global(&[Ranked {
                    name: "",
                    scores,
                    prior,
                }])?;
                let mask = outcome
                    .masks
                    .into_iter()
                    .next()
                    .expect("one tensor gives one mask");
                Ok(Outcome {
                    mask,
                    requested: outcome.requested,
                    pruned: outcome.pruned,
                })
            }
        }
    }

    /// Carries the plan out on several tensors, all ranked together.
    ///
    /// # Errors
    ///
    /// As [`mask::compute_global`](crate::mask::compute_global).
    pub fn compute_global<T: Element>(&self, tensors: &[Ranked<'_, T>]) -> Result<GlobalOutcome> {
        self.compute_global_with(tensors, GlobalOptions::default())
    }

    /// Carries the plan out on several tensors, all ranked together, with these options.
    ///
    /// # Errors
    ///
    /// As [`mask::compute_global_with`](crate::mask::compute_global_with).
    pub fn compute_global_with<T: Element>(
        &self,
        tensors: &[Ranked<'_, T>],
        options: GlobalOptions,
    ) -> Result<GlobalOutcome> {
        self.compute_global_under(tensors, options, Masked::AsGiven)
    }

    /// The same, where entries that are pruned may count as 0.
    pub(super) fn compute_global_under<T: Element>(
        &self,
        tensors: &[Ranked<'_, T>],
        options: GlobalOptions,
        masked: Masked,
    ) -> Result<GlobalOutcome> {
        check_list(tensors)?;
        let before: usize = tensors.iter().map(Ranked::left).sum();
        let (masks, requested) = match *self {
            Plan::Nothing => (tensors.iter().map(Ranked::mask).collect(), Some(0)),
            Plan::Mask(_) if options != GlobalOptions::default() => return Err(no_options(self)),
            Plan::Mask(mask) => {
                let masks = tensors.iter().map(|tensor| {
                    let shape = tensor.scores.shape();
                    let fits = if mask.shape() == shape {
                        tensor.mask().and(mask)
                    } else {
                        Err(Error::Mask(MaskError::ShapeMismatch {
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
                    entries::lowest(by, tensors, requested, options, masked)?,
                    Some(requested),
                )
            }
            Plan::Channels { .. } | Plan::Groups { .. } | Plan::Blocks { .. } => {
                return Err(Error::Mask(MaskError::Unsupported {
                    method: format!("{self:?}"),
                    reason: "global pruning ranks single entries, so only unstructured methods can",
                }));
            }
        };
        let after: usize = masks.iter().map(Mask::count_kept).sum();
        Ok(GlobalOutcome {
            masks,
            requested,
            pruned: before - after,
        })
    }
}

/// The `requested` lowest-ranked of the channels that are `left`.
fn lowest_channels<T: Element>(
    channels: &Channels<'_>,
    by: ChannelRank,
    scores: &ArrayViewD<'_, T>,
    prior: Option<&Mask>,
    masked: Masked,
    mut left: Vec<usize>,
    requested: usize,
) -> Result<Vec<usize>> {
    match by {
        ChannelRank::Norm(norm) => {
            let standard = standard(scores);
            let norms = ranked_norms(channels, slice(&standard), prior, masked, &left, norm)?;
            left.sort_by(|&a, &b| norms[a].total_cmp(&norms[b])); // stable: ties by index
        }
        ChannelRank::Random { seed } => {
            let keys = random::keys(random::stream_key(seed, 0, 0), channels.count());
            left.sort_by_key(|&channel| keys[channel]);
        }
    }
    left.truncate(requested);
    Ok(left)
}

/// The norms of all channels; of those that are `left` none is NaN.
fn ranked_norms<T: Element>(
    channels: &Channels<'_>,
    values: &[T],
    prior: Option<&Mask>,
    masked: Masked,
    left: &[usize],
    norm: Norm,
) -> Result<Vec<f64>> {
    let entries = Entries::new(values, prior, masked);
    let is_nan = |norms: &[f64]| left.iter().any(|&channel| norms[channel].is_nan());
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
    Error::Mask(MaskError::NanScore {
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
