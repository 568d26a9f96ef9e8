//! [`StateDict`]: the arrays of a model by PyTorch's keys, to save and to load.

use indexmap::IndexMap;
use ndarray::{ArcArray, ArrayD, IxDyn};
use serde::{Deserialize, Serialize};

use super::array_serde::Portable;
use super::parameter::Parameter;
use super::store::ParamStore;
use super::tree::ParamTree;
use super::walk::{check, walk, walk_mut};
use crate::error::{Error, MaskError, NnError, Result};
use crate::mask::Mask;
use crate::prunable::Pruning;
use crate::prunable::suffix::{MASK, ORIGINAL};

/// The arrays of a model by key, in order. A parameter has the key `weight`, a pruned one has `weight_orig` and
/// `weight_mask`, and a buffer has its name. Each key begins with the path of its module.
///
/// PyTorch's `state_dict()`, with the same keys and shapes.
#[derive(Clone, Default, Serialize, Deserialize)]
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

    /// Sets the array of a key. Returns the previous one.
    pub fn insert(&mut self, key: impl Into<String>, value: ArrayD<f32>) -> Option<ArrayD<f32>> {
        self.0
            .insert(key.into(), Portable(value.into_shared()))
            .map(|old| old.0.into_owned())
    }

    /// Removes a key. Returns its array.
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
/// let mut model = Linear::new(3, 2, &mut rng)?;
/// secateurs::prune::l1_unstructured(&mut model, "weight", 2)?;
/// let state = nn::state_dict(&model);
/// assert_eq!(state.keys().collect::<Vec<_>>(), ["weight_orig", "bias", "weight_mask"]);
///
/// let mut other = Linear::new(3, 2, &mut rng)?;
/// nn::load_state_dict(&mut other, &state)?;
/// assert_eq!(other.parameter("weight")?.mask(), model.parameter("weight")?.mask());
/// # Ok::<(), secateurs::Error>(())
/// ```
pub fn state_dict<T: ParamTree + ?Sized>(model: &T) -> StateDict {
    let mut state = StateDict::new();
    walk(model, &mut |prefix, store| {
        for (name, parameter) in store.parameters() {
            let suffix = if parameter.is_pruned() { ORIGINAL } else { "" };
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

/// The keys that only the model or only the state dict has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnmatchedKeys {
    /// Keys that the model needs and the state dict lacks. These parameters and buffers stay as they were.
    pub missing: Vec<String>,
    /// Keys that the state dict has and the model does not.
    pub unexpected: Vec<String>,
}

impl UnmatchedKeys {
    /// Whether every key was matched.
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty()
    }
}

/// Loads a state dict into a model, completely or not at all.
///
/// `weight` replaces the original of a parameter, pruned or not. Mask and pruning history stay. `weight_orig` and
/// `weight_mask` replace original and mask of any parameter, which is then pruned, and its history becomes one
/// [`CustomFromMask`](crate::mask::CustomFromMask).
///
/// PyTorch's `load_state_dict`, except that PyTorch needs a model that is already pruned in the same places.
///
/// # Errors
///
/// [`NnError::StateKeys`] names every key that is missing or unexpected. [`Error::Parameter`] names the key of an
/// array with another shape ([`MaskError::ShapeMismatch`]) or of a mask that is not binary
/// ([`MaskError::NotBinary`]). [`ModelError::Inconsistent`](crate::error::ModelError::Inconsistent) reports a tree
/// that contradicts itself. After an error, the model is unchanged.
pub fn load_state_dict<T: ParamTree + ?Sized>(model: &mut T, state: &StateDict) -> Result<()> {
    let plan = Plan::new(model, state)?;
    if !plan.unmatched.is_empty() {
        let UnmatchedKeys { missing, unexpected } = plan.unmatched;
        return Err(Error::Nn(NnError::StateKeys { missing, unexpected }));
    }
    plan.carry_out(model)
}

/// Loads what a model and a state dict have in common, as [`load_state_dict`] does, and returns the unmatched keys.
///
/// If one of a pair `weight_orig` and `weight_mask` is missing, the other is not loaded.
///
/// PyTorch's `load_state_dict(…, strict=False)`.
///
/// ```
/// use rand::SeedableRng;
/// use secateurs::nn::{self, Linear, Sequential};
///
/// let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(0);
/// let trained = Sequential::new().push_named("body", Linear::new(3, 3, &mut rng)?)?;
/// let mut model = trained.clone().push_named("head", Linear::new(3, 2, &mut rng)?)?;
/// let unmatched = nn::load_state_dict_partial(&mut model, &nn::state_dict(&trained))?;
/// assert_eq!(unmatched.missing, ["head.weight", "head.bias"]);
/// assert!(unmatched.unexpected.is_empty());
/// # Ok::<(), secateurs::Error>(())
/// ```
///
/// # Errors
///
/// As [`load_state_dict`], except that missing and unexpected keys are not errors. After an error, the model is
/// unchanged.
pub fn load_state_dict_partial<T: ParamTree + ?Sized>(
    model: &mut T,
    state: &StateDict,
) -> Result<UnmatchedKeys> {
    let mut plan = Plan::new(model, state)?;
    let unmatched = std::mem::take(&mut plan.unmatched);
    plan.carry_out(model)?;
    Ok(unmatched)
}

/// What loading does to one parameter or buffer.
enum Load {
    /// Nothing: the state dict has no array for it.
    Keep,
    /// Replaces the original. Mask and history stay.
    Original(ArrayD<f32>),
    /// Replaces original and mask. The history becomes one `CustomFromMask`.
    Pruned(ArrayD<f32>, Mask),
    Buffer(ArrayD<f32>),
}

/// Everything that loading does to a model, checked before anything changes.
struct Plan {
    /// For each store in order, first its parameters, then its buffers.
    loads: Vec<Load>,
    unmatched: UnmatchedKeys,
    /// The first array that does not fit. A strict load reports unmatched keys first.
    wrong: Option<Error>,
}

impl Plan {
    fn new<T: ParamTree + ?Sized>(model: &mut T, state: &StateDict) -> Result<Self> {
        check(model)?;
        let mut matching = Matching {
            state,
            taken: vec![false; state.len()],
            missing: Vec::new(),
        };
        let (mut loads, mut wrong) = (Vec::new(), None);
        walk(&*model, &mut |prefix, store: &ParamStore| {
            let parameters = store
                .parameters()
                .map(|(name, parameter)| matching.parameter(format!("{prefix}{name}"), parameter));
            let parameters: Vec<_> = parameters.collect();
            let buffers = store
                .buffers()
                .map(|(name, buffer)| matching.buffer(format!("{prefix}{name}"), buffer.shape()));
            for load in parameters.into_iter().chain(buffers) {
                match load {
                    Ok(load) => loads.push(load),
                    Err(error) => wrong = wrong.take().or(Some(error)),
                }
            }
        });
        let unmatched = matching.unmatched();
        Ok(Plan {
            loads,
            unmatched,
            wrong,
        })
    }

    fn carry_out<T: ParamTree + ?Sized>(self, model: &mut T) -> Result<()> {
        if let Some(error) = self.wrong {
            return Err(error);
        }
        // Everything has been checked. Nothing fails from here on.
        let (mut loads, mut result) = (self.loads.into_iter(), Ok(()));
        walk_mut(model, &mut |_, store| {
            for (_, parameter) in store.parameters_mut() {
                match loads.next() {
                    Some(Load::Original(value)) => parameter.set_original(value),
                    Some(Load::Pruned(value, mask)) => {
                        parameter.set_original(value);
                        let set = parameter.set_pruning(Pruning::from_mask(mask));
                        result = std::mem::replace(&mut result, Ok(())).and(set);
                    }
                    _ => {}
                }
            }
            for (name, _) in store.buffers() {
                if let Some(Load::Buffer(value)) = loads.next() {
                    result = std::mem::replace(&mut result, Ok(())).and(store.set_buffer(name, value));
                }
            }
        });
        result
    }
}

/// The keys of a state dict, and which of them have been used.
struct Matching<'a> {
    state: &'a StateDict,
    /// By position of the key.
    taken: Vec<bool>,
    missing: Vec<String>,
}

impl<'a> Matching<'a> {
    /// The position and the array of a key.
    fn find(&self, key: &str) -> Option<(usize, &'a ArcArray<f32, IxDyn>)> {
        let (position, _, value) = self.state.0.get_full(key)?;
        Some((position, &value.0))
    }

    fn parameter(&mut self, path: String, parameter: &Parameter) -> Result<Load> {
        let (orig, mask) = (format!("{path}{ORIGINAL}"), format!("{path}{MASK}"));
        match (self.find(&path), self.find(&orig), self.find(&mask)) {
            // If the pruned form is there as well, it is unexpected.
            (Some((position, value)), ..) => {
                self.taken[position] = true;
                fitting(&path, value, parameter.shape()).map(Load::Original)
            }
            (None, Some((position, value)), Some((mask_position, bits))) => {
                self.taken[position] = true;
                self.taken[mask_position] = true;
                let value = fitting(&orig, value, parameter.shape())?;
                fitting(&mask, bits, parameter.shape())?;
                let bits = Mask::from_array(bits.view()).map_err(|error| error.at(&mask))?;
                Ok(Load::Pruned(value, bits))
            }
            (None, found_orig, found_mask) => {
                let half = found_orig.is_some() || found_mask.is_some();
                match (half || parameter.is_pruned(), found_orig, found_mask) {
                    (false, ..) => self.missing.push(path),
                    (true, found_orig, found_mask) => {
                        self.missing.extend(found_orig.is_none().then_some(orig));
                        self.missing.extend(found_mask.is_none().then_some(mask));
                    }
                }
                for (position, _) in [found_orig, found_mask].into_iter().flatten() {
                    self.taken[position] = true;
                }
                Ok(Load::Keep)
            }
        }
    }

    fn buffer(&mut self, path: String, shape: &[usize]) -> Result<Load> {
        match self.find(&path) {
            Some((position, value)) => {
                self.taken[position] = true;
                fitting(&path, value, shape).map(Load::Buffer)
            }
            None => {
                self.missing.push(path);
                Ok(Load::Keep)
            }
        }
    }

    fn unmatched(self) -> UnmatchedKeys {
        let others = self.state.keys().zip(self.taken).filter(|(_, taken)| !taken);
        UnmatchedKeys {
            unexpected: others.map(|(key, _)| key.to_owned()).collect(),
            missing: self.missing,
        }
    }
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
