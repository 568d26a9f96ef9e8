//! Softmax and losses.

use crate::error::{Error, Result};
use crate::tensor::error::TensorError;
use crate::tensor::graph::Tensor;
use crate::tensor::kernel::{Shared, around, build, combine, map, only, resolve, slice};
use crate::tensor::slot::Slot;

/// x − ln Σ eˣ along the dimension of `steps`.
fn log_softmax(x: &[f32], outer: usize, steps: usize, inner: usize) -> Vec<f32> {
    let mut out = x.to_vec();
    let outer = if out.is_empty() { 0 } else { outer };
    for o in 0..outer {
        for i in 0..inner {
            let at = |s: usize| (o * steps + s) * inner + i;
            // Shifted by the greatest, no exponential overflows.
            let greatest = (0..steps).map(|s| x[at(s)]).fold(f32::NEG_INFINITY, f32::max);
            let sum: f64 = (0..steps).map(|s| f64::from((x[at(s)] - greatest).exp())).sum();
            let ln = sum.ln() as f32;
            for s in 0..steps {
                out[at(s)] = x[at(s)] - greatest - ln;
            }
        }
    }
    out
}

impl Tensor {
    /// The logarithm of the softmax along a dimension, computed without overflow.
    ///
    /// PyTorch: `torch.log_softmax(t, dim)`. The softmax itself is `log_softmax(dim)?.exp()`.
    ///
    /// # Errors
    ///
    /// [`PatternError::DimOutOfRange`](crate::error::PatternError::DimOutOfRange) if there is no such dimension.
    pub fn log_softmax(&self, dim: isize) -> Result<Tensor> {
        let axis = resolve(dim, self.shape())?;
        let (outer, steps, inner) = around(self.shape(), axis);
        let value = build(
            self.shape(),
            log_softmax(slice(&self.0.value), outer, steps, inner),
        );
        let edge = self.edge(|| {
            let y = value.clone();
            move |g, slot| {
                let (grad, y) = (slice(&g), slice(&y));
                let mut out = grad.to_vec();
                let outer = if out.is_empty() { 0 } else { outer };
                for o in 0..outer {
                    for i in 0..inner {
                        let at = |s: usize| (o * steps + s) * inner + i;
                        let sum = (0..steps).map(|s| f64::from(grad[at(s)])).sum::<f64>() as f32;
                        for s in 0..steps {
                            out[at(s)] -= y[at(s)].exp() * sum;
                        }
                    }
                }
                slot.add(build(g.shape(), out));
            }
        });
        Ok(Tensor::derived(value, [edge]))
    }

    /// The mean cross-entropy of a classification, for logits `[N, C]` and the class, 0 to C − 1, of each of the N
    /// samples. The result has shape `[]`.
    ///
    /// PyTorch: `torch.nn.functional.cross_entropy(logits, targets)`.
    ///
    /// ```
    /// use ndarray::arr2;
    /// use secateurs::tensor::Tensor;
    ///
    /// let logits = Tensor::new(arr2(&[[0.0, 0.0], [0.0, 0.0]]));
    /// assert_eq!(logits.cross_entropy(&[0, 1])?.item()?, 2f32.ln());
    /// assert!(logits.cross_entropy(&[0, 2]).is_err());
    /// # Ok::<(), secateurs::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`TensorError`](crate::error::TensorError) if the shape is not `[N, C]`, if the targets are not N, if one of
    /// them is not a class, or if N is 0.
    pub fn cross_entropy(&self, targets: &[usize]) -> Result<Tensor> {
        let fail = |reason: String| {
            Error::Tensor(TensorError {
                op: "cross_entropy",
                reason,
                shapes: vec![self.shape().to_vec(), vec![targets.len()]],
            })
        };
        let &[samples, classes] = self.shape() else {
            return Err(fail("the logits must have shape [samples, classes]".to_owned()));
        };
        if targets.len() != samples {
            return Err(fail(format!(
                "{} targets for {samples} samples; give one for each",
                targets.len()
            )));
        }
        if samples == 0 {
            return Err(fail("an empty batch has no mean loss; leave it out".to_owned()));
        }
        if let Some((sample, target)) = targets.iter().enumerate().find(|&(_, &t)| t >= classes) {
            return Err(fail(format!(
                "target {target} of sample {sample} is none of {classes} classes; they are numbered from 0"
            )));
        }
        let log_probabilities = log_softmax(slice(&self.0.value), samples, classes, 1);
        let likelihood: f64 = targets
            .iter()
            .enumerate()
            .map(|(sample, target)| f64::from(log_probabilities[sample * classes + target]))
            .sum();
        let loss = (-likelihood / samples as f64) as f32;
        let edge = self.edge(|| {
            let targets = targets.to_vec();
            move |g, slot| {
                let g = only(&g) / samples as f32;
                let mut out: Vec<f32> = log_probabilities.iter().map(|l| l.exp() * g).collect();
                for (sample, target) in targets.iter().enumerate() {
                    out[sample * classes + target] -= g;
                }
                slot.add(build(&[samples, classes], out));
            }
        });
        Ok(Tensor::derived(build(&[], vec![loss]), [edge]))
    }

    /// The mean squared error: the mean of (a − b)², of shape `[]`. The shapes must be equal. Nothing broadcasts,
    /// because that is rarely intended here.
    ///
    /// PyTorch: `torch.nn.functional.mse_loss(a, b)`.
    ///
    /// # Errors
    ///
    /// [`TensorError`](crate::error::TensorError) if the shapes differ, or if there are no elements.
    pub fn mse(&self, target: &Tensor) -> Result<Tensor> {
        let fail = |reason: &str| {
            Error::Tensor(TensorError {
                op: "mse",
                reason: reason.to_owned(),
                shapes: vec![self.shape().to_vec(), target.shape().to_vec()],
            })
        };
        if self.shape() != target.shape() {
            return Err(fail("the shapes must be equal"));
        }
        if self.is_empty() {
            return Err(fail("tensors without elements have no mean; leave them out"));
        }
        let difference = combine(self.shared(), &target.0.value, |a, b| a - b);
        let squares: f64 = slice(&difference)
            .iter()
            .map(|&d| f64::from(d) * f64::from(d))
            .sum();
        let count = self.len() as f64;
        let back = |sign: f64| {
            let difference = difference.clone();
            move |g: Shared, slot: &mut Slot| {
                let factor = (sign * 2.0 / count * f64::from(only(&g))) as f32;
                slot.add(map(difference.clone(), |d| d * factor));
            }
        };
        let edges = [self.edge(|| back(1.0)), target.edge(|| back(-1.0))];
        Ok(Tensor::derived(build(&[], vec![(squares / count) as f32]), edges))
    }
}
