//! Several parameters, ranked together.

use std::collections::{BTreeMap, HashSet};

use ndarray::ArrayViewD;

use super::Report;
use super::apply::{check_scores, compose};
use crate::error::{Error, ModelError, Result};
use crate::mask::{self, CustomFromMask, GlobalOptions, IntoMethod, Ranked};
use crate::nn::tree::split;
use crate::nn::{ParamTree, ParamTreeExt};

/// Prunes several parameters by one unstructured method that ranks all their entries together (S17).
///
/// The amount speaks of all entries that are left. Each parameter's hook keeps its own share of the mask, as a
/// [`CustomFromMask`]. Separately owned modules go into one [`Group`](crate::nn::Group).
///
/// PyTorch's `prune.global_unstructured`.
///
/// ```
/// use ndarray::array;
/// use secateurs::nn::{Linear, Sequential};
/// use secateurs::prune::{self, L1Unstructured};
///
/// let mut model = Sequential::new()
///     .push(Linear::from_arrays(array![[0.1, -3.0], [2.0, -0.2]], None)?)
///     .push(Linear::from_arrays(array![[0.3, 0.4]], None)?);
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
/// [`ModelError::NoParameters`](crate::error::ModelError::NoParameters) for an empty list, [`ModelError::ListedTwice`](crate::error::ModelError::ListedTwice), [`ModelError::UnknownParameter`](crate::error::ModelError::UnknownParameter),
/// [`MaskError::Unsupported`](crate::error::MaskError::Unsupported) for a method that is not unstructured; else as [`apply`](super::apply). Every module is
/// then bit for bit as it was.
pub fn global_unstructured<T: ParamTree + ?Sized>(
    model: &mut T,
    paths: impl IntoIterator<Item = impl AsRef<str>>,
    method: impl IntoMethod,
) -> Result<Report> {
    global_unstructured_with_scores(model, paths, method, [] as [(&str, _); 0])
}

/// As [`global_unstructured`], with importance scores for some or all of the parameters; the others rank by
/// themselves.
///
/// PyTorch's `prune.global_unstructured(…, importance_scores)`.
///
/// ```
/// use ndarray::array;
/// use secateurs::nn::{Linear, Sequential};
/// use secateurs::prune::{self, L1Unstructured};
///
/// let mut model = Sequential::new()
///     .push(Linear::from_arrays(array![[0.1, -3.0]], None)?)
///     .push(Linear::from_arrays(array![[0.3, 0.4]], None)?);
/// let scores = array![[9.0, 0.2]];
/// let scores = [("0.weight", scores.view().into_dyn())];
/// let method = L1Unstructured::new(1)?;
/// prune::global_unstructured_with_scores(&mut model, ["0.weight", "1.weight"], method, scores)?;
/// assert_eq!(prune::mask(&model, "0.weight")?.unwrap().to_bool(), array![[true, false]].into_dyn());
/// # Ok::<(), secateurs::Error>(())
/// ```
///
/// # Errors
///
/// As [`global_unstructured`], and [`ModelError::UnexpectedScores`](crate::error::ModelError::UnexpectedScores) for scores of a parameter that is not in the list,
/// [`Error::Parameter`] around [`MaskError::ShapeMismatch`](crate::error::MaskError::ShapeMismatch) for scores of another shape than their parameter.
pub fn global_unstructured_with_scores<'a, T: ParamTree + ?Sized>(
    model: &mut T,
    paths: impl IntoIterator<Item = impl AsRef<str>>,
    method: impl IntoMethod,
    scores: impl IntoIterator<Item = (impl AsRef<str>, ArrayViewD<'a, f32>)>,
) -> Result<Report> {
    global_unstructured_with_scores_and_options(model, paths, method, scores, GlobalOptions::new())
}

/// As [`global_unstructured`], with a cap on the sparsity of each parameter, or ranking by an entry's share of its
/// parameter's norm, or both.
///
/// PyTorch has no equivalent.
///
/// ```
/// use ndarray::array;
/// use secateurs::nn::{Linear, Sequential};
/// use secateurs::prune::{self, GlobalOptions, L1Unstructured};
///
/// let mut model = Sequential::new()
///     .push(Linear::from_arrays(array![[0.1, -0.3, 0.2, 0.4]], None)?)
///     .push(Linear::from_arrays(array![[3.0], [4.0], [5.0], [6.0]], None)?);
/// let (paths, method) = (prune::weights(&model), L1Unstructured::new(0.5)?);
/// let options = GlobalOptions::new().max_sparsity(0.75)?;
/// let report = prune::global_unstructured_with(&mut model, paths, method, options)?;
/// assert_eq!((report.pruned, report.parameters[0].masked, report.parameters[1].masked), (4, 3, 1));
/// # Ok::<(), secateurs::Error>(())
/// ```
///
/// # Errors
///
/// As [`global_unstructured`]; [`AmountError::Capped`](crate::error::AmountError::Capped), which says how many entries the caps leave, where these are fewer
/// than asked for; and [`MaskError::Unsupported`](crate::error::MaskError::Unsupported) for options with a method that cannot have them, as
/// [`compute_global_with`](mask::compute_global_with) says.
pub fn global_unstructured_with<T: ParamTree + ?Sized>(
    model: &mut T,
    paths: impl IntoIterator<Item = impl AsRef<str>>,
    method: impl IntoMethod,
    options: GlobalOptions,
) -> Result<Report> {
    let no_scores = [] as [(&str, _); 0];
    global_unstructured_with_scores_and_options(model, paths, method, no_scores, options)
}

