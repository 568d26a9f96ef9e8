//! The Cholesky factor of a symmetric positive definite matrix.

use super::strips::{STRIP, Strip, add_square, threads};
use super::triangle::{Triangle, subtract_multiple};
use crate::mask::parallel::vectorized;

/// Columns that are factorised at a time, and of these at a time.
const BLOCKS: [usize; 2] = [128, 32];

/// A pivot that is not positive: the matrix is not positive definite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BadPivot {
    /// The column of the pivot.
    pub column: usize,
    /// Its value.
    pub value: f64,
}

/// Replaces the lower triangle of a row-major n × n matrix A by the L with A = L × Lᵀ. What is above the
/// diagonal is not read, and means nothing afterwards.
///
/// Entry by entry these are the operations of the textbook, in its order: the entry of A, minus the products
/// of L in the order of columns, divided by the diagonal of L. Blocks and threads only decide when and where
/// that happens.
pub fn factorize(matrix: &mut [f64], n: usize) -> Result<(), BadPivot> {
    factorize_square(matrix, n, 0, n, &BLOCKS)
}

/// Factorises the square of this size that begins at column `first` of some rows, which are `stride` apart.
fn factorize_square(
    rows: &mut [f64],
    stride: usize,
    first: usize,
    size: usize,
    blocks: &[usize],
) -> Result<(), BadPivot> {
    let Some((block, smaller)) = blocks.split_first() else {
        return factorize_small(rows, stride, first, size);
    };
    for start in (0..size).step_by(*block) {
        let width = size.min(start + block) - start;
        let (above, below) = rows.split_at_mut((start + width) * stride);
        let (square, first) = (&mut above[start * stride..], first + start);
        factorize_square(square, stride, first, width, smaller)?;
        if !below.is_empty() {
            // Lᵀ is upper triangular.
            let triangle = Triangle::new(width, |row, column| square[column * stride + first + row]);
            let strips = solve_below(below, stride, first, &triangle, width);
            add_square(below, stride, first + width, &strips, width);
        }
    }
    Ok(())
}

/// Computes the columns of L that belong to a factorised square, for the rows below it: solves X × Lᵀ = A for
/// X. Returns X, ready to subtract X × Xᵀ.
fn solve_below(
    below: &mut [f64],
    stride: usize,
    first: usize,
    triangle: &Triangle,
    width: usize,
) -> Vec<Strip> {
    let operations = (below.len() / stride).saturating_mul(width * width / 2);
    let mut parts: Vec<_> = below.chunks_mut(STRIP * stride).collect();
    threads(operations).each(&mut parts, |part| {
        triangle.solve(part, stride, first);
        Strip::negative(part.len() / stride, width, |row, k| {
            part[row * stride + first + k]
        })
    })
}

/// Column by column.
fn factorize_small(rows: &mut [f64], stride: usize, first: usize, size: usize) -> Result<(), BadPivot> {
    let mut column = vec![0.0; size];
    for j in 0..size {
        let value = rows[j * stride + first + j];
        // Also of NaN.
        if !(value > 0.0 && value < f64::INFINITY) {
            return Err(BadPivot {
                column: first + j,
                value,
            });
        }
        let pivot = value.sqrt();
        rows[j * stride + first + j] = pivot;
        vectorized(
            #[inline(always)]
            || {
                for i in j + 1..size {
                    let row = &mut rows[i * stride + first..][j..=i];
                    row[0] /= pivot;
                    column[i] = row[0];
                    subtract_multiple(&mut row[1..], column[i], &column[j + 1..=i]);
                }
            },
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A positive definite matrix of pseudo-random entries.
    fn matrix(n: usize) -> Vec<f64> {
        let noise = |i: usize, j: usize| {
            let (i, j) = (i.max(j) as u64, i.min(j) as u64);
            ((i << 32 | j).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 11) as f64 / (1_u64 << 53) as f64 - 0.5
        };
        (0..n * n)
            .map(|at| {
                noise(at / n, at % n)
                    + if at / n == at % n {
                        n as f64 / 2.0 + 1.0
                    } else {
                        0.0
                    }
            })
            .collect()
    }

    /// The textbook's algorithm, entry by entry.
    fn textbook(a: &[f64], n: usize) -> Vec<f64> {
        let mut l = vec![0.0; n * n];
        for j in 0..n {
            for i in j..n {
                let mut entry = a[i * n + j];
                for k in 0..j {
                    entry -= l[i * n + k] * l[j * n + k];
                }
                l[i * n + j] = if i == j {
                    entry.sqrt()
                } else {
                    entry / l[j * n + j]
                };
            }
        }
        l
    }

    fn lower(matrix: &[f64], n: usize) -> Vec<f64> {
        let keep = |at: usize| if at % n <= at / n { matrix[at] } else { 0.0 };
        (0..n * n).map(keep).collect()
    }

    #[test]
    fn blocks_change_no_bit_of_the_textbook_algorithm() {
        for n in [0, 1, 2, 7, 96, 127, 128, 129, 300] {
            let mut factor = matrix(n);
            let expected = textbook(&factor, n);
            factorize(&mut factor, n).unwrap();
            assert_eq!(lower(&factor, n), expected, "{n}");
        }
    }

    #[test]
    fn the_first_bad_pivot_is_named() {
        let n = 200;
        for column in [0, 5, 150] {
            let mut indefinite = matrix(n);
            indefinite[column * n + column] = -1.0;
            let error = factorize(&mut indefinite, n).unwrap_err();
            assert_eq!(error.column, column);
            assert!(error.value < 0.0);
        }
        let mut not_a_number = matrix(n);
        not_a_number[130 * n + 130] = f64::NAN;
        assert_eq!(factorize(&mut not_a_number, n).unwrap_err().column, 130);
        assert_eq!(factorize(&mut [0.0], 1).unwrap_err().value, 0.0);
    }

    #[cfg(feature = "rayon")]
    #[test]
    fn threads_change_no_bit() {
        let n = 400;
        let factor = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            let mut matrix = matrix(n);
            pool.install(|| factorize(&mut matrix, n)).unwrap();
            lower(&matrix, n)
        };
        let alone = factor(1);
        assert!(alone == factor(2) && alone == factor(7));
    }
}
