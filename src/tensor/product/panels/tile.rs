//! The innermost loop of products: a tile of the result, kept in registers.

use pulp::{cast, f32x8, x86::V3};

/// Rows of a tile. 6 × 16 entries fill 12 of the 16 vector registers.
pub const ROWS: usize = 6;

/// Columns of a tile.
pub const COLUMNS: usize = 16;

/// A part of a matrix.
pub type Tile = [[f32; COLUMNS]; ROWS];

/// Makes the tile the sum over k of column `left[k]` times row `right[k]`.
pub fn product(simd: V3, left: &[[f32; ROWS]], right: &[[f32; COLUMNS]], tile: &mut Tile) {
    simd.vectorize(
        #[inline(always)]
        || {
            let mut sums = [[simd.splat_f32x8(0.0); 2]; ROWS];
            for (left, right) in left.iter().zip(right) {
                let right: [f32x8; 2] = cast(*right);
                for (sums, left) in sums.iter_mut().zip(left) {
                    let left = simd.splat_f32x8(*left);
                    for (sum, right) in sums.iter_mut().zip(right) {
                        *sum = simd.mul_add_f32x8(left, right, *sum);
                    }
                }
            }
            *tile = cast(sums);
        },
    );
}
