//! Carries out plans, on views of any float type, without gathering the entries that remain.

use super::{GlobalOutcome, Outcome, Ranked, Tensor, entries, no_options, not_global, patterns, prepare};
use crate::error::{Error, MaskError, Result};
use crate::mask::float_view::FloatView;
use crate::mask::patterns::blocks::Blocks;
use crate::mask::patterns::channels::Channels;
use crate::mask::patterns::groups::Groups;
use crate::mask::{GlobalOptions, Mask, Plan};

/// Carries a plan out on one tensor.
pub(super) fn compute(plan: &Plan<'_>, tensor: &Tensor<'_>) -> Result<Outcome> {
    match *plan {
        Plan::Channels { amount, dim, by } => {
            let channels = Channels::along(dim, tensor.scores.shape())?;
            patterns::channels(channels, amount, by, tensor)
        }
        Plan::Groups { keep, of, dim, by } => {
            let groups = Groups::along(dim, tensor.scores.shape(), keep, of)?;
            patterns::groups(groups, by, tensor)
        }
        Plan::Blocks {
            amount,
            height,
            width,
            by,
        } => {
            let blocks = Blocks::of(tensor.scores.shape(), height, width)?;
            patterns::blocks(blocks, amount, by, tensor)
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
            (entries::lowest(by, tensors, requested, options)?, Some(requested))
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
