//! [`RandomUnstructured`].

use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::mask::{Amount, EntryRank, Plan, PruningMethod, PruningType};

/// Prunes entries at random, every set of the requested size as likely as any other.
///
/// The method draws one `u64` seed from the caller's generator and keeps it: the same method always gives the same mask,
/// on every machine and in every version.
///
/// PyTorch's `RandomUnstructured`, with an explicit generator.
///
/// ```
/// use ndarray::ArrayD;
/// use rand::SeedableRng;
/// use secateurs::mask::{PruningMethod, RandomUnstructured};
///
/// let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(7);
/// let method = RandomUnstructured::new(0.25, &mut rng)?;
/// let pruned = method.prune(ArrayD::ones(vec![4, 5]).view(), None, None)?;
/// assert_eq!(pruned.iter().filter(|&&x| x == 0.0).count(), 5);
/// # Ok::<(), secateurs::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RandomUnstructured {
    amount: Amount,
    seed: u64,
}

impl RandomUnstructured {
    /// A method that prunes this amount of the entries that remain, seeded by one draw from `rng`.
    ///
    /// # Errors
    ///
    /// [`AmountError::FractionOutOfRange`](crate::error::AmountError::FractionOutOfRange) or
    /// [`AmountError::NegativeCount`](crate::error::AmountError::NegativeCount) for an invalid amount.
    pub fn new(
        amount: impl TryInto<Amount, Error: Into<Error>>,
        rng: &mut (impl Rng + ?Sized),
    ) -> Result<Self> {
        let amount = amount.try_into().map_err(Into::into)?;
        Ok(RandomUnstructured {
            amount,
            seed: rng.next_u64(),
        })
    }

    /// How much is pruned.
    pub fn amount(&self) -> Amount {
        self.amount
    }

    /// The seed that was drawn.
    pub fn seed(&self) -> u64 {
        self.seed
    }
}

#[typetag::serde(name = "secateurs::RandomUnstructured")]
impl PruningMethod for RandomUnstructured {
    fn pruning_type(&self) -> PruningType {
        PruningType::Unstructured
    }

    fn plan(&self) -> Option<Plan<'_>> {
        Some(Plan::Entries {
            amount: self.amount,
            by: EntryRank::Random { seed: self.seed },
        })
    }
}
