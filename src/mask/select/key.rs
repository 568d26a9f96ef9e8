//! Floats as integers that sort as the floats do.
//!
//! Comparing integers is what every machine does fastest, also on vectors, and NaN is not a special case. Keys are
//! signed, because SSE2, AVX2 and NEON all compare signed lanes in one instruction. All of selection works on keys.
//! Only this file makes them from floats.

use std::fmt::Debug;

use bytemuck::cast_slice;
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

#[cfg(all(feature = "simd", target_arch = "x86_64"))]
use super::avx2;
#[cfg(all(feature = "simd", target_arch = "x86_64"))]
use crate::mask::bits::BITS;
use crate::mask::parallel::vectorized;

/// What entries are ranked by. In both orders, −0.0 and +0.0 are tied, −∞ and +∞ can be ranked, and NaN is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Order {
    /// The absolute value: −9 ranks as 9.
    Magnitude,
    /// The value, sign and all.
    Value,
}

/// An integer that represents a float and sorts as it does.
pub trait Key: Copy + Ord + Default + Debug + Send + Sync + 'static {
    /// The lowest integer.
    const MIN: Self;
    /// The highest integer.
    const MAX: Self;

    /// The key of the absolute value of the float with these bits.
    fn magnitude(bits: Self) -> Self;

    /// The key of the value of the float with these bits.
    fn value(bits: Self) -> Self;

    /// How far above `low` the key is; for a key below `low`, an offset above all others.
    fn above(self, low: Self) -> u64;

    /// The key as a wide integer.
    fn to_i64(self) -> i64;

    /// The key of a wide integer, which has to fit.
    fn from_i64(wide: i64) -> Self;

    /// Bit i is set where key i is less than the bound.
    #[cfg(all(feature = "simd", target_arch = "x86_64"))]
    fn less(simd: pulp::x86::V3, keys: &[Self; BITS], bound: Self) -> u64;

    /// Bit i is set where key i is greater than the bound.
    #[cfg(all(feature = "simd", target_arch = "x86_64"))]
    fn greater(simd: pulp::x86::V3, keys: &[Self; BITS], bound: Self) -> u64;
}

