//! Products that sum over dimensions.

use std::collections::BTreeMap;

use ndarray::{ArrayD, IxDyn};

use super::convolution::standard;
use super::{Inputs, unsupported};
use crate::couple::equation;
use crate::error::Result;

/// Most products of an `Einsum`.
const MOST: usize = 1 << 32;

impl Inputs<'_, '_> {
    pub(super) fn matmul(&self) -> Result<ArrayD<f64>> {
        let (a, b) = (self.get(0)?, self.get(1)?);
        if a.ndim() < 2 || b.ndim() < 2 {
            return Err(unsupported(self.node, "a vector"));
        }
        let (rows, inner) = (a.shape()[a.ndim() - 2], a.shape()[a.ndim() - 1]);
        let (other, columns) = (b.shape()[b.ndim() - 2], b.shape()[b.ndim() - 1]);
        if inner != other {
            return Err(self.misfit());
        }
        let rank = a.ndim().max(b.ndim()) - 2;
        let batch_of = |array: &ArrayD<f64>| -> Vec<usize> {
            let own = &array.shape()[..array.ndim() - 2];
            std::iter::repeat_n(1, rank - own.len())
                .chain(own.iter().copied())
                .collect()
        };
        let (batch_a, batch_b) = (batch_of(a), batch_of(b));
        let batch: Vec<usize> = batch_a
            .iter()
            .zip(&batch_b)
            .map(|(a, b)| if *a == 1 { *b } else { *a })
            .collect();
        let spread = |array: &ArrayD<f64>, own: Vec<usize>, ends: [usize; 2]| -> Result<Vec<f64>> {
            let shaped = ArrayD::from_shape_vec(IxDyn(&[&own[..], &ends].concat()), standard(array));
            let shaped = shaped.map_err(|_| self.misfit())?;
            let wide = shaped
                .broadcast(IxDyn(&[&batch[..], &ends].concat()))
                .ok_or_else(|| self.misfit())?;
            Ok(wide.iter().copied().collect())
        };
        let (a, b) = (
            spread(a, batch_a, [rows, inner])?,
            spread(b, batch_b, [inner, columns])?,
        );
        let mut out = Vec::new();
        for (a, b) in a
            .chunks((rows * inner).max(1))
            .zip(b.chunks((inner * columns).max(1)))
        {
            let a = ndarray::ArrayView2::from_shape((rows, inner), a).map_err(|_| self.misfit())?;
            let b = ndarray::ArrayView2::from_shape((inner, columns), b).map_err(|_| self.misfit())?;
            out.extend(a.dot(&b));
        }
        ArrayD::from_shape_vec(IxDyn(&[&batch[..], &[rows, columns]].concat()), out)
            .map_err(|_| self.misfit())
    }

    /// Every product of every place, summed where it belongs.
    pub(super) fn einsum(&self) -> Result<ArrayD<f64>> {
        let (letters, out) = equation(self.node).ok_or_else(|| unsupported(self.node, "its equation"))?;
        let arrays = (0..letters.len()).map(|number| self.get(number));
        let arrays = arrays.collect::<Result<Vec<_>>>()?;
        let mut lengths: BTreeMap<char, usize> = BTreeMap::new();
        for (array, letters) in arrays.iter().zip(&letters) {
            if array.ndim() != letters.len() {
                return Err(self.misfit());
            }
            for (letter, length) in letters.iter().zip(array.shape()) {
                if *lengths.entry(*letter).or_insert(*length) != *length {
                    return Err(self.misfit());
                }
            }
        }
        // The letters of the output first, so that each of its entries is finished before the next.
        let summed = lengths.keys().copied().filter(|letter| !out.contains(letter));
        let all: Vec<char> = out.iter().copied().chain(summed).collect();
        let count = |letters: &[char]| letters.iter().map(|letter| lengths[letter]).product::<usize>();
        let (entries, terms) = (count(&out), count(&all[out.len()..]));
        if entries.checked_mul(terms).is_none_or(|products| products > MOST) {
            return Err(unsupported(self.node, "a product of this size"));
        }
        // Of each operand, the step of each letter, 0 for those that it does not have.
        let steps = arrays.iter().zip(&letters).map(|(array, letters)| {
            let step = |letter: &char| -> usize {
                let dims = letters.iter().enumerate().filter(|(_, own)| *own == letter);
                dims.map(|(dim, _)| array.shape()[dim + 1..].iter().product::<usize>())
                    .sum()
            };
            all.iter().map(step).collect::<Vec<usize>>()
        });
        let operands: Vec<(Vec<f64>, Vec<usize>)> =
            arrays.iter().map(|array| standard(array)).zip(steps).collect();
        let mut at = vec![0; all.len()];
        let mut values = Vec::with_capacity(entries);
        for _ in 0..entries {
            let mut sum = 0.0;
            for _ in 0..terms {
                let factor = |(values, steps): &(Vec<f64>, Vec<usize>)| {
                    values[at
                        .iter()
                        .zip(steps)
                        .map(|(index, step)| index * step)
                        .sum::<usize>()]
                };
                sum += operands.iter().map(factor).product::<f64>();
                for dim in (0..all.len()).rev() {
                    at[dim] += 1;
                    if at[dim] < lengths[&all[dim]] {
                        break;
                    }
                    at[dim] = 0;
                }
            }
            values.push(sum);
        }
        let shape: Vec<usize> = out.iter().map(|letter| lengths[letter]).collect();
        ArrayD::from_shape_vec(IxDyn(&shape), values).map_err(|_| self.misfit())
    }
}
