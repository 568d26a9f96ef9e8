//! Runs methods: scores and a prior mask in, a mask out, with all checks that no method can bypass.

mod custom;
mod entries;
mod erased;
mod outcome;
mod planned;
mod tensor;
mod units;

pub use outcome::{GlobalOutcome, Outcome};
pub use tensor::Ranked;
pub(crate) use tensor::Tensor;

use erased::ErasedMethod;
use planned::{no_options, not_global};

use super::error::{ListError, MaskError};
use super::float_view::FloatView;
use super::method::{PruningMethod, PruningType};
use super::options::GlobalOptions;
use super::packed::Mask;
use super::patterns::read::Masked;
use super::plan::Plan;
use crate::error::Result;

/// Runs a method over one tensor of scores: an array of f32, f64, f16 or bf16, by reference or as a view.
///
/// `prior` is the mask so far; `None` keeps everything. The result never depends on the memory layout of `scores`. A
/// method of your own takes `f32`, so it sees f16 and bf16 widened and f64 rounded.
///
/// ```
/// use ndarray::array;
/// use secateurs::mask::{self, L1Unstructured, Mask};
///
/// let scores = array![[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]];
/// let prior = Mask::from_array(array![[1, 1, 1, 0], [1, 1, 0, 1]].view())?;
/// let outcome = mask::compute(&L1Unstructured::new(2)?, &scores, Some(&prior))?;
/// assert_eq!(outcome.mask, Mask::from_array(array![[0, 0, 1, 0], [1, 1, 0, 1]].view())?);
/// assert_eq!((outcome.requested, outcome.pruned), (Some(2), 2));
/// # Ok::<(), secateurs::Error>(())
/// ```
///
/// # Errors
///
/// - [`MaskError::ShapeMismatch`] if `prior`, a custom mask, or the mask that a method returns does not have the
///   shape of `scores`;
/// - [`AmountError::TooLarge`](super::AmountError::TooLarge) for a count above the units that remain;
/// - [`PatternError`](super::PatternError) or [`NormError`](super::NormError) if a method does not fit the shape;
/// - [`MaskError::NanScore`] if an entry to be ranked is NaN;
/// - whatever a user's own method returns.
pub fn compute<'a, M: PruningMethod + ?Sized>(
    method: &M,
    scores: impl Into<FloatView<'a>>,
    prior: Option<&Mask>,
) -> Result<Outcome> {
    let scores = scores.into();
    compute_tensor(&method, &Tensor::given("", &scores, prior))
}

/// Runs a method over one tensor: of scores, or of a parameter whose pruned entries count as 0.
pub(crate) fn compute_tensor(method: &dyn ErasedMethod, tensor: &Tensor<'_>) -> Result<Outcome> {
    tensor.check()?;
    match method.plan() {
        Some(plan) => planned::compute(&plan, tensor),
        None => custom::compute(method, tensor),
    }
}

/// Runs an unstructured method over several tensors, all ranked together. They may be of different float types.
///
/// ```
/// use half::bf16;
/// use ndarray::array;
/// use secateurs::mask::{self, L1Unstructured, Ranked};
///
/// let (a, b) = (array![1.0_f32, 5.0, 2.0], array![0.5, 9.0].mapv(bf16::from_f64));
/// let tensors = [Ranked::new("a", &a), Ranked::new("b", &b)];
/// let outcome = mask::compute_global(&L1Unstructured::new(3)?, &tensors)?;
/// assert_eq!(outcome.masks[0].to_bool(), array![false, true, false].into_dyn());
/// assert_eq!(outcome.masks[1].to_bool(), array![false, true].into_dyn());
/// # Ok::<(), secateurs::Error>(())
/// ```
///
/// # Errors
///
/// As [`compute`]; [`ListError::NoParameters`] for an empty list, and [`MaskError::Unsupported`] for a method that is
/// not unstructured. An error about one tensor names it.
pub fn compute_global<M: PruningMethod + ?Sized>(
    method: &M,
    tensors: &[Ranked<'_>],
) -> Result<GlobalOutcome> {
    compute_global_with(method, tensors, &GlobalOptions::default())
}

/// Runs an unstructured method over several tensors, all ranked together, with options: other scores for some
/// tensors, caps on sparsity, ranking by norms. [`GlobalOptions`] has an example.
///
/// # Errors
///
/// As [`compute_global`]; [`AmountError::Capped`](super::AmountError::Capped) if the caps leave less to prune than is
/// requested; [`ListError::UnexpectedScores`] and [`ListError::UnexpectedCap`] for a name that is not in the list;
/// and [`MaskError::Unsupported`] for caps or norms with a method of your own that has no [`Plan`](super::Plan), or
/// for norms with a random method.
pub fn compute_global_with<M: PruningMethod + ?Sized>(
    method: &M,
    tensors: &[Ranked<'_>],
    options: &GlobalOptions<'_>,
) -> Result<GlobalOutcome> {
    compute_tensors(&method, &Tensor::all_given(tensors), options)
}

/// Runs an unstructured method over several tensors: of scores, or of parameters whose pruned entries count as 0.
pub(crate) fn compute_tensors(
    method: &dyn ErasedMethod,
    tensors: &[Tensor<'_>],
    options: &GlobalOptions<'_>,
) -> Result<GlobalOutcome> {
    let tensors = prepare(tensors, options)?;
    if method.pruning_type() != PruningType::Unstructured {
        return Err(not_global(method));
    }
    match method.plan() {
        Some(plan) => planned::compute_global(&plan, &tensors, options),
        None if options.lowest_cap().is_none() && !options.is_normalized() => {
            custom::compute_global(method, &tensors)
        }
        None => Err(no_options(method)),
    }
}

/// Checks a list of tensors, and replaces their own scores by those in the options.
fn prepare<'a>(tensors: &'a [Tensor<'_>], options: &'a GlobalOptions<'_>) -> Result<Vec<Tensor<'a>>> {
    if tensors.is_empty() {
        return Err(ListError::NoParameters.into());
    }
    let unlisted = |name: &&str| tensors.iter().all(|tensor| tensor.name != *name);
    if let Some(path) = options.scored().find(unlisted) {
        return Err(ListError::UnexpectedScores { path: path.into() }.into());
    }
    if let Some(path) = options.capped().find(unlisted) {
        return Err(ListError::UnexpectedCap { path: path.into() }.into());
    }
    let prepared = tensors.iter().map(|tensor| {
        let (scores, masked) = match options.scores_of(tensor.name) {
            Some(scores) => {
                check_scores(tensor.scores.shape(), &scores).map_err(|error| error.at(tensor.name))?;
                (scores, Masked::AsGiven)
            }
            None => (tensor.scores.view(), tensor.masked),
        };
        let prepared = Tensor {
            scores,
            masked,
            ..*tensor
        };
        prepared.check().map_err(|error| error.at(tensor.name))?;
        Ok(prepared)
    });
    prepared.collect()
}

/// Refuses importance scores that do not have the shape of their parameter.
pub(crate) fn check_scores(shape: &[usize], scores: &FloatView<'_>) -> Result<()> {
    if scores.shape() == shape {
        return Ok(());
    }
    Err(MaskError::ShapeMismatch {
        what: "the array of importance scores",
        expected: shape.to_vec(),
        got: scores.shape().to_vec(),
    }
    .into())
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
        planned::compute(self, &tensor)
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
        planned::compute_global(self, &prepare(&tensors, options)?, options)
    }
}
