//! Blocks: tiles of the last two dimensions, scored while they stream by.
//!
//! The order of additions is that of the mask layer (S5): the entries of a column of a block are added first, from the
//! top; the sums of its columns are added in lanes.

use super::Verdict;
use crate::checkpoint::Checkpoint;
use crate::checkpoint::extent::{CHUNK, Extent};
use crate::checkpoint::values::{Float, with_floats};
use crate::checkpoint::work::Phase;
use crate::error::Result;
use crate::mask::bits::clear;
use crate::mask::blocks::Blocks;
use crate::mask::lanes::{Lanes, largest, sum};
use crate::mask::select::{self, Order, Segment};
use crate::mask::{Amount, BlockRank};

/// Columns that are added up at once.
const COLUMNS: usize = CHUNK / size_of::<f64>();

/// A tensor seen as tiles of `height × width` of its matrices, numbered as the mask layer does.
#[derive(Clone, Copy, Debug)]
pub(in crate::checkpoint) struct Tiles {
    count: usize,
    /// Rows of all matrices.
    all_rows: usize,
    /// Rows of one.
    rows: usize,
    columns: usize,
    height: usize,
    width: usize,
}

impl Tiles {
    pub fn of(shape: &[usize], height: usize, width: usize) -> Result<Self> {
        let count = Blocks::of(shape, height, width)?.count();
        let (columns, rows) = (shape[shape.len() - 1], shape[shape.len() - 2]);
        Ok(Tiles {
            count,
            all_rows: shape[..shape.len() - 1].iter().product(),
            rows,
            columns,
            height: height.min(rows.max(1)),
            width: width.min(columns.max(1)),
        })
    }

    /// Number of tiles.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The row of tiles that a row belongs to.
    fn band(&self, row: usize) -> usize {
        let down = self.rows.div_ceil(self.height);
        row / self.rows * down + row % self.rows / self.height
    }

    /// How many rows of its tiles come before a row, and how many rows they have.
    fn place_in_band(&self, row: usize) -> (usize, usize) {
        let row = row % self.rows;
        let first = row - row % self.height;
        (row - first, self.height.min(self.rows - first))
    }

    /// The rows in the order in which they are added: whole ones, several at once; or, where they are too long for
    /// that, part by part of a row of tiles.
    fn extents(self, tensor: usize) -> impl Iterator<Item = Extent> + Clone + Send {
        let (rows, columns) = (if self.columns == 0 { 0 } else { self.all_rows }, self.columns);
        let several = COLUMNS / columns.max(1);
        let bands = (0..rows).filter(move |&row| several > 0 || self.place_in_band(row).0 == 0);
        bands
            .step_by(several.max(1))
            .flat_map(move |first| {
                let (width, rows) = match several {
                    0 => (COLUMNS, self.place_in_band(first).1),
                    _ => (columns, 1),
                };
                (0..columns)
                    .step_by(width)
                    .flat_map(move |column| (first..first + rows).map(move |row| (row, column, width)))
            })
            .map(move |(row, column, width)| {
                let together = several.clamp(1, rows - row);
                let len = width.min(columns - column) * together;
                Extent::run(tensor, row * columns + column, len)
            })
    }

    /// Clears the bits of what falls in an extent.
    pub fn mask(&self, stays: &[u64], extent: Extent, kept: &mut [u64]) {
        let across = self.columns.div_ceil(self.width);
        let mut entry = 0;
        while entry < extent.len {
            let (row, column) = (
                (extent.first + entry) / self.columns,
                (extent.first + entry) % self.columns,
            );
            let end_of_row = extent.len.min(entry + self.columns - column);
            let mut tile = self.band(row) * across + column / self.width;
            let mut end_of_tile = entry + self.width - column % self.width;
            while entry < end_of_row {
                let end = end_of_row.min(end_of_tile);
                if stays[tile / 64] >> (tile % 64) & 1 == 0 {
                    clear(kept, entry..end);
                }
                (entry, tile, end_of_tile) = (end, tile + 1, end_of_tile + self.width);
            }
        }
    }
}

impl Checkpoint {
    /// The blocks of a tensor that fall, and how many.
    pub(super) fn blocks(
        &self,
        tensor: usize,
        amount: Amount,
        (height, width): (usize, usize),
        by: BlockRank,
    ) -> Result<(Verdict, usize)> {
        let tiles = Tiles::of(self.tensors()[tensor].shape(), height, width)?;
        let asked = amount.units(tiles.count, tiles.count)?;
        let scores = match by {
            BlockRank::MeanSquare => {
                self.scores(tensor, tiles, |x| x * x, sum, |sum, entries| sum / entries as f64)?
            }
            BlockRank::MaxAbs => self.scores(tensor, tiles, f64::abs, largest, |largest, _| largest)?,
        };
        match select::lowest(&[Segment::new(&scores)], asked, Order::Value) {
            Ok(mut kept) => {
                let kept = kept.swap_remove(0);
                Ok((Verdict::Blocks { tiles, kept }, asked))
            }
            Err(_) => Err(self.first_nan(tensor)?),
        }
    }

    /// The score of each block: its entries mapped, joined, and brought to an end together with their number.
    fn scores(
        &self,
        tensor: usize,
        tiles: Tiles,
        map: impl Fn(f64) -> f64 + Copy + Sync,
        join: impl Fn(f64, f64) -> f64 + Copy + Sync,
        end: impl Fn(f64, usize) -> f64 + Sync,
    ) -> Result<Vec<f64>> {
        let mut columns = vec![0.0; COLUMNS.min(tiles.columns)];
        let mut block = Lanes::new(0.0);
        let mut filled = 0;
        let mut scores = Vec::with_capacity(tiles.count);
        let mut end_row = |first: usize, columns: &mut [f64]| {
            let (row, column) = (first / tiles.columns, first % tiles.columns);
            let (above, height) = tiles.place_in_band(row);
            if above + 1 < height {
                return;
            }
            let at_the_edge = column + columns.len() == tiles.columns;
            let mut rest = &*columns;
            while !rest.is_empty() {
                let (part, after) = rest.split_at(rest.len().min(tiles.width - filled));
                block.fold(part, |x| x, join);
                filled += part.len();
                rest = after;
                if filled == tiles.width || (rest.is_empty() && at_the_edge) {
                    scores.push(end(block.join(join), height * filled));
                    (block, filled) = (Lanes::new(0.0), 0);
                }
            }
            columns.fill(0.0);
        };
        self.look(Phase::Ranking, tiles.extents(tensor), |extent, values| {
            let width = tiles.columns.min(extent.len);
            let columns = &mut columns[..width];
            with_floats!(values, values => {
                for (number, row) in values.chunks_exact(width).enumerate() {
                    add(columns, row, map, join);
                    end_row(extent.first + number * width, columns);
                }
            }, raw => {});
            Ok(())
        })?;
        Ok(scores)
    }
}

/// Joins the entries of a row, mapped, onto the sums of their columns.
#[inline(always)]
fn add<T: Float>(columns: &mut [f64], row: &[T], map: impl Fn(f64) -> f64, join: impl Fn(f64, f64) -> f64) {
    for (sum, x) in columns.iter_mut().zip(row) {
        *sum = join(*sum, map(x.as_()));
    }
}
