//! Entries dropped at random, and the rest scaled.

use std::sync::Arc;

use crate::error::Result;
use crate::mask::Mask;
use crate::tensor::graph::Tensor;
use crate::tensor::kernel::{Shared, map};

impl Tensor {
    /// Each entry that the mask keeps, times a factor, and +0.0 for the others: dropout, once its mask is drawn.
    ///
    /// Entries are selected, not multiplied by 0, and so is the gradient: where the mask prunes, both are +0.0.
    ///
    /// PyTorch: `torch.where(mask, t * factor, 0)`.
    ///
    /// ```
    /// use ndarray::arr1;
    /// use secateurs::mask::Mask;
    /// use secateurs::tensor::Tensor;
    ///
    /// let t = Tensor::new(arr1(&[1.0, 2.0, f32::NAN]));
    /// let kept = Mask::from_bool(arr1(&[false, true, false]).view());
    /// assert_eq!(t.keep(kept, 2.0)?.to_array(), arr1(&[0.0, 4.0, 0.0]).into_dyn());
    /// # Ok::<(), secateurs::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`MaskError::ShapeMismatch`](crate::error::MaskError::ShapeMismatch) if the mask has another shape.
    pub fn keep(&self, mask: impl Into<Arc<Mask>>, factor: f32) -> Result<Tensor> {
        let mask = mask.into();
        mask.check_shape("the tensor", self.shape())?;
        let select = move |x: Shared| {
            let mut scaled = map(x, |x| x * factor);
            let selected = mask.apply_inplace(scaled.view_mut());
            selected.expect("the mask has the shape of the tensor, and of its gradient");
            scaled
        };
        let kept = select(self.shared());
        let edge = self.edge(|| move |g, slot| slot.add(select(g)));
        Ok(Tensor::derived(kept, [edge]))
    }
}
