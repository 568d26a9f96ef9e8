//! [`FloatArray`]: an owned array of any float type.

use half::{bf16, f16};
use ndarray::{Array, ArrayD, Dimension};

use super::float_view::{Float, FloatType, FloatView, with_floats};
use super::packed::Mask;
use crate::error::Result;

/// An array of any float type that can be pruned.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum FloatArray {
    /// Of `f16`.
    F16(ArrayD<f16>),
    /// Of `bf16`.
    BF16(ArrayD<bf16>),
    /// Of `f32`.
    F32(ArrayD<f32>),
    /// Of `f64`.
    F64(ArrayD<f64>),
}

macro_rules! for_each_type {
    ($array:expr, $values:ident => $body:expr) => {
        match $array {
            FloatArray::F16($values) => $body,
            FloatArray::BF16($values) => $body,
            FloatArray::F32($values) => $body,
            FloatArray::F64($values) => $body,
        }
    };
}

impl FloatArray {
    /// The type of the entries.
    pub fn float_type(&self) -> FloatType {
        self.view().float_type()
    }

    /// The length of each dimension.
    pub fn shape(&self) -> &[usize] {
        for_each_type!(self, values => values.shape())
    }

    /// A view of the array.
    pub fn view(&self) -> FloatView<'_> {
        for_each_type!(self, values => values.into())
    }

    /// Puts +0.0 wherever the mask prunes.
    ///
    /// # Errors
    ///
    /// [`MaskError::ShapeMismatch`](crate::error::MaskError::ShapeMismatch) if the mask has another shape.
    pub fn apply_mask(&mut self, mask: &Mask) -> Result<()> {
        for_each_type!(self, values => mask.apply_inplace(values.view_mut()))
    }
}

impl From<FloatView<'_>> for FloatArray {
    /// A copy, in standard layout.
    fn from(view: FloatView<'_>) -> Self {
        with_floats!(view, values => values.as_standard_layout().into_owned().into())
    }
}

impl<'a> From<&'a FloatArray> for FloatView<'a> {
    fn from(array: &'a FloatArray) -> Self {
        array.view()
    }
}

/// A float type whose arrays an [`ArrayModel`](crate::ArrayModel) can hold.
pub trait ArrayElement: Float {
    /// The array, its type known at run time.
    fn float_array(array: ArrayD<Self>) -> FloatArray;
    /// The array, if it has this type.
    fn of(array: &FloatArray) -> Option<&ArrayD<Self>>;
}

macro_rules! array_element {
    ($($float:ty => $variant:ident),*) => {$(
        impl ArrayElement for $float {
            fn float_array(array: ArrayD<Self>) -> FloatArray {
                FloatArray::$variant(array)
            }

            fn of(array: &FloatArray) -> Option<&ArrayD<Self>> {
                match array {
                    FloatArray::$variant(array) => Some(array),
                    _ => None,
                }
            }
        }

        impl<D: Dimension> From<Array<$float, D>> for FloatArray {
            fn from(array: Array<$float, D>) -> Self {
                FloatArray::$variant(array.into_dyn())
            }
        }
    )*};
}

array_element!(f16 => F16, bf16 => BF16, f32 => F32, f64 => F64);
