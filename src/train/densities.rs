//! [`erdos_renyi`] and [`erdos_renyi_kernel`]: how sparsity is shared among layers.

use super::error::TrainError;
use crate::error::Result;

/// The sparsity of each layer by the Erdős–Rényi rule: density in proportion to (inputs + outputs) / (inputs × outputs),
/// such that all layers together have the given sparsity.
///
/// Small layers stay denser. Where the rule would make a layer more than dense, it is dense, and the others share the
/// rest. `shapes` are those of the weights, outputs first; further dimensions, such as those of a convolution's kernel,
/// do not count in the rule.
///
/// SET, Mocanu et al. 2018, <https://arxiv.org/abs/1707.04780>.
///
/// ```
/// let sparsities = secateurs::train::erdos_renyi(&[&[300, 784], &[100, 300], &[10, 100]], 0.9)?;
/// let rounded: Vec<String> = sparsities.iter().map(|sparsity| format!("{sparsity:.4}")).collect();
/// assert_eq!(rounded, ["0.9204", "0.7698", "0.0000"]);
/// # Ok::<(), secateurs::Error>(())
/// ```
///
/// # Errors
///
/// [`TrainError::Unreachable`] for a sparsity that is NaN or outside [0, 1], and for layers without entries.
pub fn erdos_renyi(shapes: &[&[usize]], sparsity: f64) -> Result<Vec<f64>> {
    share_out(shapes, sparsity, |shape| &shape[..shape.len().min(2)])
}

/// As [`erdos_renyi`], where all dimensions count: density in proportion to the sum of the dimensions over their product.
///
/// RigL, Evci et al. 2020, <https://arxiv.org/abs/1911.11134>.
///
/// ```
/// let sparsities = secateurs::train::erdos_renyi_kernel(&[&[2, 4], &[3, 6], &[2, 4, 6]], 0.5)?;
/// let rounded: Vec<String> = sparsities.iter().map(|sparsity| format!("{sparsity:.6}")).collect();
/// assert_eq!(rounded, ["0.000000", "0.309524", "0.654762"]);
/// # Ok::<(), secateurs::Error>(())
/// ```
///
/// # Errors
///
/// As [`erdos_renyi`].
pub fn erdos_renyi_kernel(shapes: &[&[usize]], sparsity: f64) -> Result<Vec<f64>> {
    share_out(shapes, sparsity, |shape| shape)
}

fn share_out(
    shapes: &[&[usize]],
    sparsity: f64,
    dims: impl for<'a> Fn(&'a [usize]) -> &'a [usize],
) -> Result<Vec<f64>> {
    let entries = |shape: &[usize]| shape.iter().map(|dim| *dim as f64).product::<f64>();
    let all: f64 = shapes.iter().map(|shape| entries(shape)).sum();
    if !(0.0..=1.0).contains(&sparsity) || shapes.iter().any(|shape| entries(shape) == 0.0) {
        return Err(TrainError::Unreachable { sparsity }.into());
    }
    let weights = shapes.iter().map(|shape| {
        let dims = dims(shape);
        dims.iter().map(|dim| *dim as f64).sum::<f64>() / entries(dims)
    });
    let weights: Vec<f64> = weights.collect();
    let mut dense = vec![false; shapes.len()];
    loop {
        // What is left for the layers that are not dense, per unit of their weights.
        let (mut kept, mut units) = ((1.0 - sparsity) * all, 0.0);
        for (i, shape) in shapes.iter().enumerate() {
            match dense[i] {
                true => kept -= entries(shape),
                false => units += weights[i] * entries(shape),
            }
        }
        let scale = if units > 0.0 { kept / units } else { 0.0 };
        let densest = (0..shapes.len()).filter(|i| !dense[*i]);
        let highest = densest.clone().map(|i| weights[i]).fold(0.0, f64::max);
        if highest * scale <= 1.0 {
            let sparsities = (0..shapes.len()).map(|i| match dense[i] {
                true => 0.0,
                false => (1.0 - weights[i] * scale).clamp(0.0, 1.0),
            });
            return Ok(sparsities.collect());
        }
        for i in densest.filter(|i| weights[*i] == highest).collect::<Vec<_>>() {
            dense[i] = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rounded(sparsities: Vec<f64>) -> Vec<String> {
        sparsities
            .iter()
            .map(|sparsity| format!("{sparsity:.4}"))
            .collect()
    }

    #[test]
    fn published_tables_are_met() {
        let lenet: [&[usize]; 3] = [&[300, 784], &[100, 300], &[10, 100]];
        for rule in [erdos_renyi, erdos_renyi_kernel] {
            assert_eq!(
                rounded(rule(&lenet, 0.9).unwrap()),
                ["0.9204", "0.7698", "0.0000"]
            );
            assert_eq!(
                rounded(rule(&lenet, 0.95).unwrap()),
                ["0.9615", "0.8887", "0.0815"]
            );
        }
        assert_eq!(rounded(erdos_renyi(&lenet, 0.0).unwrap()), ["0.0000"; 3]);
        assert_eq!(rounded(erdos_renyi(&lenet, 1.0).unwrap()), ["1.0000"; 3]);
        assert!(erdos_renyi(&[], 0.5).unwrap().is_empty());
    }

    #[test]
    fn impossible_requests_are_refused() {
        for sparsity in [f64::NAN, -0.1, 1.1] {
            assert!(erdos_renyi(&[&[2, 3]], sparsity).is_err());
        }
        assert!(erdos_renyi_kernel(&[&[2, 0]], 0.5).is_err());
    }

    proptest! {
        #[test]
        fn all_layers_together_have_the_sparsity(
            shapes in proptest::collection::vec(proptest::collection::vec(1..40_usize, 1..5), 1..6),
            sparsity in 0.0..=1.0,
        ) {
            let shapes: Vec<&[usize]> = shapes.iter().map(Vec::as_slice).collect();
            for rule in [erdos_renyi, erdos_renyi_kernel] {
                let sparsities = rule(&shapes, sparsity).unwrap();
                let entries = |shape: &[usize]| shape.iter().product::<usize>() as f64;
                let all: f64 = shapes.iter().map(|shape| entries(shape)).sum();
                let pruned: f64 = shapes.iter().zip(&sparsities).map(|(shape, s)| s * entries(shape)).sum();
                prop_assert!((pruned - sparsity * all).abs() <= 1e-9 * all, "{sparsities:?}");
                prop_assert!(sparsities.iter().all(|s| (0.0..=1.0).contains(s)));
            }
        }
    }
}
