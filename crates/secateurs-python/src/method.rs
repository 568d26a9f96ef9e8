//! [`Method`]: what to prune, and the two functions that carry it out.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use secateurs::mask::{
    self, BlockRank, BlockStructured, GlobalOptions, L1Unstructured, LnStructured, NmStructured, Norm,
    PruningMethod, RandomStructured, RandomUnstructured, Ranked, ScoreUnstructured,
};

use crate::amount::AmountArg;
use crate::error::raise;
use crate::mask::Mask;
use crate::scores::Scores;
use crate::threads;

/// A way to prune, with its settings.
#[pyclass(frozen, module = "secateurs._rust")]
pub(crate) struct Method(pub Box<dyn PruningMethod>);

/// The order of a norm: a number, `"fro"` or `"nuc"`.
#[derive(FromPyObject)]
pub(crate) enum NormArg {
    Order(f64),
    Name(String),
}

fn method(method: secateurs::Result<impl PruningMethod>) -> PyResult<Method> {
    method.map(|method| Method(Box::new(method))).map_err(raise)
}

#[pymethods]
impl Method {
    /// Single entries, by magnitude.
    #[staticmethod]
    fn l1(amount: AmountArg) -> PyResult<Self> {
        method(L1Unstructured::new(amount.0))
    }

    /// Single entries, by value.
    #[staticmethod]
    fn score(amount: AmountArg) -> PyResult<Self> {
        method(ScoreUnstructured::new(amount.0))
    }

    /// Single entries, at random.
    #[staticmethod]
    fn random(amount: AmountArg, seed: u64) -> PyResult<Self> {
        method(RandomUnstructured::new(
            amount.0,
            &mut ChaCha8Rng::seed_from_u64(seed),
        ))
    }

    /// Channels, by a norm.
    #[staticmethod]
    fn ln(amount: AmountArg, n: NormArg, dim: isize) -> PyResult<Self> {
        let norm = match n {
            NormArg::Order(n) => Norm::order(n),
            NormArg::Name(name) => name.parse(),
        };
        method(LnStructured::new(amount.0, norm.map_err(raise)?, dim))
    }

    /// Channels, at random.
    #[staticmethod]
    fn random_channels(amount: AmountArg, dim: isize, seed: u64) -> PyResult<Self> {
        method(RandomStructured::new(
            amount.0,
            dim,
            &mut ChaCha8Rng::seed_from_u64(seed),
        ))
    }

    /// All but `keep` of each `of` consecutive entries, by magnitude.
    #[staticmethod]
    fn nm(keep: usize, of: usize, dim: isize) -> PyResult<Self> {
        method(NmStructured::new(keep, of, dim))
    }

    /// Tiles of the last two dimensions, by `"mean_square"` or `"max_abs"`.
    #[staticmethod]
    fn blocks(amount: AmountArg, height: usize, width: usize, by: &str) -> PyResult<Self> {
        let by = match by {
            "mean_square" => BlockRank::MeanSquare,
            "max_abs" => BlockRank::MaxAbs,
            other => {
                let message = format!("blocks are ranked by \"mean_square\" or \"max_abs\", not {other:?}");
                return Err(PyValueError::new_err(message));
            }
        };
        method(BlockStructured::new(amount.0, height, width, by))
    }
}

/// Prunes one array; returns the new mask.
#[pyfunction]
#[pyo3(signature = (method, scores, prior=None))]
pub(crate) fn compute(
    py: Python<'_>,
    method: &Method,
    scores: Scores<'_>,
    prior: Option<&Mask>,
) -> PyResult<Mask> {
    let floats = scores.floats();
    let prior = prior.map(|prior| &prior.0);
    let outcome = py.detach(|| threads::run(|| mask::compute(&*method.0, floats.view(), prior)));
    outcome.map(|outcome| Mask(outcome.mask)).map_err(raise)
}

/// Prunes several arrays, all ranked together; returns the new masks.
#[pyfunction]
#[pyo3(signature = (method, names, scores, priors, max_sparsity=None, caps=Vec::new(), normalize=false))]
#[allow(clippy::too_many_arguments)] // as many as there are options in Python
pub(crate) fn compute_global(
    py: Python<'_>,
    method: &Method,
    names: Vec<String>,
    scores: Vec<Scores<'_>>,
    priors: Vec<Option<Py<Mask>>>,
    max_sparsity: Option<f64>,
    caps: Vec<(String, f64)>,
    normalize: bool,
) -> PyResult<Vec<Mask>> {
    if names.len() != scores.len() || names.len() != priors.len() {
        return Err(PyValueError::new_err(
            "there must be as many names as arrays and as prior masks",
        ));
    }
    let options = options(max_sparsity, caps, normalize)?;
    let floats: Vec<_> = scores.iter().map(Scores::floats).collect();
    let priors: Vec<_> = priors.iter().map(|prior| prior.as_ref().map(Py::get)).collect();
    let outcome = py.detach(|| {
        threads::run(|| {
            let tensors = names.iter().zip(&floats).zip(&priors);
            let tensors: Vec<_> = tensors
                .map(|((name, floats), prior)| {
                    Ranked::new(name, floats.view()).with_prior(prior.map(|prior| &prior.0))
                })
                .collect();
            mask::compute_global_with(&*method.0, &tensors, &options)
        })
    });
    Ok(outcome.map_err(raise)?.masks.into_iter().map(Mask).collect())
}

/// Caps and norms of global pruning.
pub(crate) fn options(
    max_sparsity: Option<f64>,
    caps: Vec<(String, f64)>,
    normalize: bool,
) -> PyResult<GlobalOptions<'static>> {
    let mut options = GlobalOptions::new().normalize(normalize);
    if let Some(cap) = max_sparsity {
        options = options.max_sparsity(cap).map_err(raise)?;
    }
    for (name, cap) in caps {
        options = options.max_sparsity_of(name, cap).map_err(raise)?;
    }
    Ok(options)
}
