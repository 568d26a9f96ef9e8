//! Matrix products: `out += a · b`.
//!
//! Every entry is a sum in the order of k, in blocks of 256 terms, each of which is summed from zero before it is
//! added. Neither tiles nor threads change that order, so results do not depend on them. It is the order of
//! `matrixmultiply`, too, which ndarray calls, and which does the work on machines for which there are no tiles here; a
//! test compares the two bit for bit.
//!
//! What is gained over ndarray's product: a right operand is rearranged once for many products, several threads share a
//! large product, and a small one, such as those of convolutions, takes half the time.

mod matrix;
#[cfg(all(feature = "simd", target_arch = "x86_64"))]
mod panels;
#[cfg(test)]
mod tests;

use std::ops::Range;

use ndarray::{ArrayViewMut2, Axis, Slice, linalg::general_mat_mul};

pub(super) use matrix::Matrix;

use crate::mask::parallel::Threads;

/// From this number of multiplications on, a second thread is worth waking by a thread of the pool, and from eight times
/// as many on, by another one. A step of training has gaps in which threads fall asleep.
const LARGE: usize = 1 << 21;

/// Rows of a tile.
pub(super) const TILE_ROWS: usize = 6;

/// How many threads share as many multiplications.
pub(super) fn threads_for(multiplications: usize) -> Threads {
    let large = if Threads::in_pool() { LARGE } else { 8 * LARGE };
    Threads::of_work(multiplications, large)
}

/// Adds the matrix product `a · b` to `out`, a row-major matrix.
pub(super) fn add_product(a: Matrix<'_>, b: Matrix<'_>, out: &mut [f32]) {
    let threads = threads_for(a.elements.len().saturating_mul(b.columns));
    Right::new(b).add_product(threads, a, out);
}

/// The right operand of products, rearranged once for all of them.
pub(super) struct Right<'a> {
    matrix: Matrix<'a>,
    #[cfg(all(feature = "simd", target_arch = "x86_64"))]
    panels: Option<panels::Panels>,
}

impl<'a> Right<'a> {
    pub fn new(matrix: Matrix<'a>) -> Self {
        Right {
            matrix,
            #[cfg(all(feature = "simd", target_arch = "x86_64"))]
            panels: panels::Panels::new(matrix),
        }
    }

    /// Adds `a` times this to `out`, a row-major matrix.
    pub fn add_product(&self, threads: Threads, a: Matrix<'_>, out: &mut [f32]) {
        let columns = self.matrix.columns;
        assert_eq!(
            (a.columns, a.rows * columns),
            (self.matrix.rows, out.len()),
            "the shapes of a product"
        );
        if out.is_empty() || a.columns == 0 {
            return;
        }
        if threads.count() == 1 {
            return self.add_rows(a, 0..a.rows, out);
        }
        let of_task = a.rows.div_ceil(threads.tasks()).next_multiple_of(TILE_ROWS);
        let mut tasks: Vec<_> = out.chunks_mut(of_task * columns).enumerate().collect();
        threads.each(&mut tasks, |(number, out)| {
            let start = *number * of_task;
            self.add_rows(a, start..start + out.len() / columns, out);
        });
    }

    fn add_rows(&self, a: Matrix<'_>, rows: Range<usize>, out: &mut [f32]) {
        #[cfg(all(feature = "simd", target_arch = "x86_64"))]
        if let Some(panels) = &self.panels {
            return panels.add_product(a, rows, out);
        }
        let mut out = ArrayViewMut2::from_shape((rows.len(), self.matrix.columns), out)
            .expect("as many elements as rows times columns");
        general_mat_mul(
            1.0,
            &a.view().slice_axis(Axis(0), Slice::from(rows)),
            &self.matrix.view(),
            1.0,
            &mut out,
        );
    }
}
