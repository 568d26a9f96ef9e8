//! Sums and means.

use crate::error::Result;
use crate::tensor::graph::Tensor;
use crate::tensor::kernel::{Shared, around, build, map, only, resolve, slice, sum_steps, total};

impl Tensor {
    /// The sum of all elements, of shape `[]`, accumulated in f64. Without elements it is 0.
    ///
    /// PyTorch: `t.sum()`.
    pub fn sum(&self) -> Tensor {
        self.sum_over(1.0)
    }

    /// The mean of all elements, of shape `[]`. Without elements it is NaN.
    ///
    /// PyTorch: `t.mean()`.
    pub fn mean(&self) -> Tensor {
        self.sum_over(self.len() as f64)
    }

    fn sum_over(&self, divisor: f64) -> Tensor {
        let sum = (total(slice(&self.0.value)) / divisor) as f32;
        let edge = self.edge(|| {
            let dim = self.0.value.raw_dim();
            move |g, slot| {
                let each = (f64::from(only(&g)) / divisor) as f32;
                slot.add(Shared::from_elem(dim.clone(), each));
            }
        });
        Tensor::derived(build(&[], vec![sum]), [edge])
    }

    /// The sums along a dimension. The result does not have this dimension or, with `keepdim`, has it with length 1.
    ///
    /// PyTorch: `t.sum(dim, keepdim)`.
    ///
    /// ```
    /// use ndarray::{arr1, arr2};
    /// use secateurs::tensor::Tensor;
    ///
    /// let t = Tensor::new(arr2(&[[1.0, 2.0], [3.0, 4.0]]));
    /// assert_eq!(t.sum_axis(-1, false)?.to_array(), arr1(&[3.0, 7.0]).into_dyn());
    /// assert_eq!(t.mean_axis(0, true)?.to_array(), arr2(&[[2.0, 3.0]]).into_dyn());
    /// # Ok::<(), secateurs::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`PatternError::DimOutOfRange`](crate::error::PatternError::DimOutOfRange) if there is no such dimension.
    pub fn sum_axis(&self, dim: isize, keepdim: bool) -> Result<Tensor> {
        let axis = resolve(dim, self.shape())?;
        Ok(self.sum_along(axis, keepdim, 1.0))
    }

    /// The means along a dimension. The result does not have this dimension or, with `keepdim`, has it with length 1.
    /// The mean along a dimension of length 0 is NaN.
    ///
    /// PyTorch: `t.mean(dim, keepdim)`.
    ///
    /// # Errors
    ///
    /// [`PatternError::DimOutOfRange`](crate::error::PatternError::DimOutOfRange) if there is no such dimension.
    pub fn mean_axis(&self, dim: isize, keepdim: bool) -> Result<Tensor> {
        let axis = resolve(dim, self.shape())?;
        Ok(self.sum_along(axis, keepdim, self.shape()[axis] as f32))
    }

    fn sum_along(&self, axis: usize, keepdim: bool, divisor: f32) -> Tensor {
        let (outer, steps, inner) = around(self.shape(), axis);
        let mut shape = self.shape().to_vec();
        if keepdim {
            shape[axis] = 1;
        } else {
            shape.remove(axis);
        }
        let sums = build(&shape, sum_steps(slice(&self.0.value), outer, steps, inner));
        let edge = self.edge(|| {
            let shape = self.shape().to_vec();
            move |g, slot| {
                let mut repeated = Vec::with_capacity(outer * steps * inner);
                let g = map(g, |g| g / divisor);
                for o in 0..outer {
                    for _ in 0..steps {
                        repeated.extend_from_slice(&slice(&g)[o * inner..][..inner]);
                    }
                }
                slot.add(build(&shape, repeated));
            }
        });
        Tensor::derived(map(sums, |sum| sum / divisor), [edge])
    }
}
