//! A function for each method, most of them named as in PyTorch.

use rand::Rng;

use super::{Report, apply, apply_with_scores};
use crate::error::{Error, Result};
use crate::mask::{
    Amount, BlockRank, BlockStructured, CustomFromMask, FloatView, Identity, L1Unstructured, LnStructured,
    Mask, NmStructured, Norm, RandomStructured, RandomUnstructured,
};
use crate::prunable::Prunable;

/// Gives a parameter a mask that prunes nothing. PyTorch's `prune.identity`; see [`Identity`].
///
/// # Errors
///
/// As [`apply`].
pub fn identity<M: Prunable + ?Sized>(model: &mut M, path: &str) -> Result<Report> {
    apply(model, path, Identity)
}

/// Prunes entries at random. PyTorch's `prune.random_unstructured`; see [`RandomUnstructured`].
///
/// # Errors
///
/// As [`RandomUnstructured::new`] and [`apply`].
pub fn random_unstructured<M: Prunable + ?Sized>(
    model: &mut M,
    path: &str,
    amount: impl TryInto<Amount, Error: Into<Error>>,
    rng: &mut (impl Rng + ?Sized),
) -> Result<Report> {
    apply(model, path, RandomUnstructured::new(amount, rng)?)
}

/// Prunes the entries of lowest absolute value. PyTorch's `prune.l1_unstructured`; see [`L1Unstructured`].
///
/// ```
/// use ndarray::array;
/// use secateurs::ArrayModel;
/// use secateurs::prune;
///
/// let mut model = ArrayModel::new();
/// model.insert("weight", array![[0.1, -3.0], [2.0, -0.2]])?;
/// let report = prune::l1_unstructured(&mut model, "weight", 0.5)?;
/// assert_eq!(report.pruned, 2);
/// prune::remove(&mut model, "weight")?;
/// assert_eq!(model.get("weight"), Some(&array![[0.0, -3.0], [2.0, 0.0]].into_dyn()));
/// # Ok::<(), secateurs::Error>(())
/// ```
///
/// # Errors
///
/// As [`L1Unstructured::new`] and [`apply`].
pub fn l1_unstructured<M: Prunable + ?Sized>(
    model: &mut M,
    path: &str,
    amount: impl TryInto<Amount, Error: Into<Error>>,
) -> Result<Report> {
    apply(model, path, L1Unstructured::new(amount)?)
}

/// Prunes the entries whose importance scores have the lowest absolute value.
/// PyTorch's `prune.l1_unstructured(…, importance_scores)`.
///
/// # Errors
///
/// As [`L1Unstructured::new`] and [`apply_with_scores`].
pub fn l1_unstructured_with_scores<'a, M: Prunable + ?Sized>(
    model: &mut M,
    path: &str,
    amount: impl TryInto<Amount, Error: Into<Error>>,
    scores: impl Into<FloatView<'a>>,
) -> Result<Report> {
    apply_with_scores(model, path, L1Unstructured::new(amount)?, scores)
}

/// Prunes whole channels along `dim` at random. PyTorch's `prune.random_structured`; see [`RandomStructured`].
///
/// # Errors
///
/// As [`RandomStructured::new`] and [`apply`].
pub fn random_structured<M: Prunable + ?Sized>(
    model: &mut M,
    path: &str,
    amount: impl TryInto<Amount, Error: Into<Error>>,
    dim: isize,
    rng: &mut (impl Rng + ?Sized),
) -> Result<Report> {
    apply(model, path, RandomStructured::new(amount, dim, rng)?)
}

/// Prunes the channels along `dim` with the lowest norm of order `n`. PyTorch's `prune.ln_structured`; see
/// [`LnStructured`].
///
/// ```
/// use ndarray::array;
/// use secateurs::ArrayModel;
/// use secateurs::prune;
///
/// let mut model = ArrayModel::new();
/// model.insert("weight", array![[0.1, -3.0], [2.0, -0.2]])?;
/// prune::ln_structured(&mut model, "weight", 1, 2.0, 0)?;
/// prune::remove(&mut model, "weight")?;
/// assert_eq!(model.get("weight"), Some(&array![[0.1, -3.0], [0.0, 0.0]].into_dyn()));
/// # Ok::<(), secateurs::Error>(())
/// ```
///
/// # Errors
///
/// As [`LnStructured::new`] and [`apply`].
pub fn ln_structured<M: Prunable + ?Sized>(
    model: &mut M,
    path: &str,
    amount: impl TryInto<Amount, Error: Into<Error>>,
    n: impl TryInto<Norm, Error: Into<Error>>,
    dim: isize,
) -> Result<Report> {
    apply(model, path, LnStructured::new(amount, n, dim)?)
}

