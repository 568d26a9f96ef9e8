//! SparseGPT: prunes a linear layer in one pass, and updates the remaining weights so that its output changes
//! least.
//!
//! Frantar and Alistarh 2023, <https://arxiv.org/abs/2301.00774>. [`SparseGpt`] has an example.

mod eliminate;
mod error;
mod factor;
mod hessian;
mod layer;
mod linalg;

use ndarray::{Array2, ArrayBase, Data, Ix2};

pub use error::SparseGptError;
pub use hessian::Hessian;

use crate::error::{PatternError, Result};
use crate::mask::{Amount, Float, Mask, NmStructured};
use eliminate::Groups;
use factor::Factor;
use hessian::{not_finite, shape_mismatch};
use layer::{Choice, Layer};

/// Prunes the weight of a linear layer by SparseGPT, and updates the weights that remain.
///
/// The layer computes Y = X × Wᵀ: a row of the weight W for each output, a column for each input. From the
/// inputs X of calibration samples, a [`Hessian`] sums XᵀX. Columns are pruned in order, in blocks. The
/// entries of a block to be pruned are those that cost least, by w² / (H⁻¹)ⱼⱼ with the inverse of the part of
/// H that belongs to columns from j on. What pruning an entry changes in the output is compensated by the
/// weights in later columns of its row.
///
/// - **Unstructured**: exactly as many entries as the [`Amount`] says. Each block loses its share, so the
///   blocks' counts are rounded such that they add up. The authors prune whatever is less than or equal to a
///   threshold, which is at least one entry more for each block.
/// - **N:M**: of each m consecutive entries of a row, n are kept. A group is chosen from the weights as
///   updated for everything before it. Blocks make no difference to that.
///
/// Of ties in a block, the entry with the lowest row-major index is pruned first. Entries that a prior mask prunes stay
/// pruned, and other weights compensate for them too. Amounts and groups count them as
/// [`L1Unstructured`](crate::mask::L1Unstructured) and [`NmStructured`] do. An input that was zero in every
/// sample has no influence on the output: its weights become 0, and are pruned first.
///
/// The weights may be `f16`, `bf16`, `f32` or `f64`. Arithmetic is in f64, in one order: the result depends
/// neither on the number of threads nor on the machine.
///
/// To prune a convolution, reshape its weight to a matrix with a row for each output channel, and take the
/// unfolded patches as inputs.
///
/// ```
/// use ndarray::{Array2, array};
/// use secateurs::criteria::sparse_gpt::{Hessian, SparseGpt};
/// use secateurs::mask::{L1Unstructured, PruningMethod};
///
/// // A layer of 4 inputs and 2 outputs, and correlated inputs, as those of real layers are.
/// let weight = array![[0.9_f32, -0.8, 0.3, 0.5], [-0.2, 0.6, 0.7, -0.4]];
/// let inputs = array![
///     [1.0_f32, 0.9, 0.1, 0.4],
///     [-0.5, -0.6, 0.8, 0.9],
///     [0.3, 0.1, -0.7, -0.6],
///     [0.8, 0.9, 0.5, 0.2],
///     [-0.9, -0.7, 0.2, 0.3],
/// ];
/// let mut hessian = Hessian::new(4);
/// hessian.add(&inputs)?;
///
/// let pruned = SparseGpt::unstructured(0.5)?.prune(&weight, &hessian, None)?;
/// assert_eq!((pruned.pruned, pruned.mask.count_pruned()), (4, 4));
///
/// // The output changes less than when the same number of weights is pruned by magnitude.
/// let by_magnitude = L1Unstructured::new(0.5)?.prune(weight.view().into_dyn(), None, None)?;
/// let error = |pruned: &Array2<f32>| (&weight - pruned).dot(&inputs.t()).mapv(|x| x * x).sum();
/// assert!(error(&pruned.weight) < 0.3 * error(&by_magnitude.into_dimensionality().unwrap()));
/// assert!((f64::from(error(&pruned.weight)) - pruned.loss).abs() < 1e-5);
/// # Ok::<(), secateurs::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SparseGpt {
    pattern: Pattern,
    block: usize,
    dampening: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Pattern {
    Unstructured(Amount),
    Groups(Groups),
}

/// What [`SparseGpt::prune`] returns.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SparseGptOutcome<T> {
    /// Which entries are kept. It includes the prior mask.
    pub mask: Mask,
    /// The updated weight, with +0.0 where the mask prunes.
    pub weight: Array2<T>,
    /// The squared error of the layer's output, summed over outputs and samples: ‖(W − Ŵ) × Xᵀ‖². W is the
    /// weight under the prior mask, Ŵ the updated one before it is rounded to its type.
    pub loss: f64,
    /// Entries newly pruned.
    pub pruned: usize,
}

impl SparseGpt {
    /// Prunes this amount of the entries that remain, wherever they are.
    ///
    /// # Errors
    ///
    /// [`AmountError`](crate::error::AmountError) for an invalid amount.
    pub fn unstructured(amount: impl TryInto<Amount, Error: Into<crate::Error>>) -> Result<Self> {
        Ok(Self::new(Pattern::Unstructured(
            amount.try_into().map_err(Into::into)?,
        )))
    }

    /// Keeps `keep` of each `of` consecutive entries of a row: 2 and 4 for "2:4".
    ///
    /// # Errors
    ///
    /// [`PatternError::KeepOf`] for groups of 0 entries, and where more are to be kept than a group has.
    pub fn semi_structured(keep: usize, of: usize) -> Result<Self> {
        NmStructured::new(keep, of, 1)?;
        Ok(Self::new(Pattern::Groups(Groups { keep, of })))
    }

