//! [`lamp`].

use ndarray::ArrayD;

use super::values;
use crate::error::Result;
use crate::mask::FloatView;

/// Layer-adaptive magnitude scores: the square of each weight, divided by the sum of the squares of all weights of the
/// same layer that are not smaller.
///
/// Ranked together, layers end up with sparsities of their own, without settings, and no layer is pruned away: the
/// largest weight of each has score 1. Of equal weights, the first has the lowest score. A layer of zeros has score 0
/// everywhere.
///
/// Lee et al. 2021, <https://arxiv.org/abs/2010.07611>.
///
/// ```
/// use ndarray::array;
/// use secateurs::ArrayModel;
/// use secateurs::criteria::lamp;
/// use secateurs::prune::{self, GlobalOptions, L1Unstructured};
///
/// let scores = lamp(&array![1.0, 2.0, 3.0, 4.0])?;
/// assert_eq!(scores, array![1.0 / 30.0, 4.0 / 29.0, 9.0 / 25.0, 1.0].into_dyn());
///
/// // Global pruning by magnitude would prune the first layer away.
/// let (first, second) = (array![[0.1, 0.2, 0.3]], array![[1.0], [2.0], [3.0]]);
/// let mut model = ArrayModel::new();
/// model.insert("0.weight", first.clone())?;
/// model.insert("1.weight", second.clone())?;
/// let (first, second) = (lamp(&first)?, lamp(&second)?);
/// let options = GlobalOptions::new().scores("0.weight", &first).scores("1.weight", &second);
/// let report =
///     prune::global_unstructured_with(&mut model, ["0.weight", "1.weight"], L1Unstructured::new(4)?, &options)?;
/// assert_eq!((report.parameters[0].masked, report.parameters[1].masked), (2, 2));
/// # Ok::<(), secateurs::Error>(())
/// ```
///
/// # Errors
///
/// [`MaskError::NanScore`](crate::error::MaskError::NanScore) if a weight is NaN.
pub fn lamp<'a>(weights: impl Into<FloatView<'a>>) -> Result<ArrayD<f64>> {
    let mut scores = values(&weights.into())?;
    let flat = scores.as_slice_mut().expect("a new array is contiguous");
    let squares: Vec<f64> = flat.iter().map(|x| x * x).collect();
    let mut order: Vec<usize> = (0..squares.len()).collect();
    order.sort_unstable_by(|a, b| squares[*b].total_cmp(&squares[*a]).then(b.cmp(a)));
    let mut sum = 0.0;
    for index in order {
        let square = squares[index];
        sum += square;
        flat[index] = match square {
            0.0 => 0.0,
            f64::INFINITY => 1.0,
            _ => square / sum,
        };
    }
    Ok(scores)
}

#[cfg(test)]
mod tests {
    use ndarray::{Array1, array};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tables() {
        let scores = lamp(&array![1.0_f32, -2.0, 3.0]).unwrap();
        assert_eq!(scores, array![1.0 / 14.0, 4.0 / 13.0, 1.0].into_dyn());
        assert_eq!(
            lamp(&array![[2.0, 2.0], [0.0, -2.0]]).unwrap(),
            array![[4.0 / 12.0, 0.5], [0.0, 1.0]].into_dyn()
        );
        assert_eq!(lamp(&array![0.0, -0.0]).unwrap(), array![0.0, 0.0].into_dyn());
        assert_eq!(
            lamp(&array![1.0, f64::NEG_INFINITY]).unwrap(),
            array![0.0, 1.0].into_dyn()
        );
        assert!(lamp(&array![1.0, f64::NAN]).is_err());
        assert!(lamp(&Array1::<f32>::zeros(0)).unwrap().is_empty());
    }

    proptest! {
        #[test]
        fn scores_are_those_of_the_definition(weights in proptest::collection::vec(-9..9_i8, 0..40)) {
            let weights = Array1::from_iter(weights.into_iter().map(f64::from));
            let scores = lamp(&weights).unwrap();
            for (i, score) in scores.iter().enumerate() {
                let square = |j: usize| weights[j] * weights[j];
                let rest = (0..weights.len()).filter(|j| square(*j) > square(i) || square(*j) == square(i) && *j >= i);
                let sum: f64 = rest.map(square).sum();
                let expected = if square(i) == 0.0 { 0.0 } else { square(i) / sum };
                prop_assert_eq!(*score, expected); // sums of small integers are exact
            }
        }
    }
}
