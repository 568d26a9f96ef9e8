//! The engine: scores and a prior mask in, a mask out, under the rules that no method can break.

mod entries;
mod own;
mod patterns;
mod planned;

use std::fmt::Debug;

use ndarray::ArrayViewD;

use super::effective::Masked;
use super::method::{PruningMethod, PruningType};
use super::options::GlobalOptions;
use super::packed::Mask;
use crate::error::{Error, MaskError, ModelError, Result};

/// What pruning one tensor came to.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Outcome {
    /// The new mask; it keeps nothing that the prior mask pruned.
    pub mask: Mask,
    /// Units (entries, or channels or blocks for methods that prune these) that the method was asked to prune;
    /// `None` where a method does not ask for a number, as a custom mask and N:M do not.
    pub requested: Option<usize>,
    /// Units that are pruned now and were not before.
    pub pruned: usize,
}

/// Runs a method over one tensor of scores.
///
/// `prior` is the mask so far; everything is kept where there is none. The result never depends on the memory
/// layout of `scores` (S5).
///
/// ```
/// use ndarray::array;
/// use secateurs::mask::{self, L1Unstructured, Mask};
///
/// let scores = array![[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]].into_dyn();
/// let prior = Mask::from_array(array![[1, 1, 1, 0], [1, 1, 0, 1]].view())?;
/// let outcome = mask::compute(&L1Unstructured::new(2)?, scores.view(), Some(&prior))?;
/// assert_eq!(outcome.mask, Mask::from_array(array![[0, 0, 1, 0], [1, 1, 0, 1]].view())?);
/// assert_eq!((outcome.requested, outcome.pruned), (Some(2), 2));
/// # Ok::<(), secateurs::Error>(())
/// ```
///
/// # Errors
///
/// - [`MaskError::ShapeMismatch`](crate::error::MaskError::ShapeMismatch) if `prior`, a custom mask, or a method's answer has another shape than `scores`;
/// - [`AmountError::TooLarge`](crate::error::AmountError::TooLarge) for a count above the units that are left;
/// - [`PatternError::NoChannels`](crate::error::PatternError::NoChannels), [`PatternError::DimOutOfRange`](crate::error::PatternError::DimOutOfRange), [`NormError::NotMatrices`](crate::error::NormError::NotMatrices) if a structured method does not fit
///   the shape; [`PatternError::Indivisible`](crate::error::PatternError::Indivisible) if one of N:M does not;
/// - [`MaskError::NanScore`](crate::error::MaskError::NanScore) if an entry to be ranked is NaN;
/// - whatever a user's own method returns.
pub fn compute<M: PruningMethod + ?Sized>(
    method: &M,
    scores: ArrayViewD<'_, f32>,
    prior: Option<&Mask>,
) -> Result<Outcome> {
    match method.plan() {
        Some(plan) => plan.compute(scores, prior),
        None => own::compute(method, scores, prior),
    }
}

/// Runs a method over one parameter as forward sees it: the same as [`compute`] of the effective tensor, which is
/// made only for methods of users' own.
pub(crate) fn compute_effective<M: PruningMethod + ?Sized>(
    method: &M,
    original: ArrayViewD<'_, f32>,
    prior: Option<&Mask>,
) -> Result<Outcome> {
    match (method.plan(), prior) {
        (Some(plan), _) => plan.compute_under(original, prior, Masked::AsZero),
        (None, None) => own::compute(method, original, None),
        (None, Some(mask)) => own::compute(method, mask.apply(original)?.view(), prior),
    }
}

/// The whole `compute_mask` of a method that is described by its plan.
pub(super) fn built_in<M: PruningMethod + ?Sized>(
    method: &M,
    scores: ArrayViewD<'_, f32>,
    prior: &Mask,
) -> Result<Mask> {
    let plan = method.plan().expect("a built-in method describes itself");
    Ok(plan.compute(scores, Some(prior))?.mask)
}

/// One tensor of a [`compute_global`] call.
#[derive(Clone, Debug)]
pub struct Ranked<'a, T> {
    /// What errors call the tensor; may be empty.
    pub name: &'a str,
    /// The scores, of the tensor's shape.
    pub scores: ArrayViewD<'a, T>,
    /// The mask so far; everything is kept where there is none.
    pub prior: Option<&'a Mask>,
}

/// What ranking several tensors together came to.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct GlobalOutcome {
    /// The new masks, in the order of the tensors.
    pub masks: Vec<Mask>,
    /// Entries that the method was asked to prune, if it asks for a number.
    pub requested: Option<usize>,
    /// Entries that are pruned now and were not before.
    pub pruned: usize,
}

