//! The innermost loop of every product: a tile of the result, kept in registers.
//!
//! A product and a sum are rounded separately, and each entry is one sum in the order of k (S5). A fused
//! multiply-add would round once, and only where a machine has it. On processors that add and multiply on
//! separate units it would not be faster either.

/// Rows of a tile. With AVX2, 6 × 8 entries fill 12 of the 16 vector registers; that was the fastest of the
/// shapes that were measured.
pub const ROWS: usize = 6;

/// Columns of a tile.
pub const COLUMNS: usize = 8;

/// A part of a matrix.
pub type Tile = [[f64; COLUMNS]; ROWS];

/// Adds to the tile the sum over k of column `left[k]` times row `right[k]`.
#[inline]
pub fn add_product(tile: &mut Tile, left: &[[f64; ROWS]], right: &[[f64; COLUMNS]]) {
    #[cfg(all(feature = "simd", target_arch = "x86_64"))]
    if let Some(simd) = pulp::x86::V3::try_new() {
        return with_avx2(simd, tile, left, right);
    }
    plain(tile, left, right);
}

fn plain(tile: &mut Tile, left: &[[f64; ROWS]], right: &[[f64; COLUMNS]]) {
    for (left, right) in left.iter().zip(right) {
        for (row, left) in tile.iter_mut().zip(left) {
            for (entry, right) in row.iter_mut().zip(right) {
                *entry += left * right;
            }
        }
    }
}

/// [`plain`] by vectors: the compiler does not keep a whole tile in registers by itself.
#[cfg(all(feature = "simd", target_arch = "x86_64"))]
fn with_avx2(simd: pulp::x86::V3, tile: &mut Tile, left: &[[f64; ROWS]], right: &[[f64; COLUMNS]]) {
    use pulp::{cast, f64x4};

    simd.vectorize(
        #[inline(always)]
        || {
            let mut sums: [[f64x4; 2]; ROWS] = cast(*tile);
            for (left, right) in left.iter().zip(right) {
                let right: [f64x4; 2] = cast(*right);
                for (sums, left) in sums.iter_mut().zip(left) {
                    let left = simd.splat_f64x4(*left);
                    for (sum, right) in sums.iter_mut().zip(right) {
                        *sum = simd.add_f64x4(*sum, simd.mul_f64x4(left, right));
                    }
                }
            }
            *tile = cast(sums);
        },
    );
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn vectors_give_what_plain_loops_give(
            left in prop::collection::vec(prop::array::uniform6(-10.0..10.0), 0..40),
            right in prop::collection::vec(prop::array::uniform8(-1e-3..1e3), 40),
            start in -1e3..1e3,
        ) {
            let (mut fast, mut slow) = ([[start; COLUMNS]; ROWS], [[start; COLUMNS]; ROWS]);
            add_product(&mut fast, &left, &right);
            plain(&mut slow, &left, &right);
            prop_assert_eq!(fast, slow);
        }
    }
}
