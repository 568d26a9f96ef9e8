//! Matrix products.

use crate::error::{Error, Result};
use crate::tensor::error::TensorError;
use crate::tensor::graph::Tensor;
use crate::tensor::kernel::{build, slice, sum_to, zeroed};
use crate::tensor::product::{Matrix, add_product};

impl Tensor {
    /// The product of two matrices, `[m, k]` and `[k, n]`, of shape `[m, n]`.
    ///
    /// PyTorch: `torch.mm`.
    ///
    /// ```
    /// use ndarray::arr2;
    /// use secateurs::tensor::Tensor;
    ///
    /// let a = Tensor::new(arr2(&[[1.0, 2.0], [3.0, 4.0]]));
    /// let b = Tensor::new(arr2(&[[1.0], [10.0]]));
    /// assert_eq!(a.matmul(&b)?.to_array(), arr2(&[[21.0], [43.0]]).into_dyn());
    /// # Ok::<(), secateurs::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`TensorError`](crate::error::TensorError) if either is not a matrix, or if the number of columns of the first
    /// is not the number of rows of the second.
    pub fn matmul(&self, other: &Tensor) -> Result<Tensor> {
        let (m, k, n) = match (self.shape(), other.shape()) {
            (&[m, k], &[rows, n]) if rows == k => (m, k, n),
            (a, b) => {
                return Err(Error::Tensor(TensorError {
                    op: "matmul",
                    reason: "the shapes must be [m, k] and [k, n]".to_owned(),
                    shapes: vec![a.to_vec(), b.to_vec()],
                }));
            }
        };
        let mut out = zeroed("matmul", &[m, n])?;
        let (a, b) = (self.shared(), other.shared());
        add_product(
            Matrix::new(slice(&a), m, k),
            Matrix::new(slice(&b), k, n),
            &mut out,
        );
        let of_self = self.edge(|| {
            let b = b.clone();
            move |g, slot| {
                add_product(
                    Matrix::new(slice(&g), m, n),
                    Matrix::new(slice(&b), k, n).t(),
                    slot.slice_mut(),
                );
            }
        });
        let of_other = other.edge(|| {
            let a = a.clone();
            move |g, slot| {
                add_product(
                    Matrix::new(slice(&a), m, k).t(),
                    Matrix::new(slice(&g), m, n),
                    slot.slice_mut(),
                );
            }
        });
        Ok(Tensor::derived(build(&[m, n], out), [of_self, of_other]))
    }

    /// A linear layer: `x · wᵀ + b`. This is x, `[..., in]` with any dimensions before the last; the weight is
    /// `[out, in]`, the bias `[out]`, the result `[..., out]`.
    ///
    /// PyTorch: `torch.nn.functional.linear`.
    ///
    /// ```
    /// use ndarray::{arr1, arr2};
    /// use secateurs::tensor::Tensor;
    ///
    /// let x = Tensor::new(arr1(&[1.0, 2.0]));
    /// let w = Tensor::variable(arr2(&[[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]));
    /// let b = Tensor::variable(arr1(&[0.0, 0.0, 0.5]));
    /// assert_eq!(x.linear(&w, Some(&b))?.to_array(), arr1(&[1.0, 2.0, 3.5]).into_dyn());
    /// # Ok::<(), secateurs::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`TensorError`](crate::error::TensorError) if the shapes do not fit.
    pub fn linear(&self, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
        let fail = |reason: &str| {
            Error::Tensor(TensorError {
                op: "linear",
                reason: reason.to_owned(),
                shapes: [Some(self), Some(weight), bias]
                    .into_iter()
                    .flatten()
                    .map(|t| t.shape().to_vec())
                    .collect(),
            })
        };
        let &[outputs, inputs] = weight.shape() else {
            return Err(fail("the weight must have shape [out, in]"));
        };
        let leading = match self.shape() {
            [leading @ .., last] if *last == inputs => leading,
            _ => {
                return Err(fail(
                    "the last dimension of the input must be as long as that of the weight",
                ));
            }
        };
        if bias.is_some_and(|bias| bias.shape() != [outputs]) {
            return Err(fail("the bias must have shape [out]"));
        }
        let shape = [leading, &[outputs]].concat();
        let rows: usize = leading.iter().product();

        let mut out = zeroed("linear", &shape)?;
        if let Some(bias) = bias {
            for row in out.chunks_exact_mut(outputs.max(1)) {
                row.copy_from_slice(slice(&bias.0.value));
            }
        }
        let (x, w) = (self.shared(), weight.shared());
        add_product(
            Matrix::new(slice(&x), rows, inputs),
            Matrix::new(slice(&w), outputs, inputs).t(),
            &mut out,
        );
        let of_x = self.edge(|| {
            move |g, slot| {
                add_product(
                    Matrix::new(slice(&g), rows, outputs),
                    Matrix::new(slice(&w), outputs, inputs),
                    slot.slice_mut(),
                );
            }
        });
        let of_weight = weight.edge(|| {
            move |g, slot| {
                let g = Matrix::new(slice(&g), rows, outputs);
                add_product(g.t(), Matrix::new(slice(&x), rows, inputs), slot.slice_mut());
            }
        });
        let of_bias = bias.and_then(|bias| bias.edge(|| move |g, slot| slot.add(sum_to(g, &[outputs]))));
        Ok(Tensor::derived(build(&shape, out), [of_x, of_weight, of_bias]))
    }
}
