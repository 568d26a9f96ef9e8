//! PyTorch's default initialisation, from an explicit generator.

use ndarray::ArrayD;
use rand::{Rng, RngExt};

/// An array of numbers uniform in [−bound, bound).
pub(crate) fn uniform(shape: &[usize], bound: f32, rng: &mut (impl Rng + ?Sized)) -> ArrayD<f32> {
    // Not `random_range`, which refuses the empty range of bound 0.
    ArrayD::from_shape_simple_fn(shape.to_vec(), || (2.0 * rng.random::<f32>() - 1.0) * bound)
}

/// The bound by which PyTorch fills the weight and the bias of a linear or convolutional layer: `1 / √fan_in`,
/// which is what `kaiming_uniform_(a = √5)` comes to.
pub(crate) fn fan_in_bound(fan_in: usize) -> f32 {
    if fan_in == 0 {
        0.0
    } else {
        1.0 / (fan_in as f32).sqrt()
    }
}
