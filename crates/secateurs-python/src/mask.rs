//! [`Mask`]: a packed mask in Python, and its ways to and from dense arrays.

use half::{bf16, f16};
use ndarray::ArrayViewD;
use numpy::{
    Element, PyArrayDyn, PyArrayMethods, PyReadonlyArrayDyn, PyReadwriteArrayDyn, PyUntypedArrayMethods,
};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use secateurs::mask;

use crate::error::raise;
use crate::threads;

/// A mask with one bit for each entry. Not changed once it is made.
#[pyclass(frozen, module = "secateurs._rust")]
pub(crate) struct Mask(pub mask::Mask);

#[pymethods]
impl Mask {
    /// The mask of a dense array; `None` if it holds anything but 0 and 1. An int16 array holds the bits of bfloat16.
    #[staticmethod]
    fn from_dense(py: Python<'_>, array: &Bound<'_, PyAny>) -> PyResult<Option<Self>> {
        macro_rules! try_types {
            ($($dense:ty: $zero:expr, $one:expr);*) => {$(
                if let Ok(array) = array.extract::<PyReadonlyArrayDyn<'_, $dense>>() {
                    let view = array.as_array();
                    return Ok(py.detach(|| binary(view, $zero, $one)).map(Mask));
                }
            )*};
        }
        try_types!(
            f32: 0.0, 1.0; bool: false, true; f64: 0.0, 1.0; f16: f16::ZERO, f16::ONE;
            i16: bf16::ZERO.to_bits().cast_signed(), bf16::ONE.to_bits().cast_signed(); u8: 0, 1; i8: 0, 1
        );
        Err(PyTypeError::new_err(
            "a mask is an array of bool, int8, uint8 or a float type",
        ))
    }

    /// Writes zeros over the pruned entries of an array of integers of 8, 16, 32 or 64 bits, or of floats.
    fn zero_pruned(&self, py: Python<'_>, array: &Bound<'_, PyAny>) -> PyResult<()> {
        macro_rules! try_types {
            ($($dense:ty),*) => {$(
                if let Ok(array) = array.cast::<PyArrayDyn<$dense>>() {
                    return zero(py, &self.0, array.try_readwrite()?);
                }
            )*};
        }
        try_types!(i32, i16, i64, i8, f32, f64, f16);
        Err(PyTypeError::new_err(
            "an array of floats or of signed integers is needed",
        ))
    }
}

fn zero<T>(py: Python<'_>, mask: &mask::Mask, mut array: PyReadwriteArrayDyn<'_, T>) -> PyResult<()>
where
    T: Element + num_traits::Zero + Copy + Send,
{
    // Strides of an array without entries say nothing, and no view for writing can be made by them.
    if array.shape().contains(&0) {
        return Ok(());
    }
    let view = array.as_array_mut();
    py.detach(|| threads::run(|| mask.apply_inplace(view)))
        .map_err(raise)
}

/// The mask of an array of `zero` and `one`; `None` if there is another value, −0.0 excepted.
fn binary<T: Copy + PartialEq + Sync>(array: ArrayViewD<'_, T>, zero: T, one: T) -> Option<mask::Mask> {
    const BITS: usize = 64;
    let Some(entries) = array.as_slice() else {
        let mut binary = true;
        let mask = mask::Mask::from_fn(array, |x| {
            binary &= *x == one || *x == zero;
            *x == one
        });
        return binary.then_some(mask);
    };
    let mut words = Vec::with_capacity(entries.len().div_ceil(BITS));
    for chunk in entries.chunks(BITS) {
        let mut other = false;
        let mut word = 0;
        for (i, x) in chunk.iter().enumerate() {
            other |= (*x != one) & (*x != zero);
            word |= u64::from(*x == one) << i;
        }
        if other {
            return None;
        }
        words.push(word);
    }
    mask::Mask::from_words(array.shape(), words).ok()
}
