//! [`NmStructured`].

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::mask::patterns::groups;
use crate::mask::{EntryRank, Plan, PruningMethod, PruningType};

/// Keeps n of each m consecutive entries along a dimension, those of highest absolute value: N:M sparsity.
///
/// The sparse tensor cores of GPUs speed up 2:4 along the input dimension of a linear layer, which is dimension 1 of
/// its weight (Mishra et al. 2021, <https://arxiv.org/abs/2104.08378>). The first of several ties in a group is
/// pruned first. Entries that are pruned already count among the m − n that a group loses, so a second pruning by the
/// same pattern changes nothing. A group that has lost more stays as it is.
///
/// It takes no amount, since the pattern says how much is pruned;
/// [`Outcome::requested`](crate::mask::Outcome::requested) is `None`. It also works on tensors of one dimension.
/// PyTorch has no equivalent among its pruning methods.
///
/// ```
/// use ndarray::array;
/// use secateurs::mask::{NmStructured, PruningMethod};
///
/// let t = array![[1.0, -5.0, 0.5, 2.0], [3.0, 3.0, -3.0, 3.0]].into_dyn();
/// let pruned = NmStructured::new(2, 4, 1)?.prune(t.view(), None, None)?;
/// assert_eq!(pruned, array![[0.0, -5.0, 0.0, 2.0], [0.0, 0.0, -3.0, 3.0]].into_dyn());
/// # Ok::<(), secateurs::Error>(())
/// ```
///
/// # Errors
///
/// Pruning fails by [`PatternError::Indivisible`](crate::error::PatternError::Indivisible) where the length of the dimension is not divisible by m, and by
/// [`PatternError::DimOutOfRange`](crate::error::PatternError::DimOutOfRange).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct NmStructured {
    keep: usize,
    of: usize,
    dim: isize,
}

/// The serialised form of the method, before it is checked.
#[derive(Deserialize)]
struct Unchecked {
    keep: usize,
    of: usize,
    dim: isize,
}

impl TryFrom<Unchecked> for NmStructured {
    type Error = Error;

    fn try_from(raw: Unchecked) -> Result<Self> {
        NmStructured::new(raw.keep, raw.of, raw.dim)
    }
}

impl NmStructured {
    /// A method that keeps `keep` of each `of` consecutive entries along `dim`: 2 and 4 for "2:4". A negative `dim`
    /// counts from the end.
    ///
    /// # Errors
    ///
    /// [`PatternError::KeepOf`](crate::error::PatternError::KeepOf) for groups of 0 entries, and where more are to be kept than a group has.
    pub fn new(keep: usize, of: usize, dim: isize) -> Result<Self> {
        groups::check(keep, of)?;
        Ok(NmStructured { keep, of, dim })
    }

    /// Entries of a group that are kept: n.
    pub fn keep(&self) -> usize {
        self.keep
    }

    /// Entries of a group: m.
    pub fn of(&self) -> usize {
        self.of
    }

    /// The dimension along which the entries of a group are consecutive.
    pub fn dim(&self) -> isize {
        self.dim
    }
}

#[typetag::serde(name = "secateurs::NmStructured")]
impl PruningMethod for NmStructured {
    fn pruning_type(&self) -> PruningType {
        PruningType::Whole
    }

    fn plan(&self) -> Option<Plan<'_>> {
        Some(Plan::Groups {
            keep: self.keep,
            of: self.of,
            dim: self.dim,
            by: EntryRank::Magnitude,
        })
    }
}
