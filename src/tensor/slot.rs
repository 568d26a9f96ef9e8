//! [`Slot`]: accumulates the gradient of one value.

use ndarray::{ArrayViewMutD, IxDyn};

use super::kernel::{Shared, combine, slice_mut};

/// Accumulates the gradient of one value.
pub(super) struct Slot {
    shape: IxDyn,
    sum: Option<Shared>,
}

impl Slot {
    /// An empty slot for a value of this shape.
    pub fn new(shape: IxDyn) -> Self {
        Slot { shape, sum: None }
    }

    /// Adds a gradient of the value's shape.
    pub fn add(&mut self, grad: Shared) {
        debug_assert_eq!(grad.raw_dim(), self.shape);
        self.sum = Some(sum(self.sum.take(), grad));
    }

    /// The sum, if anything was added.
    pub fn into_sum(self) -> Option<Shared> {
        self.sum
    }

    /// The sum so far, to add to in place. A part of a value, or a matrix product, adds its contribution without an
    /// array of its own.
    pub fn view_mut(&mut self) -> ArrayViewMutD<'_, f32> {
        let shape = &self.shape;
        self.sum
            .get_or_insert_with(|| Shared::zeros(shape.clone()))
            .view_mut()
    }

    /// As [`Slot::view_mut`], flat.
    pub fn slice_mut(&mut self) -> &mut [f32] {
        let shape = &self.shape;
        slice_mut(self.sum.get_or_insert_with(|| Shared::zeros(shape.clone())))
    }
}

/// The sum of two gradients, in place in `so_far` unless it is shared.
pub(super) fn sum(so_far: Option<Shared>, grad: Shared) -> Shared {
    match so_far {
        None => grad,
        Some(so_far) => combine(so_far, &grad, |a, b| a + b),
    }
}
