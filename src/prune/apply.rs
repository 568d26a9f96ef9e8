//! Any method or mask, applied to one parameter.

use std::sync::Arc;

use ndarray::{IxDyn, arr0};

use super::Report;
use super::model::ByRef;
use crate::error::{MaskError, Result};
use crate::mask::{self, FloatView, IntoMethod, Mask, Masked, PruningMethod, Tensor};
use crate::prunable::{MaskAction, MaskChange, ParameterView, Prunable, Pruning};

/// Prunes a parameter by any method. Its entries are ranked by their own values, in which pruned entries are 0.
///
/// PyTorch's `method.apply(module, name)`.
///
/// ```
/// use ndarray::Array2;
/// use secateurs::ArrayModel;
/// use secateurs::prune::{self, L1Unstructured};
///
/// let mut model = ArrayModel::new();
/// model.insert("weight", Array2::<f32>::ones((3, 4)))?;
/// let report = prune::apply(&mut model, "weight", L1Unstructured::new(0.25)?)?;
/// assert_eq!((report.requested, report.pruned, report.masked, report.entries), (Some(3), 3, 3, 12));
/// # Ok::<(), secateurs::Error>(())
/// ```
///
/// # Errors
///
/// [`ModelError::UnknownParameter`](crate::error::ModelError::UnknownParameter) for an unknown path;
/// [`MaskError::Unsupported`](crate::error::MaskError::Unsupported) for a container, whose methods have to be applied
/// one by one; [`Error::Parameter`](crate::Error::Parameter) or
/// [`MaskError::NanScore`](crate::error::MaskError::NanScore), which name the path, for every error of
/// [`mask::compute`](crate::mask::compute). After an error, the model is bit for bit as it was.
pub fn apply<M: Prunable + ?Sized>(model: &mut M, path: &str, method: impl IntoMethod) -> Result<Report> {
    prune_one(&mut ByRef(model), path, method.into_method(), None)
}

/// Prunes a parameter by any method, ranked by the given importance scores: an array of the parameter's shape, of any
/// float type, by reference or as a view.
///
/// PyTorch's `method.apply(module, name, importance_scores=…)`.
///
/// ```
/// use ndarray::array;
/// use secateurs::ArrayModel;
/// use secateurs::prune::{self, Mask, ScoreUnstructured};
///
/// let mut model = ArrayModel::new();
/// model.insert("weight", array![[1.0, 2.0]])?;
/// prune::apply_with_scores(&mut model, "weight", ScoreUnstructured::new(1)?, &array![[0.3, -0.1]])?;
/// assert_eq!(*prune::mask(&model, "weight")?.unwrap(), Mask::from_array(array![[1, 0]].view())?);
/// # Ok::<(), secateurs::Error>(())
/// ```
///
/// # Errors
///
/// As [`apply`], and [`Error::Parameter`](crate::Error::Parameter) around
/// [`MaskError::ShapeMismatch`](crate::error::MaskError::ShapeMismatch) if the scores have another shape.
pub fn apply_with_scores<'a, M: Prunable + ?Sized>(
    model: &mut M,
    path: &str,
    method: impl IntoMethod,
    scores: impl Into<FloatView<'a>>,
) -> Result<Report> {
    prune_one(&mut ByRef(model), path, method.into_method(), Some(scores.into()))
}

fn prune_one(
    model: &mut dyn Prunable,
    path: &str,
    method: Arc<dyn PruningMethod>,
    scores: Option<FloatView<'_>>,
) -> Result<Report> {
    let (report, change) = compute(&model.view(path)?, path, method, scores)?;
    model.commit(vec![change])?;
    Ok(report)
}

