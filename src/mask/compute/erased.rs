//! Methods behind one pointer type, so that what runs them is compiled once and not again for each method.

use std::fmt::Debug;

use ndarray::ArrayViewD;

use crate::error::Result;
use crate::mask::{Mask, Plan, PruningMethod, PruningType};

/// What running a method takes of it.
///
/// `&dyn PruningMethod` would do, were it not for the provided methods of that trait: their `Self` may be unsized, and
/// no trait object can be made of that. A reference to it is sized, so this trait is for references.
pub(crate) trait ErasedMethod: Debug {
    fn pruning_type(&self) -> PruningType;
    fn plan(&self) -> Option<Plan<'_>>;
    fn compute_mask(&self, scores: ArrayViewD<'_, f32>, prior: &Mask) -> Result<Mask>;
}

impl<M: PruningMethod + ?Sized> ErasedMethod for &M {
    fn pruning_type(&self) -> PruningType {
        (**self).pruning_type()
    }

    fn plan(&self) -> Option<Plan<'_>> {
        (**self).plan()
    }

    fn compute_mask(&self, scores: ArrayViewD<'_, f32>, prior: &Mask) -> Result<Mask> {
        (**self).compute_mask(scores, prior)
    }
}
