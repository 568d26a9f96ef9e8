//! [`ParameterView`]: one parameter of a model, as pruning sees it.

use std::fmt;

use super::error::ModelError;
use super::pruning::Pruning;
use crate::error::Result;
use crate::mask::{FloatType, FloatView, Mask};

/// One parameter of a model, as pruning sees it: shape, float type, values, mask and history.
///
/// Shape, type, mask and history are known at once. The values are lent when [`values`](Self::values) is called. The
/// cost depends on the model: nothing for weights in memory, a lock or a copy for others. Methods that rank nothing,
/// such as random ones, never read them.
pub struct ParameterView<'a> {
    path: String,
    id: u64,
    shape: Vec<usize>,
    float_type: FloatType,
    pruning: Option<Pruning>,
    values: Box<dyn LendValues + 'a>,
}

/// Lends the original values of a parameter, whether it is pruned or not.
///
/// It is for models that cannot give a plain reference. It may hold the guard of a lock, or copy the values from a
/// device on first use and keep them in a [`OnceCell`](std::cell::OnceCell).
pub trait LendValues {
    /// The values.
    ///
    /// # Errors
    ///
    /// Whatever keeps the model from lending them.
    fn lend(&self) -> Result<FloatView<'_>>;

    /// The values, where only kept entries count: those that the mask prunes may be anything.
    ///
    /// It is what most methods read. A model that has overwritten its pruned entries lends them as they are here, and
    /// needs no copy. Without an implementation, it is [`lend`](Self::lend).
    ///
    /// # Errors
    ///
    /// As [`lend`](Self::lend).
    fn lend_kept(&self) -> Result<FloatView<'_>> {
        self.lend()
    }
}

impl LendValues for FloatView<'_> {
    fn lend(&self) -> Result<FloatView<'_>> {
        Ok(self.view())
    }
}

impl<'a> ParameterView<'a> {
    /// A view of a parameter whose values lie in memory, so that lending them costs nothing.
    ///
    /// `path` is the path under which the model lists the parameter. `id` is its identity within the model: two paths
    /// lead to the same parameter if and only if their ids are equal.
    pub fn new(
        path: impl Into<String>,
        id: u64,
        values: impl Into<FloatView<'a>>,
        pruning: Option<&Pruning>,
    ) -> Self {
        let values = values.into();
        let (shape, float_type) = (values.shape().to_vec(), values.float_type());
        ParameterView::lazy(path, id, shape, float_type, values, pruning)
    }

    /// A view of a parameter whose values are lent on demand.
    pub fn lazy(
        path: impl Into<String>,
        id: u64,
        shape: Vec<usize>,
        float_type: FloatType,
        values: impl LendValues + 'a,
        pruning: Option<&Pruning>,
    ) -> Self {
        ParameterView {
            path: path.into(),
            id,
            shape,
            float_type,
            pruning: pruning.cloned(),
            values: Box::new(values),
        }
    }

    /// The path under which the model lists the parameter.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The name of the parameter: the part of its path after the last dot.
    pub fn name(&self) -> &str {
        self.path.rsplit('.').next().unwrap_or(&self.path)
    }

    /// The identity of the parameter within its model: equal for two paths if and only if they lead to the same
    /// parameter.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The length of each dimension.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The type of the entries.
    pub fn float_type(&self) -> FloatType {
        self.float_type
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The mask and the pruning history, if the parameter is pruned.
    pub fn pruning(&self) -> Option<&Pruning> {
        self.pruning.as_ref()
    }

    /// The mask, if the parameter is pruned.
    pub fn mask(&self) -> Option<&Mask> {
        self.pruning.as_ref().map(|pruning| &**pruning.mask())
    }

    /// The original values. If the parameter is pruned, the mask is not applied to them.
    ///
    /// # Errors
    ///
    /// Whatever keeps the model from giving them; [`ModelError::Inconsistent`] if they are not of the shape and type
    /// that the view promised.
    pub fn values(&self) -> Result<FloatView<'_>> {
        self.checked(self.values.lend()?)
    }

    /// The values, where only kept entries count: those that the mask prunes may be anything. For some models it is
    /// cheaper than [`values`](Self::values).
    ///
    /// # Errors
    ///
    /// As [`values`](Self::values).
    pub fn kept_values(&self) -> Result<FloatView<'_>> {
        self.checked(self.values.lend_kept()?)
    }

    fn checked<'v>(&self, values: FloatView<'v>) -> Result<FloatView<'v>> {
        if (values.shape(), values.float_type()) == (&self.shape[..], self.float_type) {
            return Ok(values);
        }
        Err(ModelError::Inconsistent {
            path: self.path.clone(),
            reason: "its values are not of the shape and type that were announced",
        }
        .into())
    }
}

impl fmt::Debug for ParameterView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParameterView")
            .field("path", &self.path)
            .field("shape", &self.shape)
            .field("float_type", &self.float_type)
            .field("mask", &self.mask())
            .finish_non_exhaustive()
    }
}
