//! Smaller ONNX models: a thin call of `secateurs_onnx`. The result is a dictionary.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use numpy::{PyReadonlyArrayDyn, ToPyArray};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use secateurs_onnx::{
    Cost, Error, Importance, Inexact, Options, Outputs, Reduction, Report, Resource, Scope, plan_file,
    shrink_file,
};

use crate::amount::AmountArg;
use crate::checkpoint::existing;
use crate::error::{of_io, raise};

fn failed(error: Error) -> PyErr {
    let message = error.to_string();
    match error {
        Error::Prune(error) => raise(error),
        Error::Io { error, .. } => of_io(error.kind(), message),
        Error::NotExact { .. } => PyRuntimeError::new_err(message),
        // What a function raised is raised again.
        Error::Scores { error, .. } => match error.downcast::<PyErr>() {
            Ok(raised) => *raised,
            Err(_) => PyValueError::new_err(message),
        },
        _ => PyValueError::new_err(message),
    }
}

/// One of several names.
fn choice<T>(what: &str, name: &str, choices: &[(&str, T)]) -> PyResult<T>
where
    T: Clone,
{
    let found = choices.iter().find(|(choice, _)| *choice == name);
    found.map(|(_, value)| value.clone()).ok_or_else(|| {
        let names: Vec<String> = choices.iter().map(|(choice, _)| format!("{choice:?}")).collect();
        PyValueError::new_err(format!("{what} is one of {}, not {name:?}", names.join(", ")))
    })
}

/// Removes channels from an ONNX model, or with `output` None only says what that would do. `target` is an amount of
/// channels, or what is to be left: a resource and its share.
#[pyfunction]
#[pyo3(signature = (
    path, output, *, amount=None, budget=None, zeros=false, importance="l2", norm=None, scores=None, function=None,
    reduction="sum", scope="group",
    normalize=true, seed=0, round_to=8, keep_at_least=1, include=None, exclude=Vec::new(), inexact=Vec::new(),
    whole_heads=false, query_heads=false, masked=None, certificate=None, verify=true, overwrite=false
))]
#[allow(clippy::too_many_arguments)] // named in Python
pub(crate) fn shrink<'py>(
    py: Python<'py>,
    path: PathBuf,
    output: Option<PathBuf>,
    amount: Option<AmountArg>,
    budget: Option<(String, f64)>,
    zeros: bool,
    importance: &str,
    norm: Option<f64>,
    scores: Option<BTreeMap<String, PyReadonlyArrayDyn<'py, f32>>>,
    function: Option<Py<PyAny>>,
    reduction: &str,
    scope: &str,
    normalize: bool,
    seed: u64,
    round_to: usize,
    keep_at_least: usize,
    include: Option<Vec<String>>,
    exclude: Vec<String>,
    inexact: Vec<String>,
    whole_heads: bool,
    query_heads: bool,
    masked: Option<PathBuf>,
    certificate: Option<PathBuf>,
    verify: bool,
    overwrite: bool,
) -> PyResult<Bound<'py, PyDict>> {
    let options = match (budget, amount) {
        (Some((resource, share)), _) => {
            let resources = [
                ("macs", Resource::MultiplyAdds),
                ("parameters", Resource::Parameters),
                ("bytes", Resource::Bytes),
            ];
            Options::budget(choice("a resource", &resource, &resources)?, share)
        }
        (None, _) if zeros => Ok(Options::masked()),
        (None, Some(amount)) => Options::new(amount.0),
        (None, None) => Options::new(0.5),
    };
    let order = match (importance, norm) {
        ("norm", None) => {
            return Err(PyValueError::new_err(
                "importance \"norm\" needs the order of the norm: `norm`",
            ));
        }
        ("norm", Some(order)) => order,
        (_, None) => 2.0,
        (_, Some(_)) => {
            return Err(PyValueError::new_err(
                "`norm` is the order of importance \"norm\"",
            ));
        }
    };
    let importance = match (scores, function) {
        (_, Some(function)) => scores_of(function),
        (Some(scores), None) => {
            let scores = scores.into_iter();
            let scores = scores.map(|(name, scores)| (name, scores.as_array().to_owned()));
            Importance::Scores(Arc::new(scores.collect()))
        }
        (None, None) => choice(
            "importance",
            importance,
            &[
                ("l1", Importance::L1),
                ("l2", Importance::L2),
                ("norm", Importance::Norm(order)),
                ("batch_norm", Importance::BatchNorm),
                ("random", Importance::Random(seed)),
            ],
        )?,
    };
    let reductions = [
        ("sum", Reduction::Sum),
        ("mean", Reduction::Mean),
        ("max", Reduction::Max),
    ];
    let scopes = [("group", Scope::Group), ("global", Scope::Global)];
    let mut options = options
        .map_err(failed)?
        .importance(importance)
        .reduction(choice("reduction", reduction, &reductions)?)
        .scope(choice("scope", scope, &scopes)?)
        .normalize(normalize)
        .round_to(if zeros { 1 } else { round_to })
        .keep_at_least(keep_at_least)
        .verify(verify);
    let kinds = [("layer_norm", Inexact::LayerNorm), ("maximum", Inexact::Maximum)];
    options = options.whole_heads(whole_heads).query_heads(query_heads);
    for kind in &inexact {
        options = options.inexact(choice("an inexact operator", kind, &kinds)?);
    }
    if include.is_some() || !exclude.is_empty() {
        options = options.only(move |group| {
            let any = |list: &[String]| group.iter().any(|name| list.contains(name));
            include.as_deref().is_none_or(any) && !any(&exclude)
        });
    }
    let report = py.detach(|| match &output {
        Some(output) => {
            let mut outputs = Outputs::new(output);
            outputs.masked = masked.as_deref();
            outputs.certificate = certificate.as_deref();
            outputs.existing = existing(overwrite);
            shrink_file(&path, &outputs, &options)
        }
        None => plan_file(&path, &options),
    });
    report_dict(py, &report.map_err(failed)?)
}

