//! Floats as integers that sort as the floats do.
//!
//! A comparison of integers is what every machine does fastest, on vectors too, and it has no NaN to trip over. Keys
//! are signed, because SSE2, AVX2 and NEON all compare signed lanes in one instruction.

use half::{bf16, f16};
use std::fmt::Debug;

/// An integer that stands for a float, and sorts as it does.
pub trait Key: Copy + Ord + Default + Debug + Send + Sync + 'static {
    /// The lowest integer.
    const MIN: Self;
    /// The highest integer.
    const MAX: Self;

    /// How far above `low` the key is; of a key below `low`, an offset above all others.
    fn above(self, low: Self) -> u64;

    /// The key as a wide integer.
    fn to_i64(self) -> i64;

    /// The key of a wide integer, which has to fit.
    fn from_i64(wide: i64) -> Self;
}

macro_rules! key {
    ($($int:ty as $unsigned:ty),*) => {$(
        impl Key for $int {
            const MIN: Self = <$int>::MIN;
            const MAX: Self = <$int>::MAX;

            #[inline(always)]
            fn above(self, low: Self) -> u64 {
                (self.wrapping_sub(low) as $unsigned).into()
            }

            #[inline(always)]
            fn to_i64(self) -> i64 {
                self.into()
            }

            #[inline(always)]
            fn from_i64(wide: i64) -> Self {
                wide as Self
            }
        }
    )*};
}

key!(i16 as u16, i32 as u32, i64 as u64);

/// Whatever has a place in an order: the floats, and the words of a random stream.
///
/// It is the hidden half of [`Element`](super::Element): nothing outside of this crate can implement it.
pub trait Rank: Copy + Default + Debug + Send + Sync + 'static {
    /// The integer that sorts as this type does.
    type Key: Key;

    /// The lowest key of what can be ranked: that of −∞.
    const LOWEST: Self::Key;
    /// The lowest magnitude: that of 0.
    const MAGNITUDE_LOWEST: Self::Key;
    /// The highest key of what can be ranked: that of +∞. A magnitude above it is that of a NaN.
    const HIGHEST: Self::Key;
    /// Which of the types of 16 bits this is, if it is one: they have so few keys that each can have a counter.
    const NARROW: Option<usize>;

    /// Key of the absolute value, not negative for floats; −0.0 and +0.0 have the same one.
    fn magnitude(self) -> Self::Key;

    /// Key of the value, sign and all. −0.0 and +0.0 have the same one.
    fn value(self) -> Self::Key;

    /// The key of the same number as an `f64`, so that keys of different types can be compared.
    ///
    /// Exact, as every `f16`, `bf16` and `f32` is an `f64` too; not for keys of NaNs.
    fn widen(key: Self::Key) -> i64;
}

macro_rules! rank {
    ($float:ty, $bits:ty, $key:ty, $infinity:expr, $narrow:expr, $to_f64:expr) => {
        impl Rank for $float {
            type Key = $key;

            const LOWEST: $key = -Self::HIGHEST;
            const MAGNITUDE_LOWEST: $key = 0;
            const HIGHEST: $key = $infinity.to_bits() as $key;
            const NARROW: Option<usize> = $narrow;

            #[inline(always)]
            fn magnitude(self) -> $key {
                (self.to_bits() & (<$bits>::MAX >> 1)) as $key
            }

            // Sign and magnitude become two's complement: −0.0 lands on 0 by itself.
            #[inline(always)]
            fn value(self) -> $key {
                let sign = (self.to_bits() as $key) >> (<$key>::BITS - 1);
                (self.magnitude() ^ sign).wrapping_sub(sign)
            }

            #[inline(always)]
            fn widen(key: $key) -> i64 {
                let magnitude = $to_f64(<$float>::from_bits(key.unsigned_abs())).to_bits() as i64;
                if key < 0 { -magnitude } else { magnitude }
            }
        }
    };
}

rank!(f16, u16, i16, f16::INFINITY, Some(0), f16::to_f64);
// Through f32, which is a shift, rather than by `to_f64`, which unpacks the number.
rank!(bf16, u16, i16, bf16::INFINITY, Some(1), |x: bf16| f64::from(
    f32::from_bits(u32::from(x.to_bits()) << 16)
));
rank!(f32, u32, i32, f32::INFINITY, None, f64::from);
rank!(f64, u64, i64, f64::INFINITY, None, |x: f64| x);

