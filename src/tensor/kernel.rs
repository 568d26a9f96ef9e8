//! Loops over arrays, shared by the operations.
//!
//! Arrays here are in standard layout (see [`Shared`]), so a value is a slice, and a dimension of it is three
//! numbers: how many blocks there are before it (`outer`), its length, and how long each of its steps is (`inner`).

use ndarray::{ArcArray, IxDyn};

use super::error::TensorError;
use crate::error::{Error, PatternError, Result};
use crate::mask::parallel::{Threads, vectorized};

/// A shared, immutable array in standard (row-major, gapless) layout, so that every operation can work on slices.
pub(super) type Shared = ArcArray<f32, IxDyn>;

/// The elements, in row-major order.
pub(super) fn slice(array: &Shared) -> &[f32] {
    array
        .as_slice()
        .expect("arrays of tensors are in standard layout")
}

/// The elements, to be written; copies them first if others hold them too.
pub(super) fn slice_mut(array: &mut Shared) -> &mut [f32] {
    array
        .as_slice_mut()
        .expect("arrays of tensors are in standard layout")
}

/// The element of an array of shape `[]`.
pub(super) fn only(array: &Shared) -> f32 {
    slice(array)[0]
}

/// An array of these elements, which are as many as the shape says.
pub(super) fn build(shape: &[usize], elements: Vec<f32>) -> Shared {
    Shared::from_shape_vec(IxDyn(shape), elements).expect("as many elements as the shape says")
}

/// The same array in standard layout; a copy only if it was in another.
pub(super) fn contiguous(array: Shared) -> Shared {
    if array.is_standard_layout() {
        return array;
    }
    let mut copy = Shared::zeros(array.raw_dim());
    copy.assign(&array);
    copy
}

/// The same elements under another shape of as many.
pub(super) fn reshaped(array: Shared, shape: &[usize]) -> Shared {
    array
        .into_shape_with_order(IxDyn(shape))
        .expect("as many elements as before, in standard layout")
}

/// Calls `work` with parts of the elements and the places where they begin; several threads share many elements.
// Not generic, because it would be compiled for each operation.
fn in_parts(elements: &mut [f32], work: &(dyn Fn(usize, &mut [f32]) + Sync)) {
    let threads = Threads::of(elements.len());
    let len = elements.len().div_ceil(threads.tasks()).max(1);
    let mut parts: Vec<_> = elements.chunks_mut(len).enumerate().collect();
    threads.each(&mut parts, |(number, part)| work(*number * len, part));
}

/// Applies `f` to every element, in place if the array is not shared.
pub(super) fn map(array: Shared, f: impl Fn(f32) -> f32 + Sync) -> Shared {
    match array.try_into_owned_nocopy() {
        Ok(array) => {
            let (mut array, f) = (array.into_shared(), &f);
            in_parts(slice_mut(&mut array), &|_, part| {
                vectorized(
                    #[inline(always)]
                    move || part.iter_mut().for_each(|x| *x = f(*x)),
                )
            });
            array
        }
        Err(array) => {
            let (from, f) = (slice(&array), &f);
            let mut mapped = vec![0.0; from.len()];
            in_parts(&mut mapped, &|start, part| {
                vectorized(
                    #[inline(always)]
                    move || {
                        part.iter_mut()
                            .zip(&from[start..])
                            .for_each(|(to, &x)| *to = f(x))
                    },
                )
            });
            build(array.shape(), mapped)
        }
    }
}

/// Applies `f` to every element of `a` and its partner in `b`, in place if `a` is not shared.
///
/// `b` broadcasts to the shape of `a`.
pub(super) fn combine(a: Shared, b: &Shared, f: impl Fn(f32, f32) -> f32 + Sync) -> Shared {
    if let (Some(&y), true) = (slice(b).first(), b.len() == 1) {
        return map(a, |x| f(x, y));
    }
    let mut a = a;
    if a.shape() == b.shape() {
        let (b, f) = (slice(b), &f);
        in_parts(slice_mut(&mut a), &|start, a| {
            vectorized(
                #[inline(always)]
                move || a.iter_mut().zip(&b[start..]).for_each(|(x, &y)| *x = f(*x, y)),
            )
        });
    } else if !b.is_empty() && is_suffix(b.shape(), a.shape()) {
        // One run of `b` after another: a bias added to rows.
        let b = slice(b);
        for run in slice_mut(&mut a).chunks_exact_mut(b.len().max(1)) {
            for (x, &y) in run.iter_mut().zip(b) {
                *x = f(*x, y);
            }
        }
    } else {
        // Row by row, because a `Zip` of every operation takes long to compile.
        let b = b
            .broadcast(a.raw_dim())
            .expect("`b` broadcasts to the shape of `a`");
        let row = b.shape().last().map_or(1, |&n| n.max(1));
        for (run, b) in slice_mut(&mut a).chunks_exact_mut(row).zip(b.rows()) {
            for (x, &y) in run.iter_mut().zip(b) {
                *x = f(*x, y);
            }
        }
    }
    a
}

/// Whether `short`, without its leading 1s, is how `long` ends.
fn is_suffix(short: &[usize], long: &[usize]) -> bool {
    let ones = short.iter().take_while(|&&n| n == 1).count();
    long.ends_with(&short[ones..])
}

