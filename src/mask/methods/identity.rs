//! [`Identity`].

use serde::{Deserialize, Serialize};

use crate::mask::{Plan, PruningMethod, PruningType};

/// Prunes nothing, but gives the parameter a mask of ones and a hook, as PyTorch's does.
///
/// PyTorch's `Identity`.
///
/// ```
/// use ndarray::array;
/// use secateurs::mask::{Identity, PruningMethod};
///
/// let t = array![1.0, 2.0].into_dyn();
/// assert_eq!(Identity.prune(t.view(), None, None)?, t);
/// # Ok::<(), secateurs::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Identity;

#[typetag::serde(name = "secateurs::Identity")]
impl PruningMethod for Identity {
    fn pruning_type(&self) -> PruningType {
        PruningType::Unstructured
    }

    fn plan(&self) -> Option<Plan<'_>> {
        Some(Plan::Nothing)
    }
}
