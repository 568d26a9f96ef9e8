//! [`OptimiserState`]: what an optimiser has gathered, by path of parameter.

use std::collections::{BTreeMap, HashMap};

use ndarray::ArrayD;
use serde::{Deserialize, Serialize};

use crate::error::{Error, MaskError, NnError, Result};
use crate::nn::array_serde::Portable;
use crate::nn::{ParamTree, ParamTreeExt};
use crate::tensor::ParamId;

/// What an optimiser has gathered, by path of parameter: to be serialised with the model and loaded into another
/// process, where parameters have other ids.
#[derive(Default, Serialize, Deserialize)]
pub struct OptimiserState {
    /// Steps taken, by path; of Adam.
    pub(super) steps: BTreeMap<String, u64>,
    /// Running arrays by path, then by name.
    pub(super) arrays: BTreeMap<String, BTreeMap<String, Portable>>,
}

impl OptimiserState {
    /// The paths of the parameters that there is state for.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.arrays.keys().map(String::as_str)
    }

    /// Files under the parameter's path what is known of its id.
    pub(super) fn gather<T: ParamTree + ?Sized, const N: usize, S>(
        model: &T,
        names: [&str; N],
        by_id: &HashMap<ParamId, S>,
        view: impl Fn(&S) -> (u64, [&ArrayD<f32>; N]),
    ) -> Self {
        let mut state = OptimiserState::default();
        for path in model.parameter_paths() {
            let known = model
                .parameter(&path)
                .ok()
                .and_then(|parameter| by_id.get(&parameter.id()));
            if let Some((steps, arrays)) = known.map(&view) {
                let arrays = names
                    .iter()
                    .zip(arrays)
                    .map(|(name, array)| ((*name).to_owned(), Portable(array.clone().into_shared())));
                state.arrays.insert(path.clone(), arrays.collect());
                state.steps.insert(path, steps);
            }
        }
        state
    }

    /// Files by id what is known of paths.
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
                        what: "optimiser state",
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