/// Scores that a function in Python computes of a name and a weight.
fn scores_of(function: Py<PyAny>) -> Importance {
    Importance::try_function(move |name, weight| {
        Python::attach(|py| {
            let scores = function.call1(py, (name, weight.to_pyarray(py)))?;
            let scores: Option<PyReadonlyArrayDyn<'_, f32>> = scores.extract(py)?;
            Ok(scores.map(|scores| scores.as_array().to_owned()))
        })
    })
}

fn report_dict<'py>(py: Python<'py>, report: &Report) -> PyResult<Bound<'py, PyDict>> {
    let cost = |cost: &Cost| {
        let dict = PyDict::new(py);
        dict.set_item("parameters", cost.parameters)?;
        dict.set_item("bytes", cost.bytes)?;
        dict.set_item("macs", cost.macs)?;
        dict.set_item("activations", cost.activations)?;
        PyResult::Ok(dict)
    };
    let groups = PyList::empty(py);
    for group in &report.groups {
        let entry = PyDict::new(py);
        entry.set_item("parameters", &group.parameters)?;
        entry.set_item("kind", &group.kind)?;
        entry.set_item("channels", group.channels)?;
        entry.set_item("removed", group.removed)?;
        entry.set_item("held", &group.held)?;
        groups.append(entry)?;
    }
    let result = PyDict::new(py);
    result.set_item("before", cost(&report.before)?)?;
    result.set_item("after", cost(&report.after)?)?;
    result.set_item("channels", report.channels())?;
    result.set_item("removed", report.removed())?;
    result.set_item("held", report.held())?;
    result.set_item("folded", report.folded)?;
    result.set_item("deviation", report.deviation)?;
    result.set_item("inexact", &report.inexact)?;
    result.set_item("accepted_deviation", report.accepted_deviation)?;
    result.set_item("groups", groups)?;
    Ok(result)
}