/// As [`global_unstructured_with_scores`] and [`global_unstructured_with`] in one. A parameter's norm is that of its
/// scores where there are any.
///
/// ```
/// use ndarray::array;
/// use secateurs::nn::{Linear, Sequential};
/// use secateurs::prune::{self, GlobalOptions, L1Unstructured};
///
/// let mut model = Sequential::new()
///     .push(Linear::from_arrays(array![[0.1, -3.0]], None)?)
///     .push(Linear::from_arrays(array![[0.3, 0.4]], None)?);
/// let scores = array![[12.0, 5.0]]; // over their norm, which is 13: 0.92 and 0.38; the others have 0.6 and 0.8
/// let (scores, method) = ([("0.weight", scores.view().into_dyn())], L1Unstructured::new(1)?);
/// prune::global_unstructured_with_scores_and_options(
///     &mut model,
///     ["0.weight", "1.weight"],
///     method,
///     scores,
///     GlobalOptions::new().normalize(true),
/// )?;
/// assert_eq!(prune::mask(&model, "0.weight")?.unwrap().to_bool(), array![[true, false]].into_dyn());
/// # Ok::<(), secateurs::Error>(())
/// ```
///
/// # Errors
///
/// As these.
pub fn global_unstructured_with_scores_and_options<'a, T: ParamTree + ?Sized>(
    model: &mut T,
    paths: impl IntoIterator<Item = impl AsRef<str>>,
    method: impl IntoMethod,
    scores: impl IntoIterator<Item = (impl AsRef<str>, ArrayViewD<'a, f32>)>,
    options: GlobalOptions,
) -> Result<Report> {
    let paths: Vec<String> = paths.into_iter().map(|path| path.as_ref().to_owned()).collect();
    let mut scores_of: BTreeMap<String, ArrayViewD<'_, f32>> = BTreeMap::new();
    for (path, scores) in scores {
        let path = path.as_ref().to_owned();
        if !paths.contains(&path) {
            return Err(Error::Model(ModelError::UnexpectedScores { path }));
        }
        if scores_of.insert(path.clone(), scores).is_some() {
            return Err(Error::Model(ModelError::ListedTwice { path }));
        }
    }
    // Where any scores are given, what the others rank by has to be an array, too: the effective tensor.
    let no_scores = scores_of.is_empty();
    let (mut seen, mut ranked, mut hooks) = (HashSet::new(), Vec::new(), Vec::new());
    for path in &paths {
        let parameter = model.parameter(path)?;
        // By identity, so that two paths to one parameter are found out as well.
        if !seen.insert(parameter.id()) {
            return Err(Error::Model(ModelError::ListedTwice { path: path.clone() }));
        }
        let scores = match scores_of.remove(path) {
            Some(scores) => {
                check_scores(parameter, &scores).map_err(|error| error.at(path))?;
                scores
            }
            None if no_scores => parameter.original(),
            None => parameter.effective(),
        };
        ranked.push(Ranked {
            name: path,
            scores,
            prior: parameter.mask(),
        });
        hooks.push(parameter.hook().cloned());
    }
    let method = method.into_method();
    let outcome = if no_scores {
        mask::compute_global_effective(&*method, &ranked, options)?
    } else {
        mask::compute_global_with(&*method, &ranked, options)?
    };
    let names = paths.iter().map(String::as_str);
    let report = Report::new(outcome.requested, outcome.pruned, names.zip(&outcome.masks));
    let mut changes = Vec::new();
    for ((path, before), mask) in paths.iter().zip(hooks).zip(outcome.masks) {
        let share = CustomFromMask::new(mask.clone()).into_method();
        changes.push((path, mask, compose(split(path).1, before.as_ref(), share)?));
    }
    // A tree of the user's own may know a parameter only by shared reference: that has to show before any change.
    for path in &paths {
        model.parameter_mut(path)?;
    }
    for (path, mask, hook) in changes {
        model.parameter_mut(path)?.set_pruning(mask, hook)?;
    }
    Ok(report)
}
