//! Operands rearranged in the order in which tiles read them.

use std::arch::x86_64::__m256;
use std::array::from_fn;
use std::ops::Range;

use pulp::{cast, x86::V3};

use super::super::Matrix;
use super::tile::{COLUMNS, ROWS};

/// Copies a matrix: the first 16 columns, row by row, then the next 16, and so on.
pub fn panels(simd: V3, matrix: Matrix<'_>, panels: &mut [[f32; COLUMNS]]) {
    let (depth, columns) = (matrix.rows, matrix.columns);
    if depth == 0 {
        return;
    }
    for (number, panel) in panels.chunks_exact_mut(depth).enumerate() {
        let start = number * COLUMNS;
        let width = COLUMNS.min(columns - start);
        if matrix.transposed {
            // The last column stands for those that are missing.
            let column = |c: usize| &matrix.elements[(start + c.min(width - 1)) * depth..][..depth];
            transpose(simd, from_fn(column), panel);
        } else {
            for (to, row) in panel.iter_mut().zip(matrix.elements.chunks_exact(columns)) {
                let row = &row[start..start + width];
                match row.try_into() {
                    Ok(row) => *to = row,
                    Err(_) => to[..width].copy_from_slice(row),
                }
            }
        }
    }
}

/// Copies a part of a matrix: the first 6 rows, column by column, then the next 6, and so on. What fills up the last
/// ones is whatever was there.
pub fn strips(matrix: Matrix<'_>, rows: Range<usize>, depth: Range<usize>, strips: &mut Vec<[f32; ROWS]>) {
    strips.resize(rows.len().div_ceil(ROWS) * depth.len(), [0.0; ROWS]);
    for (start, strip) in rows
        .clone()
        .step_by(ROWS)
        .zip(strips.chunks_exact_mut(depth.len()))
    {
        let height = ROWS.min(rows.end - start);
        if matrix.transposed {
            let columns = matrix.elements.chunks_exact(matrix.rows).skip(depth.start);
            for (to, column) in strip.iter_mut().zip(columns) {
                let column = &column[start..start + height];
                match column.try_into() {
                    Ok(column) => *to = column,
                    Err(_) => to[..height].copy_from_slice(column),
                }
            }
        } else {
            for r in 0..height {
                let row = &matrix.elements[(start + r) * matrix.columns..][..matrix.columns];
                for (to, &x) in strip.iter_mut().zip(&row[depth.clone()]) {
                    to[r] = x;
                }
            }
        }
    }
}

/// Copies 16 columns row by row.
// No iterators or maps between an instruction and `vectorize`: what is not inlined there is compiled as a call.
fn transpose(simd: V3, columns: [&[f32]; COLUMNS], rows: &mut [[f32; COLUMNS]]) {
    simd.vectorize(
        #[inline(always)]
        || {
            let (blocks, rest) = rows.as_chunks_mut::<8>();
            for (number, block) in blocks.iter_mut().enumerate() {
                let left = eight_by_eight(simd, &columns, 0, number);
                let right = eight_by_eight(simd, &columns, 8, number);
                for i in 0..8 {
                    block[i] = cast([left[i], right[i]]);
                }
            }
            let done = 8 * blocks.len();
            for (i, row) in rest.iter_mut().enumerate() {
                for (entry, column) in row.iter_mut().zip(&columns) {
                    *entry = column[done + i];
                }
            }
        },
    );
}

/// Of eight columns from `first` on, the block of eight entries of this number, row by row.
#[inline(always)]
fn eight_by_eight(simd: V3, columns: &[&[f32]; COLUMNS], first: usize, number: usize) -> [__m256; 8] {
    let avx = simd.avx;
    let mut v: [__m256; 8] = from_fn(
        #[inline(always)]
        |c| cast(columns[first + c].as_chunks::<8>().0[number]),
    );
    // Entries of two columns by turns, then those of four, then those of eight.
    for i in [0, 2, 4, 6] {
        let (a, b) = (v[i], v[i + 1]);
        (v[i], v[i + 1]) = (avx._mm256_unpacklo_ps(a, b), avx._mm256_unpackhi_ps(a, b));
    }
    for i in [0, 1, 4, 5] {
        let (a, b) = (v[i], v[i + 2]);
        v[i] = avx._mm256_shuffle_ps::<0x44>(a, b);
        v[i + 2] = avx._mm256_shuffle_ps::<0xEE>(a, b);
    }
    for i in 0..4 {
        let (a, b) = (v[i], v[i + 4]);
        v[i] = avx._mm256_permute2f128_ps::<0x20>(a, b);
        v[i + 4] = avx._mm256_permute2f128_ps::<0x31>(a, b);
    }
    let [r0, r2, r1, r3, r4, r6, r5, r7] = v;
    [r0, r1, r2, r3, r4, r5, r6, r7]
}
