//! Runs users' own methods: slices out what is left for them, and holds their answers to the rules.

use ndarray::{Array1, ArrayViewD, Axis};

use super::{GlobalOutcome, Outcome, Ranked, check_prior};
use crate::error::{Error, MaskError, Result};
use crate::mask::channels::Channels;
use crate::mask::{Mask, PruningMethod, PruningType};

/// Runs a user's own method: slices out what is left, checks the answer, combines it with the prior mask.
pub(super) fn compute<M: PruningMethod + ?Sized>(
    method: &M,
    scores: ArrayViewD<'_, f32>,
    prior: Option<&Mask>,
) -> Result<Outcome> {
    check_prior(&scores, prior)?;
    let ones;
    let prior = match prior {
        Some(prior) => prior,
        None => {
            ones = Mask::ones(scores.shape());
            &ones
        }
    };
    match method.pruning_type() {
        PruningType::Unstructured => {
            let outcome = compute_global(
                method,
                &[Ranked {
                    name: "",
                    scores,
                    prior: Some(prior),
                }],
            )?;
            let mask = outcome
                .masks
                .into_iter()
                .next()
                .expect("one tensor gives one mask");
            Ok(Outcome {
                mask,
                requested: None,
                pruned: outcome.pruned,
            })
        }
        PruningType::Structured { dim } => {
            let channels = Channels::along(dim, scores.shape())?;
            let before = channels.left(prior);
            let left: Vec<usize> = (0..before.len()).filter(|&c| before[c]).collect();
            let axis = Axis(channels.axis());
            let kept = prior.to_bool();
            let part = Mask::from_bool(kept.select(axis, &left).view());
            let answer = ask(method, scores.select(axis, &left).view(), &part)?.to_bool();
            let mut combined = kept;
            for (position, &channel) in left.iter().enumerate() {
                let answer = answer.index_axis(axis, position);
                combined
                    .index_axis_mut(axis, channel)
                    .zip_mut_with(&answer, |kept, answer| *kept &= answer);
            }
            let mask = Mask::from_bool(combined.view());
            let after = channels.left(&mask).into_iter().filter(|&left| left).count();
            Ok(Outcome {
                mask,
                requested: None,
                pruned: left.len() - after,
            })
        }
        PruningType::Whole => {
            let mask = ask(method, scores, prior)?.and(prior)?;
            let pruned = prior.count_kept() - mask.count_kept();
            Ok(Outcome {
                mask,
                requested: None,
                pruned,
            })
        }
    }
}

/// Runs a user's own unstructured method over the entries that are left of all tensors, one after the other.
pub(super) fn compute_global<M: PruningMethod + ?Sized>(
    method: &M,
    tensors: &[Ranked<'_, f32>],
) -> Result<GlobalOutcome> {
    let mut masks: Vec<_> = tensors.iter().map(Ranked::mask).collect();
    let entries = tensors
        .iter()
        .zip(&masks)
        .flat_map(|(t, mask)| t.scores.iter().zip(mask));
    let left: Array1<f32> = entries
        .filter_map(|(score, kept)| kept.then_some(*score))
        .collect();
    let all = Mask::ones(left.shape());
    let answer = ask(method, left.view().into_dyn(), &all)?;
    let mut answers = answer.iter();
    for mask in &mut masks {
        let bits = mask
            .iter()
            .map(|kept| kept && answers.next().expect("one answer for each entry left"));
        *mask = Mask::collect(mask.shape(), bits);
    }
    Ok(GlobalOutcome {
        masks,
        requested: None,
        pruned: answer.count_pruned(),
    })
}

fn ask<M: PruningMethod + ?Sized>(method: &M, scores: ArrayViewD<'_, f32>, prior: &Mask) -> Result<Mask> {
    let answer = method.compute_mask(scores, prior)?;
    if answer.shape() != prior.shape() {
        return Err(Error::Mask(MaskError::ShapeMismatch {
            what: "the mask that the method returned",
            expected: prior.shape().to_vec(),
            got: answer.shape().to_vec(),
        }));
    }
    Ok(answer)
}