/// Prunes the channels along `dim` whose importance scores have the lowest norm of order `n`.
/// PyTorch's `prune.ln_structured(…, importance_scores)`.
///
/// # Errors
///
/// As [`LnStructured::new`] and [`apply_with_scores`].
pub fn ln_structured_with_scores<'a, M: Prunable + ?Sized>(
    model: &mut M,
    path: &str,
    amount: impl TryInto<Amount, Error: Into<Error>>,
    n: impl TryInto<Norm, Error: Into<Error>>,
    dim: isize,
    scores: impl Into<FloatView<'a>>,
) -> Result<Report> {
    apply_with_scores(model, path, LnStructured::new(amount, n, dim)?, scores)
}

/// Keeps, of each `of` consecutive entries along `dim`, the `keep` entries with the highest absolute value. `2, 4, 1`
/// is 2:4 sparsity along the inputs of a linear layer. See [`NmStructured`]; PyTorch has no equivalent.
///
/// ```
/// use ndarray::array;
/// use secateurs::ArrayModel;
/// use secateurs::prune;
///
/// let mut model = ArrayModel::new();
/// model.insert("weight", array![[0.1, -3.0, 2.0, -0.2]])?;
/// prune::nm_structured(&mut model, "weight", 2, 4, 1)?;
/// prune::remove(&mut model, "weight")?;
/// assert_eq!(model.get("weight"), Some(&array![[0.0, -3.0, 2.0, 0.0]].into_dyn()));
/// # Ok::<(), secateurs::Error>(())
/// ```
///
/// # Errors
///
/// As [`NmStructured::new`] and [`apply`]; [`Error::Parameter`] around
/// [`PatternError::Indivisible`](crate::error::PatternError::Indivisible) if the length of the dimension is not
/// divisible by `of`.
pub fn nm_structured<M: Prunable + ?Sized>(
    model: &mut M,
    path: &str,
    keep: usize,
    of: usize,
    dim: isize,
) -> Result<Report> {
    apply(model, path, NmStructured::new(keep, of, dim)?)
}

/// Prunes the blocks of `height` × `width` entries with the lowest score. Blocks are tiles of the last two
/// dimensions. See [`BlockStructured`]; PyTorch has no equivalent.
///
/// ```
/// use ndarray::array;
/// use secateurs::ArrayModel;
/// use secateurs::prune::{self, BlockRank};
///
/// let mut model = ArrayModel::new();
/// model.insert("weight", array![[0.1, -3.0, 2.0, -0.2]])?;
/// let report = prune::block_structured(&mut model, "weight", 1, 1, 2, BlockRank::MaxAbs)?;
/// assert_eq!((report.pruned, report.masked), (1, 2)); // one block, two entries
/// prune::remove(&mut model, "weight")?;
/// assert_eq!(model.get("weight"), Some(&array![[0.1, -3.0, 0.0, 0.0]].into_dyn()));
/// # Ok::<(), secateurs::Error>(())
/// ```
///
/// # Errors
///
/// As [`BlockStructured::new`] and [`apply`].
pub fn block_structured<M: Prunable + ?Sized>(
    model: &mut M,
    path: &str,
    amount: impl TryInto<Amount, Error: Into<Error>>,
    height: usize,
    width: usize,
    by: BlockRank,
) -> Result<Report> {
    apply(model, path, BlockStructured::new(amount, height, width, by)?)
}

/// Prunes what the given mask prunes, on top of what is pruned already. PyTorch's `prune.custom_from_mask`; see
/// [`CustomFromMask`]. Takes a [`Mask`] or an array of booleans; 0-1 arrays go through [`Mask::from_array`].
///
/// # Errors
///
/// As [`apply`].
pub fn custom_from_mask<M: Prunable + ?Sized>(
    model: &mut M,
    path: &str,
    mask: impl TryInto<Mask, Error: Into<Error>>,
) -> Result<Report> {
    apply(
        model,
        path,
        CustomFromMask::new(mask.try_into().map_err(Into::into)?),
    )
}
