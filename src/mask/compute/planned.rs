//! Carries out plans on views of any float type, without gathering the entries that remain.

use std::fmt::Debug;

use super::outcome::{GlobalOutcome, Outcome};
use super::tensor::Tensor;
use super::{entries, units};
use crate::error::{Error, MaskError, Result};
use crate::mask::patterns::blocks::Blocks;
use crate::mask::patterns::channels::Channels;
use crate::mask::patterns::groups::Groups;
use crate::mask::{GlobalOptions, Mask, Plan};

/// Carries a plan out on one tensor.
pub(super) fn compute(plan: &Plan<'_>, tensor: &Tensor<'_>) -> Result<Outcome> {
    match *plan {
        Plan::Channels { amount, dim, by } => {
            let channels = Channels::along(dim, tensor.scores.shape())?;
            units::channels(channels, amount, by, tensor)
        }
        Plan::Groups { keep, of, dim, by } => {
            let groups = Groups::along(dim, tensor.scores.shape(), keep, of)?;
            units::groups(groups, by, tensor)
        }
        Plan::Blocks {
            amount,
            height,
            width,
            by,
        } => {
            let blocks = Blocks::of(tensor.scores.shape(), height, width)?;
            units::blocks(blocks, amount, by, tensor)
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

/// The error of a method that cannot rank several tensors together.
pub(super) fn not_global(method: &(impl Debug + ?Sized)) -> crate::Error {
    MaskError::Unsupported {
        method: format!("{method:?}"),
        reason: "global pruning ranks single entries, so only unstructured methods can",
    }
    .into()
}

/// The error of a method that cannot have options.
pub(super) fn no_options(method: &(impl Debug + ?Sized)) -> crate::Error {
    MaskError::Unsupported {
        method: format!("{method:?}"),
        reason: "caps and norms are for methods that rank entries by magnitude, by value or at random",
    }
    .into()
}
