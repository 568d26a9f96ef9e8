//! [`LnStructured`].

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::mask::{Amount, ChannelRank, Norm, Plan, PruningMethod, PruningType};

/// Prunes the channels with the lowest norm along a dimension.
///
/// The norm is taken over all entries of a channel. In a parameter that is pruned already, pruned entries count as 0;
/// given scores count as given. Wholly pruned channels are not ranked.
///
/// PyTorch's `LnStructured`; filter pruning after Li et al. 2016, <https://arxiv.org/abs/1608.08710>.
///
/// ```
/// use ndarray::array;
/// use secateurs::mask::{LnStructured, PruningMethod};
///
/// let t = array![[1.0, -1.0], [3.0, 0.5], [0.0, 2.0]].into_dyn();
/// let pruned = LnStructured::new(1, 2.0, 0)?.prune(t.view(), None, None)?;
/// assert_eq!(pruned, array![[0.0, 0.0], [3.0, 0.5], [0.0, 2.0]].into_dyn());
/// # Ok::<(), secateurs::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LnStructured {
    amount: Amount,
    n: Norm,
    dim: isize,
}

impl LnStructured {
    /// A method that prunes this amount of the channels along `dim` that remain, by their norm of order `n`: a
    /// number or a [`Norm`]. A negative `dim` counts from the end.
    ///
    /// # Errors
    ///
    /// [`AmountError::FractionOutOfRange`](crate::error::AmountError::FractionOutOfRange) or
    /// [`AmountError::NegativeCount`](crate::error::AmountError::NegativeCount) for an invalid amount,
    /// [`NormError::Nan`](crate::error::NormError::Nan) if `n` is NaN.
    pub fn new(
        amount: impl TryInto<Amount, Error: Into<Error>>,
        n: impl TryInto<Norm, Error: Into<Error>>,
        dim: isize,
    ) -> Result<Self> {
        let amount = amount.try_into().map_err(Into::into)?;
        Ok(LnStructured {
            amount,
            n: n.try_into().map_err(Into::into)?,
            dim,
        })
    }

    /// How much is pruned.
    pub fn amount(&self) -> Amount {
        self.amount
    }

    /// The norm that ranks the channels.
    pub fn norm(&self) -> Norm {
        self.n
    }

    /// The dimension that numbers the channels.
    pub fn dim(&self) -> isize {
        self.dim
    }
}

#[typetag::serde(name = "secateurs::LnStructured")]
impl PruningMethod for LnStructured {
    fn pruning_type(&self) -> PruningType {
        PruningType::Structured { dim: self.dim }
    }

    fn plan(&self) -> Option<Plan<'_>> {
        Some(Plan::Channels {
            amount: self.amount,
            dim: self.dim,
            by: ChannelRank::Norm(self.n),
        })
    }
}
