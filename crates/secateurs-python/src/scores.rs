//! Arrays of floats from NumPy, as views. bf16, which NumPy does not have, comes as the int16 of its bits.

use half::{bf16, f16};
use ndarray::{ArrayView, ArrayViewD, CowArray, IxDyn, ShapeBuilder};
use numpy::PyReadonlyArrayDyn;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use secateurs::mask::FloatView;

/// A borrowed NumPy array.
pub(crate) enum Scores<'py> {
    F16(PyReadonlyArrayDyn<'py, f16>),
    BF16(PyReadonlyArrayDyn<'py, i16>),
    F32(PyReadonlyArrayDyn<'py, f32>),
    F64(PyReadonlyArrayDyn<'py, f64>),
}

impl<'py> FromPyObject<'_, 'py> for Scores<'py> {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(array) = object.extract() {
            return Ok(Scores::F32(array));
        }
        if let Ok(array) = object.extract() {
            return Ok(Scores::F64(array));
        }
        if let Ok(array) = object.extract() {
            return Ok(Scores::F16(array));
        }
        if let Ok(array) = object.extract() {
            return Ok(Scores::BF16(array));
        }
        Err(PyTypeError::new_err(
            "scores are an array of float32, float64, float16, or int16 for the bits of bfloat16",
        ))
    }
}

/// What a [`FloatView`] is borrowed from: the array, or for bf16 in a layout with gaps, a copy.
pub(crate) enum Floats<'a> {
    F16(ArrayViewD<'a, f16>),
    BF16(CowArray<'a, bf16, IxDyn>),
    F32(ArrayViewD<'a, f32>),
    F64(ArrayViewD<'a, f64>),
}

impl Scores<'_> {
    pub fn floats(&self) -> Floats<'_> {
        match self {
            Scores::F16(array) => Floats::F16(array.as_array()),
            Scores::BF16(array) => Floats::BF16(bf16s(array)),
            Scores::F32(array) => Floats::F32(array.as_array()),
            Scores::F64(array) => Floats::F64(array.as_array()),
        }
    }
}

impl Floats<'_> {
    pub fn view(&self) -> FloatView<'_> {
        match self {
            Floats::F16(array) => array.into(),
            Floats::BF16(array) => array.into(),
            Floats::F32(array) => array.into(),
            Floats::F64(array) => array.into(),
        }
    }
}

/// The same bits as bf16: in place if the entries lie side by side, in the order of any permutation of dimensions.
fn bf16s<'a>(array: &'a PyReadonlyArrayDyn<'_, i16>) -> CowArray<'a, bf16, IxDyn> {
    let view = array.as_array();
    let strides: Option<Vec<usize>> = view.strides().iter().map(|&s| usize::try_from(s).ok()).collect();
    let viewed = strides.zip(array.as_slice().ok().or_else(|| view.to_slice_memory_order()));
    let viewed = viewed.and_then(|(strides, bits)| {
        let floats: &[bf16] = bytemuck::cast_slice(bits);
        ArrayView::from_shape(IxDyn(view.shape()).strides(IxDyn(&strides)), floats).ok()
    });
    match viewed {
        Some(floats) => floats.into(),
        None => view.mapv(|bits| bf16::from_bits(bits.cast_unsigned())).into(),
    }
}
