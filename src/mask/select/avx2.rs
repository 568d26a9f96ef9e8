//! Comparisons of 64 lanes as words of 64 bits, with AVX2. A comparison sets all bits of a lane, or none.

use std::arch::x86_64::__m256i;
use std::array::from_fn;

use pulp::cast;
use pulp::x86::V3;

use crate::mask::bits::BITS;

/// The flags of 64 lanes of 16 bits.
#[inline(always)]
pub fn word_of_16(simd: V3, keys: &[i16; BITS], compare: impl Fn(__m256i) -> __m256i) -> u64 {
    let (keys, _) = keys.as_chunks::<16>();
    let flags: [__m256i; 4] = from_fn(|i| compare(cast(keys[i])));
    let half = |i: usize| {
        let bytes = simd.avx2._mm256_packs_epi16(flags[2 * i], flags[2 * i + 1]);
        bits(simd, simd.avx2._mm256_permute4x64_epi64::<0b11_01_10_00>(bytes))
    };
    half(0) | half(1) << 32
}

/// The flags of 64 lanes of 32 bits.
#[inline(always)]
pub fn word_of_32(simd: V3, keys: &[i32; BITS], compare: impl Fn(__m256i) -> __m256i) -> u64 {
    let (keys, _) = keys.as_chunks::<8>();
    narrow(simd, from_fn(|i| compare(cast(keys[i]))))
}

/// The flags of 64 lanes of 64 bits.
#[inline(always)]
pub fn word_of_64(simd: V3, keys: &[i64; BITS], compare: impl Fn(__m256i) -> __m256i) -> u64 {
    let (keys, _) = keys.as_chunks::<4>();
    // Loops, because of 16 vectors `from_fn` becomes a function of its own, without AVX2.
    let mut flags = [cast([0_u64; 4]); 16];
    for (flags, keys) in flags.iter_mut().zip(keys) {
        *flags = compare(cast(*keys));
    }
    // The lower halves of two vectors' lanes, in order.
    let mut pairs = [cast([0_u64; 4]); 8];
    for (pair, [a, b]) in pairs.iter_mut().zip(flags.as_chunks().0) {
        let halves = simd.avx._mm256_shuffle_ps::<0b10_00_10_00>(cast(*a), cast(*b));
        *pair = simd.avx2._mm256_permute4x64_epi64::<0b11_01_10_00>(cast(halves));
    }
    narrow(simd, pairs)
}

/// The flags of 8 vectors of 8 lanes.
#[inline(always)]
fn narrow(simd: V3, flags: [__m256i; 8]) -> u64 {
    // Packing works on each half of a vector separately. A permutation of groups of four bytes restores the order.
    let order: __m256i = cast([0, 4, 1, 5, 2, 6, 3, 7]);
    let half = |i: usize| {
        let low = simd.avx2._mm256_packs_epi32(flags[4 * i], flags[4 * i + 1]);
        let high = simd.avx2._mm256_packs_epi32(flags[4 * i + 2], flags[4 * i + 3]);
        let bytes = simd.avx2._mm256_packs_epi16(low, high);
        bits(simd, simd.avx2._mm256_permutevar8x32_epi32(bytes, order))
    };
    half(0) | half(1) << 32
}

/// The top bits of 32 bytes.
#[inline(always)]
fn bits(simd: V3, bytes: __m256i) -> u64 {
    u64::from(simd.avx2._mm256_movemask_epi8(bytes) as u32)
}
