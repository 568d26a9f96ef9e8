//! [`wanda`], and the [`InputNorms`] that it needs.

use ndarray::{ArrayBase, ArrayD, Axis, Data, Dimension};

use super::error::CriteriaError;
use super::values;
use crate::error::{MaskError, Result};
use crate::mask::{Amount, Float, FloatView, NmStructured};

/// Wanda's scores: the magnitude of each weight times the norm of the input that it multiplies, |Wᵢⱼ|·‖Xⱼ‖₂.
///
/// Dimension 0 of the weight numbers outputs, dimension 1 inputs; further dimensions are those of a convolution's
/// kernel. `norms` has the norm of each input over calibration samples, such as [`InputNorms`] finds in one pass.
/// Weights are compared within each output: prune by [`per_output`], or by n of each m consecutive entries
/// ([`NmStructured`]).
///
/// Sun et al. 2023, <https://arxiv.org/abs/2306.11695>.
///
/// ```
/// use ndarray::array;
/// use secateurs::ArrayModel;
/// use secateurs::criteria::{InputNorms, per_output, wanda};
/// use secateurs::prune;
///
/// let weight = array![[4.0_f32, 0.0, 1.0, -1.0], [3.0, -2.0, -1.0, -3.0]];
/// let mut norms = InputNorms::new(4);
/// norms.add(&array![[1.0_f32, 2.0, 8.0, 3.0]])?; // one sample; usually some hundred
/// let scores = wanda(&weight, &norms.norms())?;
/// assert_eq!(scores, array![[4.0, 0.0, 8.0, 3.0], [3.0, 4.0, 8.0, 9.0]].into_dyn());
///
/// let mut model = ArrayModel::new();
/// model.insert("weight", weight)?;
/// prune::apply_with_scores(&mut model, "weight", per_output(&[2, 4], 0.5)?, &scores)?;
/// assert_eq!(prune::mask(&model, "weight")?.unwrap().to_array::<u8>(), array![[1, 0, 1, 0], [0, 0, 1, 1]].into_dyn());
/// # Ok::<(), secateurs::Error>(())
/// ```
///
/// # Errors
///
/// [`CriteriaError::NoInputs`] for a weight of fewer than two dimensions;
/// [`MaskError::ShapeMismatch`] unless there is one norm for each input; [`MaskError::NanScore`] for NaN.
pub fn wanda<'a>(weight: impl Into<FloatView<'a>>, norms: &[f64]) -> Result<ArrayD<f64>> {
    let weight = weight.into();
    let Some(&inputs) = weight.shape().get(1) else {
        let shape = weight.shape().to_vec();
        return Err(CriteriaError::NoInputs { shape }.into());
    };
    if inputs != norms.len() {
        return Err(MaskError::ShapeMismatch {
            what: "the list of input norms",
            expected: vec![inputs],
            got: vec![norms.len()],
        }
        .into());
    }
    if let Some(index) = norms.iter().position(|norm| norm.is_nan()) {
        return Err(MaskError::NanScore {
            parameter: None,
            index,
        }
        .into());
    }
    let mut scores = values(&weight)?;
    for (mut of_input, norm) in scores.axis_iter_mut(Axis(1)).zip(norms) {
        // 0 × ∞ is an input or a weight without influence.
        of_input.mapv_inplace(|x| {
            if x == 0.0 || *norm == 0.0 {
                0.0
            } else {
                x.abs() * norm.abs()
            }
        });
    }
    Ok(scores)
}

/// A method that prunes the same amount of the weights of each output: in a weight of `outputs × inputs`, of each row.
///
/// It is N:M pruning with groups as long as a row. Of equal scores, the first are pruned.
///
/// # Errors
///
/// [`CriteriaError::NoInputs`] for a weight that is not of two dimensions, and those of the amount.
pub fn per_output(
    shape: &[usize],
    amount: impl TryInto<Amount, Error: Into<crate::Error>>,
) -> Result<NmStructured> {
    let &[_, inputs] = shape else {
        let shape = shape.to_vec();
        return Err(CriteriaError::NoInputs { shape }.into());
    };
    let pruned = amount.try_into().map_err(Into::into)?.units(inputs, inputs)?;
    NmStructured::new(inputs - pruned, inputs, 1)
}

/// The Euclidean norm of each input of a layer, accumulated over batches in one pass.
///
/// [`Hessian::diagonal`](super::sparse_gpt::Hessian::diagonal) has the squares of the same norms, for those who
/// accumulate that anyway.
#[derive(Clone, Debug, PartialEq)]
pub struct InputNorms {
    squares: Vec<f64>,
    samples: usize,
}

impl InputNorms {
    /// Those of a layer with this many inputs, before any sample.
    pub fn new(inputs: usize) -> Self {
        InputNorms {
            squares: vec![0.0; inputs],
            samples: 0,
        }
    }

