//! [`Triangle`]: systems of equations with a triangular matrix.

use super::panels::{Left, Right, add_product};
use crate::mask::parallel::vectorized;

/// Columns that are solved one by one. What they change in later ones is a product.
const WIDTH: usize = 32;

/// Rows that are solved together: of one row alone, each entry waits for the one before it.
const TOGETHER: usize = 8;

/// An upper triangular matrix U, ready to solve Y × U = X for Y.
pub struct Triangle {
    parts: Vec<Part>,
}

/// Some rows of U.
struct Part {
    start: usize,
    width: usize,
    /// Their square on the diagonal, row-major.
    square: Vec<f64>,
    /// What is to the right of it.
    right: Right,
    others: usize,
}

impl Triangle {
    /// The matrix of this size whose entries are `entry(row, column)`, where `column` is not below `row`.
    pub fn new(size: usize, entry: impl Fn(usize, usize) -> f64) -> Self {
        let part = |start: usize| {
            let width = WIDTH.min(size - start);
            let (end, others) = (start + width, size - start - width);
            let of_square = |at: usize| (start + at / width, start + at % width);
            let in_triangle = |(row, column)| if row <= column { entry(row, column) } else { 0.0 };
            Part {
                start,
                width,
                square: (0..width * width).map(of_square).map(in_triangle).collect(),
                right: Right::from_fn(others, width, |column, k| entry(start + k, end + column)),
                others,
            }
        };
        Triangle {
            parts: (0..size).step_by(WIDTH).map(part).collect(),
        }
    }

    /// Replaces X by Y in the columns from `start` on of a matrix whose rows are `stride` apart.
    ///
    /// An entry of Y is that of X, minus the products of U with entries of Y before it, in their order,
    /// divided by the diagonal of U.
    pub fn solve(&self, rows: &mut [f64], stride: usize, start: usize) {
        let number = rows.len() / stride;
        for part in &self.parts {
            let first = start + part.start;
            for rows in rows.chunks_mut(TOGETHER * stride) {
                let mut together = [[0.0; TOGETHER]; WIDTH];
                for (number, row) in rows.chunks(stride).enumerate() {
                    for (entries, x) in together.iter_mut().zip(&row[first..first + part.width]) {
                        entries[number] = *x;
                    }
                }
                solve_together(&mut together[..part.width], &part.square);
                for (number, row) in rows.chunks_mut(stride).enumerate() {
                    for (entries, y) in together.iter().zip(&mut row[first..first + part.width]) {
                        *y = entries[number];
                    }
                }
            }
            if part.others > 0 {
                let left = Left::from_fn(number, part.width, |row, k| -rows[row * stride + first + k]);
                add_product(
                    &mut rows[first + part.width..],
                    stride,
                    &left,
                    &part.right,
                    part.width,
                );
            }
        }
    }
}

/// Solves for several rows, whose entries of a column are side by side.
fn solve_together(columns: &mut [[f64; TOGETHER]], square: &[f64]) {
    let width = columns.len();
    vectorized(
        #[inline(always)]
        || {
            for j in 0..width {
                let (solved, others) = columns.split_at_mut(j + 1);
                let factors = &square[j * width..][j..width];
                let solved = &mut solved[j];
                solved.iter_mut().for_each(|x| *x /= factors[0]);
                for (column, factor) in others.iter_mut().zip(&factors[1..]) {
                    for (entry, x) in column.iter_mut().zip(&*solved) {
                        *entry -= x * factor;
                    }
                }
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

    #[test]
    fn solutions_are_those_of_single_rows() {
        for (rows, size) in [(1, 1), (3, 31), (7, 33), (13, 100)] {
            let noise = |i: usize, j: usize| ((i * 37 + j * 101) % 64) as f64 / 32.0 - 0.9;
            let upper = |i: usize, j: usize| {
                if i == j {
                    3.0 + noise(i, j)
                } else {
                    noise(i, j) / 8.0
                }
            };
            let stride = size + 5;
            let mut solved: Vec<f64> = (0..rows * stride).map(|at| noise(at, 1)).collect();
            let mut expected = solved.clone();
            Triangle::new(size, upper).solve(&mut solved, stride, 2);
            for row in expected.chunks_mut(stride) {
                for j in 0..size {
                    for k in 0..j {
                        row[2 + j] -= row[2 + k] * upper(k, j);
                    }
                    row[2 + j] /= upper(j, j);
                }
            }
            assert_eq!(solved, expected);
        }
    }
}
