//! Exponential, logistic function and hyperbolic tangent, in plain arithmetic that compiles to vector instructions.
//!
//! They use multiplications and additions that are rounded separately, and no function of the system, so they give the
//! same bits on every machine. Errors are at most 2 units in the last place, as a test shows.

/// e to the power of x. The polynomial is that of Cephes' `expf`.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    // Added to a number, it leaves the nearest integer in the last bits.
    const ROUND: f32 = 12_582_912.0;
    // Beyond, the result is infinite or 0. A NaN passes.
    let x = if x > 89.0 { 89.0 } else { x };
    let x = if x < -104.0 { -104.0 } else { x };
    let rounded = x * std::f32::consts::LOG2_E + ROUND;
    let n = rounded - ROUND;
    // ln 2 in two parts, of which the first has so few bits that its multiples are exact.
    let r = x - n * (355.0 / 512.0) - n * -2.121_944_4e-4;
    let mut p = 1.987_569_1e-4;
    for coefficient in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_65, 0.5] {
        p = p * r + coefficient;
    }
    let p = p * (r * r) + r + 1.0;
    // 2ⁿ in two factors, because n itself may be beyond the exponents of normal numbers.
    let n = (rounded.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32);
    p * power_of_two(n >> 1) * power_of_two(n.wrapping_sub(n >> 1))
}

/// 2ⁿ, of an exponent that f32 has.
#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127) as u32) << 23)
}

/// 1 / (1 + e⁻ˣ).
#[inline(always)]
pub(super) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// The hyperbolic tangent. The polynomial is that of Cephes' `tanhf`.
#[inline(always)]
pub(super) fn tanh(x: f32) -> f32 {
    let size = x.abs();
    let far = 1.0 - 2.0 / (exp(size + size) + 1.0);
    let square = x * x;
    let mut p = -5.704_988_7e-3;
    for coefficient in [2.063_908_8e-2, -5.373_971_5e-2, 0.133_314_42, -0.333_332_8] {
        p = p * square + coefficient;
    }
    let near = p * square * x + x;
    let y = if size < 0.625 { near } else { far };
    y.copysign(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The distance in units in the last place.
    fn error(got: f32, exact: f64) -> f64 {
        let unit = (exact as f32).abs().max(f32::MIN_POSITIVE);
        let unit = f64::from(f32::from_bits(unit.to_bits() + 1)) - f64::from(unit);
        (f64::from(got) - exact).abs() / unit
    }

    fn worst(of: impl Fn(f32) -> f32, exact: impl Fn(f64) -> f64, bound: f32) -> f64 {
        let steps = 200_000;
        let points = (-steps..=steps).map(|i| bound * i as f32 / steps as f32);
        let tiny = (0..120)
            .map(|i| 0.5f32.powi(i))
            .flat_map(|x| [x, -x])
            .filter(|x| x.abs() <= bound);
        points
            .chain(tiny)
            .map(|x| error(of(x), exact(f64::from(x))))
            .fold(0.0, f64::max)
    }

    #[test]
    fn close_to_the_exact_functions() {
        assert!(worst(exp, f64::exp, 87.0) < 2.0);
        assert!(worst(sigmoid, |x| 1.0 / (1.0 + (-x).exp()), 87.0) < 3.0);
        assert!(worst(tanh, f64::tanh, 20.0) < 2.0);
    }

    #[test]
    fn limits() {
        assert_eq!(
            [exp(0.0), exp(100.0), exp(f32::INFINITY)],
            [1.0, f32::INFINITY, f32::INFINITY]
        );
        assert_eq!([exp(-200.0), exp(f32::NEG_INFINITY)], [0.0, 0.0]);
        assert!(exp(-95.0) > 0.0, "subnormal");
        assert_eq!([sigmoid(0.0), sigmoid(200.0), sigmoid(-200.0)], [0.5, 1.0, 0.0]);
        assert_eq!(
            [tanh(20.0), tanh(-20.0), tanh(f32::NEG_INFINITY)],
            [1.0, -1.0, -1.0]
        );
        assert_eq!(
            [tanh(0.0), tanh(-0.0)].map(f32::to_bits),
            [0.0f32, -0.0].map(f32::to_bits)
        );
        assert!([exp, sigmoid, tanh].iter().all(|f| f(f32::NAN).is_nan()));
    }

    #[test]
    fn the_same_bits_everywhere() {
        let bits = |x: f32| [exp(x), sigmoid(x), tanh(x)].map(f32::to_bits);
        assert_eq!(bits(-3.0), [0x3d4b_ed86, 0x3d42_41a2, 0xbf7e_bbe9]);
        assert_eq!(bits(-0.1), [0x3f67_a36d, 0x3ef3_35ed, 0xbdcc_1ebc]);
        assert_eq!(bits(0.3), [0x3fac_c82c, 0x3f13_0eaa, 0x3e95_26ee]);
        assert_eq!(bits(9.5), [0x4650_bee8, 0x3f7f_fb18, 0x3f80_0000]);
    }
}
