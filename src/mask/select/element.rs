//! [`Element`]: the floats that can be ranked.

use half::{bf16, f16};

use super::key::Rank;

/// A float that can be ranked: `f16`, `bf16`, `f32` or `f64`.
///
/// This trait is sealed, because selection depends on the bits of these types.
pub trait Element: Rank + num_traits::AsPrimitive<f64> {
    /// +0.0, the value of a pruned entry.
    const ZERO: Self;
}

impl Element for f16 {
    const ZERO: Self = f16::ZERO;
}

impl Element for bf16 {
    const ZERO: Self = bf16::ZERO;
}

impl Element for f32 {
    const ZERO: Self = 0.0;
}

impl Element for f64 {
    const ZERO: Self = 0.0;
}
