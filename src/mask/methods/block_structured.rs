//! [`BlockStructured`].

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::mask::patterns::blocks;
use crate::mask::{Amount, BlockRank, Plan, PruningMethod, PruningType};

/// Prunes the blocks of `height` × `width` entries with the lowest score: tiles of the last two dimensions.
///
/// Tiles begin at the first entry. Tiles that an edge cuts off are smaller blocks, and a
/// [mean](BlockRank::MeanSquare) is taken over the entries they have. With more than two dimensions, the tensor is a
/// list of matrices, each with tiles of its own. Blocks are numbered by matrix, then by row of blocks, then by column
/// of blocks; the first of several ties is pruned first.
///
/// The amount is relative to the blocks that are not yet wholly pruned. A score covers all entries of a block. In a
/// parameter that is pruned already, pruned entries count as 0; given scores count as given. Sums are f64: first down
/// each column of a block, then its columns in 16 lanes (column `i` in lane `i mod 16`), which are added pairwise
/// (`0+8, 1+9, …`, then `0+4, …`, `0+2, …`, `0+1`).
///
/// Block-sparse pruning after Narang et al. 2017, <https://arxiv.org/abs/1711.02782>. PyTorch has no equivalent
/// among its pruning methods.
///
/// ```
/// use ndarray::array;
/// use secateurs::mask::{BlockRank, BlockStructured, PruningMethod};
///
/// let t = array![
///     [1.0, 1.0, 9.0, 0.0, 2.0],
///     [1.0, 1.0, 0.0, 0.0, 2.0],
///     [3.0, 3.0, 3.0, 3.0, 1.0],
/// ];
/// // Six blocks, of which the one at the corner has a single entry.
/// let pruned =
///     BlockStructured::new(2, 2, 2, BlockRank::MeanSquare)?.prune(t.view().into_dyn(), None, None)?;
/// assert_eq!(
///     pruned,
///     array![
///         [0.0, 0.0, 9.0, 0.0, 2.0],
///         [0.0, 0.0, 0.0, 0.0, 2.0],
///         [3.0, 3.0, 3.0, 3.0, 0.0],
///     ]
///     .into_dyn()
/// );
/// # Ok::<(), secateurs::Error>(())
/// ```
///
/// # Errors
///
/// Pruning fails by [`PatternError::NoChannels`](crate::error::PatternError::NoChannels) for a tensor of fewer than 2 dimensions.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct BlockStructured {
    amount: Amount,
    height: usize,
    width: usize,
    by: BlockRank,
}

/// The serialised form of the method, before it is checked.
#[derive(Deserialize)]
struct Unchecked {
    amount: Amount,
    height: usize,
    width: usize,
    by: BlockRank,
}

impl TryFrom<Unchecked> for BlockStructured {
    type Error = Error;

    fn try_from(raw: Unchecked) -> Result<Self> {
        BlockStructured::new(raw.amount, raw.height, raw.width, raw.by)
    }
}

impl BlockStructured {
    /// A method that prunes this amount of the blocks of `height` rows and `width` columns that remain.
    ///
    /// # Errors
    ///
    /// [`AmountError::FractionOutOfRange`](crate::error::AmountError::FractionOutOfRange) or
    /// [`AmountError::NegativeCount`](crate::error::AmountError::NegativeCount) for an invalid amount,
    /// [`PatternError::BlockSize`](crate::error::PatternError::BlockSize) where `height` or `width` is 0.
    pub fn new(
        amount: impl TryInto<Amount, Error: Into<Error>>,
        height: usize,
        width: usize,
        by: BlockRank,
    ) -> Result<Self> {
        let amount = amount.try_into().map_err(Into::into)?;
        blocks::check(height, width)?;
        Ok(BlockStructured {
            amount,
            height,
            width,
            by,
        })
    }

    /// How much is pruned.
    pub fn amount(&self) -> Amount {
        self.amount
    }

    /// Rows of a block.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Columns of a block.
    pub fn width(&self) -> usize {
        self.width
    }

    /// What ranks the blocks.
    pub fn rank(&self) -> BlockRank {
        self.by
    }
}

#[typetag::serde(name = "secateurs::BlockStructured")]
impl PruningMethod for BlockStructured {
    fn pruning_type(&self) -> PruningType {
        PruningType::Whole
    }

    fn plan(&self) -> Option<Plan<'_>> {
        Some(Plan::Blocks {
            amount: self.amount,
            height: self.height,
            width: self.width,
            by: self.by,
        })
    }
}
