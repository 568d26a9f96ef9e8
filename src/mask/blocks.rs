//! The blocks of a tensor: tiles of its last two dimensions, their scores, and masks that drop them whole.

use super::bits;
use super::effective::{Entries, PIECE};
use super::lanes::{Lanes, largest, sum};
use super::packed::Mask;
use super::plan::BlockRank;
use super::select::Element;
use crate::error::{Error, PatternError, Result};

/// A tensor seen as matrices of `rows × columns`, each cut into tiles of `height × width` from its first entry on;
/// the last tiles of a row and of a column are as large as what is left. Blocks are numbered by matrix, then by row
/// of blocks, then by column of blocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Blocks<'a> {
    shape: &'a [usize],
    rows: usize,
    columns: usize,
    height: usize,
    width: usize,
}

impl<'a> Blocks<'a> {
    /// The blocks of `height × width` of a tensor of `shape`.
    pub(crate) fn of(shape: &'a [usize], height: usize, width: usize) -> Result<Self> {
        check(height, width)?;
        let &[.., rows, columns] = shape else {
            return Err(Error::Pattern(PatternError::NoChannels {
                shape: shape.to_vec(),
            }));
        };
        Ok(Blocks {
            shape,
            rows,
            columns,
            // So cut, products of sizes do not overflow.
            height: height.min(rows.max(1)),
            width: width.min(columns.max(1)),
        })
    }

    /// Number of blocks.
    pub(crate) fn count(&self) -> usize {
        let matrices: usize = self.shape[..self.shape.len() - 2].iter().product();
        matrices * self.rows.div_ceil(self.height) * self.across()
    }

    /// Number of blocks in a row of blocks.
    fn across(&self) -> usize {
        self.columns.div_ceil(self.width)
    }

    /// The rows of the tensor, over all its matrices, as `(first entry, row of blocks that it belongs to)`.
    fn rows(&self) -> impl Iterator<Item = (usize, usize)> {
        let down = self.rows.div_ceil(self.height);
        let rows = if self.columns == 0 {
            0
        } else {
            self.shape[..self.shape.len() - 1].iter().product()
        };
        let Blocks {
            rows: of_matrix,
            columns,
            height,
            ..
        } = *self;
        (0..rows).map(move |row| {
            let (matrix, row_of_matrix) = (row / of_matrix, row % of_matrix);
            (row * columns, matrix * down + row_of_matrix / height)
        })
    }

    /// The parts of a row of the tensor that belong to the blocks of its row of blocks, as ranges of entries.
    fn parts(&self, first: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
        let (columns, width) = (self.columns, self.width);
        (0..columns)
            .step_by(width)
            .map(move |column| first + column..first + columns.min(column + width))
    }

    /// For each block whether any of its entries is kept, packed as a mask's entries are.
    pub(crate) fn left(&self, mask: Option<&Mask>) -> Mask {
        let Some(mask) = mask else {
            return Mask::ones(&[self.count()]);
        };
        let mut left = vec![false; self.count()];
        for (first, row) in self.rows() {
            let left = &mut left[row * self.across()..];
            for (left, part) in left.iter_mut().zip(self.parts(first)) {
                *left = *left || bits::any_set(mask.as_words(), part);
            }
        }
        Mask::collect(&[left.len()], left.into_iter())
    }

    /// The prior mask without the blocks that are not `kept`.
    pub(crate) fn mask(&self, prior: Option<&Mask>, kept: &Mask) -> Mask {
        let mut words = match prior {
            Some(prior) => prior.as_words().to_vec(),
            None => Mask::ones(self.shape).as_words().to_vec(),
        };
        for (first, row) in self.rows() {
            for (column, part) in self.parts(first).enumerate() {
                if !kept.bit(row * self.across() + column) {
                    bits::clear(&mut words, part);
                }
            }
        }
        Mask::from_words(self.shape, words).expect("clearing bits leaves a mask a mask")
    }

    /// The score of each block of a tensor in standard layout, in f64.
    ///
    /// The order of additions is fixed (S5): the entries of a column of a block are added first, from the top; the
    /// sums of its columns are added in 16 lanes, as [`Lanes`] says.
    ///
    /// A NaN in a block makes its score NaN.
    pub(crate) fn scores<T: Element>(&self, entries: Entries<'_, T>, by: BlockRank) -> Vec<f64> {
        match by {
            BlockRank::MeanSquare => self.fold(entries, |x| x * x, sum, |sum, entries| sum / entries as f64),
            BlockRank::MaxAbs => self.fold(entries, f64::abs, largest, |largest, _| largest),
        }
    }

    fn fold<T: Element>(
        &self,
        entries: Entries<'_, T>,
        map: impl Fn(f64) -> f64 + Copy,
        join: impl Fn(f64, f64) -> f64 + Copy,
        end: impl Fn(f64, usize) -> f64,
    ) -> Vec<f64> {
        let mut scores = Vec::with_capacity(self.count());
        if entries.len() == 0 {
            return scores;
        }
        let mut buffer = [T::ZERO; PIECE];
        let mut sums = [0.0; PIECE];
        // Strips are of whole blocks, or where a block is wider, it takes several strips.
        let strip = (PIECE / self.width * self.width).max(PIECE.min(self.width));
        let of_matrix = self.rows * self.columns;
        for matrix in (0..entries.len()).step_by(of_matrix) {
            for top in (0..self.rows).step_by(self.height) {
                let height = self.height.min(self.rows - top);
                let mut block = Lanes::new(0.0);
                let mut filled = 0;
                for start in (0..self.columns).step_by(strip) {
                    let sums = &mut sums[..strip.min(self.columns - start)];
                    sums.fill(0.0);
                    for row in top..top + height {
                        let first = matrix + row * self.columns + start;
                        let piece = entries.piece(first, sums.len(), &mut buffer);
                        for (sum, x) in sums.iter_mut().zip(piece) {
                            *sum = join(*sum, map(x.as_()));
                        }
                    }
                    let mut rest = &*sums;
                    while !rest.is_empty() {
                        let (part, after) = rest.split_at(rest.len().min(self.width - filled));
                        block.fold(part, |x| x, join);
                        filled += part.len();
                        rest = after;
                        if filled == self.width {
                            scores.push(end(block.join(join), height * filled));
                            (block, filled) = (Lanes::new(0.0), 0);
                        }
                    }
                }
                if filled > 0 {
                    scores.push(end(block.join(join), height * filled));
                }
            }
        }
        scores
    }
}

/// Refuses blocks without entries.
pub(crate) fn check(height: usize, width: usize) -> Result<()> {
    if height == 0 || width == 0 {
        return Err(Error::Pattern(PatternError::BlockSize { height, width }));
    }
    Ok(())
}