    /// Adds a batch of inputs of the layer. The last dimension is that of the inputs; all others, such as batch and
    /// sequence, count samples. Sums are in f64, in the order of the samples, however they are divided into batches.
    ///
    /// # Errors
    ///
    /// [`MaskError::ShapeMismatch`] if the last dimension does not have the layer's number of inputs, and
    /// [`MaskError::NanScore`] for a NaN. Then nothing is added.
    pub fn add<T: Float, S: Data<Elem = T>, D: Dimension>(&mut self, batch: &ArrayBase<S, D>) -> Result<()> {
        let inputs = self.squares.len();
        if batch.shape().last() != Some(&inputs) {
            let mut expected = batch.shape().to_vec();
            expected.pop();
            expected.push(inputs);
            return Err(MaskError::ShapeMismatch {
                what: "the batch of inputs",
                expected,
                got: batch.shape().to_vec(),
            }
            .into());
        }
        let entries = || batch.iter().map(|x| -> f64 { x.as_() });
        if let Some(index) = entries().position(f64::is_nan) {
            return Err(MaskError::NanScore {
                parameter: None,
                index,
            }
            .into());
        }
        for (index, x) in entries().enumerate() {
            self.squares[index % inputs] += x * x;
        }
        self.samples += batch.len() / inputs.max(1);
        Ok(())
    }

    /// The norm of each input over all samples so far.
    pub fn norms(&self) -> Vec<f64> {
        self.squares.iter().map(|square| square.sqrt()).collect()
    }

    /// Number of samples that were added.
    pub fn samples(&self) -> usize {
        self.samples
    }
}

#[cfg(test)]
mod tests {
    use half::bf16;
    use ndarray::{Array, Array2, Array3, array};

    use super::*;
    use crate::mask;

    #[test]
    fn norms_do_not_depend_on_how_samples_are_divided() {
        let inputs = Array2::from_shape_fn((6, 3), |(i, j)| bf16::from_f64((i * 3 + j) as f64 / 7.0 - 1.0));
        let (mut whole, mut parts) = (InputNorms::new(3), InputNorms::new(3));
        whole
            .add(&inputs.clone().into_shape_with_order((2, 3, 3)).unwrap())
            .unwrap();
        inputs.outer_iter().for_each(|sample| parts.add(&sample).unwrap());
        assert_eq!(whole, parts);
        assert_eq!(whole.samples(), 6);
        for (norm, column) in whole.norms().iter().zip(inputs.columns()) {
            let expected = column.iter().map(|x| x.to_f64() * x.to_f64()).sum::<f64>().sqrt();
            assert_eq!(*norm, expected);
        }
    }

    #[test]
    fn each_output_loses_the_same_amount() {
        let scores = Array2::from_shape_fn((5, 300), |(i, j)| ((i * 7919 + j * 104_729) % 1009) as f64);
        let method = per_output(scores.shape(), 0.35).unwrap();
        let mask = mask::compute(&method, &scores, None).unwrap().mask;
        for (row, kept) in scores.rows().into_iter().zip(mask.to_bool().rows()) {
            assert_eq!(kept.iter().filter(|kept| !**kept).count(), 105);
            let mut sorted: Vec<(f64, usize)> = row.iter().copied().zip(0..).collect();
            sorted.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            assert!(sorted[..105].iter().all(|(_, column)| !kept[*column]));
        }
        assert_eq!(
            mask::compute(&per_output(&[5, 300], 0.0).unwrap(), &scores, None)
                .unwrap()
                .pruned,
            0
        );
    }

    #[test]
    fn convolutions_have_a_norm_for_each_input_channel() {
        let weight = Array::from_shape_fn((2, 2, 3), |(i, j, k)| (i + j + k) as f32);
        let scores = wanda(&weight, &[1.0, 10.0]).unwrap();
        let expected = Array3::from_shape_fn((2, 2, 3), |(i, j, k)| (i + j + k) as f64 * [1.0, 10.0][j]);
        assert_eq!(scores, expected.into_dyn());
    }

    #[test]
    fn bad_input_is_refused() {
        let weight = array![[1.0_f32, 2.0]];
        assert!(wanda(&weight, &[1.0]).is_err());
        assert!(wanda(&weight, &[1.0, f64::NAN]).is_err());
        assert!(wanda(&array![1.0_f32, 2.0], &[1.0, 2.0]).is_err());
        assert!(per_output(&[3], 0.5).is_err() && per_output(&[3, 4, 2], 0.5).is_err());
        assert!(per_output(&[3, 4], 5).is_err() && per_output(&[3, 4], f64::NAN).is_err());
        let mut norms = InputNorms::new(2);
        assert!(norms.add(&array![1.0]).is_err());
        assert!(norms.add(&array![[1.0, 2.0], [f64::NAN, 1.0]]).is_err());
        assert_eq!(norms, InputNorms::new(2));
        assert_eq!(
            wanda(&array![[f32::INFINITY, 0.0]], &[0.0, f64::INFINITY]).unwrap(),
            array![[0.0, 0.0]].into_dyn()
        );
    }
}
