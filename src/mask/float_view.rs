//! [`FloatView`]: an array of floats of any type that can be pruned, borrowed.

use std::fmt;

use half::{bf16, f16};
use ndarray::{ArrayBase, ArrayD, ArrayViewD, Data, Dimension};
use num_traits::AsPrimitive;

use super::select::Element;

/// A type of floating-point numbers that can be pruned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FloatType {
    /// IEEE 754 half precision, 16 bits.
    F16,
    /// Brain floating point, 16 bits: the upper half of an f32.
    BF16,
    /// Single precision, 32 bits.
    F32,
    /// Double precision, 64 bits.
    F64,
}

impl fmt::Display for FloatType {
    /// Writes `f16`, `bf16`, `f32` or `f64`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FloatType::F16 => "f16",
            FloatType::BF16 => "bf16",
            FloatType::F32 => "f32",
            FloatType::F64 => "f64",
        })
    }
}

/// A read-only view of an array of weights or scores, of any float type, rank and memory layout.
///
/// It is made from a reference to an array, or from a view:
///
/// ```
/// use half::bf16;
/// use ndarray::{Array2, array};
/// use secateurs::mask::{FloatType, FloatView};
///
/// let scores = array![[0.5_f32, -1.0], [2.0, 0.0]];
/// let view = FloatView::from(&scores);
/// assert_eq!((view.float_type(), view.shape()), (FloatType::F32, &[2, 2][..]));
///
/// let weights = Array2::from_elem((3, 4), bf16::ONE);
/// assert_eq!(FloatView::from(weights.t()).shape(), [4, 3]);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum FloatView<'a> {
    /// Of `f16`.
    F16(ArrayViewD<'a, f16>),
    /// Of `bf16`.
    BF16(ArrayViewD<'a, bf16>),
    /// Of `f32`.
    F32(ArrayViewD<'a, f32>),
    /// Of `f64`.
    F64(ArrayViewD<'a, f64>),
}

/// Runs `$body` with `$array` bound to the typed view.
macro_rules! with_floats {
    ($view:expr, $array:ident => $body:expr) => {
        match $view {
            $crate::mask::FloatView::F16($array) => $body,
            $crate::mask::FloatView::BF16($array) => $body,
            $crate::mask::FloatView::F32($array) => $body,
            $crate::mask::FloatView::F64($array) => $body,
        }
    };
}

pub(super) use with_floats;

impl<'a> FloatView<'a> {
    /// The type of the entries.
    pub fn float_type(&self) -> FloatType {
        match self {
            FloatView::F16(_) => FloatType::F16,
            FloatView::BF16(_) => FloatType::BF16,
            FloatView::F32(_) => FloatType::F32,
            FloatView::F64(_) => FloatType::F64,
        }
    }

    /// The length of each dimension.
    pub fn shape(&self) -> &[usize] {
        with_floats!(self, array => array.shape())
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        with_floats!(self, array => array.len())
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The same view, for a shorter time.
    pub fn view(&self) -> FloatView<'_> {
        match self {
            FloatView::F16(array) => FloatView::F16(array.view()),
            FloatView::BF16(array) => FloatView::BF16(array.view()),
            FloatView::F32(array) => FloatView::F32(array.view()),
            FloatView::F64(array) => FloatView::F64(array.view()),
        }
    }

    /// The entries as an array of `f32`: exact, except that an `f64` is rounded to the nearest `f32`.
    pub fn to_f32(&self) -> ArrayD<f32> {
        match self {
            FloatView::F16(array) => array.mapv(f16::to_f32),
            FloatView::BF16(array) => array.mapv(bf16::to_f32),
            FloatView::F32(array) => array.to_owned(),
            FloatView::F64(array) => array.mapv(|x| x as f32),
        }
    }

    /// The entries as an array of `f64` in standard layout, which is exact.
    pub fn to_f64(&self) -> ArrayD<f64> {
        with_floats!(self, array => {
            let values = array.iter().map(|x| num_traits::AsPrimitive::<f64>::as_(*x)).collect();
            ArrayD::from_shape_vec(array.raw_dim(), values).expect("an array has as many entries as its shape")
        })
    }
}

/// A float that can be pruned: `f16`, `bf16`, `f32` or `f64`.
///
/// This trait is sealed, as [`Element`] is.
pub trait Float: Element {
    /// The view of an array of this type.
    fn float_view(array: ArrayViewD<'_, Self>) -> FloatView<'_>;

    /// The value of this type nearest to an `f64`; of two, the one whose last bit is 0.
    fn nearest(value: f64) -> Self;
}

macro_rules! float {
    ($($float:ty => $variant:ident),*) => {$(
        impl Float for $float {
            fn float_view(array: ArrayViewD<'_, Self>) -> FloatView<'_> {
                FloatView::$variant(array)
            }

            fn nearest(value: f64) -> Self {
                value.as_()
            }
        }
    )*};
}

float!(f16 => F16, bf16 => BF16, f32 => F32, f64 => F64);

impl<'a, T: Float, S: Data<Elem = T>, D: Dimension> From<&'a ArrayBase<S, D>> for FloatView<'a> {
    fn from(array: &'a ArrayBase<S, D>) -> Self {
        T::float_view(array.view().into_dyn())
    }
}

impl<'a, T: Float, D: Dimension> From<ndarray::ArrayView<'a, T, D>> for FloatView<'a> {
    fn from(array: ndarray::ArrayView<'a, T, D>) -> Self {
        T::float_view(array.into_dyn())
    }
}
