//! [`ParamStore`]: the parameters and buffers of one module, by name and in order.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use indexmap::IndexMap;
use ndarray::{ArcArray, Array, ArrayD, ArrayViewD, Dimension, IxDyn};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::array_serde::Portable;
use super::forward_hooks::{ForwardHooks, HookHandle};
use super::parameter::Parameter;
use crate::depth::readable;
use crate::error::{Error, MaskError, ModelError, NnError, Result};
use crate::mask::PruningMethod;
use crate::prunable::suffix::{MASK, ORIGINAL};
use crate::prunable::{Pruning, nearest};
use crate::tensor::Tensor;

/// The parameters and buffers of one module, by name and in the order in which they were added.
///
/// A leaf module holds a store, and its forward reads parameters through [`tensor`](Self::tensor). Masks are applied
/// there, so that no caller can bypass them.
///
/// The parameters of a clone have ids of their own, and forward hooks are not cloned; see [`Parameter`].
///
/// ```
/// use ndarray::array;
/// use secateurs::nn::ParamStore;
///
/// let mut store = ParamStore::new();
/// store.insert_parameter("weight", array![[1.0, 2.0]])?;
/// store.insert_buffer("running_mean", array![0.0])?;
/// assert_eq!(store.tensor("weight")?.shape(), [1, 2]);
/// assert!(store.insert_parameter("weight_mask", array![0.0]).is_err()); // would collide once `weight` is pruned
/// # Ok::<(), secateurs::Error>(())
/// ```
pub struct ParamStore {
    slots: IndexMap<String, Slot>,
    training: bool,
    forward_hooks: ForwardHooks,
}

impl Default for ParamStore {
    /// An empty store, in training mode.
    fn default() -> Self {
        ParamStore {
            slots: IndexMap::new(),
            training: true,
            forward_hooks: ForwardHooks::default(),
        }
    }
}

enum Slot {
    Parameter(Parameter),
    /// In a lock, so that forward, which takes `&self`, can update running statistics. S22
    Buffer(RwLock<ArcArray<f32, IxDyn>>),
}

impl ParamStore {
    /// An empty store, in training mode.
    pub fn new() -> Self {
        ParamStore::default()
    }

    /// Whether the module is in training mode, as at first, or in evaluation mode.
    ///
    /// [`ParamTreeExt::train`](super::ParamTreeExt::train) and [`ParamTreeExt::eval`](super::ParamTreeExt::eval) set the
    /// mode of a whole model. PyTorch's `module.training`.
    pub fn is_training(&self) -> bool {
        self.training
    }

    /// Sets the mode of this module alone.
    pub fn set_training(&mut self, training: bool) {
        self.training = training;
    }

    /// Adds a parameter.
    ///
    /// # Errors
    ///
    /// [`NnError::InvalidName`](crate::error::NnError::InvalidName) if the name is empty, holds a dot, is taken, or collides
    /// with the `_orig` and `_mask` names of a pruned parameter.
    pub fn insert_parameter<D: Dimension>(&mut self, name: &str, value: Array<f32, D>) -> Result<()> {
        self.insert(
            "parameter",
            name,
            Slot::Parameter(Parameter::new(value.into_dyn())),
        )
    }

    /// Adds a buffer: an array that belongs to the state of a module but is not trained.
    ///
    /// # Errors
    ///
    /// As [`insert_parameter`](Self::insert_parameter).
    pub fn insert_buffer<D: Dimension>(&mut self, name: &str, value: Array<f32, D>) -> Result<()> {
        self.insert(
            "buffer",
            name,
            Slot::Buffer(RwLock::new(value.into_dyn().into_shared())),
        )
    }

    fn insert(&mut self, what: &'static str, name: &str, slot: Slot) -> Result<()> {
        check_name(what, name)?;
        let derived_from = |suffix| {
            name.strip_suffix(suffix)
                .is_some_and(|base| self.slots.contains_key(base))
        };
        let derives = |suffix| self.slots.contains_key(&format!("{name}{suffix}"));
        let reason = if self.slots.contains_key(name) {
            TAKEN
        } else if derived_from(ORIGINAL) || derived_from(MASK) || derives(ORIGINAL) || derives(MASK) {
            "it collides with a name by which a pruned parameter is seen; choose another name"
        } else {
            self.slots.insert(name.to_owned(), slot);
            return Ok(());
        };
        Err(Error::Nn(NnError::InvalidName {
            what,
            name: name.to_owned(),
            reason,
        }))
    }

