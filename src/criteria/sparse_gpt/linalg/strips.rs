//! Products of a matrix with its own transpose, added to the lower triangle of a symmetric matrix, by strips
//! of rows that threads share.

use super::panels::{Left, Right, add_lower_product, add_product};
use crate::mask::parallel::Threads;

/// Rows of a strip. Both operands of a product of two strips fit in the second-level cache. A multiple of the
/// sizes of a tile, so that only the last strip has tiles that are not full.
pub const STRIP: usize = 96;

/// So many multiplications and additions take about as long as handling one entry elsewhere, where a number
/// of entries decides whether a second thread is worth waking.
const OPERATIONS_PER_ENTRY: usize = 8;

/// The threads for so many multiplications and additions.
pub fn threads(operations: usize) -> Threads {
    Threads::of(operations / OPERATIONS_PER_ENTRY)
}

/// A strip of rows of a matrix A, as the left operand of A × Aᵀ, and as the right one.
pub struct Strip {
    left: Left,
    right: Right,
}

impl Strip {
    /// The strip whose entries are `entry(row, k)`. As a left operand it is negative, to subtract products.
    pub fn negative(rows: usize, length: usize, entry: impl Fn(usize, usize) -> f64) -> Self {
        Strip {
            left: Left::from_fn(rows, length, |row, k| -entry(row, k)),
            right: Right::from_fn(rows, length, entry),
        }
    }

    /// The strip whose columns are `column(k)`.
    pub fn from_columns<'a>(rows: usize, length: usize, column: impl Fn(usize) -> &'a [f64]) -> Self {
        Strip {
            left: Left::from_rows(rows, length, &column),
            right: Right::from_rows(rows, length, column),
        }
    }
}

/// Adds A × Aᵀ to the lower triangle of a matrix whose rows are `stride` apart and begin at column `start`;
/// `length` is the number of columns of A.
///
/// Above the diagonal, some entries change too, and mean nothing.
pub fn add_square(into: &mut [f64], stride: usize, start: usize, strips: &[Strip], length: usize) {
    let rows = into.len() / stride.max(1);
    // The last strips have the longest rows: with these first, threads finish at about the same time.
    let mut parts: Vec<_> = into.chunks_mut(STRIP * stride.max(1)).enumerate().rev().collect();
    threads((rows * rows / 2).saturating_mul(length)).each(&mut parts, |(number, part)| {
        for (column, right) in strips[..=*number].iter().enumerate() {
            let part = &mut part[start + column * STRIP..];
            let left = &strips[*number].left;
            if column < *number {
                add_product(part, stride, left, &right.right, length);
            } else {
                add_lower_product(part, stride, left, &right.right, length);
            }
        }
    });
}
