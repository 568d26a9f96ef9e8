//! The four operations and their relatives, elementwise, with broadcasting.

use crate::error::Result;
use crate::tensor::graph::Tensor;
use crate::tensor::kernel::{Shared, broadcast_shape, combine, expand, map, sum_to};

/// `f` of every pair of elements, both operands broadcast to one shape.
fn pairwise(op: &'static str, a: &Tensor, b: &Tensor, f: impl Fn(f32, f32) -> f32 + Sync) -> Result<Shared> {
    let shape = broadcast_shape(op, a.shape(), b.shape())?;
    let (a, b) = (a.shared(), b.shared());
    // Copy and overwrite the operand that already has the result's shape.
    if b.shape() == shape && a.shape() != shape {
        Ok(combine(b, &a, |y, x| f(x, y)))
    } else {
        Ok(combine(expand(op, &a, &shape)?, &b, f))
    }
}

impl Tensor {
    /// The sum, elementwise.
    ///
    /// Shapes broadcast by NumPy's rules: aligned at the last dimension, lengths are equal or one of them is 1. The
    /// gradient of a repeated element is the sum over its repetitions.
    ///
    /// PyTorch: `a + b`.
    ///
    /// ```
    /// use ndarray::{arr1, arr2};
    /// use secateurs::tensor::Tensor;
    ///
    /// let rows = Tensor::new(arr2(&[[1.0, 2.0], [3.0, 4.0]]));
    /// let bias = Tensor::new(arr1(&[10.0, 20.0]));
    /// assert_eq!(rows.add(&bias)?.to_array(), arr2(&[[11.0, 22.0], [13.0, 24.0]]).into_dyn());
    /// # Ok::<(), secateurs::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`TensorError`](crate::error::TensorError) if the shapes do not broadcast.
    pub fn add(&self, other: &Tensor) -> Result<Tensor> {
        let value = pairwise("add", self, other, |a, b| a + b)?;
        let of_self = self.edge(|| {
            let shape = self.shape().to_vec();
            move |g, slot| slot.add(sum_to(g, &shape))
        });
        let of_other = other.edge(|| {
            let shape = other.shape().to_vec();
            move |g, slot| slot.add(sum_to(g, &shape))
        });
        Ok(Tensor::derived(value, [of_self, of_other]))
    }

    /// The difference, elementwise, with the broadcasting of [`Tensor::add`].
    ///
    /// PyTorch: `a - b`.
    ///
    /// # Errors
    ///
    /// [`TensorError`](crate::error::TensorError) if the shapes do not broadcast.
    pub fn sub(&self, other: &Tensor) -> Result<Tensor> {
        let value = pairwise("sub", self, other, |a, b| a - b)?;
        let of_self = self.edge(|| {
            let shape = self.shape().to_vec();
            move |g, slot| slot.add(sum_to(g, &shape))
        });
        let of_other = other.edge(|| {
            let shape = other.shape().to_vec();
            move |g, slot| slot.add(map(sum_to(g, &shape), |g| -g))
        });
        Ok(Tensor::derived(value, [of_self, of_other]))
    }

    /// The product, elementwise, with the broadcasting of [`Tensor::add`].
    ///
    /// PyTorch: `a * b`.
    ///
    /// # Errors
    ///
    /// [`TensorError`](crate::error::TensorError) if the shapes do not broadcast.
    pub fn mul(&self, other: &Tensor) -> Result<Tensor> {
        let value = pairwise("mul", self, other, |a, b| a * b)?;
        let of_self = self.edge(|| {
            let (shape, b) = (self.shape().to_vec(), other.shared());
            move |g, slot| slot.add(sum_to(combine(g, &b, |g, b| g * b), &shape))
        });
        let of_other = other.edge(|| {
            let (shape, a) = (other.shape().to_vec(), self.shared());
            move |g, slot| slot.add(sum_to(combine(g, &a, |g, a| g * a), &shape))
        });
        Ok(Tensor::derived(value, [of_self, of_other]))
    }

    /// The quotient, elementwise, with the broadcasting of [`Tensor::add`].
    ///
    /// PyTorch: `a / b`.
    ///
    /// # Errors
    ///
    /// [`TensorError`](crate::error::TensorError) if the shapes do not broadcast.
    pub fn div(&self, other: &Tensor) -> Result<Tensor> {
        let value = pairwise("div", self, other, |a, b| a / b)?;
        let of_self = self.edge(|| {
            let (shape, b) = (self.shape().to_vec(), other.shared());
            move |g, slot| slot.add(sum_to(combine(g, &b, |g, b| g / b), &shape))
        });
        let of_other = other.edge(|| {
            // d(a/b)/db = -(a/b)/b: from the quotient, which saves squaring b.
            let (quotient, b) = (value.clone(), other.shared());
            move |g, slot| {
                let g = combine(combine(g, &quotient, |g, q| -g * q), &b, |g, b| g / b);
                slot.add(sum_to(g, b.shape()));
            }
        });
        Ok(Tensor::derived(value, [of_self, of_other]))
    }

    /// The elements with opposite sign.
    ///
    /// PyTorch: `-a`.
    pub fn neg(&self) -> Tensor {
        let edge = self.edge(|| |g, slot| slot.add(map(g, |g| -g)));
        Tensor::derived(map(self.shared(), |x| -x), [edge])
    }

    /// The elements times a number.
    ///
    /// PyTorch: `a * factor`.
    pub fn scale(&self, factor: f32) -> Tensor {
        let edge = self.edge(|| move |g, slot| slot.add(map(g, |g| g * factor)));
        Tensor::derived(map(self.shared(), |x| x * factor), [edge])
    }

    /// The elements plus a number.
    ///
    /// PyTorch: `a + term`.
    pub fn add_scalar(&self, term: f32) -> Tensor {
        let edge = self.edge(|| |g, slot| slot.add(g));
        Tensor::derived(map(self.shared(), |x| x + term), [edge])
    }
}