    /// The effective tensor of a parameter, as a leaf of the graph. Forward computes with it.
    ///
    /// # Errors
    ///
    /// [`ModelError::UnknownParameter`](crate::error::ModelError::UnknownParameter) if there is none of this name.
    pub fn tensor(&self, name: &str) -> Result<Tensor> {
        match self.parameter(name) {
            Some(parameter) => Ok(parameter.tensor()),
            None => Err(self.unknown(name)),
        }
    }

    /// The effective tensor of an optional parameter, such as a bias.
    pub fn optional_tensor(&self, name: &str) -> Option<Tensor> {
        self.parameter(name).map(Parameter::tensor)
    }

    /// The parameter of this name.
    pub fn parameter(&self, name: &str) -> Option<&Parameter> {
        match self.slots.get(name) {
            Some(Slot::Parameter(parameter)) => Some(parameter),
            _ => None,
        }
    }

    /// The parameter of this name, mutably.
    pub fn parameter_mut(&mut self, name: &str) -> Option<&mut Parameter> {
        match self.slots.get_mut(name) {
            Some(Slot::Parameter(parameter)) => Some(parameter),
            _ => None,
        }
    }

    /// The parameters, in order, each by its own name (`weight`, pruned or not).
    pub fn parameters(&self) -> impl Iterator<Item = (&str, &Parameter)> {
        self.slots.iter().filter_map(|(name, slot)| match slot {
            Slot::Parameter(parameter) => Some((name.as_str(), parameter)),
            Slot::Buffer(_) => None,
        })
    }

    /// The parameters, in order, mutably.
    pub fn parameters_mut(&mut self) -> impl Iterator<Item = (&str, &mut Parameter)> {
        self.slots.iter_mut().filter_map(|(name, slot)| match slot {
            Slot::Parameter(parameter) => Some((name.as_str(), parameter)),
            Slot::Buffer(_) => None,
        })
    }

    /// Each name, and what has it: `parameter [2, 3]`.
    pub(super) fn outline(&self) -> impl Iterator<Item = (&str, String)> {
        self.slots.iter().map(|(name, slot)| {
            let outline = match slot {
                Slot::Parameter(p) if p.is_pruned() => format!("pruned parameter {:?}", p.shape()),
                Slot::Parameter(p) => format!("parameter {:?}", p.shape()),
                Slot::Buffer(b) => format!("buffer {:?}", read(b).shape()),
            };
            (name.as_str(), outline)
        })
    }

    /// The present value of a buffer.
    pub fn buffer(&self, name: &str) -> Option<ArcArray<f32, IxDyn>> {
        match self.slots.get(name) {
            Some(Slot::Buffer(buffer)) => Some(read(buffer)),
            _ => None,
        }
    }

    /// The buffers, in order, without the masks of parameters.
    pub fn buffers(&self) -> impl Iterator<Item = (&str, ArcArray<f32, IxDyn>)> {
        self.slots.iter().filter_map(|(name, slot)| match slot {
            Slot::Buffer(buffer) => Some((name.as_str(), read(buffer))),
            Slot::Parameter(_) => None,
        })
    }

    /// Replaces the value of a buffer. Takes `&self`, because forward may update buffers.
    ///
    /// # Errors
    ///
    /// [`ModelError::UnknownParameter`](crate::error::ModelError::UnknownParameter) if there is no buffer of this name, [`MaskError::ShapeMismatch`](crate::error::MaskError::ShapeMismatch) if the shape is
    /// another.
    pub fn set_buffer(&self, name: &str, value: ArrayD<f32>) -> Result<()> {
        self.update_buffer(name, |_| Ok(value))
    }

