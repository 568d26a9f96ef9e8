//! [`StateDict`]: the arrays of a model by PyTorch's keys, out of a model and into one.

use indexmap::IndexMap;
use ndarray::{ArcArray, ArrayD, IxDyn};
use serde::{Deserialize, Serialize};

use super::array_serde::Portable;
use super::store::{MASK, ORIG};
use super::tree::{ParamTree, ParamTreeExt, find, find_mut, split, walk};
use crate::error::{Error, MaskError, NnError, Result};
use crate::mask::Mask;
use crate::prunable::Pruning;

/// The arrays of a model by key, in order: a parameter as `weight`, a pruned one as `weight_orig` and
/// `weight_mask`, a buffer by its name, each with the path of its module before it.
///
/// PyTorch's `state_dict()`, key by key and shape by shape.
#[derive(Default, Serialize, Deserialize)]
pub struct StateDict(IndexMap<String, Portable>);

impl StateDict {
    /// An empty state dict.
    pub fn new() -> Self {
        StateDict::default()
    }

    /// The array of this key.
    pub fn get(&self, key: &str) -> Option<&ArcArray<f32, IxDyn>> {
        self.0.get(key).map(|value| &value.0)
    }

    /// Sets the array of a key; gives back the one it had.
    pub fn insert(&mut self, key: impl Into<String>, value: ArrayD<f32>) -> Option<ArrayD<f32>> {
        self.0
            .insert(key.into(), Portable(value.into_shared()))
            .map(|old| old.0.into_owned())
    }

    /// Removes a key; gives back the array it had.
    pub fn remove(&mut self, key: &str) -> Option<ArrayD<f32>> {
        self.0.shift_remove(key).map(|old| old.0.into_owned())
    }

    /// The keys, in order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Keys and arrays, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &ArcArray<f32, IxDyn>)> {
        self.0.iter().map(|(key, value)| (key.as_str(), &value.0))
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::fmt::Debug for StateDict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map()
            .entries(self.iter().map(|(key, value)| (key, value.shape())))
            .finish()
    }
}

/// The state dict of a model.
///
/// ```
/// use rand::SeedableRng;
/// use secateurs::nn::{self, Linear, ParamTreeExt};
///
/// let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(0);
/// let mut model = Linear::new(3, 2, &mut rng);
/// secateurs::prune::l1_unstructured(&mut model, "weight", 2)?;
/// let state = nn::state_dict(&model);
/// assert_eq!(state.keys().collect::<Vec<_>>(), ["weight_orig", "bias", "weight_mask"]);
///
/// let mut other = Linear::new(3, 2, &mut rng);
/// nn::load_state_dict(&mut other, &state)?;
/// assert_eq!(other.parameter("weight")?.mask(), model.parameter("weight")?.mask());
/// # Ok::<(), secateurs::Error>(())
/// ```
pub fn state_dict<T: ParamTree + ?Sized>(model: &T) -> StateDict {
    let mut state = StateDict::new();
    walk(model, "", &mut |prefix, store| {
        for (name, parameter) in store.parameters() {
            let suffix = if parameter.is_pruned() { ORIG } else { "" };
            state.insert(format!("{prefix}{name}{suffix}"), parameter.original().to_owned());
        }
        for (name, buffer) in store.buffers() {
            state.0.insert(format!("{prefix}{name}"), Portable(buffer));
        }
        for (name, parameter) in store.parameters() {
            if let Some(mask) = parameter.mask() {
                state.insert(format!("{prefix}{name}{MASK}"), mask.to_array());
            }
        }
    });
    state
}

/// What loading does to one parameter or buffer.
enum Load {
    /// Replaces the original; mask and hook stay.
    Original(ArrayD<f32>),
    /// Replaces original and mask; the hook becomes one `CustomFromMask`.
    Pruned(ArrayD<f32>, Mask),
    Buffer(ArrayD<f32>),
}

