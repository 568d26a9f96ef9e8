//! [`ScoreUnstructured`].

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::mask::{Amount, EntryRank, Plan, PruningMethod, PruningType};

/// Prunes the entries with the lowest signed score: −9 is pruned before 0, and 0 before 2.
///
/// It is for scores whose sign means something. In movement pruning, for example, a negative score says that the
/// model is better off without the entry (Sanh et al. 2020, <https://arxiv.org/abs/2005.07683>). PyTorch has no
/// equivalent: its `L1Unstructured` ranks scores by absolute value.
///
/// ```
/// use ndarray::array;
/// use secateurs::mask::{PruningMethod, ScoreUnstructured};
///
/// let t = array![1.0, 2.0, 3.0].into_dyn();
/// let scores = array![0.0, -9.0, 2.0].into_dyn();
/// let pruned = ScoreUnstructured::new(1)?.prune(t.view(), None, Some(scores.view()))?;
/// assert_eq!(pruned, array![1.0, 0.0, 3.0].into_dyn());
/// # Ok::<(), secateurs::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScoreUnstructured {
    amount: Amount,
}

impl ScoreUnstructured {
    /// A method that prunes this amount of the entries that remain.
    ///
    /// # Errors
    ///
    /// [`AmountError::FractionOutOfRange`](crate::error::AmountError::FractionOutOfRange) or
    /// [`AmountError::NegativeCount`](crate::error::AmountError::NegativeCount) for an invalid amount.
    pub fn new(amount: impl TryInto<Amount, Error: Into<Error>>) -> Result<Self> {
        Ok(ScoreUnstructured {
            amount: amount.try_into().map_err(Into::into)?,
        })
    }

    /// How much is pruned.
    pub fn amount(&self) -> Amount {
        self.amount
    }
}

#[typetag::serde(name = "secateurs::ScoreUnstructured")]
impl PruningMethod for ScoreUnstructured {
    fn pruning_type(&self) -> PruningType {
        PruningType::Unstructured
    }

    fn plan(&self) -> Option<Plan<'_>> {
        Some(Plan::Entries {
            amount: self.amount,
            by: EntryRank::Value,
        })
    }
}
