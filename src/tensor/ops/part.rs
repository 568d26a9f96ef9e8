//! Parts of a tensor along one dimension.
//!
//! The gradient of a part is added in place to the gradient of the whole. So splitting a tensor, such as a sequence
//! into steps, costs no more than its size, however many the parts.

use ndarray::{Axis, Slice};

use crate::error::{Error, Result};
use crate::tensor::error::TensorError;
use crate::tensor::graph::Tensor;
use crate::tensor::kernel::{around, build, checked_len, contiguous, resolve, slice};

impl Tensor {
    /// The steps `start..start + len` of a dimension.
    ///
    /// PyTorch: `t.narrow(dim, start, length)`.
    ///
    /// ```
    /// use ndarray::{arr1, arr2};
    /// use secateurs::tensor::Tensor;
    ///
    /// let t = Tensor::new(arr2(&[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]));
    /// assert_eq!(t.narrow(1, 1, 2)?.to_array(), arr2(&[[2.0, 3.0], [5.0, 6.0]]).into_dyn());
    /// assert_eq!(t.select(0, 1)?.to_array(), arr1(&[4.0, 5.0, 6.0]).into_dyn());
    /// # Ok::<(), secateurs::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`PatternError::DimOutOfRange`](crate::error::PatternError::DimOutOfRange) if there is no such dimension, [`TensorError`](crate::error::TensorError) if it is not that long.
    pub fn narrow(&self, dim: isize, start: usize, len: usize) -> Result<Tensor> {
        let axis = resolve(dim, self.shape())?;
        let end = start
            .checked_add(len)
            .filter(|&end| end <= self.shape()[axis])
            .ok_or_else(|| {
                Error::Tensor(TensorError {
                    op: "narrow",
                    reason: format!(
                        "dimension {dim} has no {len} steps from {start} on; it has {}",
                        self.shape()[axis]
                    ),
                    shapes: vec![self.shape().to_vec()],
                })
            })?;
        let (axis, part) = (Axis(axis), Slice::from(start..end));
        let mut value = self.shared();
        value.slice_axis_inplace(axis, part);
        let edge = self.edge(|| {
            move |g, slot| {
                let mut whole = slot.view_mut();
                let mut place = whole.slice_axis_mut(axis, part);
                place += &g;
            }
        });
        Ok(Tensor::derived(contiguous(value), [edge]))
    }

    /// One step of a dimension. The result does not have this dimension.
    ///
    /// PyTorch: `t.select(dim, index)`.
    ///
    /// # Errors
    ///
    /// [`PatternError::DimOutOfRange`](crate::error::PatternError::DimOutOfRange) if there is no such dimension, [`TensorError`](crate::error::TensorError) if it is not that long.
    pub fn select(&self, dim: isize, index: usize) -> Result<Tensor> {
        let axis = resolve(dim, self.shape())?;
        if index >= self.shape()[axis] {
            return Err(Error::Tensor(TensorError {
                op: "select",
                reason: format!(
                    "dimension {dim} has no step {index}; it has {}, numbered from 0",
                    self.shape()[axis]
                ),
                shapes: vec![self.shape().to_vec()],
            }));
        }
        let axis = Axis(axis);
        let value = self.shared().index_axis_move(axis, index);
        let edge = self.edge(|| {
            move |g, slot| {
                let mut whole = slot.view_mut();
                let mut place = whole.index_axis_mut(axis, index);
                place += &g;
            }
        });
        Ok(Tensor::derived(contiguous(value), [edge]))
    }

    /// The steps of a dimension at `indices`, in that order. An index may occur several times; its gradients then add
    /// up.
    ///
    /// PyTorch: `t.index_select(dim, indices)`. Along dimension 0 of a table, it is an embedding.
    ///
    /// # Errors
    ///
    /// [`PatternError::DimOutOfRange`](crate::error::PatternError::DimOutOfRange) if there is no such dimension,
    /// [`TensorError`](crate::error::TensorError) if an index is out of range.
    pub fn index_select(&self, dim: isize, indices: &[usize]) -> Result<Tensor> {
        let axis = resolve(dim, self.shape())?;
        let (outer, steps, inner) = around(self.shape(), axis);
        // Empty steps are not copied, however many there are.
        let outer = if self.is_empty() { 0 } else { outer };
        if let Some(index) = indices.iter().find(|&&index| index >= steps) {
            return Err(Error::Tensor(TensorError {
                op: "index_select",
                reason: format!(
                    "dimension {dim} has no step {index}; it has {}, numbered from 0",
                    self.shape()[axis]
                ),
                shapes: vec![self.shape().to_vec()],
            }));
        }
        let mut shape = self.shape().to_vec();
        shape[axis] = indices.len();
        let mut elements = Vec::with_capacity(checked_len("index_select", &shape)?);
        for o in 0..outer {
            for index in indices {
                elements.extend_from_slice(&slice(&self.0.value)[(o * steps + index) * inner..][..inner]);
            }
        }
        let edge = self.edge(|| {
            let indices = indices.to_vec();
            move |g, slot| {
                let (g, whole) = (slice(&g), slot.slice_mut());
                for o in 0..outer {
                    for (i, index) in indices.iter().enumerate() {
                        let from = &g[(o * indices.len() + i) * inner..][..inner];
                        let to = &mut whole[(o * steps + index) * inner..][..inner];
                        for (to, from) in to.iter_mut().zip(from) {
                            *to += from;
                        }
                    }
                }
            }
        });
        Ok(Tensor::derived(build(&shape, elements), [edge]))
    }
}
