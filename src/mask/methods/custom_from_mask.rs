//! [`CustomFromMask`].

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::mask::{Mask, Plan, PruningMethod, PruningType};

/// Prunes what a given mask prunes.
///
/// PyTorch's `CustomFromMask`; the mask has to be binary and of the tensor's shape.
///
/// ```
/// use ndarray::array;
/// use secateurs::mask::{CustomFromMask, Mask, PruningMethod};
///
/// let mask = Mask::from_array(array![0, 1, 1].view())?;
/// let pruned = CustomFromMask::new(mask).prune(array![1.0, 2.0, 3.0].into_dyn().view(), None, None)?;
/// assert_eq!(pruned, array![0.0, 2.0, 3.0].into_dyn());
/// # Ok::<(), secateurs::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CustomFromMask {
    mask: Arc<Mask>,
}

impl CustomFromMask {
    /// A method that prunes what `mask` prunes. A mask that is shared already is not copied.
    pub fn new(mask: impl Into<Arc<Mask>>) -> Self {
        CustomFromMask { mask: mask.into() }
    }

    /// The mask that was given.
    pub fn mask(&self) -> &Arc<Mask> {
        &self.mask
    }
}

#[typetag::serde(name = "secateurs::CustomFromMask")]
impl PruningMethod for CustomFromMask {
    fn pruning_type(&self) -> PruningType {
        PruningType::Whole
    }

    fn plan(&self) -> Option<Plan<'_>> {
        Some(Plan::Mask(&self.mask))
    }
}
