//! The same elements under another shape, or in another order.

use ndarray::IxDyn;

use crate::error::{Error, Result};
use crate::tensor::error::TensorError;
use crate::tensor::graph::Tensor;
use crate::tensor::kernel::{checked_len, contiguous, reshaped, resolve};

impl Tensor {
    /// The same elements, in row-major order, with another shape, without a copy.
    ///
    /// PyTorch: `t.reshape(shape)`, without −1.
    ///
    /// ```
    /// use ndarray::arr1;
    /// use secateurs::tensor::Tensor;
    ///
    /// let t = Tensor::new(arr1(&[1.0, 2.0, 3.0, 4.0]));
    /// assert_eq!(t.reshape(&[2, 2])?.shape(), [2, 2]);
    /// assert!(t.reshape(&[3, 2]).is_err());
    /// # Ok::<(), secateurs::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`TensorError`](crate::error::TensorError) if that shape has another number of elements.
    pub fn reshape(&self, shape: &[usize]) -> Result<Tensor> {
        let len = checked_len("reshape", shape)?;
        if len != self.len() {
            return Err(Error::Tensor(TensorError {
                op: "reshape",
                reason: format!("the new shape has {len} elements; it must have {}", self.len()),
                shapes: vec![self.shape().to_vec(), shape.to_vec()],
            }));
        }
        Ok(self.viewed(shape))
    }

    /// [`Tensor::reshape`] to a shape that is known to fit.
    pub(super) fn viewed(&self, shape: &[usize]) -> Tensor {
        let edge = self.edge(|| {
            let shape = self.shape().to_vec();
            move |g, slot| slot.add(reshaped(g, &shape))
        });
        Tensor::derived(reshaped(self.shared(), shape), [edge])
    }

    /// Joins the dimensions from `start_dim` to `end_dim`, both included, into one. A tensor of shape `[]` becomes
    /// `[1]`.
    ///
    /// PyTorch: `t.flatten(start_dim, end_dim)`; `flatten(1, -1)` often precedes a classifier.
    ///
    /// ```
    /// use ndarray::Array4;
    /// use secateurs::tensor::Tensor;
    ///
    /// let images = Tensor::new(Array4::zeros((8, 3, 5, 5)));
    /// assert_eq!(images.flatten(1, -1)?.shape(), [8, 75]);
    /// # Ok::<(), secateurs::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`PatternError::DimOutOfRange`](crate::error::PatternError::DimOutOfRange) if there is no such dimension,
    /// [`TensorError`](crate::error::TensorError) if `start_dim` comes after `end_dim`.
    pub fn flatten(&self, start_dim: isize, end_dim: isize) -> Result<Tensor> {
        // For shape [], dimensions 0 and -1 are accepted, as if it were [1].
        let whole: &[usize] = if self.ndim() == 0 { &[1] } else { self.shape() };
        let (start, end) = (resolve(start_dim, whole)?, resolve(end_dim, whole)?);
        if start > end {
            return Err(Error::Tensor(TensorError {
                op: "flatten",
                reason: format!(
                    "dimension {start_dim} comes after dimension {end_dim}; name the first one first"
                ),
                shapes: vec![self.shape().to_vec()],
            }));
        }
        let mut shape = whole[..start].to_vec();
        shape.push(whole[start..=end].iter().product());
        shape.extend(&whole[end + 1..]);
        Ok(self.viewed(&shape))
    }

    /// Exchanges two dimensions, by a copy.
    ///
    /// PyTorch: `t.transpose(dim0, dim1)`.
    ///
    /// # Errors
    ///
    /// [`PatternError::DimOutOfRange`](crate::error::PatternError::DimOutOfRange) if there is no such dimension.
    pub fn transpose(&self, dim0: isize, dim1: isize) -> Result<Tensor> {
        let (a, b) = (resolve(dim0, self.shape())?, resolve(dim1, self.shape())?);
        let mut order: Vec<usize> = (0..self.ndim()).collect();
        order.swap(a, b);
        Ok(self.reordered(order))
    }

    /// The dimensions in another order, by a copy: dimension `i` of the result is dimension `dims[i]` of this tensor.
    ///
    /// PyTorch: `t.permute(dims)`.
    ///
    /// ```
    /// use ndarray::Array3;
    /// use secateurs::tensor::Tensor;
    ///
    /// let t = Tensor::new(Array3::zeros((2, 3, 4)));
    /// assert_eq!(t.permute(&[2, 0, 1])?.shape(), [4, 2, 3]);
    /// assert_eq!(t.transpose(0, -1)?.shape(), [4, 3, 2]);
    /// # Ok::<(), secateurs::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`PatternError::DimOutOfRange`](crate::error::PatternError::DimOutOfRange) if there is no such dimension,
    /// [`TensorError`](crate::error::TensorError) unless each dimension is named once.
    pub fn permute(&self, dims: &[isize]) -> Result<Tensor> {
        let order: Vec<usize> = dims
            .iter()
            .map(|&dim| resolve(dim, self.shape()))
            .collect::<Result<_>>()?;
        let mut sorted = order.clone();
        sorted.sort_unstable();
        if !sorted.into_iter().eq(0..self.ndim()) {
            return Err(Error::Tensor(TensorError {
                op: "permute",
                reason: format!("{dims:?} does not name each dimension; name each once"),
                shapes: vec![self.shape().to_vec()],
            }));
        }
        Ok(self.reordered(order))
    }

    fn reordered(&self, order: Vec<usize>) -> Tensor {
        let value = contiguous(self.shared().permuted_axes(IxDyn(&order)));
        let edge = self.edge(|| {
            let mut back = vec![0; order.len()];
            for (to, &from) in order.iter().enumerate() {
                back[from] = to;
            }
            move |g, slot| slot.add(contiguous(g.permuted_axes(IxDyn(&back))))
        });
        Tensor::derived(value, [edge])
    }
}
