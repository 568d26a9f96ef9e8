//! Joins several tensors into one.

use std::borrow::Borrow;

use crate::error::{Error, Result};
use crate::tensor::error::TensorError;
use crate::tensor::graph::Tensor;
use crate::tensor::kernel::{build, checked_len, resolve, slice};

impl Tensor {
    /// The tensors joined along a dimension. Their shapes must be equal except in that dimension.
    ///
    /// PyTorch: `torch.cat(tensors, dim)`.
    ///
    /// ```
    /// use ndarray::Array2;
    /// use secateurs::tensor::Tensor;
    ///
    /// let (a, b) = (Tensor::new(Array2::zeros((2, 3))), Tensor::new(Array2::zeros((2, 1))));
    /// assert_eq!(Tensor::concat(&[&a, &b], 1)?.shape(), [2, 4]);
    /// assert_eq!(Tensor::stack(&[&a, &a], 0)?.shape(), [2, 2, 3]);
    /// # Ok::<(), secateurs::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`TensorError`](crate::error::TensorError) if there are no tensors or their shapes do not fit, [`PatternError::DimOutOfRange`](crate::error::PatternError::DimOutOfRange) if there is no
    /// such dimension.
    pub fn concat<T: Borrow<Tensor>>(tensors: &[T], dim: isize) -> Result<Tensor> {
        let op = "concat";
        let Some(first) = tensors.first().map(Borrow::borrow) else {
            return Err(none(op));
        };
        let axis = resolve(dim, first.shape())?;
        let mut shape = first.shape().to_vec();
        let mut length = Some(0usize);
        for tensor in tensors.iter().map(Borrow::borrow) {
            let same = tensor.ndim() == shape.len()
                && tensor.shape()[..axis] == shape[..axis]
                && tensor.shape()[axis + 1..] == shape[axis + 1..];
            if !same {
                return Err(unequal(
                    op,
                    format!("the shapes must be equal but for dimension {dim}"),
                    tensors,
                ));
            }
            length = length.and_then(|length| length.checked_add(tensor.shape()[axis]));
        }
        // A length that overflows does not fit in memory.
        shape[axis] = length.unwrap_or(usize::MAX);
        join(op, tensors, axis, shape)
    }

    /// The tensors, of equal shapes, one after another along a new dimension: from 0, before all others, to
    /// `ndim`, after them (negative: from −(`ndim` + 1) to −1).
    ///
    /// PyTorch: `torch.stack(tensors, dim)`.
    ///
    /// # Errors
    ///
    /// [`TensorError`](crate::error::TensorError) if there are no tensors or their shapes are not equal, [`PatternError::DimOutOfRange`](crate::error::PatternError::DimOutOfRange) if the result
    /// has no such dimension.
    pub fn stack<T: Borrow<Tensor>>(tensors: &[T], dim: isize) -> Result<Tensor> {
        let op = "stack";
        let Some(first) = tensors.first().map(Borrow::borrow) else {
            return Err(none(op));
        };
        if tensors.iter().any(|t| t.borrow().shape() != first.shape()) {
            return Err(unequal(op, "the shapes must be equal".to_owned(), tensors));
        }
        let mut shape = first.shape().to_vec();
        shape.push(tensors.len());
        let axis = resolve(dim, &shape)?;
        shape[axis..].rotate_right(1);
        join(op, tensors, axis, shape)
    }
}

/// To have `shape`: for each index into the dimensions before `axis`, what each tensor has there.
fn join<T: Borrow<Tensor>>(
    op: &'static str,
    tensors: &[T],
    axis: usize,
    shape: Vec<usize>,
) -> Result<Tensor> {
    let len = checked_len(op, &shape)?;
    // Empty blocks are not copied, however many there are.
    let outer: usize = if len == 0 {
        0
    } else {
        shape[..axis].iter().product()
    };
    let row: usize = shape[axis..].iter().product();
    let mut elements = Vec::with_capacity(len);
    for o in 0..outer {
        for tensor in tensors {
            let elements_of = slice(&tensor.borrow().0.value);
            let share = elements_of.len() / outer;
            elements.extend_from_slice(&elements_of[o * share..][..share]);
        }
    }
    let mut before = 0;
    let edges: Vec<_> = tensors
        .iter()
        .map(Borrow::borrow)
        .map(|tensor| {
            let (start, share) = (before, tensor.len().checked_div(outer).unwrap_or(0));
            before += share;
            tensor.edge(|| {
                let shape = tensor.shape().to_vec();
                move |g, slot| {
                    let mut part = Vec::with_capacity(outer * share);
                    for o in 0..outer {
                        part.extend_from_slice(&slice(&g)[o * row + start..][..share]);
                    }
                    slot.add(build(&shape, part));
                }
            })
        })
        .collect();
    Ok(Tensor::derived(build(&shape, elements), edges))
}

fn none(op: &'static str) -> Error {
    Error::Tensor(TensorError {
        op,
        reason: "there are no tensors; give at least one".to_owned(),
        shapes: Vec::new(),
    })
}

fn unequal<T: Borrow<Tensor>>(op: &'static str, reason: String, tensors: &[T]) -> Error {
    Error::Tensor(TensorError {
        op,
        reason,
        shapes: tensors.iter().map(|t| t.borrow().shape().to_vec()).collect(),
    })
}