/// Loads a state dict into a model, whole or not at all (S21).
///
/// `weight` loads into a parameter whether it is pruned or not: it replaces the original, and mask and hook stay.
/// `weight_orig` with `weight_mask` load into any parameter: they replace both, and the hook becomes one
/// [`CustomFromMask`](crate::mask::CustomFromMask).
///
/// # Errors
///
/// [`NnError::StateKeys`](crate::error::NnError::StateKeys) names every key that is missing or unexpected; [`Error::Parameter`] names the key of an
/// array whose shape is another ([`MaskError::ShapeMismatch`](crate::error::MaskError::ShapeMismatch)) or of a mask that is not binary
/// ([`MaskError::NotBinary`](crate::error::MaskError::NotBinary)). The model is then left as it was.
pub fn load_state_dict<T: ParamTree + ?Sized>(model: &mut T, state: &StateDict) -> Result<()> {
    let mut left: IndexMap<&str, &ArcArray<f32, IxDyn>> = state.iter().collect();
    let (mut missing, mut loads, mut wrong) = (Vec::new(), Vec::new(), None);
    walk(&*model, "", &mut |prefix, store| {
        for (name, parameter) in store.parameters() {
            let path = format!("{prefix}{name}");
            let (orig, mask) = (format!("{path}{ORIG}"), format!("{path}{MASK}"));
            let load = match (
                left.shift_remove(&*path),
                left.shift_remove(&*orig),
                left.shift_remove(&*mask),
            ) {
                (Some(value), None, None) => fitting(&path, value, parameter.shape()).map(Load::Original),
                (None, Some(value), Some(bits)) => {
                    fitting(&orig, value, parameter.shape()).and_then(|value| {
                        fitting(&mask, bits, parameter.shape())?;
                        let bits = Mask::from_array(bits.view()).map_err(|error| error.at(&mask))?;
                        Ok(Load::Pruned(value, bits))
                    })
                }
                (None, None, None) if parameter.is_pruned() => {
                    missing.extend([orig, mask]);
                    continue;
                }
                (None, None, None) => {
                    missing.push(path);
                    continue;
                }
                (None, Some(_), None) => {
                    missing.push(mask);
                    continue;
                }
                (None, None, Some(_)) => {
                    missing.push(orig);
                    continue;
                }
                // Both the plain and the pruned form: the pruned form is what is unexpected.
                (Some(value), orig_value, mask_value) => {
                    left.extend(
                        state
                            .0
                            .get_key_value(&*orig)
                            .filter(|_| orig_value.is_some())
                            .map(borrow),
                    );
                    left.extend(
                        state
                            .0
                            .get_key_value(&*mask)
                            .filter(|_| mask_value.is_some())
                            .map(borrow),
                    );
                    fitting(&path, value, parameter.shape()).map(Load::Original)
                }
            };
            match load {
                Ok(load) => loads.push((path, load)),
                Err(error) => wrong = wrong.take().or(Some(error)),
            }
        }
        for (name, buffer) in store.buffers() {
            let path = format!("{prefix}{name}");
            match left
                .shift_remove(&*path)
                .map(|value| fitting(&path, value, buffer.shape()))
            {
                Some(Ok(value)) => loads.push((path, Load::Buffer(value))),
                Some(Err(error)) => wrong = wrong.take().or(Some(error)),
                None => missing.push(path),
            }
        }
    });
    if !(missing.is_empty() && left.is_empty()) {
        let unexpected = left.keys().map(|&key| key.to_owned()).collect();
        return Err(Error::Nn(NnError::StateKeys { missing, unexpected }));
    }
    if let Some(error) = wrong {
        return Err(error);
    }
    commit(model, loads)
}

fn borrow<'a>((key, value): (&'a String, &'a Portable)) -> (&'a str, &'a ArcArray<f32, IxDyn>) {
    (key, &value.0)
}

fn fitting(key: &str, value: &ArcArray<f32, IxDyn>, expected: &[usize]) -> Result<ArrayD<f32>> {
    if value.shape() == expected {
        return Ok(value.to_owned());
    }
    let got = value.shape().to_vec();
    Err(Error::Mask(MaskError::ShapeMismatch {
        what: "the loaded array",
        expected: expected.to_vec(),
        got,
    })
    .at(key))
}

/// Everything has been checked: from here on nothing fails.
fn commit<T: ParamTree + ?Sized>(model: &mut T, loads: Vec<(String, Load)>) -> Result<()> {
    // A tree of the user's own may know a parameter only by shared reference: that has to show before any change.
    for (path, load) in &loads {
        match load {
            Load::Buffer(_) => {}
            _ => drop(model.parameter_mut(path)?),
        }
    }
    for (path, load) in loads {
        let (module, name) = split(&path);
        match load {
            Load::Buffer(value) => {
                if let Some(store) = find(&*model, module) {
                    store.set_buffer(name, value)?;
                }
            }
            Load::Original(value) => {
                if let Some(parameter) = find_mut(model, module).and_then(|store| store.parameter_mut(name)) {
                    parameter.set_original(value);
                }
            }
            Load::Pruned(value, mask) => {
                if let Some(parameter) = find_mut(model, module).and_then(|store| store.parameter_mut(name)) {
                    parameter.set_original(value);
                    parameter.set_pruning(Pruning::from_mask(mask))?;
                }
            }
        }
    }
    Ok(())
}
