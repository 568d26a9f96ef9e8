//! Checkpoints from Python: thin calls of `secateurs::checkpoint`. Results are dictionaries.

use std::path::PathBuf;

use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use secateurs::checkpoint::{Checkpoint, CheckpointReport, Existing, Phase, Scope, Zeros, is_weight};

use crate::error::raise;
use crate::method::{Method, options};

/// Opens a checkpoint. `progress` is called with the phase, and the bytes that are done and those in all.
pub(crate) fn open(py: Python<'_>, path: &PathBuf, progress: Option<Py<PyAny>>) -> PyResult<Checkpoint> {
    let checkpoint = py.detach(|| Checkpoint::open(path)).map_err(raise)?;
    let Some(progress) = progress else {
        return Ok(checkpoint);
    };
    Ok(checkpoint.with_observer(move |now| {
        let phase = match now.phase {
            Phase::Ranking => "ranking",
            Phase::Reading => "reading",
            _ => "writing",
        };
        // A display that fails must not stop the work, and there is nobody here to tell.
        Python::attach(|py| {
            if let Err(error) = progress.call1(py, (phase, now.done, now.total)) {
                error.write_unraisable(py, None);
            }
        });
    }))
}

/// The tensors of these names, or those that are pruned by default: weights, of two or more dimensions.
fn names(checkpoint: &Checkpoint, include: Option<Vec<String>>) -> Vec<String> {
    include.unwrap_or_else(|| {
        let weights = checkpoint.tensors().iter();
        let weights = weights.filter(|t| t.is_float() && t.shape().len() >= 2 && is_weight(t.name()));
        weights.map(|tensor| tensor.name().to_owned()).collect()
    })
}

pub(crate) fn existing(overwrite: bool) -> Existing {
    if overwrite {
        Existing::Replace
    } else {
        Existing::Refuse
    }
}

/// Prunes a checkpoint into a new one, or with `output` None only says what that would do.
#[pyfunction]
#[pyo3(signature = (
    path, output, method, *, whole, include=None, max_sparsity=None, caps=Vec::new(), normalize=false, masks=None,
    overwrite=false, progress=None
))]
#[allow(clippy::too_many_arguments)] // named in Python
pub(crate) fn prune_checkpoint<'py>(
    py: Python<'py>,
    path: PathBuf,
    output: Option<PathBuf>,
    method: &Method,
    whole: bool,
    include: Option<Vec<String>>,
    max_sparsity: Option<f64>,
    caps: Vec<(String, f64)>,
    normalize: bool,
    masks: Option<PathBuf>,
    overwrite: bool,
    progress: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    let checkpoint = open(py, &path, progress)?;
    let with_options = max_sparsity.is_some() || !caps.is_empty() || normalize;
    let options = options(max_sparsity, caps, normalize)?;
    let report = py.detach(|| {
        let scope = if whole { Scope::Global } else { Scope::Local };
        let mut job = checkpoint.prune(names(&checkpoint, include), &*method.0, scope)?;
        if with_options {
            job = job.with_options(options)?;
        }
        if let Some(masks) = masks {
            job = job.with_masks(masks);
        }
        match output {
            Some(output) => job.write(output, existing(overwrite)),
            None => job.measure(),
        }
    });
    report_dict(py, &report.map_err(raise)?)
}

