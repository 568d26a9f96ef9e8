//! Several parameters, pruned and ranked together.

use std::collections::HashSet;
use std::sync::Arc;

use ndarray::arr0;

use super::Report;
use super::apply::{of_zeros, ranks_nothing};
use super::model::ByRef;
use crate::error::{ListError, Result};
use crate::mask::{self, CustomFromMask, GlobalOptions, IntoMethod, Masked, PruningMethod, Tensor};
use crate::prunable::{MaskAction, MaskChange, ParameterView, Prunable, Pruning};

/// Prunes several parameters by one unstructured method that ranks all their entries together.
///
/// The amount is relative to all entries that remain. The history of each parameter records that parameter's mask, as
/// a [`CustomFromMask`]. Parameters may have different float types; their values are compared exactly. To prune
/// separately owned modules together, put them into a [`Group`](crate::nn::Group).
///
/// PyTorch's `prune.global_unstructured`.
///
/// ```
/// use ndarray::array;
/// use secateurs::ArrayModel;
/// use secateurs::prune::{self, L1Unstructured};
///
/// let mut model = ArrayModel::new();
/// model.insert("0.weight", array![[0.1, -3.0], [2.0, -0.2]])?;
/// model.insert("1.weight", array![[0.3, 0.4]])?;
/// let paths = prune::weights(&model);
/// let report = prune::global_unstructured(&mut model, paths, L1Unstructured::new(0.5)?)?;
/// assert_eq!(report.pruned, 3);
/// assert_eq!(prune::mask(&model, "0.weight")?.unwrap().to_bool(), array![[false, true], [true, false]].into_dyn());
/// assert_eq!(prune::mask(&model, "1.weight")?.unwrap().to_bool(), array![[false, true]].into_dyn());
/// # Ok::<(), secateurs::Error>(())
/// ```
///
/// # Errors
///
/// [`ListError::NoParameters`] for an empty list, [`ListError::ListedTwice`],
/// [`ModelError::UnknownParameter`](crate::error::ModelError::UnknownParameter),
/// [`MaskError::Unsupported`](crate::error::MaskError::Unsupported) for a method that is not unstructured; otherwise
/// as [`apply`](super::apply). After an error, the model is bit for bit as it was.
pub fn global_unstructured<M: Prunable + ?Sized>(
    model: &mut M,
    paths: impl IntoIterator<Item = impl AsRef<str>>,
    method: impl IntoMethod,
) -> Result<Report> {
    global_unstructured_with(model, paths, method, &GlobalOptions::new())
}

/// As [`global_unstructured`], with options: importance scores for some or all of the parameters, caps on the sparsity
/// of each, and ranking by an entry's share of its parameter's norm.
///
/// PyTorch's `prune.global_unstructured(…, importance_scores)`; it has no caps and no norms.
///
/// ```
/// use ndarray::array;
/// use secateurs::ArrayModel;
/// use secateurs::prune::{self, GlobalOptions, L1Unstructured};
///
/// let mut model = ArrayModel::new();
/// model.insert("0.weight", array![[0.1, -0.3, 0.2, 0.4]])?;
/// model.insert("1.weight", array![[3.0], [4.0], [5.0], [6.0]])?;
/// let paths = prune::weights(&model);
///
/// let options = GlobalOptions::new().max_sparsity(0.75)?;
/// let report = prune::global_unstructured_with(&mut model, &paths, L1Unstructured::new(0.5)?, &options)?;
/// assert_eq!((report.pruned, report.parameters[0].masked, report.parameters[1].masked), (4, 3, 1));
///
/// let scores = array![[9.0], [9.0], [0.0], [9.0]];
/// let options = GlobalOptions::new().scores("1.weight", &scores);
/// prune::global_unstructured_with(&mut model, &paths, L1Unstructured::new(1)?, &options)?;
/// assert_eq!(prune::mask(&model, "1.weight")?.unwrap().get(&[2, 0]), Some(false));
/// # Ok::<(), secateurs::Error>(())
/// ```
///
/// # Errors
///
/// As [`global_unstructured`]; [`AmountError::Capped`](crate::error::AmountError::Capped), which says how many entries
/// the caps leave, where these are fewer than requested; [`ListError::UnexpectedScores`] and
/// [`ListError::UnexpectedCap`] for a parameter that is not in the list; and
/// [`MaskError::Unsupported`](crate::error::MaskError::Unsupported) for options that the method cannot have, as
/// [`compute_global_with`](mask::compute_global_with) says.
pub fn global_unstructured_with<M: Prunable + ?Sized>(
    model: &mut M,
    paths: impl IntoIterator<Item = impl AsRef<str>>,
    method: impl IntoMethod,
    options: &GlobalOptions<'_>,
) -> Result<Report> {
    let paths: Vec<String> = paths.into_iter().map(|path| path.as_ref().to_owned()).collect();
    prune_together(&mut ByRef(model), &paths, &*method.into_method(), options)
}

fn prune_together(
    model: &mut dyn Prunable,
    paths: &[String],
    method: &dyn PruningMethod,
    options: &GlobalOptions<'_>,
) -> Result<Report> {
    let (report, changes) = compute(&views(model, paths)?, paths, method, options)?;
    model.check_whole()?;
    model.commit(changes)?;
    Ok(report)
}

/// The listed parameters, each of which may be listed once.
fn views<'a>(model: &'a dyn Prunable, paths: &[String]) -> Result<Vec<ParameterView<'a>>> {
    let mut seen = HashSet::new();
    let views = paths.iter().map(|path| {
        let view = model.view(path)?;
        // By identity, so that two paths to one parameter are found out as well.
        if !seen.insert(view.id()) {
            return Err(ListError::ListedTwice { path: path.clone() }.into());
        }
        Ok(view)
    });
    views.collect()
}

/// What a method does to several parameters, before it is done.
fn compute(
    parameters: &[ParameterView<'_>],
    paths: &[String],
    method: &dyn PruningMethod,
    options: &GlobalOptions<'_>,
) -> Result<(Report, Vec<MaskChange>)> {
    let nothing = arr0(0.0_f32).into_dyn();
    let tensors = paths.iter().zip(parameters).map(|(path, parameter)| {
        let scores = if ranks_nothing(method) {
            of_zeros(&nothing, parameter.shape())
        } else {
            parameter.kept_values()?
        };
        Ok(Tensor {
            name: path,
            scores,
            prior: parameter.mask(),
            masked: Masked::AsZero,
        })
    });
    let outcome = mask::compute_tensors(&method, &tensors.collect::<Result<Vec<_>>>()?, options)?;
    let names = paths.iter().map(String::as_str);
    let report = Report::new(outcome.requested, outcome.pruned, names.zip(&outcome.masks));
    let changes = parameters.iter().zip(outcome.masks);
    let changes = changes
        .map(|(parameter, mask)| share(parameter, mask))
        .collect::<Result<_>>()?;
    Ok((report, changes))
}

/// A parameter's own share of what was pruned.
fn share(view: &ParameterView<'_>, mask: mask::Mask) -> Result<MaskChange> {
    let mask = Arc::new(mask);
    let method = CustomFromMask::new(mask.clone()).into_method();
    Ok(MaskChange {
        path: view.path().to_owned(),
        action: MaskAction::Set(Pruning::after(view.pruning(), view.name(), mask, method)?),
    })
}
