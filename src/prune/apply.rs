//! Any method, or any mask, on one parameter.

use std::sync::Arc;

use ndarray::{ArrayBase, ArrayViewD, Data, Dimension};

use super::Report;
use crate::error::{Error, MaskError, Result};
use crate::mask::{self, CustomFromMask, IntoMethod, Mask, PruningContainer, PruningMethod};
use crate::nn::tree::split;
use crate::nn::{ParamTree, ParamTreeExt, Parameter};

/// Prunes a parameter by any method, ranked by the parameter itself as forward sees it.
///
/// PyTorch's `method.apply(module, name)`.
///
/// ```
/// # use rand::SeedableRng;
/// # let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(0);
/// # let mut module = secateurs::nn::Linear::new(4, 3, &mut rng);
/// use secateurs::prune::{self, L1Unstructured};
///
/// let report = prune::apply(&mut module, "weight", L1Unstructured::new(0.25)?)?;
/// assert_eq!((report.requested, report.pruned, report.masked, report.entries), (Some(3), 3, 3, 12));
/// # Ok::<(), secateurs::Error>(())
/// ```
///
/// # Errors
///
/// [`ModelError::UnknownParameter`](crate::error::ModelError::UnknownParameter) for a path that leads nowhere; [`MaskError::Unsupported`](crate::error::MaskError::Unsupported) for a container, whose
/// methods are applied one by one; [`Error::Parameter`] or [`MaskError::NanScore`](crate::error::MaskError::NanScore), which name the path, for whatever
/// [`mask::compute`] finds wrong. The module is then bit for bit as it was.
pub fn apply<T: ParamTree + ?Sized>(module: &mut T, path: &str, method: impl IntoMethod) -> Result<Report> {
    prune_one(module, path, method.into_method(), None)
}

/// Prunes a parameter by any method, ranked by importance scores of the parameter's shape.
///
/// PyTorch's `method.apply(module, name, importance_scores=…)`.
///
/// ```
/// # use rand::SeedableRng;
/// # let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(0);
/// # let mut module = secateurs::nn::Linear::new(2, 1, &mut rng);
/// use ndarray::array;
/// use secateurs::prune::{self, Mask, ScoreUnstructured};
///
/// prune::apply_with_scores(&mut module, "weight", ScoreUnstructured::new(1)?, &array![[0.3, -0.1]])?;
/// assert_eq!(prune::mask(&module, "weight")?, Some(&Mask::from_array(array![[1, 0]].view())?));
/// # Ok::<(), secateurs::Error>(())
/// ```
///
/// # Errors
///
/// As [`apply`], and [`Error::Parameter`] around [`MaskError::ShapeMismatch`](crate::error::MaskError::ShapeMismatch) if the scores have another shape.
pub fn apply_with_scores<T, S, D>(
    module: &mut T,
    path: &str,
    method: impl IntoMethod,
    scores: &ArrayBase<S, D>,
) -> Result<Report>
where
    T: ParamTree + ?Sized,
    S: Data<Elem = f32>,
    D: Dimension,
{
    prune_one(module, path, method.into_method(), Some(scores.view().into_dyn()))
}

fn prune_one<T: ParamTree + ?Sized>(
    module: &mut T,
    path: &str,
    method: Arc<dyn PruningMethod>,
    scores: Option<ArrayViewD<'_, f32>>,
) -> Result<Report> {
    let parameter = module.parameter(path)?;
    let hook = compose(split(path).1, parameter.hook(), method.clone())?;
    let outcome = match scores {
        None => mask::compute_effective(&*method, parameter.original(), parameter.mask()),
        Some(scores) => {
            check_scores(parameter, &scores).and_then(|()| mask::compute(&*method, scores, parameter.mask()))
        }
    }
    .map_err(|error| error.at(path))?;
    let report = Report::new(outcome.requested, outcome.pruned, [(path, &outcome.mask)]);
    module.parameter_mut(path)?.set_pruning(outcome.mask, hook)?;
    Ok(report)
}

/// An error where importance scores have another shape than their parameter.
pub(super) fn check_scores(parameter: &Parameter, scores: &ArrayViewD<'_, f32>) -> Result<()> {
    if scores.shape() == parameter.shape() {
        return Ok(());
    }
    Err(Error::Mask(MaskError::ShapeMismatch {
        what: "the array of importance scores",
        expected: parameter.shape().to_vec(),
        got: scores.shape().to_vec(),
    }))
}

/// The hook of a parameter after one more method: the method itself, or a container of all so far (S16).
pub(super) fn compose(
    name: &str,
    before: Option<&Arc<dyn PruningMethod>>,
    method: Arc<dyn PruningMethod>,
) -> Result<Arc<dyn PruningMethod>> {
    if method.is::<PruningContainer>() {
        return Err(Error::Mask(MaskError::Unsupported {
            method: "a PruningContainer".to_owned(),
            reason: "it records what has pruned a parameter; apply its methods one by one",
        }));
    }
    let Some(before) = before else {
        return Ok(method);
    };
    let mut container = match before.downcast_ref::<PruningContainer>() {
        Some(container) => container.clone(),
        None => {
            let mut container = PruningContainer::new(name);
            container.add(name, before.clone())?;
            container
        }
    };
    container.add(name, method)?;
    Ok(container.into_method())
}

/// Replaces the mask of a parameter outright, whether it was pruned or not; entries may come back (S23). Its hook
/// becomes one [`CustomFromMask`].
///
/// Where [`custom_from_mask`](super::custom_from_mask) prunes on top of what is pruned already, this is for what
/// regrows or recomputes: schedules, dynamic sparse training, undo.
///
/// ```
/// # use rand::SeedableRng;
/// # let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(0);
/// # let mut module = secateurs::nn::Linear::new(2, 1, &mut rng);
/// use ndarray::array;
/// use secateurs::prune;
///
/// prune::set_mask(&mut module, "weight", array![[true, false]])?;
/// prune::set_mask(&mut module, "weight", array![[false, true]])?;
/// assert_eq!(prune::mask(&module, "weight")?.unwrap().to_bool(), array![[false, true]].into_dyn());
/// # Ok::<(), secateurs::Error>(())
/// ```
///
/// # Errors
///
/// [`ModelError::UnknownParameter`](crate::error::ModelError::UnknownParameter) for a path that leads nowhere, [`Error::Parameter`] around
/// [`MaskError::ShapeMismatch`](crate::error::MaskError::ShapeMismatch) if the mask has another shape than the parameter.
pub fn set_mask<T: ParamTree + ?Sized>(
    module: &mut T,
    path: &str,
    mask: impl TryInto<Mask, Error: Into<Error>>,
) -> Result<Report> {
    let mask = mask.try_into().map_err(Into::into)?;
    let parameter = module.parameter(path)?;
    let kept_before = parameter
        .mask()
        .map_or_else(|| Mask::ones(parameter.shape()), Mask::clone);
    let pruned = kept_before
        .and(&mask.not())
        .map_err(|error| error.at(path))?
        .count_kept();
    let report = Report::new(None, pruned, [(path, &mask)]);
    let hook = CustomFromMask::new(mask.clone()).into_method();
    module.parameter_mut(path)?.set_pruning(mask, hook)?;
    Ok(report)
}