/// What was done, as a dictionary.
pub(crate) fn report_dict<'py>(py: Python<'py>, report: &CheckpointReport) -> PyResult<Bound<'py, PyDict>> {
    let result = PyDict::new(py);
    result.set_item("unit", report.unit.to_string())?;
    result.set_item("requested", report.requested)?;
    result.set_item("achieved", report.achieved())?;
    result.set_item("units", report.units())?;
    result.set_item("pruned", report.pruned())?;
    result.set_item("newly_pruned", report.newly_pruned())?;
    result.set_item("zeros", report.zeros())?;
    result.set_item("entries", report.entries())?;
    result.set_item("sparsity", report.sparsity())?;
    let tensors = PyDict::new(py);
    for tensor in &report.tensors {
        let entry = PyDict::new(py);
        entry.set_item("dtype", tensor.dtype.to_string())?;
        entry.set_item("shape", &tensor.shape)?;
        entry.set_item("pruned", tensor.pruned)?;
        entry.set_item("zeros", tensor.zeros)?;
        entry.set_item("entries", tensor.entries)?;
        entry.set_item("sparsity", tensor.sparsity())?;
        tensors.set_item(&tensor.name, entry)?;
    }
    result.set_item("tensors", tensors)?;
    Ok(result)
}

/// What the tensors of a checkpoint hold.
#[pyfunction]
#[pyo3(signature = (path, *, include=None, progress=None))]
pub(crate) fn inspect<'py>(
    py: Python<'py>,
    path: PathBuf,
    include: Option<Vec<String>>,
    progress: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    let checkpoint = open(py, &path, progress)?;
    let all = || checkpoint.tensors().iter().map(|t| t.name().to_owned()).collect();
    let names: Vec<String> = include.unwrap_or_else(all);
    let stats = py.detach(|| checkpoint.inspect(&names)).map_err(raise)?;
    let result = PyDict::new(py);
    for (name, stats) in names.iter().zip(stats) {
        let info = checkpoint.tensor(name).map_err(raise)?;
        let entry = PyDict::new(py);
        entry.set_item("dtype", info.dtype().to_string())?;
        entry.set_item("shape", info.shape())?;
        entry.set_item("entries", info.entries())?;
        if let Some(stats) = stats {
            entry.set_item("zeros", stats.zeros)?;
            entry.set_item("negative_zeros", stats.negative_zeros)?;
            entry.set_item("nans", stats.nans)?;
            entry.set_item("sparsity", stats.sparsity())?;
            let patterns = PyList::empty(py);
            for group in &stats.groups {
                patterns.append((format!("{}:{}", group.keep, group.of), group.dim).into_py_any(py)?)?;
            }
            entry.set_item("patterns", patterns)?;
        }
        result.set_item(name, entry)?;
    }
    Ok(result)
}

/// Packs the zeros of a checkpoint as bits.
#[pyfunction]
#[pyo3(signature = (path, output, *, canonical_zeros=false, overwrite=false, progress=None))]
pub(crate) fn pack<'py>(
    py: Python<'py>,
    path: PathBuf,
    output: PathBuf,
    canonical_zeros: bool,
    overwrite: bool,
    progress: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    let checkpoint = open(py, &path, progress)?;
    let zeros = if canonical_zeros {
        Zeros::Canonical
    } else {
        Zeros::Exact
    };
    let report = py
        .detach(|| checkpoint.pack(output, existing(overwrite), zeros))
        .map_err(raise)?;
    sizes(
        py,
        report.packed().count(),
        report.bytes_before,
        report.bytes_after,
    )
}

/// Restores what was packed, bit for bit.
#[pyfunction]
#[pyo3(signature = (path, output, *, overwrite=false, progress=None))]
pub(crate) fn unpack<'py>(
    py: Python<'py>,
    path: PathBuf,
    output: PathBuf,
    overwrite: bool,
    progress: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    let checkpoint = open(py, &path, progress)?;
    let report = py
        .detach(|| checkpoint.unpack(output, existing(overwrite)))
        .map_err(raise)?;
    sizes(py, report.tensors.len(), report.bytes_before, report.bytes_after)
}

fn sizes(py: Python<'_>, packed: usize, before: u64, after: u64) -> PyResult<Bound<'_, PyDict>> {
    let result = PyDict::new(py);
    result.set_item("packed_tensors", packed)?;
    result.set_item("bytes_before", before)?;
    result.set_item("bytes_after", after)?;
    Ok(result)
}
