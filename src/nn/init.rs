//! PyTorch's default initialisation, from an explicit generator.

use ndarray::{ArrayD, IxDyn};
use rand::{Rng, RngExt};

use crate::error::{Error, NnError, Result};

/// An array of numbers uniform in [−bound, bound), for a parameter of `layer`.
pub(crate) fn uniform(
    layer: &'static str,
    shape: &[usize],
    bound: f32,
    rng: &mut (impl Rng + ?Sized),
) -> Result<ArrayD<f32>> {
    let too_large = || too_large(layer, &[shape]);
    let mut entries = reserve(&[shape]).ok_or_else(too_large)?;
    let len = shape.iter().product();
    // Not `random_range`, which refuses the empty range of bound 0.
    entries.extend(std::iter::repeat_with(|| (2.0 * rng.random::<f32>() - 1.0) * bound).take(len));
    ArrayD::from_shape_vec(IxDyn(shape), entries).map_err(|_| too_large())
}

/// An array of numbers of the standard normal distribution, for a parameter of `layer`.
pub(crate) fn normal(
    layer: &'static str,
    shape: &[usize],
    rng: &mut (impl Rng + ?Sized),
) -> Result<ArrayD<f32>> {
    let too_large = || too_large(layer, &[shape]);
    let mut entries = reserve(&[shape]).ok_or_else(too_large)?;
    let len = shape.iter().product();
    // Box and Muller 1958. The logarithm is that of a number in (0, 1].
    let draw = || {
        let (radius, angle) = (1.0 - rng.random::<f64>(), rng.random::<f64>());
        (libm::sqrt(-2.0 * libm::log(radius)) * libm::cos(std::f64::consts::TAU * angle)) as f32
    };
    entries.extend(std::iter::repeat_with(draw).take(len));
    ArrayD::from_shape_vec(IxDyn(shape), entries).map_err(|_| too_large())
}

/// Refuses parameters that do not fit in memory together.
pub(crate) fn check_memory(layer: &'static str, shapes: &[&[usize]]) -> Result<()> {
    reserve(shapes).map(drop).ok_or_else(|| too_large(layer, shapes))
}

/// Memory for arrays of these shapes together; `None` if there is none, or if their sizes overflow.
fn reserve(shapes: &[&[usize]]) -> Option<Vec<f32>> {
    let mut total = 0_usize;
    for shape in shapes {
        // ndarray limits the product of the non-zero lengths, too.
        let bound = shape
            .iter()
            .filter(|&&n| n != 0)
            .try_fold(1_usize, |n, &m| n.checked_mul(m))?;
        isize::try_from(bound.checked_mul(size_of::<f32>())?).ok()?;
        total = total.checked_add(if shape.contains(&0) { 0 } else { bound })?;
    }
    let mut entries = Vec::new();
    entries.try_reserve_exact(total).ok()?;
    Some(entries)
}

fn too_large(layer: &'static str, shapes: &[&[usize]]) -> Error {
    Error::Nn(NnError::InvalidSetting {
        what: layer,
        setting: "size",
        value: shapes
            .iter()
            .map(|shape| format!("{shape:?}"))
            .collect::<Vec<_>>()
            .join(" + "),
        reason: "parameters of this size do not fit in memory; use smaller sizes",
    })
}

/// The bound within which PyTorch initialises weight and bias of a linear or convolutional layer: `1 / √fan_in`, to
/// which `kaiming_uniform_(a = √5)` simplifies.
pub(crate) fn fan_in_bound(fan_in: usize) -> f32 {
    if fan_in == 0 {
        0.0
    } else {
        1.0 / (fan_in as f32).sqrt()
    }
}
