//! Runs users' own methods: slices out what remains for them, and checks what they return.

use ndarray::{Array1, ArrayViewD, Axis};

use super::erased::ErasedMethod;
use super::outcome::{GlobalOutcome, Outcome};
use super::tensor::Tensor;
use crate::error::{MaskError, Result};
use crate::mask::patterns::channels::Channels;
use crate::mask::patterns::read::Masked;
use crate::mask::{Mask, PruningType};

/// Runs a user's own method: slices out what remains, checks the returned mask, and combines it with the prior mask.
pub(super) fn compute(method: &dyn ErasedMethod, tensor: &Tensor<'_>) -> Result<Outcome> {
    let prior = tensor.mask();
    let (mask, pruned) = match method.pruning_type() {
        PruningType::Unstructured => {
            let outcome = compute_global(method, std::slice::from_ref(tensor))?;
            let [mask] = outcome.masks.try_into().expect("one tensor gives one mask");
            (mask, outcome.pruned)
        }
        PruningType::Structured { dim } => {
            let scores = scores(tensor)?;
            let channels = Channels::along(dim, scores.shape())?;
            let before = channels.remaining(Some(&prior));
            let remaining: Vec<usize> = (0..before.len()).filter(|&c| before[c]).collect();
            let axis = Axis(channels.axis());
            let mut kept = prior.to_bool();
            let part = Mask::from_bool(kept.select(axis, &remaining).view());
            let answer = answer(method, scores.select(axis, &remaining).view(), &part)?.to_bool();
            for (position, &channel) in remaining.iter().enumerate() {
                kept.index_axis_mut(axis, channel)
                    .zip_mut_with(&answer.index_axis(axis, position), |kept, answer| *kept &= answer);
            }
            let mask = Mask::from_bool(kept.view());
            let after = channels
                .remaining(Some(&mask))
                .into_iter()
                .filter(|&remains| remains)
                .count();
            (mask, remaining.len() - after)
        }
        PruningType::Whole => {
            let mask = answer(method, scores(tensor)?.view(), &prior)?.and(&prior)?;
            let pruned = prior.count_kept() - mask.count_kept();
            (mask, pruned)
        }
    };
    Ok(Outcome {
        mask,
        requested: None,
        pruned,
    })
}

/// Runs a user's own unstructured method over the entries that remain of all tensors, one tensor after the other.
pub(super) fn compute_global(method: &dyn ErasedMethod, tensors: &[Tensor<'_>]) -> Result<GlobalOutcome> {
    let mut masks: Vec<_> = tensors.iter().map(Tensor::mask).collect();
    let mut remaining = Vec::new();
    for (tensor, mask) in tensors.iter().zip(&masks) {
        let scores = tensor.scores.to_f32();
        let entries = scores.iter().zip(mask);
        remaining.extend(entries.filter_map(|(score, kept)| kept.then_some(*score)));
    }
    let remaining = Array1::from_vec(remaining);
    let all = Mask::ones(remaining.shape());
    let answer = answer(method, remaining.view().into_dyn(), &all)?;
    let mut answers = answer.iter();
    for mask in &mut masks {
        let bits = mask
            .iter()
            .map(|kept| kept && answers.next().expect("one answer for each entry that remains"));
        *mask = Mask::collect(mask.shape(), bits);
    }
    Ok(GlobalOutcome {
        masks,
        requested: None,
        pruned: answer.count_pruned(),
    })
}

/// The scores as f32 for a user's own method, with zeros where a parameter's own values are pruned.
fn scores(tensor: &Tensor<'_>) -> Result<ndarray::ArrayD<f32>> {
    let mut scores = tensor.scores.to_f32();
    if let (Masked::AsZero, Some(prior)) = (tensor.masked, tensor.prior) {
        prior.apply_inplace(scores.view_mut())?;
    }
    Ok(scores)
}

fn answer(method: &dyn ErasedMethod, scores: ArrayViewD<'_, f32>, prior: &Mask) -> Result<Mask> {
    let answer = method.compute_mask(scores, prior)?;
    if answer.shape() != prior.shape() {
        return Err(MaskError::ShapeMismatch {
            what: "the mask that the method returned",
            expected: prior.shape().to_vec(),
            got: answer.shape().to_vec(),
        }
        .into());
    }
    Ok(answer)
}
