//! The norm of a tensor and its share in the rank of an entry.

use super::lanes::{Lanes, sum};
use super::parallel::vectorized;
use super::select::Element;

/// Finds the Euclidean norm of a tensor, in f64, over a stream of its entries.
///
/// The order of additions is fixed (S5): the squares of the entries, in row-major order, are added in 16 lanes, as
/// [`Lanes`] says, however the stream is divided into chunks.
#[derive(Clone, Debug)]
pub(crate) struct EuclideanNorm(Lanes);

impl EuclideanNorm {
    /// The norm of nothing yet.
    pub(crate) fn new() -> Self {
        EuclideanNorm(Lanes::new(0.0))
    }

    /// Looks at the next entries.
    pub(crate) fn feed<T: Element>(&mut self, values: &[T]) {
        let square = |x: T| {
            let x: f64 = x.as_();
            x * x
        };
        vectorized(
            #[inline(always)]
            || self.0.fold(values, square, sum),
        );
    }

    /// The norm; NaN where an entry is NaN, ∞ where one is infinite and none is NaN.
    pub(crate) fn end(self) -> f64 {
        self.0.join(sum).sqrt()
    }
}

/// What an entry of a tensor of this norm ranks by: `x / norm`, in f64.
///
/// All entries rank 0 where the norm is 0; and where it is infinite, finite entries rank 0 and infinite ones stay so.
#[inline(always)]
pub(crate) fn normalized(x: f64, norm: f64) -> f64 {
    if norm == 0.0 {
        0.0
    } else if x.is_infinite() {
        x
    } else {
        x / norm
    }
}