/// The shape to which two shapes broadcast, by NumPy's rules.
pub(super) fn broadcast_shape(op: &'static str, a: &[usize], b: &[usize]) -> Result<Vec<usize>> {
    let ndim = a.len().max(b.len());
    // Aligned at the end, a missing dimension is a 1.
    let at = |shape: &[usize], i: usize| (i + shape.len()).checked_sub(ndim).map_or(1, |j| shape[j]);
    let shape = (0..ndim)
        .map(|i| match (at(a, i), at(b, i)) {
            (m, n) if m == n || n == 1 => Ok(m),
            (1, n) => Ok(n),
            (m, n) => Err(Error::Tensor(TensorError {
                op,
                reason: format!("{m} and {n} do not broadcast; lengths must be equal, or one of them 1"),
                shapes: vec![a.to_vec(), b.to_vec()],
            })),
        })
        .collect::<Result<Vec<usize>>>()?;
    Ok(shape)
}

/// `array`, repeated to `shape`, to which it broadcasts.
pub(super) fn expand(op: &'static str, array: &Shared, shape: &[usize]) -> Result<Shared> {
    if array.shape() == shape {
        return Ok(array.clone());
    }
    let mut out = zeros(op, shape)?;
    out.assign(array);
    Ok(out)
}

/// Undoes a broadcast for gradients: adds up what was repeated.
pub(super) fn sum_to(grad: Shared, shape: &[usize]) -> Shared {
    if grad.shape() == shape {
        return grad;
    }
    if shape.iter().all(|&n| n == 1) {
        return build(shape, vec![total(slice(&grad)) as f32]);
    }
    let len: usize = shape.iter().product();
    if len > 0 && is_suffix(shape, grad.shape()) {
        return build(shape, sum_steps(slice(&grad), 1, grad.len() / len, len));
    }
    let missing = grad.ndim() - shape.len();
    let mut at = grad.shape().to_vec();
    let mut grad = grad;
    for axis in 0..at.len() {
        if axis < missing || shape[axis - missing] != at[axis] {
            let (outer, steps, inner) = around(&at, axis);
            at[axis] = 1;
            grad = build(&at, sum_steps(slice(&grad), outer, steps, inner));
        }
    }
    reshaped(grad, shape)
}

/// The sum of all elements, in f64: of many small terms f32 would lose the smallest.
pub(super) fn total(x: &[f32]) -> f64 {
    // Independent lanes, because in a single chain each addition waits for the one before.
    let mut lanes = [0.0f64; 8];
    let chunks = x.chunks_exact(lanes.len());
    let rest: f64 = chunks.remainder().iter().map(|&v| f64::from(v)).sum();
    for chunk in chunks {
        for (lane, &v) in lanes.iter_mut().zip(chunk) {
            *lane += f64::from(v);
        }
    }
    lanes.iter().sum::<f64>() + rest
}

/// Sums over the dimension of `steps`; the rest stays in order.
pub(super) fn sum_steps(x: &[f32], outer: usize, steps: usize, inner: usize) -> Vec<f32> {
    let block = steps * inner;
    if inner == 1 {
        return (0..outer)
            .map(|o| total(&x[o * block..][..block]) as f32)
            .collect();
    }
    let mut out = Vec::with_capacity(outer * inner);
    let mut sums = vec![0.0f64; inner];
    for o in 0..outer {
        sums.fill(0.0);
        for s in 0..steps {
            for (sum, &v) in sums.iter_mut().zip(&x[o * block + s * inner..][..inner]) {
                *sum += f64::from(v);
            }
        }
        out.extend(sums.iter().map(|&sum| sum as f32));
    }
    out
}

/// (outer, steps, inner) of a dimension.
pub(super) fn around(shape: &[usize], axis: usize) -> (usize, usize, usize) {
    (
        shape[..axis].iter().product(),
        shape[axis],
        shape[axis + 1..].iter().product(),
    )
}

/// The dimension that a number means. A negative number counts from the end.
pub(super) fn resolve(dim: isize, shape: &[usize]) -> Result<usize> {
    let from_end = if dim < 0 { shape.len() } else { 0 };
    from_end
        .checked_add_signed(dim)
        .filter(|&axis| axis < shape.len())
        .ok_or_else(|| {
            Error::Pattern(PatternError::DimOutOfRange {
                dim,
                shape: shape.to_vec(),
            })
        })
}

/// How many elements a shape has, if an array can have that many.
pub(super) fn checked_len(op: &'static str, shape: &[usize]) -> Result<usize> {
    // ndarray limits the product of the non-zero lengths, too, and panics beyond.
    let bound = shape
        .iter()
        .filter(|&&n| n != 0)
        .try_fold(size_of::<f32>(), |product, &n| product.checked_mul(n));
    match bound {
        Some(bytes) if isize::try_from(bytes).is_ok() => Ok(shape.iter().product()),
        _ => Err(too_large(op, shape)),
    }
}

/// The error for an array that does not fit in memory.
pub(super) fn too_large(op: &'static str, shape: &[usize]) -> Error {
    Error::Tensor(TensorError {
        op,
        reason: "an array of this shape does not fit in memory; use smaller sizes".to_owned(),
        shapes: vec![shape.to_vec()],
    })
}

/// This many zeros, or an error where there is no memory for an array of this shape.
pub(super) fn zeroed(op: &'static str, shape: &[usize]) -> Result<Vec<f32>> {
    let len = checked_len(op, shape)?;
    let mut elements = Vec::new();
    elements
        .try_reserve_exact(len)
        .map_err(|_| too_large(op, shape))?;
    elements.resize(len, 0.0);
    Ok(elements)
}

/// As [`zeroed`], as an array.
pub(super) fn zeros(op: &'static str, shape: &[usize]) -> Result<Shared> {
    Ok(build(shape, zeroed(op, shape)?))
}