/// Runs an unstructured method over several tensors, all ranked together (S17).
///
/// ```
/// use ndarray::array;
/// use secateurs::mask::{self, L1Unstructured, Ranked};
///
/// let (a, b) = (array![1.0, 5.0, 2.0].into_dyn(), array![0.5, 9.0].into_dyn());
/// let tensors = [
///     Ranked { name: "a", scores: a.view(), prior: None },
///     Ranked { name: "b", scores: b.view(), prior: None },
/// ];
/// let outcome = mask::compute_global(&L1Unstructured::new(3)?, &tensors)?;
/// assert_eq!(outcome.masks[0].to_bool(), array![false, true, false].into_dyn());
/// assert_eq!(outcome.masks[1].to_bool(), array![false, true].into_dyn());
/// # Ok::<(), secateurs::Error>(())
/// ```
///
/// # Errors
///
/// As [`compute`]; [`ModelError::NoParameters`](crate::error::ModelError::NoParameters) for an empty list, and [`MaskError::Unsupported`](crate::error::MaskError::Unsupported) for a method that is not
/// unstructured. An error about one tensor says which.
pub fn compute_global<M: PruningMethod + ?Sized>(
    method: &M,
    tensors: &[Ranked<'_, f32>],
) -> Result<GlobalOutcome> {
    compute_global_with(method, tensors, GlobalOptions::default())
}

/// Runs an unstructured method over several tensors, all ranked together, with a cap on each tensor's sparsity or
/// ranking by norms; [`GlobalOptions`] has an example.
///
/// # Errors
///
/// As [`compute_global`]; [`AmountError::Capped`](crate::error::AmountError::Capped) where the caps do not leave as much to prune as is asked for; and
/// [`MaskError::Unsupported`](crate::error::MaskError::Unsupported) for options with a method of your own that does not describe itself by a [`Plan`], or for
/// ranking by norms with a method that ranks by chance.
///
/// [`Plan`]: super::Plan
pub fn compute_global_with<M: PruningMethod + ?Sized>(
    method: &M,
    tensors: &[Ranked<'_, f32>],
    options: GlobalOptions,
) -> Result<GlobalOutcome> {
    compute_global_under(method, tensors, options, Masked::AsGiven)
}

/// Runs an unstructured method over several parameters as forward sees them, though their scores are the originals.
///
/// A pruned entry is never ranked, so that it is all the same to any method; but it may count in a norm.
pub(crate) fn compute_global_effective<M: PruningMethod + ?Sized>(
    method: &M,
    originals: &[Ranked<'_, f32>],
    options: GlobalOptions,
) -> Result<GlobalOutcome> {
    compute_global_under(method, originals, options, Masked::AsZero)
}

fn compute_global_under<M: PruningMethod + ?Sized>(
    method: &M,
    tensors: &[Ranked<'_, f32>],
    options: GlobalOptions,
    masked: Masked,
) -> Result<GlobalOutcome> {
    check_global(method, tensors)?;
    match method.plan() {
        Some(plan) => plan.compute_global_under(tensors, options, masked),
        None if options == GlobalOptions::default() => own::compute_global(method, tensors),
        None => Err(no_options(method)),
    }
}

fn no_options(method: &(impl Debug + ?Sized)) -> Error {
    Error::Mask(MaskError::Unsupported {
        method: format!("{method:?}"),
        reason: "caps and norms are for methods that rank entries by magnitude, by value or by chance",
    })
}

fn check_global<M: PruningMethod + ?Sized>(method: &M, tensors: &[Ranked<'_, f32>]) -> Result<()> {
    check_list(tensors)?;
    if method.pruning_type() != PruningType::Unstructured {
        return Err(Error::Mask(MaskError::Unsupported {
            method: format!("{method:?}"),
            reason: "global pruning ranks single entries, so only unstructured methods can",
        }));
    }
    Ok(())
}

/// An error where the list is empty, or a prior mask does not fit its tensor.
fn check_list<T>(tensors: &[Ranked<'_, T>]) -> Result<()> {
    if tensors.is_empty() {
        return Err(Error::Model(ModelError::NoParameters));
    }
    tensors
        .iter()
        .try_for_each(|t| check_prior(&t.scores, t.prior).map_err(|error| error.at(t.name)))
}

fn check_prior<T>(scores: &ArrayViewD<'_, T>, prior: Option<&Mask>) -> Result<()> {
    prior.map_or(Ok(()), |prior| {
        prior.check_shape("the array of scores", scores.shape())
    })
}

impl<T> Ranked<'_, T> {
    /// Number of entries that are left to prune.
    fn left(&self) -> usize {
        self.prior.map_or(self.scores.len(), Mask::count_kept)
    }

    /// The mask so far.
    fn mask(&self) -> Mask {
        self.prior
            .cloned()
            .unwrap_or_else(|| Mask::ones(self.scores.shape()))
    }
}
