//! [`Vector`]: comparisons of 64 keys at once, as the bits of a word.
//!
//! With AVX2, comparisons are packed to bytes, and one instruction takes the top bit of each of 32 bytes. Elsewhere
//! the compiler vectorises plain loops, which is a few times slower.

use super::key::Key;
use crate::mask::bits::BITS;
use crate::mask::parallel::vectorized;

/// How this machine compares many keys at once. Both ways give the same result.
#[derive(Clone, Copy, Debug)]
pub enum Vector {
    /// Plain loops.
    #[cfg_attr(all(feature = "simd", target_arch = "x86_64"), allow(dead_code))]
    Portable,
    /// AVX2.
    #[cfg(all(feature = "simd", target_arch = "x86_64"))]
    Avx2(pulp::x86::V3),
}

impl Vector {
    /// Runs a loop with the best vector instructions that this machine has.
    #[inline(always)]
    pub fn run<R>(work: impl FnOnce(Vector) -> R) -> R {
        #[cfg(all(feature = "simd", target_arch = "x86_64"))]
        if let Some(simd) = pulp::x86::V3::try_new() {
            return simd.vectorize(
                #[inline(always)]
                || work(Vector::Avx2(simd)),
            );
        }
        vectorized(
            #[inline(always)]
            || work(Vector::Portable),
        )
    }

    /// Bit i is set where key i is less than the bound.
    #[inline(always)]
    pub fn less<K: Key>(self, keys: &[K; BITS], bound: K) -> u64 {
        match self {
            Vector::Portable => pack(|i| keys[i] < bound),
            #[cfg(all(feature = "simd", target_arch = "x86_64"))]
            Vector::Avx2(simd) => K::less(simd, keys, bound),
        }
    }

    /// Bit i is set where key i is greater than the bound.
    #[inline(always)]
    pub fn greater<K: Key>(self, keys: &[K; BITS], bound: K) -> u64 {
        match self {
            Vector::Portable => pack(|i| keys[i] > bound),
            #[cfg(all(feature = "simd", target_arch = "x86_64"))]
            Vector::Avx2(simd) => K::greater(simd, keys, bound),
        }
    }

    /// Bit i is set where key i equals the bound.
    #[inline(always)]
    pub fn equal<K: Key>(self, keys: &[K; BITS], bound: K) -> u64 {
        !(self.less(keys, bound) | self.greater(keys, bound))
    }
}

/// 64 flags as the bits of a word: bit i is `flag(i)`.
///
/// The compiler vectorises the first loop, with 16 or more flags per instruction, and a multiplication gathers the
/// low bits of 8 bytes. No two of its partial products meet, so nothing carries.
#[inline(always)]
fn pack(flag: impl Fn(usize) -> bool) -> u64 {
    let mut bytes = [0u8; BITS];
    for (i, byte) in bytes.iter_mut().enumerate() {
        *byte = flag(i).into();
    }
    let mut word = 0;
    for (i, eight) in bytes.as_chunks::<8>().0.iter().enumerate() {
        word |= (u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56) << (8 * i);
    }
    word
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn packs_every_bit() {
        for seed in 0..200u64 {
            let word = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(seed as u32);
            assert_eq!(pack(|i| word >> i & 1 == 1), word);
        }
    }

    fn both_ways_agree<K: Key>(keys: [K; BITS], bound: K) {
        Vector::run(|vector| {
            assert_eq!(vector.less(&keys, bound), Vector::Portable.less(&keys, bound));
            assert_eq!(
                vector.greater(&keys, bound),
                Vector::Portable.greater(&keys, bound)
            );
            assert_eq!(vector.equal(&keys, bound), pack(|i| keys[i] == bound));
        });
    }

    proptest! {
        #[test]
        fn both_ways_give_the_same_words(bits in prop::array::uniform32(any::<[u64; 2]>()), which in 0..BITS, few in any::<bool>()) {
            let wide: [i64; BITS] = std::array::from_fn(|i| {
                let bits = bits[i / 2][i % 2] as i64;
                if few { bits % 3 } else { bits }
            });
            for bound in [wide[which], i64::MIN, i64::MAX, 0] {
                both_ways_agree(wide, bound);
                both_ways_agree(wide.map(|x| x as i32), bound as i32);
                both_ways_agree(wide.map(|x| x as i16), bound as i16);
                both_ways_agree(wide.map(|x| (x >> 32) as i32), (bound >> 32) as i32);
            }
        }
    }
}
