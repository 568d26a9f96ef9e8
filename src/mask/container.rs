//! [`PruningContainer`]: the methods that pruned one tensor, in order.

use std::sync::Arc;

use ndarray::ArrayViewD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::compute;
use super::method::{IntoMethod, PruningMethod, PruningType};
use super::methods::{MergedMask, MergedMasks};
use super::packed::Mask;
use crate::error::{Error, MaskError, Result};
use crate::{depth, type_names};

/// The successive methods that pruned one tensor, in order.
///
/// When a parameter is pruned a second time, its hook becomes a container. Used as a method, a container runs its
/// *last* method on top of the prior mask, which holds what the earlier ones pruned, as PyTorch's `PruningContainer`
/// does. An empty container prunes nothing.
///
/// ```
/// use ndarray::array;
/// use secateurs::mask::{Identity, L1Unstructured, Mask, PruningContainer, PruningMethod};
///
/// let mut container = PruningContainer::new("weight");
/// container.add("weight", Identity)?;
/// container.add("weight", L1Unstructured::new(1)?)?;
/// assert_eq!(container.len(), 2);
/// assert!(container[1].is::<L1Unstructured>());
///
/// let prior = Mask::from_array(array![0, 1, 1].view())?;
/// let mask = container.compute_mask(array![1.0, 2.0, 3.0].into_dyn().view(), &prior)?;
/// assert_eq!(mask, Mask::from_array(array![0, 0, 1].view())?);
///
/// assert!(container.add("bias", Identity).is_err());
/// # Ok::<(), secateurs::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct PruningContainer {
    tensor_name: String,
    methods: Vec<Arc<dyn PruningMethod>>,
}

/// The serialised form of a container, before it is checked: it must hold no other container, and methods of one
/// tensor only.
#[derive(Serialize, Deserialize)]
#[serde(rename = "PruningContainer")]
struct Unchecked {
    tensor_name: String,
    methods: Vec<Arc<dyn PruningMethod>>,
}

impl TryFrom<Unchecked> for PruningContainer {
    type Error = Error;

    fn try_from(raw: Unchecked) -> Result<Self> {
        let mut container = PruningContainer::new(raw.tensor_name.clone());
        for method in raw.methods {
            match method.downcast_ref::<MergedMasks>() {
                Some(run) => run
                    .iter()
                    .try_for_each(|mask| container.add(&raw.tensor_name, mask))?,
                None => container.add(&raw.tensor_name, method)?,
            }
        }
        Ok(container)
    }
}

impl Serialize for PruningContainer {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut methods: Vec<Arc<dyn PruningMethod>> = Vec::new();
        let mut run: Option<MergedMasks> = None;
        for method in &self.methods {
            let merged = method.downcast_ref::<MergedMask>();
            if let (Some(run), Some(mask)) = (&mut run, merged)
                && run.push(*mask)
            {
                continue;
            }
            methods.extend(run.take().map(IntoMethod::into_method));
            match merged {
                Some(mask) => run = Some(MergedMasks::of(*mask)),
                None => {
                    type_names::check::<dyn PruningMethod, _>("methods", method.typetag_name())?;
                    methods.push(method.clone());
                }
            }
        }
        methods.extend(run.map(IntoMethod::into_method));
        let tensor_name = self.tensor_name.clone();
        Unchecked { tensor_name, methods }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for PruningContainer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let raw = depth::nested(depth::Boxed::Methods, || Unchecked::deserialize(deserializer))?;
        raw.try_into().map_err(serde::de::Error::custom)
    }
}

impl PruningContainer {
    /// An empty container for the tensor of this name.
    pub fn new(tensor_name: impl Into<String>) -> Self {
        PruningContainer {
            tensor_name: tensor_name.into(),
            methods: Vec::new(),
        }
    }

    /// The name of the tensor that the methods are bound to.
    pub fn tensor_name(&self) -> &str {
        &self.tensor_name
    }

    /// Appends a method that is bound to the tensor `tensor_name`. A container is not appended as such, but its methods
    /// are, one by one.
    ///
    /// PyTorch's `add_pruning_method`.
    ///
    /// # Errors
    ///
    /// [`MaskError::WrongTensor`](crate::error::MaskError::WrongTensor) if that is not this container's tensor.
    pub fn add(&mut self, tensor_name: &str, method: impl IntoMethod) -> Result<()> {
        let method = method.into_method();
        let inner = method.downcast_ref::<PruningContainer>();
        let bound_to = inner.map_or(tensor_name, |inner| &inner.tensor_name);
        if tensor_name != self.tensor_name || bound_to != self.tensor_name {
            let got = if tensor_name == self.tensor_name {
                bound_to
            } else {
                tensor_name
            };
            return Err(Error::Mask(MaskError::WrongTensor {
                expected: self.tensor_name.clone(),
                got: got.to_owned(),
            }));
        }
        match inner {
            Some(inner) => self.methods.extend(inner.methods.iter().cloned()),
            None => self.methods.push(method),
        }
        Ok(())
    }

    /// The container with another method in place of the last one.
    pub(crate) fn with_last(&self, method: Arc<dyn PruningMethod>) -> Self {
        let mut container = self.clone();
        container.methods.pop();
        container.methods.push(method);
        container
    }

    /// Number of methods.
    pub fn len(&self) -> usize {
        self.methods.len()
    }

    /// Whether there is no method.
    pub fn is_empty(&self) -> bool {
        self.methods.is_empty()
    }

    /// The method at `index`, in the order of pruning.
    pub fn get(&self, index: usize) -> Option<&Arc<dyn PruningMethod>> {
        self.methods.get(index)
    }

    /// The methods, in the order of pruning.
    pub fn iter(&self) -> std::slice::Iter<'_, Arc<dyn PruningMethod>> {
        self.methods.iter()
    }
}

impl std::ops::Index<usize> for PruningContainer {
    type Output = dyn PruningMethod;

    /// The method at `index`.
    ///
    /// # Panics
    ///
    /// If `index` is not below the number of methods. [`PruningContainer::get`] does not panic.
    fn index(&self, index: usize) -> &Self::Output {
        &*self.methods[index]
    }
}

impl<'a> IntoIterator for &'a PruningContainer {
    type Item = &'a Arc<dyn PruningMethod>;
    type IntoIter = std::slice::Iter<'a, Arc<dyn PruningMethod>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[typetag::serde(name = "secateurs::PruningContainer")]
impl PruningMethod for PruningContainer {
    fn pruning_type(&self) -> PruningType {
        PruningType::Whole
    }

    fn compute_mask(&self, scores: ArrayViewD<'_, f32>, prior: &Mask) -> Result<Mask> {
        match self.methods.last() {
            Some(method) => Ok(compute::compute(&**method, scores, Some(prior))?.mask),
            None => Ok(prior.clone()),
        }
    }
}
