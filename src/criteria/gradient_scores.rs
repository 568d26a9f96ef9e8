//! [`GradientScores`]: weights times gradients, accumulated over batches.

use ndarray::{ArrayD, Zip};

use super::{same_shape, values};
use crate::error::Result;
use crate::mask::FloatView;

/// Importance scores from the products of weights and gradients, accumulated over batches.
///
/// The product w·g is the first-order estimate of what the loss loses if w is pruned. Three criteria differ in how they
/// sum it over batches:
///
/// | | score | rank by |
/// |---|---|---|
/// | [`taylor`](Self::taylor): Molchanov et al. 2017, <https://arxiv.org/abs/1611.06440> | Σ \|w·g\| | magnitude |
/// | [`snip`](Self::snip): Lee et al. 2019, <https://arxiv.org/abs/1810.02340> | \|Σ w·g\| | magnitude |
/// | [`movement`](Self::movement): Sanh et al. 2020, <https://arxiv.org/abs/2005.07683> | −Σ w·g | value, as [`ScoreUnstructured`](crate::mask::ScoreUnstructured) does |
///
/// SNIP prunes at initialisation, with gradients of one or more batches at the same weights. Movement pruning adds up
/// while a model is fine-tuned, and keeps weights that move away from zero. It needs gradients with respect to effective
/// weights, which are not zero under a mask, so that pruned weights can come back.
///
/// ```
/// use ndarray::array;
/// use secateurs::ArrayModel;
/// use secateurs::criteria::GradientScores;
/// use secateurs::prune::{self, ScoreUnstructured};
///
/// let weight = array![[1.0_f32, -2.0], [0.5, 4.0]];
/// let mut scores = GradientScores::movement(&[2, 2]);
/// for gradient in [array![[0.1_f32, 0.3], [-0.2, 0.1]], array![[0.2, 0.1], [-0.4, 0.0]]] {
///     scores.add(&weight, &gradient)?;
/// }
/// let scores = scores.scores();
/// assert!((scores[[0, 1]] - 0.8).abs() < 1e-6); // −(−2.0 × 0.3 − 2.0 × 0.1)
///
/// let mut model = ArrayModel::new();
/// model.insert("weight", weight)?;
/// prune::apply_with_scores(&mut model, "weight", ScoreUnstructured::new(0.5)?, &scores)?;
/// assert_eq!(prune::mask(&model, "weight")?.unwrap().to_array::<u8>(), array![[0, 1], [1, 0]].into_dyn());
/// # Ok::<(), secateurs::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct GradientScores {
    kind: Kind,
    sum: ArrayD<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Taylor,
    Snip,
    Movement,
}

impl GradientScores {
    /// First-order Taylor scores of a parameter of this shape, before any batch.
    pub fn taylor(shape: &[usize]) -> Self {
        GradientScores::new(Kind::Taylor, shape)
    }

    /// SNIP's scores of a parameter of this shape, before any batch. SNIP divides them by their sum over all parameters,
    /// which changes no ranking and is left out.
    pub fn snip(shape: &[usize]) -> Self {
        GradientScores::new(Kind::Snip, shape)
    }

    /// Movement scores of a parameter of this shape, before any step.
    pub fn movement(shape: &[usize]) -> Self {
        GradientScores::new(Kind::Movement, shape)
    }

    fn new(kind: Kind, shape: &[usize]) -> Self {
        GradientScores {
            kind,
            sum: ArrayD::zeros(shape),
        }
    }

    /// Adds a batch: the weights, and the gradient of the batch's loss with respect to them. Products and sums are in
    /// f64.
    ///
    /// # Errors
    ///
    /// [`MaskError::ShapeMismatch`](crate::error::MaskError::ShapeMismatch) for arrays of another shape, and
    /// [`MaskError::NanScore`](crate::error::MaskError::NanScore) for a NaN in one of them. Then nothing is added.
    pub fn add<'a, 'b>(
        &mut self,
        weights: impl Into<FloatView<'a>>,
        gradient: impl Into<FloatView<'b>>,
    ) -> Result<()> {
        let (weights, gradient) = (weights.into(), gradient.into());
        same_shape("the array of weights", &weights, self.sum.shape())?;
        same_shape("the gradient", &gradient, self.sum.shape())?;
        let (weights, gradient) = (values(&weights)?, values(&gradient)?);
        let kind = self.kind;
        Zip::from(&mut self.sum)
            .and(&weights)
            .and(&gradient)
            .for_each(|sum, w, g| {
                // 0 × ∞ has no influence: a weight of 0 is as good as pruned.
                let product = if *w == 0.0 || *g == 0.0 { 0.0 } else { w * g };
                *sum += if kind == Kind::Taylor {
                    product.abs()
                } else {
                    product
                };
            });
        Ok(())
    }

    /// The scores so far.
    pub fn scores(&self) -> ArrayD<f64> {
        match self.kind {
            Kind::Taylor => self.sum.clone(),
            Kind::Snip => self.sum.mapv(f64::abs),
            Kind::Movement => self.sum.mapv(|sum| 0.0 - sum),
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn tables() {
        let weight = array![2.0_f64, -3.0, 0.0];
        let gradients = [array![1.0_f32, 1.0, 5.0], array![-0.5, 2.0, f32::INFINITY]];
        let scores = |mut scores: GradientScores| {
            gradients
                .iter()
                .for_each(|gradient| scores.add(&weight, gradient).unwrap());
            scores.scores()
        };
        assert_eq!(
            scores(GradientScores::taylor(&[3])),
            array![3.0, 9.0, 0.0].into_dyn()
        );
        assert_eq!(
            scores(GradientScores::snip(&[3])),
            array![1.0, 9.0, 0.0].into_dyn()
        );
        assert_eq!(
            scores(GradientScores::movement(&[3])),
            array![-1.0, 9.0, 0.0].into_dyn()
        );
    }

    #[test]
    fn bad_batches_add_nothing() {
        let mut scores = GradientScores::snip(&[2]);
        assert!(scores.add(&array![1.0], &array![1.0, 2.0]).is_err());
        assert!(scores.add(&array![1.0, 2.0], &array![[1.0, 2.0]]).is_err());
        assert!(scores.add(&array![1.0, 2.0], &array![1.0, f64::NAN]).is_err());
        assert_eq!(scores.scores(), array![0.0, 0.0].into_dyn());
    }
}
