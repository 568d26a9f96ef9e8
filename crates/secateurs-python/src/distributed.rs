//! Global pruning of files that lie on several machines: thin calls of `secateurs::checkpoint::distributed`. What is sent
//! between processes is pickled as JSON.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyType};
use secateurs::checkpoint::Checkpoint;
use secateurs::checkpoint::distributed::{self, TensorSummary};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::checkpoint::{existing, open, report_dict};
use crate::error::raise;
use crate::method::{Method, options};

/// What is counted next. It can be pickled.
#[pyclass(frozen, module = "secateurs._rust", name = "Task")]
pub(crate) struct Task(distributed::Pass);

/// What was counted in one or several files. It can be pickled.
#[pyclass(frozen, module = "secateurs._rust")]
pub(crate) struct Counts(distributed::Counts);

/// What is pruned of all files. It can be pickled.
#[pyclass(frozen, module = "secateurs._rust")]
pub(crate) struct Selection(distributed::GlobalSelection);

/// A search for what is pruned, by counts of all files. It can be pickled.
#[pyclass(module = "secateurs._rust")]
pub(crate) struct Search(distributed::Search);

fn to_bytes<'py>(py: Python<'py>, value: &impl Serialize) -> PyResult<Bound<'py, PyBytes>> {
    let bytes = serde_json::to_vec(value).map_err(|error| PyValueError::new_err(error.to_string()))?;
    Ok(PyBytes::new(py, &bytes))
}

fn from_bytes<T: DeserializeOwned>(bytes: &[u8]) -> PyResult<T> {
    serde_json::from_slice(bytes).map_err(|error| PyValueError::new_err(format!("bad bytes: {error}")))
}

/// The methods of a class: its own, and `from_bytes`, `to_bytes` and pickling.
macro_rules! sent {
    ($class:ident $($own:tt)*) => {
        #[pymethods]
        impl $class {
            $($own)*

            /// The bytes that `from_bytes` reads.
            fn to_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
                to_bytes(py, &self.0)
            }

            /// What `to_bytes` wrote. Bytes from elsewhere give a `ValueError`.
            #[classmethod]
            fn from_bytes(_class: &Bound<'_, PyType>, bytes: &[u8]) -> PyResult<Self> {
                from_bytes(bytes).map($class)
            }

            fn __reduce__<'py>(
                &self,
                py: Python<'py>,
            ) -> PyResult<(Bound<'py, PyAny>, (Bound<'py, PyBytes>,))> {
                let class = py.get_type::<$class>();
                Ok((class.getattr("from_bytes")?, (to_bytes(py, &self.0)?,)))
            }
        }
    };
}

sent!(Task);
sent!(Counts);
sent!(Selection
    /// How many entries of each tensor are pruned, by name.
    #[getter]
    fn pruned<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let pruned = PyDict::new(py);
        for (tensor, count) in self.0.tensors() {
            pruned.set_item(tensor.name(), count)?;
        }
        Ok(pruned)
    }
);
sent!(Search
    /// What is to be counted in each file now.
    #[getter]
    fn task(&self) -> Task {
        Task(self.0.pass().clone())
    }

    /// Ends a pass with the merged counts of all files; returns the selection, or None if there is another pass.
    fn end_pass(&mut self, counts: &Counts) -> PyResult<Option<Selection>> {
        let selection = self.0.end_pass(counts.0.clone()).map_err(raise)?;
        Ok(selection.map(Selection))
    }
);

/// Names, types and shapes of the tensors of a file.
#[pyfunction]
pub(crate) fn summarize(py: Python<'_>, path: PathBuf) -> PyResult<Bound<'_, PyList>> {
    let checkpoint = open(py, &path, None)?;
    let list = PyList::empty(py);
    for tensor in checkpoint.summarize() {
        list.append((tensor.name(), tensor.dtype().to_string(), tensor.shape().to_vec()))?;
    }
    Ok(list)
}

fn summary((name, dtype, shape): (String, String, Vec<usize>)) -> PyResult<TensorSummary> {
    let unknown = |error: serde_json::Error| PyValueError::new_err(error.to_string());
    let fields = serde_json::json!({ "name": name, "dtype": dtype, "shape": shape });
    serde_json::from_value(fields).map_err(unknown)
}

/// Begins a search among the tensors of all files.
#[pyfunction]
#[pyo3(signature = (tensors, method, *, include=None, max_sparsity=None, caps=Vec::new(), normalize=false))]
pub(crate) fn search(
    tensors: Vec<(String, String, Vec<usize>)>,
    method: &Method,
    include: Option<Vec<String>>,
    max_sparsity: Option<f64>,
    caps: Vec<(String, f64)>,
    normalize: bool,
) -> PyResult<Search> {
    let options = options(max_sparsity, caps, normalize)?;
    let tensors: Vec<_> = tensors.into_iter().map(summary).collect::<PyResult<_>>()?;
    let names = include.unwrap_or_else(|| {
        let weights = tensors.iter().filter(|tensor| tensor.is_weight());
        weights.map(|tensor| tensor.name().to_owned()).collect()
    });
    distributed::Search::new(tensors, names, &*method.0, &options)
        .map(Search)
        .map_err(raise)
}

fn with_threads(checkpoint: Checkpoint, threads: Option<NonZeroUsize>) -> Checkpoint {
    match threads {
        Some(threads) => checkpoint.with_threads(threads),
        None => checkpoint,
    }
}

/// Counts in a file.
#[pyfunction]
#[pyo3(signature = (path, task, *, threads=None, progress=None))]
pub(crate) fn count(
    py: Python<'_>,
    path: PathBuf,
    task: &Task,
    threads: Option<NonZeroUsize>,
    progress: Option<Py<PyAny>>,
) -> PyResult<Counts> {
    let checkpoint = with_threads(open(py, &path, progress)?, threads);
    let counts = py.detach(|| checkpoint.count(&task.0));
    counts.map(Counts).map_err(raise)
}

/// Adds counts of different files.
#[pyfunction]
pub(crate) fn merge(counts: Vec<Py<Counts>>) -> PyResult<Counts> {
    let mut counts = counts.iter().map(|counts| counts.get().0.clone());
    let Some(first) = counts.next() else {
        return Err(PyValueError::new_err("there are no counts to be merged"));
    };
    counts
        .try_fold(first, distributed::Counts::merge)
        .map(Counts)
        .map_err(raise)
}

/// Prunes a file by a selection, or with `output` None only says what that would do.
#[pyfunction]
#[pyo3(signature = (path, selection, output, *, masks=None, overwrite=false, threads=None, progress=None))]
#[allow(clippy::too_many_arguments)] // named in Python
pub(crate) fn apply_selection<'py>(
    py: Python<'py>,
    path: PathBuf,
    selection: &Selection,
    output: Option<PathBuf>,
    masks: Option<PathBuf>,
    overwrite: bool,
    threads: Option<NonZeroUsize>,
    progress: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    let checkpoint = with_threads(open(py, &path, progress)?, threads);
    let report = py.detach(|| {
        let mut job = checkpoint.apply_selection(&selection.0)?;
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
