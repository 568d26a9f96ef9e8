//! [`GlobalOptions`]: scores, caps and norms for tensors that are ranked together.

use std::collections::BTreeMap;

use super::amount::AmountError;
use super::float_view::FloatView;
use crate::error::Result;

/// Options of global pruning: importance scores, caps on the sparsity of single parameters, and ranking by an entry's
/// share of its parameter's norm. None is set by default.
///
/// PyTorch has scores only. A cap keeps global pruning from collapsing a layer (Tanaka et al. 2020,
/// <https://arxiv.org/abs/2006.05467>). Ranking by norms makes layers of different scale comparable, which Lee et al.
/// 2021 (<https://arxiv.org/abs/2010.07611>) achieve by other means.
///
/// ```
/// use ndarray::array;
/// use secateurs::mask::{self, GlobalOptions, L1Unstructured, Ranked};
///
/// let (a, b) = (array![0.1, 0.2, 0.3, 0.4], array![1.0, 2.0, 3.0, 40.0]);
/// let tensors = [Ranked::new("a", &a), Ranked::new("b", &b)];
/// let half = L1Unstructured::new(0.5)?;
///
/// // As they are, all of `a` is pruned.
/// let outcome = mask::compute_global(&half, &tensors)?;
/// assert_eq!(outcome.masks[0].count_kept(), 0);
///
/// let options = GlobalOptions::new().max_sparsity(0.75)?;
/// let outcome = mask::compute_global_with(&half, &tensors, &options)?;
/// assert_eq!(outcome.masks[0].to_bool(), array![false, false, false, true].into_dyn());
/// assert_eq!(outcome.masks[1].to_bool(), array![false, true, true, true].into_dyn());
///
/// let options = GlobalOptions::new().normalize(true);
/// let outcome = mask::compute_global_with(&half, &tensors, &options)?;
/// assert_eq!(outcome.masks[0].to_bool(), array![false, true, true, true].into_dyn());
/// assert_eq!(outcome.masks[1].to_bool(), array![false, false, false, true].into_dyn());
/// # Ok::<(), secateurs::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct GlobalOptions<'a> {
    max_sparsity: Option<f64>,
    caps: BTreeMap<String, f64>,
    normalize: bool,
    scores: BTreeMap<String, FloatView<'a>>,
}

impl<'a> GlobalOptions<'a> {
    /// No scores, no caps, no normalisation.
    pub fn new() -> Self {
        GlobalOptions::default()
    }

    /// With a cap on the sparsity of each parameter: at most ⌊cap × entries⌋ of its entries are pruned in total,
    /// including those that are pruned already. The product is computed in f64. A parameter that is above the cap
    /// already loses nothing more.
    ///
    /// The candidates of a parameter are its lowest-ranked entries, as many as the cap allows. The lowest-ranked
    /// candidates of all parameters together are pruned.
    ///
    /// # Errors
    ///
    /// [`AmountError::CapOutOfRange`] for NaN and for anything outside [0, 1].
    pub fn max_sparsity(mut self, cap: f64) -> Result<Self> {
        self.max_sparsity = Some(checked(cap)?);
        Ok(self)
    }

    /// With a cap on the sparsity of the parameter at `path`, in place of the cap on all.
    ///
    /// # Errors
    ///
    /// As [`max_sparsity`](Self::max_sparsity).
    pub fn max_sparsity_of(mut self, path: impl Into<String>, cap: f64) -> Result<Self> {
        self.caps.insert(path.into(), checked(cap)?);
        Ok(self)
    }