/// A word of a random stream: 0 ranks lowest.
///
/// Its key has the top bit flipped, so that signed comparison sees the order of the unsigned words.
impl Rank for u32 {
    type Key = i32;

    const LOWEST: i32 = i32::MIN;
    const MAGNITUDE_LOWEST: i32 = i32::MIN;
    const HIGHEST: i32 = i32::MAX;
    const NARROW: Option<usize> = None;

    #[inline(always)]
    fn magnitude(self) -> i32 {
        (self ^ (1 << 31)) as i32
    }

    #[inline(always)]
    fn value(self) -> i32 {
        self.magnitude()
    }

    #[inline(always)]
    fn widen(key: i32) -> i64 {
        key.into()
    }
}

/// Which of its two keys an element is ranked by, as a type, so that each order gets loops of its own.
pub trait By: Copy + Send + Sync + 'static {
    /// The key of an element.
    fn key<T: Rank>(element: T) -> T::Key;

    /// The lowest key that an element which can be ranked may have.
    fn lowest<T: Rank>() -> T::Key;
}

/// Ranks by [`Rank::magnitude`].
#[derive(Clone, Copy)]
pub struct ByMagnitude;

/// Ranks by [`Rank::value`].
#[derive(Clone, Copy)]
pub struct ByValue;

impl By for ByMagnitude {
    #[inline(always)]
    fn key<T: Rank>(element: T) -> T::Key {
        element.magnitude()
    }

    #[inline(always)]
    fn lowest<T: Rank>() -> T::Key {
        T::MAGNITUDE_LOWEST
    }
}

impl By for ByValue {
    #[inline(always)]
    fn key<T: Rank>(element: T) -> T::Key {
        element.value()
    }

    #[inline(always)]
    fn lowest<T: Rank>() -> T::Key {
        T::LOWEST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Walks through floats in rising order, and checks that their keys rise with them.
    fn rises<T: Rank + PartialOrd>(sorted: &[T]) {
        for pair in sorted.windows(2) {
            let (a, b) = (pair[0].value(), pair[1].value());
            assert_eq!(a.cmp(&b), pair[0].partial_cmp(&pair[1]).unwrap(), "{pair:?}");
            assert_eq!(T::widen(a).cmp(&T::widen(b)), a.cmp(&b), "{pair:?}");
        }
    }

    #[test]
    fn every_16_bit_float_has_the_key_of_its_f64() {
        for bits in 0..=u16::MAX {
            let (h, b) = (f16::from_bits(bits), bf16::from_bits(bits));
            if h.is_nan() {
                assert!(h.magnitude() > f16::INFINITY.magnitude());
            } else {
                assert_eq!(f16::widen(h.value()), h.to_f64().value());
                assert_eq!(f16::widen(h.magnitude()), h.to_f64().magnitude());
            }
            if b.is_nan() {
                assert!(b.magnitude() > bf16::INFINITY.magnitude());
            } else {
                assert_eq!(bf16::widen(b.value()), b.to_f64().value());
                assert_eq!(bf16::widen(b.magnitude()), b.to_f64().magnitude());
            }
        }
    }

    #[test]
    fn keys_sort_as_floats_do() {
        rises(&[
            f32::NEG_INFINITY,
            f32::MIN,
            -1.0,
            -1e-45,
            -0.0,
            0.0,
            1e-45,
            f32::MIN_POSITIVE,
            1.0,
            f32::MAX,
        ]);
        rises(&[
            f64::NEG_INFINITY,
            f64::MIN,
            -1.0,
            -5e-324,
            -0.0,
            0.0,
            5e-324,
            1.0,
            f64::MAX,
            f64::INFINITY,
        ]);
        assert_eq!((-0.0f32).magnitude(), 0);
        assert!((-f32::NAN).magnitude() > f32::INFINITY.magnitude());
        assert!(0u32.magnitude() < 1u32.magnitude() && 1u32.magnitude() < u32::MAX.magnitude());
    }
}