/// What a method is going to do to a parameter.
fn compute(
    parameter: &ParameterView<'_>,
    path: &str,
    method: Arc<dyn PruningMethod>,
    scores: Option<FloatView<'_>>,
) -> Result<(Report, MaskChange)> {
    let nothing = arr0(0.0_f32).into_dyn();
    let (scores, masked) = match &scores {
        Some(scores) => {
            mask::check_scores(parameter.shape(), scores).map_err(|error| error.at(path))?;
            (scores.view(), Masked::AsGiven)
        }
        None if ranks_nothing(&*method) => (of_zeros(&nothing, parameter.shape()), Masked::AsGiven),
        None => (parameter.kept_values()?, Masked::AsZero),
    };
    let tensor = Tensor {
        name: path,
        scores,
        prior: parameter.mask(),
        masked,
    };
    let outcome = mask::compute_tensor(&method.as_ref(), &tensor).map_err(|error| error.at(path))?;
    let report = Report::new(outcome.requested, outcome.pruned, [(path, &outcome.mask)]);
    let mask = Arc::new(outcome.mask);
    let pruning = Pruning::after(parameter.pruning(), parameter.name(), mask, method)?;
    let change = MaskChange {
        path: parameter.path().to_owned(),
        action: MaskAction::Set(pruning),
    };
    Ok((report, change))
}

/// Whether a method reads no scores, so that a model need not lend its values.
pub(crate) fn ranks_nothing(method: &dyn PruningMethod) -> bool {
    method.plan().is_some_and(|plan| !plan.reads_scores())
}

/// Scores that are all 0, of any shape, without memory of their own. They are for methods that do not read scores.
pub(crate) fn of_zeros<'a>(zero: &'a ndarray::ArrayD<f32>, shape: &[usize]) -> FloatView<'a> {
    let zeros = zero.broadcast(IxDyn(shape));
    zeros.expect("a scalar broadcasts to any shape").into()
}

/// Replaces the mask of a parameter, whether it was pruned or not. Pruned entries may come back. The history becomes
/// one [`CustomFromMask`](crate::mask::CustomFromMask).
///
/// [`custom_from_mask`](super::custom_from_mask) only prunes more. This function is for whatever regrows entries or
/// computes masks anew: schedules, dynamic sparse training, undo.
///
/// ```
/// use ndarray::array;
/// use secateurs::{ArrayModel, prune};
///
/// let mut model = ArrayModel::new();
/// model.insert("weight", array![[1.0, 2.0]])?;
/// prune::set_mask(&mut model, "weight", array![[true, false]])?;
/// prune::set_mask(&mut model, "weight", array![[false, true]])?;
/// assert_eq!(prune::mask(&model, "weight")?.unwrap().to_bool(), array![[false, true]].into_dyn());
/// # Ok::<(), secateurs::Error>(())
/// ```
///
/// # Errors
///
/// [`ModelError::UnknownParameter`](crate::error::ModelError::UnknownParameter) for an unknown path,
/// [`Error::Parameter`](crate::Error::Parameter) around
/// [`MaskError::ShapeMismatch`](crate::error::MaskError::ShapeMismatch) if the mask does not have the shape of the
/// parameter.
pub fn set_mask<M: Prunable + ?Sized>(
    model: &mut M,
    path: &str,
    mask: impl TryInto<Mask, Error: Into<crate::Error>>,
) -> Result<Report> {
    set(&mut ByRef(model), path, mask.try_into().map_err(Into::into)?)
}

fn set(model: &mut dyn Prunable, path: &str, mask: Mask) -> Result<Report> {
    let view = model.view(path)?;
    let newly = match view.mask() {
        Some(before) => before.and(&mask.not()).map(|newly| newly.count_kept()),
        None if mask.shape() == view.shape() => Ok(mask.count_pruned()),
        None => Err(crate::Error::Mask(MaskError::ShapeMismatch {
            what: "the other mask",
            expected: view.shape().to_vec(),
            got: mask.shape().to_vec(),
        })),
    };
    let pruned = newly.map_err(|error| error.at(path))?;
    let path_in_model = view.path().to_owned();
    drop(view);
    let report = Report::new(None, pruned, [(path, &mask)]);
    model.commit(vec![MaskChange {
        path: path_in_model,
        action: MaskAction::Set(Pruning::from_mask(mask)),
    }])?;
    Ok(report)
}
