//! [`RandomStructured`].

use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::mask::{Amount, ChannelRank, Plan, PruningMethod, PruningType};

/// Prunes whole channels along a dimension at random. Every set of the requested size is equally likely.
///
/// Seeded as [`RandomUnstructured`](super::RandomUnstructured) is.
///
/// PyTorch's `RandomStructured`, with an explicit generator.
///
/// ```
/// use ndarray::{ArrayD, Axis};
/// use rand::SeedableRng;
/// use secateurs::mask::{PruningMethod, RandomStructured};
///
/// let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(7);
/// let method = RandomStructured::new(2, 0, &mut rng)?;
/// let pruned = method.prune(ArrayD::ones(vec![4, 5]).view(), None, None)?;
/// assert_eq!(pruned.sum_axis(Axis(1)).iter().filter(|&&sum| sum == 0.0).count(), 2);
/// # Ok::<(), secateurs::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RandomStructured {
    amount: Amount,
    dim: isize,
    seed: u64,
}

impl RandomStructured {
    /// A method that prunes this amount of the channels along `dim` that remain, seeded by one draw from `rng`.
    /// A negative `dim` counts from the end.
    ///
    /// # Errors
    ///
    /// [`AmountError::FractionOutOfRange`](crate::error::AmountError::FractionOutOfRange) or
    /// [`AmountError::NegativeCount`](crate::error::AmountError::NegativeCount) for an invalid amount.
    pub fn new(
        amount: impl TryInto<Amount, Error: Into<Error>>,
        dim: isize,
        rng: &mut (impl Rng + ?Sized),
    ) -> Result<Self> {
        let amount = amount.try_into().map_err(Into::into)?;
        Ok(RandomStructured {
            amount,
            dim,
            seed: rng.next_u64(),
        })
    }

    /// How much is pruned.
    pub fn amount(&self) -> Amount {
        self.amount
    }

    /// The dimension that numbers the channels.
    pub fn dim(&self) -> isize {
        self.dim
    }

    /// The seed that was drawn.
    pub fn seed(&self) -> u64 {
        self.seed
    }
}

#[typetag::serde(name = "secateurs::RandomStructured")]
impl PruningMethod for RandomStructured {
    fn pruning_type(&self) -> PruningType {
        PruningType::Structured { dim: self.dim }
    }

    fn plan(&self) -> Option<Plan<'_>> {
        let by = ChannelRank::Random { seed: self.seed };
        Some(Plan::Channels {
            amount: self.amount,
            dim: self.dim,
            by,
        })
    }
}
