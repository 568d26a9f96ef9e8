//! [`L1Unstructured`].

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::mask::{Amount, EntryRank, Plan, PruningMethod, PruningType};

/// Prunes the entries of lowest absolute value, or of lowest absolute score where scores are given.
///
/// Exactly as many entries as requested are pruned, whatever the ties. Ties are pruned in row-major order.
///
/// PyTorch's `L1Unstructured`; magnitude pruning after Han et al. 2015, <https://arxiv.org/abs/1506.02626>.
///
/// ```
/// use ndarray::array;
/// use secateurs::mask::{L1Unstructured, PruningMethod};
///
/// let t = array![[1.0, -5.0], [-0.5, 2.0]].into_dyn();
/// let pruned = L1Unstructured::new(0.5)?.prune(t.view(), None, None)?;
/// assert_eq!(pruned, array![[0.0, -5.0], [0.0, 2.0]].into_dyn());
/// # Ok::<(), secateurs::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct L1Unstructured {
    amount: Amount,
}

impl L1Unstructured {
    /// A method that prunes this amount of the entries that remain.
    ///
    /// # Errors
    ///
    /// [`AmountError::FractionOutOfRange`](crate::error::AmountError::FractionOutOfRange) or
    /// [`AmountError::NegativeCount`](crate::error::AmountError::NegativeCount) for an invalid amount.
    pub fn new(amount: impl TryInto<Amount, Error: Into<Error>>) -> Result<Self> {
        Ok(L1Unstructured {
            amount: amount.try_into().map_err(Into::into)?,
        })
    }

    /// How much is pruned.
    pub fn amount(&self) -> Amount {
        self.amount
    }
}

#[typetag::serde(name = "secateurs::L1Unstructured")]
impl PruningMethod for L1Unstructured {
    fn pruning_type(&self) -> PruningType {
        PruningType::Unstructured
    }

    fn plan(&self) -> Option<Plan<'_>> {
        Some(Plan::Entries {
            amount: self.amount,
            by: EntryRank::Magnitude,
        })
    }
}