    /// Whether an entry w of a tensor W is ranked by w / ‖W‖₂ instead of w. The method decides whether that is ranked
    /// by magnitude or by value.
    ///
    /// The norm is that of all scores of the tensor. A parameter without given scores has the norm of its effective
    /// tensor, in which pruned entries are 0; given scores count as given. The norm is computed in f64: squares in
    /// row-major order are added in 16 lanes (square `i` in lane `i mod 16`), which are added pairwise
    /// (`0+8, 1+9, …`, then `0+4, …`, `0+2, …`, `0+1`). The quotient is an f64, too. If the norm is 0, all entries
    /// rank as 0; if it is infinite, the finite ones do.
    pub fn normalize(mut self, normalize: bool) -> Self {
        self.normalize = normalize;
        self
    }

    /// With importance scores for the parameter at `path`, of its shape and of any float type. Parameters without
    /// scores are ranked by their own values.
    ///
    /// PyTorch's `importance_scores`.
    pub fn scores(mut self, path: impl Into<String>, scores: impl Into<FloatView<'a>>) -> Self {
        self.scores.insert(path.into(), scores.into());
        self
    }

    /// The cap on the sparsity of the parameter of this name, if there is one.
    pub fn cap(&self, name: &str) -> Option<f64> {
        self.caps.get(name).copied().or(self.max_sparsity)
    }

    /// Whether entries are ranked by their share of their tensor's norm.
    pub fn is_normalized(&self) -> bool {
        self.normalize
    }

    /// How many more entries of the parameter of this name may be pruned, where `remaining` of its `entries` are
    /// still unpruned.
    ///
    /// ```
    /// use secateurs::mask::GlobalOptions;
    ///
    /// let options = GlobalOptions::new().max_sparsity(0.75)?.max_sparsity_of("head", 0.25)?;
    /// assert_eq!(options.prunable("fc", 10, 10), 7);
    /// assert_eq!(options.prunable("fc", 6, 10), 3);
    /// assert_eq!(options.prunable("fc", 2, 10), 0);
    /// assert_eq!(options.prunable("head", 10, 10), 2);
    /// # Ok::<(), secateurs::Error>(())
    /// ```
    pub fn prunable(&self, name: &str, remaining: usize, entries: usize) -> usize {
        let Some(cap) = self.cap(name) else {
            return remaining;
        };
        let most = ((cap * entries as f64).floor() as usize).min(entries);
        most.saturating_sub(entries.saturating_sub(remaining))
            .min(remaining)
    }

    /// Whether nothing is set.
    pub(crate) fn is_default(&self) -> bool {
        self.max_sparsity.is_none() && self.caps.is_empty() && !self.normalize && self.scores.is_empty()
    }

    /// How many entries may be pruned in all, where each tensor has a limit as [`prunable`](Self::prunable) gives it; an
    /// error where more are requested.
    pub(crate) fn achievable(&self, requested: usize, limits: &[usize]) -> Result<usize> {
        let achievable = limits.iter().copied().fold(0, usize::saturating_add);
        match self.lowest_cap() {
            Some(max_sparsity) if requested > achievable => Err(AmountError::Capped {
                requested,
                achievable,
                max_sparsity,
            }
            .into()),
            _ => Ok(achievable),
        }
    }

    /// The lowest cap that is set.
    pub(crate) fn lowest_cap(&self) -> Option<f64> {
        let caps = self.caps.values().copied().chain(self.max_sparsity);
        caps.min_by(f64::total_cmp)
    }

    /// The scores for the parameter of this name.
    pub(crate) fn scores_of(&self, name: &str) -> Option<FloatView<'_>> {
        self.scores.get(name).map(FloatView::view)
    }

    /// The names of parameters that have scores of their own.
    pub(crate) fn scored(&self) -> impl Iterator<Item = &str> {
        self.scores.keys().map(String::as_str)
    }

    /// The names of parameters that have caps of their own.
    pub(crate) fn capped(&self) -> impl Iterator<Item = &str> {
        self.caps.keys().map(String::as_str)
    }
}

fn checked(cap: f64) -> Result<f64> {
    if !(0.0..=1.0).contains(&cap) {
        return Err(AmountError::CapOutOfRange { value: cap }.into());
    }
    Ok(cap)
}