    fn new(pattern: Pattern) -> Self {
        SparseGpt {
            pattern,
            block: 128,
            dampening: 0.01,
        }
    }

    /// Sets how many columns are chosen together, instead of 128. With N:M they are rounded up to whole
    /// groups, and make a difference to speed only.
    ///
    /// # Errors
    ///
    /// [`SparseGptError::EmptyBlock`] for 0.
    pub fn with_block_size(self, columns: usize) -> Result<Self> {
        if columns == 0 {
            return Err(SparseGptError::EmptyBlock.into());
        }
        Ok(SparseGpt {
            block: columns,
            ..self
        })
    }

    /// Sets what is added to the diagonal of XᵀX, as a share of the diagonal's mean, instead of 0.01. It
    /// makes up for inputs that depend on each other, as with fewer samples than inputs. The mean is that of
    /// inputs that were not always zero.
    ///
    /// # Errors
    ///
    /// [`SparseGptError::Dampening`] for NaN, ∞ and negative numbers.
    pub fn with_dampening(self, share: f64) -> Result<Self> {
        if !(share >= 0.0 && share.is_finite()) {
            return Err(SparseGptError::Dampening { value: share }.into());
        }
        Ok(SparseGpt {
            dampening: share.abs(), // −0.0 is a share
            ..self
        })
    }

    /// Prunes a weight of `outputs × inputs`.
    ///
    /// It takes 24 bytes for each entry of the weight, and 8 for each of the Hessian, while it runs.
    ///
    /// # Errors
    ///
    /// - [`MaskError::ShapeMismatch`](crate::error::MaskError::ShapeMismatch) if the Hessian is not one of as
    ///   many inputs, or the prior mask has another shape;
    /// - [`SparseGptError::NotFinite`] for NaN and ∞ in the weight, except where the prior mask prunes, and
    ///   where the updated weight overflows its type;
    /// - [`AmountError::TooLarge`](crate::error::AmountError::TooLarge) for a count above the entries that
    ///   remain;
    /// - [`PatternError::Indivisible`] if the number of inputs is not divisible by the size of a group;
    /// - [`SparseGptError::NoCalibration`] if all inputs were zero, or there were none;
    /// - [`SparseGptError::NotPositiveDefinite`] if XᵀX with its dampening has no Cholesky factor.
    pub fn prune<T: Float, S: Data<Elem = T>>(
        &self,
        weight: &ArrayBase<S, Ix2>,
        hessian: &Hessian,
        prior: Option<&Mask>,
    ) -> Result<SparseGptOutcome<T>> {
        let (rows, columns) = weight.dim();
        if hessian.inputs() != columns {
            let inputs = hessian.inputs();
            return Err(shape_mismatch(
                "the Hessian",
                &[columns, columns],
                &[inputs, inputs],
            ));
        }
        if let Some(prior) = prior {
            prior.check_shape("the weight", weight.shape())?;
        }
        let kept: Vec<bool> = match prior {
            Some(prior) => prior.iter().collect(),
            None => vec![true; weight.len()],
        };
        let weights = effective(weight, &kept)?;
        let remaining = kept.iter().filter(|kept| **kept).count();
        let (choice, block) = self.choice(weight.shape(), remaining)?;
        let factor = Factor::new(hessian, self.dampening)?;
        let mut layer = Layer {
            rows,
            columns,
            weights,
            kept,
        };
        layer.silence(&factor.dead);
        let loss = layer.prune(&factor, &choice, block)?;
        let mut updated = Vec::with_capacity(layer.weights.len());
        for (index, &value) in layer.weights.iter().enumerate() {
            let rounded = T::nearest(value);
            if !rounded.as_().is_finite() {
                return Err(not_finite(
                    "the updated weight",
                    index / columns,
                    index % columns,
                    rounded.as_(),
                ));
            }
            updated.push(rounded);
        }
        let mask = Mask::collect(weight.shape(), layer.kept.into_iter());
        Ok(SparseGptOutcome {
            pruned: remaining - mask.count_kept(),
            mask,
            weight: Array2::from_shape_vec((rows, columns), updated).expect("as many as before"),
            loss,
        })
    }

    /// What to prune of a weight, and how many columns a block has.
    fn choice(&self, shape: &[usize], remaining: usize) -> Result<(Choice, usize)> {
        match self.pattern {
            Pattern::Unstructured(amount) => {
                let requested = amount.units(remaining, shape.iter().product())?;
                Ok((Choice::Entries { requested }, self.block))
            }
            Pattern::Groups(groups) if !shape[1].is_multiple_of(groups.of) => {
                Err(PatternError::Indivisible {
                    dim: 1,
                    shape: shape.to_vec(),
                    of: groups.of,
                }
                .into())
            }
            Pattern::Groups(groups) => {
                let block = self.block.div_ceil(groups.of).saturating_mul(groups.of);
                Ok((Choice::Groups(groups), block))
            }
        }
    }
}

/// The weight in f64, row-major, with 0 where it is pruned.
fn effective<T: Float, S: Data<Elem = T>>(weight: &ArrayBase<S, Ix2>, kept: &[bool]) -> Result<Vec<f64>> {
    let mut values = Vec::with_capacity(kept.len());
    for (((row, column), value), kept) in weight.indexed_iter().zip(kept) {
        let value = if *kept { value.as_() } else { 0.0 };
        if !value.is_finite() {
            return Err(not_finite("the weight", row, column, value));
        }
        values.push(value);
    }
    Ok(values)
}
