//! The Cholesky factor of a symmetric positive definite matrix.

use super::strips::{STRIP, Strip, add_square, threads};
use crate::mask::parallel::vectorized;

/// Columns that are factorised at a time.
const BLOCK: usize = 128;

/// A pivot that is not positive: the matrix is not positive definite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BadPivot {
    /// The column of the pivot.
    pub column: usize,
    /// Its value.
    pub value: f64,
}

/// Replaces the lower triangle of a row-major n × n matrix A by the L with A = L × Lᵀ. What is above the diagonal is
/// not read, and means nothing afterwards.
///
/// Entry by entry these are the operations of the textbook, in its order: the entry of A, minus the products of
/// L in the order of columns, divided by the diagonal of L. Blocks and threads only decide when and where that happens.
pub fn factorize(matrix: &mut [f64], n: usize) -> Result<(), BadPivot> {
    for start in (0..n).step_by(BLOCK) {
        let width = BLOCK.min(n - start);
        let (above, below) = matrix.split_at_mut((start + width) * n);
        let block = &mut above[start * n..];
        let transposed = factorize_block(block, n, start, width)?;
        let strips = solve_below(below, n, start, &transposed, width);
        add_square(below, n, start + width, &strips, width);
    }
    Ok(())
}

/// Factorises the block on the diagonal, and returns its transposed factor: row-major, `width` × `width`.
fn factorize_block(block: &mut [f64], n: usize, start: usize, width: usize) -> Result<Vec<f64>, BadPivot> {
    let mut transposed = vec![0.0; width * width];
    for j in 0..width {
        let value = block[j * n + start + j];
        // Also of NaN.
        if !(value > 0.0 && value < f64::INFINITY) {
            return Err(BadPivot {
                column: start + j,
                value,
            });
        }
        let pivot = value.sqrt();
        block[j * n + start + j] = pivot;
        let column = &mut transposed[j * width..][..width];
        column[j] = pivot;
        for i in j + 1..width {
            let entry = &mut block[i * n + start + j];
            *entry /= pivot;
            column[i] = *entry;
        }
        for i in j + 1..width {
            let row = &mut block[i * n + start..][j + 1..=i];
            subtract_multiple(row, column[i], &column[j + 1..=i]);
        }
    }
    Ok(transposed)
}

/// Computes the columns of L that belong to a factorised block, for the rows below it: solves X × Lᵀ = A for X.
fn solve_below(below: &mut [f64], n: usize, start: usize, transposed: &[f64], width: usize) -> Vec<Strip> {
    let operations = (below.len() / n).saturating_mul(width * width / 2);
    let mut parts: Vec<_> = below.chunks_mut(STRIP * n).collect();
    threads(operations).each(&mut parts, |part| {
        for row in part.chunks_mut(n) {
            solve_row(&mut row[start..start + width], transposed);
        }
        Strip::new(part.len() / n, width, -1.0, |row, k| part[row * n + start + k])
    })
}

/// Replaces x by the y with y × Lᵀ = x, where Lᵀ is upper triangular and row-major.
pub fn solve_row(row: &mut [f64], transposed: &[f64]) {
    let width = row.len();
    vectorized(
        #[inline(always)]
        || {
            for j in 0..width {
                let (head, tail) = row.split_at_mut(j + 1);
                let factors = &transposed[j * width..][j..width];
                head[j] /= factors[0];
                subtract_multiple(tail, head[j], &factors[1..]);
            }
        },
    );
}

/// Subtracts a multiple of one vector from another.
#[inline(always)]
pub fn subtract_multiple(from: &mut [f64], factor: f64, vector: &[f64]) {
    for (entry, x) in from.iter_mut().zip(vector) {
        *entry -= factor * x;
    }
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
