//! [`Panels`]: an operand of a product, in the order in which tiles read it.

use std::ops::Range;

use super::tile::{self, COLUMNS, ROWS, Tile};

/// This many steps of k at a time, so that what a tile reads stays in the fastest cache.
const DEPTH: usize = 256;

/// Vectors of one length, `WIDTH` of them side by side: entry k of each, then entry k + 1 of each.
///
/// The last panel may have fewer vectors. The others are zeros.
pub struct Panels<const WIDTH: usize> {
    vectors: usize,
    length: usize,
    entries: Vec<[f64; WIDTH]>,
}

/// The rows of a left operand.
pub type Left = Panels<ROWS>;

/// The columns of a right operand.
pub type Right = Panels<COLUMNS>;

impl<const WIDTH: usize> Panels<WIDTH> {
    /// Vectors of zeros.
    pub fn zeros(vectors: usize, length: usize) -> Self {
        Panels {
            vectors,
            length,
            entries: vec![[0.0; WIDTH]; vectors.div_ceil(WIDTH) * length],
        }
    }

    /// The vectors whose entries are `entry(vector, k)`.
    pub fn from_fn(vectors: usize, length: usize, entry: impl Fn(usize, usize) -> f64) -> Self {
        let mut panels = Self::zeros(vectors, length);
        for first in (0..vectors).step_by(WIDTH) {
            let width = WIDTH.min(vectors - first);
            for (k, side_by_side) in panels.panel_mut(first / WIDTH).iter_mut().enumerate() {
                for (number, slot) in side_by_side[..width].iter_mut().enumerate() {
                    *slot = entry(first + number, k);
                }
            }
        }
        panels
    }

    /// The vectors whose entries k are `row(k)`, one after the other.
    pub fn from_rows<'a>(vectors: usize, length: usize, row: impl Fn(usize) -> &'a [f64]) -> Self {
        let mut panels = Self::zeros(vectors, length);
        for k in 0..length {
            // Row by row, because rows may be far apart.
            for (number, from) in row(k).chunks(WIDTH).enumerate() {
                let to = &mut panels.entries[number * length + k];
                match from.first_chunk() {
                    Some(whole) => *to = *whole,
                    None => to[..from.len()].copy_from_slice(from),
                }
            }
        }
        panels
    }

    /// Sets entry `k` of a vector.
    pub fn set(&mut self, vector: usize, k: usize, value: f64) {
        self.panel_mut(vector / WIDTH)[k][vector % WIDTH] = value;
    }

    /// The sum of squares of all entries.
    pub fn sum_of_squares(&self) -> f64 {
        self.entries.iter().flatten().map(|x| x * x).sum()
    }

    fn panel(&self, number: usize) -> &[[f64; WIDTH]] {
        &self.entries[number * self.length..][..self.length]
    }

    fn panel_mut(&mut self, number: usize) -> &mut [[f64; WIDTH]] {
        &mut self.entries[number * self.length..][..self.length]
    }
}

/// Adds left × right to a part of a matrix, whose rows are `stride` apart and which begins where the slice
/// does. Of the vectors, only the first `length` entries take part.
///
/// Each entry of the result is one sum in the order of k that begins with what is there already. So however a
/// product is divided, by rows, by columns or by k, and whoever computes the parts, the result is the same
/// bit for bit (S5).
pub fn add_product(into: &mut [f64], stride: usize, left: &Left, right: &Right, length: usize) {
    add_tiles(into, stride, left, right, length, |_, _| true);
}

/// [`add_product`] of a matrix with its own transpose, where only the lower triangle of the result is needed.
/// Above the diagonal some entries are added to, and others are not.
pub fn add_lower_product(into: &mut [f64], stride: usize, left: &Left, right: &Right, length: usize) {
    add_tiles(into, stride, left, right, length, |rows, columns| {
        columns.start < rows.end
    });
}

/// Adds the product to the tiles of these rows and columns.
fn add_tiles(
    into: &mut [f64],
    stride: usize,
    left: &Left,
    right: &Right,
    length: usize,
    needed: impl Fn(&Range<usize>, &Range<usize>) -> bool,
) {
    for start in (0..length).step_by(DEPTH) {
        let steps = start..length.min(start + DEPTH);
        for first_column in (0..right.vectors).step_by(COLUMNS) {
            let columns = first_column..right.vectors.min(first_column + COLUMNS);
            let right = &right.panel(first_column / COLUMNS)[steps.clone()];
            for first_row in (0..left.vectors).step_by(ROWS) {
                let rows = first_row..left.vectors.min(first_row + ROWS);
                if needed(&rows, &columns) {
                    let left = &left.panel(first_row / ROWS)[steps.clone()];
                    add_to_tile(into, stride, rows, columns.clone(), left, right);
                }
            }
        }
    }
}

fn add_to_tile(
    into: &mut [f64],
    stride: usize,
    rows: Range<usize>,
    columns: Range<usize>,
    left: &[[f64; ROWS]],
    right: &[[f64; COLUMNS]],
) {
    let mut tile: Tile = [[0.0; COLUMNS]; ROWS];
    for (tile, row) in tile.iter_mut().zip(rows.clone()) {
        let from = &into[row * stride..][columns.clone()];
        // A length that is known is copied by vectors.
        match from.first_chunk() {
            Some(whole) => *tile = *whole,
            None => tile[..from.len()].copy_from_slice(from),
        }
    }
    tile::add_product(&mut tile, left, right);
    for (tile, row) in tile.iter().zip(rows) {
        let to = &mut into[row * stride..][columns.clone()];
        match to.first_chunk_mut() {
            Some(whole) => *whole = *tile,
            None => to.copy_from_slice(&tile[..to.len()]),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn a_product_is_one_sum_per_entry_in_order(
            rows in 0_usize..20,
            columns in 0_usize..20,
            length in 0_usize..300,
            extra in 0_usize..3,
            seed in any::<u64>(),
        ) {
            let value = |i: usize, j: usize| {
                ((i * 31 + j * 17) as u64 ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) as f64 / 2e18 - 4.0
            };
            let left = Left::from_fn(rows, length + extra, value);
            let right = Right::from_fn(columns, length + extra, |j, k| value(k, j + 7));
            let by_row = |at: usize| value(at / columns, at % columns + 7);
            let by_rows: Vec<f64> = (0..(length + extra) * columns).map(by_row).collect();
            let same = Right::from_rows(columns, length + extra, |k| &by_rows[k * columns..][..columns]);
            prop_assert_eq!(&same.entries, &right.entries);
            let stride = columns + extra;
            let mut into: Vec<f64> = (0..rows * stride).map(|i| value(i, 3)).collect();
            let mut expected = into.clone();
            let mut lower = into.clone();
            add_product(&mut into, stride, &left, &right, length);
            add_lower_product(&mut lower, stride, &left, &right, length);
            for i in 0..rows {
                for j in 0..columns {
                    for k in 0..length {
                        expected[i * stride + j] += value(i, k) * value(k, j + 7);
                    }
                }
            }
            for i in 0..rows {
                let range = i * stride..i * stride + columns.min(i + 1);
                prop_assert_eq!(&lower[range.clone()], &expected[range]);
            }
            prop_assert_eq!(into, expected);
        }
    }
}
