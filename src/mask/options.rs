//! [`GlobalOptions`]: how parameters that are ranked together are held apart.

use crate::error::{AmountError, Error, Result};

/// What holds parameters apart that are ranked together: a cap on the sparsity of each, and ranking by an entry's
/// share of its tensor's norm. Neither is set at first.
///
/// PyTorch has no equivalent. A cap keeps global pruning from collapsing a layer (Tanaka et al. 2020,
/// <https://arxiv.org/abs/2006.05467>); ranking by norms makes layers of different scale comparable (to the same
/// end as Lee et al. 2021, <https://arxiv.org/abs/2010.07611>, by simpler means).
///
/// ```
/// use ndarray::array;
/// use secateurs::mask::{self, GlobalOptions, L1Unstructured, Ranked};
///
/// let (a, b) = (array![0.1, 0.2, 0.3, 0.4].into_dyn(), array![1.0, 2.0, 3.0, 40.0].into_dyn());
/// let tensors = [
///     Ranked { name: "a", scores: a.view(), prior: None },
///     Ranked { name: "b", scores: b.view(), prior: None },
/// ];
/// let half = L1Unstructured::new(0.5)?;
///
/// // As they are, all of `a` falls.
/// let outcome = mask::compute_global(&half, &tensors)?;
/// assert_eq!(outcome.masks[0].count_kept(), 0);
///
/// let options = GlobalOptions::new().max_sparsity(0.75)?;
/// let outcome = mask::compute_global_with(&half, &tensors, options)?;
/// assert_eq!(outcome.masks[0].to_bool(), array![false, false, false, true].into_dyn());
/// assert_eq!(outcome.masks[1].to_bool(), array![false, true, true, true].into_dyn());
///
/// let options = GlobalOptions::new().normalize(true);
/// let outcome = mask::compute_global_with(&half, &tensors, options)?;
/// assert_eq!(outcome.masks[0].to_bool(), array![false, true, true, true].into_dyn());
/// assert_eq!(outcome.masks[1].to_bool(), array![false, false, false, true].into_dyn());
/// # Ok::<(), secateurs::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct GlobalOptions {
    max_sparsity: Option<f64>,
    normalize: bool,
}

impl GlobalOptions {
    /// No cap, and entries rank as they are.
    pub fn new() -> Self {
        GlobalOptions::default()
    }

    /// With a cap on the sparsity of each parameter: no more than ⌊cap × entries⌋ of its entries are pruned in all,
    /// those counted that are pruned already (the product is rounded as f64s are). A parameter that is above the
    /// cap already loses nothing more.
    ///
    /// What falls are the lowest among each parameter's ⌊cap × entries⌋ lowest less those pruned already.
    ///
    /// # Errors
    ///
    /// [`AmountError::CapOutOfRange`](crate::error::AmountError::CapOutOfRange) for NaN and for anything outside [0, 1].
    pub fn max_sparsity(mut self, cap: f64) -> Result<Self> {
        if !(0.0..=1.0).contains(&cap) {
            return Err(Error::Amount(AmountError::CapOutOfRange { value: cap }));
        }
        self.max_sparsity = Some(cap);
        Ok(self)
    }

    /// Whether an entry w of a tensor W ranks by w / ‖W‖₂ rather than by w, each method in its way: by magnitude
    /// or by value.
    ///
    /// The norm is that of all the scores of the tensor: where a parameter ranks by itself, of its effective tensor,
    /// so that pruned entries count as 0; scores that are given count as given (S7). It is taken in f64, the squares
    /// in row-major order added in 16 lanes (square `i` in lane `i mod 16`), which are added pairwise (`0+8, 1+9,
    /// …`, then `0+4, …`, `0+2, …`, `0+1`). The quotient is one of f64s, too. Where the norm is 0, all entries rank
    /// 0; where it is infinite, the finite ones do.
    pub fn normalize(mut self, normalize: bool) -> Self {
        self.normalize = normalize;
        self
    }

    /// The cap on the sparsity of each parameter, if there is one.
    pub fn cap(&self) -> Option<f64> {
        self.max_sparsity
    }

    /// Whether entries rank by their share of their tensor's norm.
    pub fn is_normalized(&self) -> bool {
        self.normalize
    }

    /// How many more entries of a parameter may fall, where `left` of its `entries` are still unpruned.
    ///
    /// ```
    /// use secateurs::mask::GlobalOptions;
    ///
    /// let options = GlobalOptions::new().max_sparsity(0.75)?;
    /// assert_eq!(options.room(10, 10), 7);
    /// assert_eq!(options.room(6, 10), 3);
    /// assert_eq!(options.room(2, 10), 0);
    /// # Ok::<(), secateurs::Error>(())
    /// ```
    pub fn room(&self, left: usize, entries: usize) -> usize {
        let Some(cap) = self.max_sparsity else {
            return left;
        };
        let most = ((cap * entries as f64).floor() as usize).min(entries);
        most.saturating_sub(entries.saturating_sub(left)).min(left)
    }
}
