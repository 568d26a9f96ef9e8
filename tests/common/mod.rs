//! Helpers that the tests of the mask layer share, and the naive oracles they compare with.
#![allow(dead_code)] // no test file needs all of them

pub mod methods;

use ndarray::{ArrayD, ArrayViewD, Axis, IxDyn};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use secateurs::mask::Mask;

/// The entries of a mask in row-major order.
pub fn bits(mask: &Mask) -> Vec<bool> {
    mask.to_bool().iter().copied().collect()
}

/// The mask of this shape with these entries.
pub fn mask(shape: &[usize], bits: &[bool]) -> Mask {
    Mask::from_bool(array(shape, bits.to_vec()).view())
}

/// An array of this shape with these entries.
pub fn array<T>(shape: &[usize], values: Vec<T>) -> ArrayD<T> {
    ArrayD::from_shape_vec(IxDyn(shape), values).expect("as many values as the shape has entries")
}

/// A generator for test data.
pub fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// A number in [−1, 1).
pub fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    rng.next_u32() as f64 / (1u64 << 31) as f64 - 1.0
}

/// What is kept after the `k` lowest of the kept entries are pruned. Sorts everything and takes the first.
///
/// Ties are pruned in the order of the tensors, then of the indices.
pub fn without_lowest(keys: &[Vec<f64>], kept: &[Vec<bool>], k: usize) -> Vec<Vec<bool>> {
    let mut remaining = Vec::new();
    for (tensor, keys) in keys.iter().enumerate() {
        for (index, key) in keys.iter().enumerate() {
            if kept[tensor][index] {
                remaining.push((*key, tensor, index));
            }
        }
    }
    remaining.sort_by(|a, b| a.partial_cmp(b).expect("no key is NaN"));
    let mut kept = kept.to_vec();
    for (_, tensor, index) in &remaining[..k] {
        kept[*tensor][*index] = false;
    }
    kept
}

/// The entries of each channel along `axis`, as one list a channel, in row-major order.
pub fn channels<T: Copy>(array: ArrayViewD<'_, T>, axis: usize) -> Vec<Vec<T>> {
    array
        .axis_iter(Axis(axis))
        .map(|channel| channel.iter().copied().collect())
        .collect()
}

/// What is kept of `kept` without the channels `pruned` along `axis`.
pub fn without_channels(kept: &ArrayD<bool>, axis: usize, pruned: &[usize]) -> Mask {
    let mut kept = kept.clone();
    for &channel in pruned {
        kept.index_axis_mut(Axis(axis), channel).fill(false);
    }
    Mask::from_bool(kept.view())
}