    /// Replaces the value of a buffer by what `update` makes of it, while no other thread can read or change it.
    ///
    /// `update` may update other buffers, in an order that is the same everywhere, but not this one. So several buffers
    /// that belong together change together.
    ///
    /// # Errors
    ///
    /// As [`set_buffer`](Self::set_buffer), and those of `update`.
    pub fn update_buffer(
        &self,
        name: &str,
        update: impl FnOnce(ArrayViewD<'_, f32>) -> Result<ArrayD<f32>>,
    ) -> Result<()> {
        let Some(Slot::Buffer(buffer)) = self.slots.get(name) else {
            return Err(self.unknown(name));
        };
        let mut buffer = buffer.write().unwrap_or_else(PoisonError::into_inner);
        let value = update(buffer.view())?;
        if buffer.shape() != value.shape() {
            let (expected, got) = (buffer.shape().to_vec(), value.shape().to_vec());
            return Err(Error::Mask(MaskError::ShapeMismatch {
                what: "the buffer",
                expected,
                got,
            }));
        }
        *buffer = value.into_shared();
        Ok(())
    }

    /// The pruning hooks, in the order of the parameters: the name of each pruned parameter, and its method or
    /// container.
    ///
    /// PyTorch's `_forward_pre_hooks`.
    pub fn forward_pre_hooks(&self) -> impl Iterator<Item = (&str, &Arc<dyn PruningMethod>)> {
        self.parameters()
            .filter_map(|(name, parameter)| Some((name, parameter.hook()?)))
    }

    /// Calls `hook` with input and output after each `forward` of the module.
    ///
    /// A hook only observes. It belongs to this module, and is neither saved nor cloned with it. PyTorch's
    /// `register_forward_hook`.
    pub fn register_forward_hook(
        &mut self,
        hook: impl Fn(&Tensor, &Tensor) + Send + Sync + 'static,
    ) -> HookHandle {
        self.forward_hooks.add(hook)
    }

    /// Removes a hook. Returns whether it was there.
    pub fn remove_forward_hook(&mut self, handle: HookHandle) -> bool {
        self.forward_hooks.remove(handle)
    }

    pub(crate) fn forward_hooks(&self) -> &ForwardHooks {
        &self.forward_hooks
    }

    fn unknown(&self, name: &str) -> Error {
        Error::Model(ModelError::UnknownParameter {
            path: name.to_owned(),
            nearest: nearest(name, self.slots.keys().map(String::as_str)),
        })
    }
}

/// Why a name cannot be used a second time.
pub(crate) const TAKEN: &str = "it is taken; choose another name";

// S14
/// Refuses a name that a parameter, buffer or child cannot have.
pub(crate) fn check_name(what: &'static str, name: &str) -> Result<()> {
    let reason = match name {
        "" => "it is empty; give at least one character",
        dotted if dotted.contains('.') => "dots separate the names of a path; leave them out",
        _ => return Ok(()),
    };
    Err(Error::Nn(NnError::InvalidName {
        what,
        name: name.to_owned(),
        reason,
    }))
}

fn read(buffer: &RwLock<ArcArray<f32, IxDyn>>) -> ArcArray<f32, IxDyn> {
    buffer.read().unwrap_or_else(PoisonError::into_inner).clone()
}

impl Clone for ParamStore {
    /// A copy whose parameters have ids of their own, without forward hooks, as if it had been saved and loaded.
    fn clone(&self) -> Self {
        ParamStore {
            slots: self.slots.clone(),
            training: self.training,
            forward_hooks: ForwardHooks::default(),
        }
    }
}

impl Clone for Slot {
    fn clone(&self) -> Self {
        match self {
            Slot::Parameter(parameter) => Slot::Parameter(parameter.clone()),
            Slot::Buffer(buffer) => Slot::Buffer(RwLock::new(read(buffer))),
        }
    }
}

impl fmt::Debug for ParamStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for (name, outline) in self.outline() {
            map.entry(&name, &format_args!("{outline}"));
        }
        map.finish()
    }
}

/// The form in which a store is serialised: its slots in a list, because not every format keeps the order of a map.
#[derive(Serialize, Deserialize)]
struct Whole<N> {
    training: bool,
    slots: Vec<(N, Stored)>,
}

/// The form in which a slot is serialised.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Stored {
    Parameter(Portable),
    Pruned { original: Portable, pruning: Pruning },
    Buffer(Portable),
}

impl Serialize for ParamStore {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let stored = self.slots.iter().map(|(name, slot)| {
            let stored = match slot {
                Slot::Buffer(buffer) => Stored::Buffer(Portable(read(buffer))),
                Slot::Parameter(parameter) => {
                    let original = Portable(parameter.original().to_owned().into_shared());
                    match parameter.pruning() {
                        Some(pruning) => Stored::Pruned {
                            original,
                            pruning: pruning.clone(),
                        },
                        None => Stored::Parameter(original),
                    }
                }
            };
            (name.as_str(), stored)
        });
        Whole {
            training: self.training,
            slots: stored.collect(),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ParamStore {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let whole = Whole::<String>::deserialize(deserializer).map_err(readable)?;
        let mut store = ParamStore::new();
        store.training = whole.training;
        for (name, stored) in whole.slots {
            let inserted = match stored {
                Stored::Parameter(value) => store.insert_parameter(&name, value.0.into_owned()),
                Stored::Buffer(value) => store.insert_buffer(&name, value.0.into_owned()),
                Stored::Pruned { original, pruning } => {
                    let mut parameter = Parameter::new(original.0.into_owned());
                    pruning
                        .check(&name, parameter.shape())
                        .and_then(|()| parameter.set_pruning(pruning))
                        .and_then(|()| store.insert("parameter", &name, Slot::Parameter(parameter)))
                }
            };
            inserted.map_err(serde::de::Error::custom)?;
        }
        Ok(store)
    }
}
