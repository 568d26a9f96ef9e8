//! [`Tracked`]: what is known of a value.

use super::Labels;
use crate::shapes::Shape;

/// What is known of a value.
#[derive(Clone, Debug, Default)]
pub struct Tracked {
    /// Its shape, if it can be told.
    pub shape: Option<Shape>,
    /// Of each dimension that can be cut, the units of its indices.
    pub labels: Vec<Option<Labels>>,
    /// The operator that makes something else than zero of channels that are removed, if there is one.
    pub not_zero: Option<String>,
    /// The number of the type of its entries; 0 if it is not known.
    pub dtype: i64,
}

impl Tracked {
    /// A value of which nothing can be removed.
    pub fn fixed(shape: Option<Shape>, dtype: i64) -> Self {
        Tracked {
            labels: vec![None; shape.as_ref().map_or(0, Vec::len)],
            shape,
            not_zero: None,
            dtype,
        }
    }

    /// A value of this shape with these units, whose removed channels are zero.
    pub fn zero(shape: Shape, labels: Vec<Option<Labels>>) -> Self {
        Tracked {
            shape: Some(shape),
            labels,
            ..Tracked::default()
        }
    }

    /// With what is not zero as it is in another value.
    pub fn zero_like(self, other: &Tracked) -> Self {
        Tracked {
            not_zero: other.not_zero.clone(),
            ..self
        }
    }

    /// The length of a dimension, if it is known.
    pub fn len(&self, dim: usize) -> Option<usize> {
        *self.shape.as_ref()?.get(dim)?
    }

    /// The units of a dimension.
    pub fn units(&self, dim: usize) -> Option<&Labels> {
        self.labels.get(dim)?.as_ref()
    }
}
