//! Products by tiles of 6 × 16 entries, with AVX2 and fused multiply-adds.

mod pack;
mod tile;

use std::cell::Cell;
use std::ops::Range;

use pulp::x86::V3;

use super::Matrix;
use tile::{COLUMNS, ROWS, Tile};

/// Terms of a block of a sum, as in `matrixmultiply`.
const DEPTH: usize = 256;

/// Rows of the left operand that are rearranged at a time: a block of them fits in the second-level cache.
const ROWS_AT_A_TIME: usize = 16 * ROWS;

/// A matrix cut into panels of as many columns as a tile has. What fills up the last one is never read.
pub struct Panels {
    simd: V3,
    /// Rows of each panel.
    depth: usize,
    /// Columns of all panels.
    columns: usize,
    /// The rows of the first panel, then those of the second, and so on.
    rows: Vec<[f32; COLUMNS]>,
    /// How many there are; what follows them is of other matrices.
    len: usize,
}

thread_local! {
    /// Memory for the next panels of this thread. Fresh memory for each product would cost as much as the product: the
    /// system clears it, page by page.
    static SPARE: Cell<Vec<[f32; COLUMNS]>> = const { Cell::new(Vec::new()) };
}

/// At most as many rows, 4 MB, are kept for the next panels.
const SPARE_ROWS: usize = 1 << 16;

impl Drop for Panels {
    fn drop(&mut self) {
        if self.rows.capacity() <= SPARE_ROWS {
            // A thread that ends has no use for it.
            let _ = SPARE.try_with(|spare| spare.set(std::mem::take(&mut self.rows)));
        }
    }
}

impl Panels {
    /// `None` on processors without the instructions.
    pub fn new(matrix: Matrix<'_>) -> Option<Self> {
        // Where nothing is optimised, tiles take a hundred times as long. Dependencies may be optimised even there.
        if cfg!(debug_assertions) && !cfg!(test) {
            return None;
        }
        let simd = V3::try_new()?;
        let (depth, columns) = (matrix.rows, matrix.columns);
        let len = depth * columns.div_ceil(COLUMNS);
        let mut rows = SPARE.take();
        if rows.len() < len {
            rows.resize(len, [0.0; COLUMNS]);
        }
        pack::panels(simd, matrix, &mut rows[..len]);
        Some(Panels {
            simd,
            depth,
            columns,
            len,
            rows,
        })
    }

    /// Adds these rows of `left`, times this, to `out`. Nothing has length 0.
    pub fn add_product(&self, left: Matrix<'_>, rows: Range<usize>, out: &mut [f32]) {
        let mut strips = Vec::new();
        let blocks = rows.step_by(ROWS_AT_A_TIME);
        for (start, out) in blocks.zip(out.chunks_mut(ROWS_AT_A_TIME * self.columns)) {
            let rows = start..start + out.len() / self.columns;
            for start in (0..self.depth).step_by(DEPTH) {
                let depth = start..self.depth.min(start + DEPTH);
                pack::strips(left, rows.clone(), depth.clone(), &mut strips);
                self.add_block(&strips, depth, out);
            }
        }
    }

    /// Adds the product of rearranged rows and a block of the rows of this.
    fn add_block(&self, strips: &[[f32; ROWS]], depth: Range<usize>, out: &mut [f32]) {
        let mut tile: Tile = [[0.0; COLUMNS]; ROWS];
        for (number, panel) in self.rows[..self.len].chunks_exact(self.depth).enumerate() {
            let (panel, start) = (&panel[depth.clone()], number * COLUMNS);
            let columns = start..self.columns.min(start + COLUMNS);
            let of_strips = out.chunks_mut(ROWS * self.columns);
            for (strip, out) in strips.chunks_exact(depth.len()).zip(of_strips) {
                tile::product(self.simd, strip, panel, &mut tile);
                for (out, tile) in out.chunks_exact_mut(self.columns).zip(&tile) {
                    let out = &mut out[columns.clone()];
                    match <&mut [f32; COLUMNS]>::try_from(&mut *out) {
                        Ok(out) => add(out, tile),
                        Err(_) => add(out, tile),
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn add(out: &mut [f32], tile: &[f32; COLUMNS]) {
    for (out, tile) in out.iter_mut().zip(tile) {
        *out += tile;
    }
}
