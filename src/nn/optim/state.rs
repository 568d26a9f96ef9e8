//! [`OptimiserState`]: the settings of an optimiser and its running arrays, by path.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use ndarray::ArrayD;
use serde::{Deserialize, Serialize};

use super::settings::OptimiserSettings;
use crate::error::{Error, MaskError, NnError, Result};
use crate::nn::array_serde::Portable;
use crate::nn::walk::for_each_parameter;
use crate::nn::{ParamTree, ParamTreeExt};
use crate::tensor::ParamId;

/// The settings of an optimiser, and its running arrays by path. It can be serialised with the model and loaded in
/// another process, where parameters have other ids.
///
/// PyTorch's `optimizer.state_dict()`.
///
/// ```
/// use rand::SeedableRng;
/// use secateurs::nn::{Linear, optim::{OptimiserState, Sgd}};
///
/// let model = Linear::new(2, 1, &mut rand_chacha::ChaCha8Rng::seed_from_u64(0))?;
/// let optimiser = Sgd::new(0.1)?.momentum(0.9)?;
/// let saved = serde_json::to_string(&optimiser.state(&model)).unwrap();
///
/// let state: OptimiserState = serde_json::from_str(&saved).unwrap();
/// let mut resumed = Sgd::new(1.0)?;
/// resumed.load_state(&model, state)?;
/// assert_eq!(resumed.settings(), optimiser.settings());
/// # Ok::<(), secateurs::Error>(())
/// ```
#[derive(Clone, Serialize, Deserialize)]
pub struct OptimiserState {
    pub(super) settings: OptimiserSettings,
    /// Steps taken, by path. Only Adam counts them.
    steps: BTreeMap<String, u64>,
    /// Running arrays by path, then by name.
    arrays: BTreeMap<String, BTreeMap<String, Portable>>,
}

impl OptimiserState {
    /// The settings of the optimiser.
    pub fn settings(&self) -> &OptimiserSettings {
        &self.settings
    }

    /// The paths of the parameters that there is state for.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.arrays.keys().map(String::as_str)
    }

    /// Moves what is stored by id to the paths of the parameters.
    pub(super) fn gather<T: ParamTree + ?Sized, const N: usize, S>(
        model: &T,
        settings: OptimiserSettings,
        names: [&str; N],
        by_id: &HashMap<ParamId, S>,
        view: impl Fn(&S) -> (u64, [&ArrayD<f32>; N]),
    ) -> Self {
        let mut state = OptimiserState {
            settings,
            steps: BTreeMap::new(),
            arrays: BTreeMap::new(),
        };
        for_each_parameter(model, &mut |path, parameter| {
            if let Some((steps, arrays)) = by_id.get(&parameter.id()).map(&view) {
                let arrays = names
                    .iter()
                    .zip(arrays)
                    .map(|(name, array)| ((*name).to_owned(), Portable(array.clone().into_shared())));
                state.arrays.insert(path.clone(), arrays.collect());
                state.steps.insert(path, steps);
            }
        });
        state
    }

    /// Moves what is stored by path to the ids of the parameters.
    ///
    /// # Errors
    ///
    /// [`ModelError::UnknownParameter`](crate::error::ModelError::UnknownParameter) for a path that the model does not have, [`NnError::StateKeys`](crate::error::NnError::StateKeys) for an array that
    /// is missing, [`MaskError::ShapeMismatch`](crate::error::MaskError::ShapeMismatch) for one of another shape than its parameter.
    pub(super) fn scatter<T: ParamTree + ?Sized, const N: usize, S>(
        self,
        model: &T,
        names: [&str; N],
        build: impl Fn(u64, [ArrayD<f32>; N]) -> S,
    ) -> Result<HashMap<ParamId, S>> {
        let mut by_id = HashMap::new();
        for (path, mut arrays) in self.arrays {
            let parameter = model.parameter(&path)?;
            let mut found = Vec::with_capacity(N);
            for name in names {
                let key = || format!("{path}.{name}");
                let array = arrays.remove(name).ok_or_else(|| {
                    Error::Nn(NnError::StateKeys {
                        missing: vec![key()],
                        unexpected: Vec::new(),
                    })
                })?;
                if array.0.shape() != parameter.shape() {
                    let (expected, got) = (parameter.shape().to_vec(), array.0.shape().to_vec());
                    return Err(Error::Mask(MaskError::ShapeMismatch {
                        what: "the optimiser state",
                        expected,
                        got,
                    })
                    .at(&key()));
                }
                found.push(array.0.into_owned());
            }
            let steps = self.steps.get(&path).copied().unwrap_or_default();
            let arrays = <[_; N]>::try_from(found).unwrap_or_else(|_| unreachable!("one array a name"));
            by_id.insert(parameter.id(), build(steps, arrays));
        }
        Ok(by_id)
    }
}

impl fmt::Debug for OptimiserState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shapes: BTreeMap<_, BTreeMap<_, _>> = (self.arrays.iter())
            .map(|(path, arrays)| {
                (
                    path,
                    arrays
                        .iter()
                        .map(|(name, array)| (name, array.0.shape()))
                        .collect(),
                )
            })
            .collect();
        f.debug_struct("OptimiserState")
            .field("settings", &self.settings)
            .field("steps", &self.steps)
            .field("arrays", &shapes)
            .finish()
    }
}

/// What is stored by id, as shapes and in order, for messages.
pub(super) fn outline<S>(
    by_id: &HashMap<ParamId, S>,
    shape: impl Fn(&S) -> &[usize],
) -> BTreeMap<ParamId, Vec<usize>> {
    by_id
        .iter()
        .map(|(&id, stored)| (id, shape(stored).to_vec()))
        .collect()
}
