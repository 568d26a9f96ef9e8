//! [`Floats`]: entries of any float type; and [`Wide`], of the two types that sums are taken of.

use std::ops::Range;

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

/// Consecutive entries of one type.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Floats<'a> {
    F16(&'a [f16]),
    BF16(&'a [bf16]),
    F32(&'a [f32]),
    F64(&'a [f64]),
}

/// Consecutive entries of a type of at least 32 bits. Narrower ones are widened first, which is exact, so that each
/// loop has to be compiled for two types only.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wide<'a> {
    F32(&'a [f32]),
    F64(&'a [f64]),
}

/// Runs `$body` with `$values` bound to a slice of `f32` or `f64`.
macro_rules! with_wide {
    ($wide:expr, $values:ident => $body:expr) => {
        match $wide {
            $crate::mask::patterns::Wide::F32($values) => $body,
            $crate::mask::patterns::Wide::F64($values) => $body,
        }
    };
}
pub(crate) use with_wide;

/// Runs `$body` with `$values` bound to a slice of floats.
macro_rules! with_floats {
    ($floats:expr, $values:ident => $body:expr) => {
        match $floats {
            $crate::mask::patterns::Floats::F16($values) => $body,
            $crate::mask::patterns::Floats::BF16($values) => $body,
            $crate::mask::patterns::Floats::F32($values) => $body,
            $crate::mask::patterns::Floats::F64($values) => $body,
        }
    };
}
pub(crate) use with_floats;

impl<'a> Floats<'a> {
    /// Some of the entries.
    pub(crate) fn part(self, range: Range<usize>) -> Self {
        match self {
            Floats::F16(values) => Floats::F16(&values[range]),
            Floats::BF16(values) => Floats::BF16(&values[range]),
            Floats::F32(values) => Floats::F32(&values[range]),
            Floats::F64(values) => Floats::F64(&values[range]),
        }
    }

    /// The same numbers. Those of a narrow type are written into `buffer`.
    pub(crate) fn widen(self, buffer: &'a mut Vec<f32>) -> Wide<'a> {
        fn room(buffer: &mut Vec<f32>, len: usize) -> &mut [f32] {
            if buffer.len() < len {
                buffer.resize(len, 0.0);
            }
            &mut buffer[..len]
        }
        match self {
            Floats::F16(values) => {
                let into = room(buffer, values.len());
                values.convert_to_f32_slice(into);
                Wide::F32(into)
            }
            Floats::BF16(values) => {
                let into = room(buffer, values.len());
                values.convert_to_f32_slice(into);
                Wide::F32(into)
            }
            Floats::F32(values) => Wide::F32(values),
            Floats::F64(values) => Wide::F64(values),
        }
    }
}

impl Wide<'_> {
    /// The index of the first NaN.
    pub(crate) fn first_nan(self) -> Option<usize> {
        with_wide!(self, values => values.iter().position(|x| x.is_nan()))
    }
}
