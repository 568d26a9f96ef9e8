//! [`grasp`].

use ndarray::{ArrayD, Zip};

use super::error::CriteriaError;
use crate::error::{MaskError, Result};

/// GraSP's scores: how much each weight contributes to the gradient flow, θ ⊙ Hg, with the gradient g and the Hessian H
/// of the loss at the weights θ. The lowest are pruned, as by [`ScoreUnstructured`](crate::mask::ScoreUnstructured).
///
/// The paper's scores have the other sign, and the highest are pruned there. It is meant for pruning at initialisation,
/// with all weights ranked together.
///
/// `gradients` returns the gradient of the loss at the weights it is given, of one parameter after another. It is called
/// three times. The product Hg is found by central differences along g: (∇L(θ + εg) − ∇L(θ − εg)) / 2ε, where ε is such
/// that the weights move by `step` times their own norm, or by `step` if they are all 0. Its error falls with the square
/// of `step`; 1e-3 is about right for gradients in f64, 1e-2 for those in f32.
///
/// Wang et al. 2020, <https://arxiv.org/abs/2002.07376>.
///
/// ```
/// use ndarray::array;
/// use secateurs::criteria::grasp;
///
/// // L = (a² + 10·b²) / 2, so g = (a, 10·b) and Hg = (a, 100·b).
/// let weights = [array![3.0, 0.5].into_dyn()];
/// let scores = grasp(&weights, 1e-3, |weights| {
///     let mut gradient = weights[0].clone();
///     gradient[1] *= 10.0;
///     Ok(vec![gradient])
/// })?;
/// assert!((scores[0][0] - 9.0).abs() < 1e-6 && (scores[0][1] - 25.0).abs() < 1e-6);
/// # Ok::<(), secateurs::Error>(())
/// ```
///
/// # Errors
///
/// [`CriteriaError::Step`] for a step that is not above 0 and finite; whatever `gradients` returns;
/// [`MaskError::ShapeMismatch`] if it returns arrays of other shapes, and [`MaskError::NanScore`] if they hold a NaN.
pub fn grasp(
    weights: &[ArrayD<f64>],
    step: f64,
    mut gradients: impl FnMut(&[ArrayD<f64>]) -> Result<Vec<ArrayD<f64>>>,
) -> Result<Vec<ArrayD<f64>>> {
    if !(step > 0.0 && step.is_finite()) {
        return Err(CriteriaError::Step { value: step }.into());
    }
    let mut at = |weights: &[ArrayD<f64>]| {
        let gradients = gradients(weights)?;
        check(weights, &gradients)?;
        Ok::<_, crate::Error>(gradients)
    };
    let gradient = at(weights)?;
    let (of_weights, of_gradient) = (norm(weights), norm(&gradient));
    if of_gradient == 0.0 {
        return Ok(weights
            .iter()
            .map(|weight| ArrayD::zeros(weight.shape()))
            .collect());
    }
    let epsilon = step * if of_weights > 0.0 { of_weights } else { 1.0 } / of_gradient;
    let moved = |epsilon: f64| -> Vec<ArrayD<f64>> {
        let pairs = weights.iter().zip(&gradient);
        pairs
            .map(|(weight, gradient)| weight + &(gradient * epsilon))
            .collect()
    };
    let (ahead, behind) = (at(&moved(epsilon))?, at(&moved(-epsilon))?);
    let scores = weights
        .iter()
        .zip(ahead)
        .zip(behind)
        .map(|((weight, mut ahead), behind)| {
            Zip::from(&mut ahead)
                .and(&behind)
                .and(weight)
                .for_each(|ahead, behind, weight| {
                    *ahead = weight * ((*ahead - behind) / (2.0 * epsilon));
                });
            ahead
        });
    Ok(scores.collect())
}

fn norm(arrays: &[ArrayD<f64>]) -> f64 {
    arrays.iter().flatten().map(|x| x * x).sum::<f64>().sqrt()
}

fn check(weights: &[ArrayD<f64>], gradients: &[ArrayD<f64>]) -> Result<()> {
    let shapes = |arrays: &[ArrayD<f64>]| {
        arrays
            .iter()
            .map(|array| array.shape().to_vec())
            .collect::<Vec<_>>()
    };
    let (expected, got) = (shapes(weights), shapes(gradients));
    if expected != got {
        let differs = expected.iter().zip(&got).position(|(a, b)| a != b);
        let number = differs.unwrap_or(expected.len().min(got.len()));
        return Err(MaskError::ShapeMismatch {
            what: "the gradient",
            expected: expected.get(number).cloned().unwrap_or_default(),
            got: got.get(number).cloned().unwrap_or_default(),
        }
        .into());
    }
    let nan = gradients
        .iter()
        .find_map(|gradient| gradient.iter().position(|x| x.is_nan()));
    match nan {
        Some(index) => Err(MaskError::NanScore {
            parameter: None,
            index,
        }
        .into()),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array1, Array2, array};

    use super::*;

    /// L = wᵀAw / 2 + cᵀw: g = Aw + c, Hg = A(Aw + c).
    #[test]
    fn quadratic_losses_have_a_closed_form() {
        let a = Array2::from_shape_fn((5, 5), |(i, j)| {
            ((i * j) % 3) as f64 - 0.5 + f64::from(u8::from(i == j))
        });
        let a = &a + &a.t();
        let c = Array1::from_iter((0..5).map(|i| i as f64 - 1.5));
        let w = Array1::from_iter((0..5).map(|i| 0.3 * i as f64 - 0.7));
        // Of two parameters, of 2 and 3 entries.
        let join = |parts: &[ArrayD<f64>]| Array1::from_iter(parts.iter().flatten().copied());
        let split = |whole: &Array1<f64>| {
            let (first, second) = whole.view().split_at(ndarray::Axis(0), 2);
            vec![first.to_owned().into_dyn(), second.to_owned().into_dyn()]
        };
        let gradient = |w: &Array1<f64>| a.dot(w) + &c;
        let scores = grasp(&split(&w), 1e-3, |weights| Ok(split(&gradient(&join(weights))))).unwrap();
        let expected = &w * &a.dot(&gradient(&w));
        for (score, expected) in join(&scores).iter().zip(&expected) {
            assert!(
                (score - expected).abs() < 1e-6 * expected.abs().max(1.0),
                "{score} {expected}"
            );
        }
    }

    #[test]
    fn bad_input_is_refused() {
        let weights = [array![1.0, 2.0].into_dyn()];
        for step in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(grasp(&weights, step, |weights| Ok(weights.to_vec())).is_err());
        }
        assert!(grasp(&weights, 0.1, |_| Ok(vec![])).is_err());
        assert!(grasp(&weights, 0.1, |_| Ok(vec![array![1.0].into_dyn()])).is_err());
        assert!(grasp(&weights, 0.1, |_| Ok(vec![array![1.0, f64::NAN].into_dyn()])).is_err());
        let flat = grasp(&weights, 0.1, |_| Ok(vec![array![0.0, 0.0].into_dyn()])).unwrap();
        assert_eq!(flat[0], array![0.0, 0.0].into_dyn());
    }
}