macro_rules! key {
    ($($int:ty as $unsigned:ty, $word:ident, $compare:ident, $set:ident;)*) => {$(
        impl Key for $int {
            const MIN: Self = <$int>::MIN;
            const MAX: Self = <$int>::MAX;

            #[inline(always)]
            fn magnitude(bits: Self) -> Self {
                bits & <$int>::MAX
            }

            // Sign and magnitude become two's complement, so that −0.0 becomes 0.
            #[inline(always)]
            fn value(bits: Self) -> Self {
                let sign = bits >> (<$int>::BITS - 1);
                (Self::magnitude(bits) ^ sign).wrapping_sub(sign)
            }

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

            #[cfg(all(feature = "simd", target_arch = "x86_64"))]
            #[inline(always)]
            fn less(simd: pulp::x86::V3, keys: &[Self; BITS], bound: Self) -> u64 {
                let bound = simd.avx.$set(bound);
                avx2::$word(simd, keys, #[inline(always)] |keys| simd.avx2.$compare(bound, keys))
            }

            #[cfg(all(feature = "simd", target_arch = "x86_64"))]
            #[inline(always)]
            fn greater(simd: pulp::x86::V3, keys: &[Self; BITS], bound: Self) -> u64 {
                let bound = simd.avx.$set(bound);
                avx2::$word(simd, keys, #[inline(always)] |keys| simd.avx2.$compare(keys, bound))
            }
        }
    )*};
}

key! {
    i16 as u16, word_of_16, _mm256_cmpgt_epi16, _mm256_set1_epi16;
    i32 as u32, word_of_32, _mm256_cmpgt_epi32, _mm256_set1_epi32;
    i64 as u64, word_of_64, _mm256_cmpgt_epi64, _mm256_set1_epi64x;
}

/// The private part of [`Element`](super::Element): floats as keys. No other crate can implement it.
pub trait Rank: Copy + Default + Debug + Send + Sync + 'static {
    /// The integer that sorts as this type does.
    type Key: Key;

    /// The highest key of what can be ranked: that of +∞. A magnitude above it is that of a NaN.
    const HIGHEST: Self::Key;
    /// Which of the 16-bit types this is, if it is one. They have so few keys that each can have a counter.
    const NARROW: Option<usize>;

    /// Key of the absolute value, not negative; −0.0 and +0.0 have the same one.
    fn magnitude(self) -> Self::Key;

    /// Key of the value, sign and all. −0.0 and +0.0 have the same one.
    fn value(self) -> Self::Key;

    /// x as every `f16`, `bf16` and `f32` is an `f64` too; not for keys of NaNs.
    fn widen(key: Self::Key) -> i64;

    /// The bits of the floats, as integers.
    fn bits(values: &[Self]) -> &[Self::Key];
}

macro_rules! rank {
    ($float:ty, $key:ty, $narrow:expr, $to_f64:expr, $values:ident => $bits:expr) => {
        impl Rank for $float {
            type Key = $key;

            const HIGHEST: $key = <$float>::INFINITY.to_bits() as $key;
            const NARROW: Option<usize> = $narrow;

            #[inline(always)]
            fn magnitude(self) -> $key {
                Key::magnitude(self.to_bits() as $key)
            }

            #[inline(always)]
            fn value(self) -> $key {
                Key::value(self.to_bits() as $key)
            }

            #[inline(always)]
            fn widen(key: $key) -> i64 {
                let magnitude = $to_f64(<$float>::from_bits(key.unsigned_abs())).to_bits() as i64;
                if key < 0 { -magnitude } else { magnitude }
            }

            #[inline(always)]
            fn bits($values: &[Self]) -> &[$key] {
                $bits
            }
        }
    };
}

rank!(f16, i16, Some(0), f16::to_f64, values => cast_slice(values.reinterpret_cast()));
// Through f32, which is a shift, rather than by `to_f64`, which unpacks the number.
rank!(
    bf16,
    i16,
    Some(1),
    |x: bf16| f64::from(f32::from_bits(u32::from(x.to_bits()) << 16)),
    values => cast_slice(values.reinterpret_cast())
);
rank!(f32, i32, None, f64::from, values => cast_slice(values));
rank!(f64, i64, None, |x: f64| x, values => cast_slice(values));

/// Fills in the keys of the entries, and says whether one of them is NaN.
///
/// `f16` and `bf16` share this code, as they share the bits of a sign and a magnitude: only the key of +∞ differs.
pub fn fill_keys<K: Key>(bits: &[K], order: Order, infinity: K, keys: &mut [K]) -> bool {
    #[inline(always)]
    fn fill<K: Key>(bits: &[K], infinity: K, keys: &mut [K], key: impl Fn(K) -> K) -> bool {
        // A NaN has the highest magnitude of all, and a maximum takes one instruction for a whole vector.
        let mut highest = K::default();
        for (key_of, bits) in keys.iter_mut().zip(bits) {
            highest = highest.max(K::magnitude(*bits));
            *key_of = key(*bits);
        }
        highest > infinity
    }
    vectorized(
        #[inline(always)]
        || match order {
            Order::Magnitude => fill(bits, infinity, keys, K::magnitude),
            Order::Value => fill(bits, infinity, keys, K::value),
        },
    )
}

/// How the keys of a float type are to be read in an order.
#[derive(Clone, Copy, Debug)]
pub struct Scale<K> {
    /// The lowest key of what can be ranked.
    pub lowest: K,
    /// The highest key of what can be ranked.
    pub highest: K,
    /// Makes keys wide, so that keys of different types can be compared.
    pub widen: fn(K) -> i64,
    /// As [`Rank::NARROW`].
    pub narrow: Option<usize>,
}

impl<K: Key> Scale<K> {
    /// The scale of a type of floats.
    pub fn of<T: Rank<Key = K>>(order: Order) -> Self {
        let lowest = match order {
            Order::Magnitude => K::default(),
            Order::Value => K::from_i64(-T::HIGHEST.to_i64()),
        };
        Scale {
            lowest,
            highest: T::HIGHEST,
            widen: T::widen,
            narrow: T::NARROW,
        }
    }

    /// Whether a key is that of a NaN.
    #[inline(always)]
    pub fn is_nan(&self, key: K) -> bool {
        key < self.lowest || key > self.highest
    }

    /// The first key that is not below a wide key, which is at most that of +∞.
    pub fn first_not_below(&self, wide: i64) -> K {
        let (mut low, mut high) = (self.lowest.to_i64(), self.highest.to_i64());
        while low < high {
            let middle = (low & high) + ((low ^ high) >> 1);
            if (self.widen)(K::from_i64(middle)) < wide {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        K::from_i64(low)
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
    }

    #[test]
    fn keys_of_many_are_those_of_each() {
        let every: Vec<f16> = (0..=u16::MAX).map(f16::from_bits).collect();
        let numbers: Vec<f16> = every.iter().copied().filter(|x| !x.is_nan()).collect();
        for order in [Order::Magnitude, Order::Value] {
            let scale = Scale::of::<f16>(order);
            for (values, nan) in [(&every, true), (&numbers, false)] {
                let mut keys = vec![0; values.len()];
                assert_eq!(fill_keys(f16::bits(values), order, f16::HIGHEST, &mut keys), nan);
                for (value, key) in values.iter().zip(keys) {
                    let expected = match order {
                        Order::Magnitude => value.magnitude(),
                        Order::Value => value.value(),
                    };
                    assert_eq!(key, expected);
                    assert_eq!(scale.is_nan(key), value.is_nan());
                }
            }
        }
    }

    #[test]
    fn wide_keys_among_those_of_a_type() {
        let scale = Scale::of::<bf16>(Order::Value);
        for (wide, expected) in [
            (1.0, bf16::ONE.value()),
            (1.0 + 1e-9, bf16::ONE.value() + 1),
            (-1.0 - 1e-9, -bf16::ONE.value()),
            (f64::NEG_INFINITY, -bf16::HIGHEST),
            (f64::INFINITY, bf16::HIGHEST),
        ] {
            assert_eq!(scale.first_not_below(wide.value()), expected, "{wide}");
        }
    }
}
