//! The blocks of a tensor: tiles of its last two dimensions, their scores, and masks without them.

use std::ops::Range;

use super::fold::{Fold, Units};
use super::piece::{Piece, Rows};
use super::read::{Buffer, Entries, PLACES};
use crate::error::{PatternError, Result};
use crate::mask::bits;
use crate::mask::parallel::{Threads, vectorized};
use crate::mask::select::{self, Order, Segment};
use crate::mask::{BlockRank, Mask};

/// A tensor seen as matrices of `rows × columns`, each cut into tiles of `height × width` from its first entry on.
/// The last tiles of a row and of a column may be smaller. A row of blocks is called a band here. Blocks are numbered
/// by matrix, then by band, then by column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Blocks {
    /// Rows of all matrices.
    all_rows: usize,
    rows: usize,
    columns: usize,
    height: usize,
    width: usize,
}

impl Blocks {
    /// The blocks of `height × width` of a tensor of `shape`.
    pub(crate) fn of(shape: &[usize], height: usize, width: usize) -> Result<Self> {
        check(height, width)?;
        let &[.., rows, columns] = shape else {
            return Err(PatternError::NoChannels {
                shape: shape.to_vec(),
            }
            .into());
        };
        Ok(Blocks {
            all_rows: shape[..shape.len() - 1].iter().product(),
            rows,
            columns,
            // With sizes limited like this, their products do not overflow.
            height: height.min(rows.max(1)),
            width: width.min(columns.max(1)),
        })
    }

    /// Number of blocks.
    pub(crate) fn count(&self) -> usize {
        self.bands().len() * self.across()
    }

    /// Number of blocks in a band.
    fn across(&self) -> usize {
        self.columns.div_ceil(self.width)
    }

    /// All bands.
    pub(crate) fn bands(&self) -> Range<usize> {
        0..self.all_rows / self.rows.max(1) * self.rows.div_ceil(self.height)
    }

    /// The band of a row, and how many of the band's rows there are above this one and in all.
    fn band(&self, row: usize) -> (usize, usize, usize) {
        let down = self.rows.div_ceil(self.height);
        let (matrix, row) = (row / self.rows, row % self.rows);
        let above = row % self.height;
        let height = self.height.min(self.rows - (row - above));
        (matrix * down + row / self.height, above, height)
    }

    /// The first row of a band; for the band after the last, the number of rows.
    fn top(&self, band: usize) -> usize {
        let down = self.rows.div_ceil(self.height).max(1);
        band / down * self.rows + band % down * self.height
    }

    /// Calls `part` with each part of some consecutive entries that lies in one row of a block: the block, and the
    /// entries, counted from the first of these.
    fn parts(&self, first: usize, len: usize, mut part: impl FnMut(usize, Range<usize>)) {
        let mut entry = 0;
        while entry < len {
            let (row, column) = ((first + entry) / self.columns, (first + entry) % self.columns);
            let end_of_row = len.min(entry + self.columns - column);
            let mut block = self.band(row).0 * self.across() + column / self.width;
            let mut end_of_block = entry + self.width - column % self.width;
            while entry < end_of_row {
                let end = end_of_row.min(end_of_block);
                part(block, entry..end);
                (entry, block, end_of_block) = (end, block + 1, end_of_block + self.width);
            }
        }
    }

    /// For each block, whether any of its entries is kept, packed like a mask.
    pub(crate) fn remaining(&self, mask: Option<&Mask>) -> Mask {
        let Some(mask) = mask else {
            return Mask::ones(&[self.count()]);
        };
        let mut remaining = vec![false; self.count()];
        self.parts(0, mask.len(), |block, part| {
            remaining[block] = remaining[block] || bits::any_set(mask.as_words(), part);
        });
        Mask::collect(&[remaining.len()], remaining.into_iter())
    }

    /// An accumulator of scores, still to be fed.
    pub(crate) fn scorer(self, by: BlockRank) -> BlockScorer {
        let fold = Fold::of_blocks(by);
        BlockScorer {
            blocks: self,
            fold,
            by,
            sums: Vec::new(),
            units: Units::new(fold),
            scores: Vec::new(),
        }
    }

    /// The score of each block of a tensor in memory, in f64. A NaN in a block makes its score NaN.
    pub(crate) fn scores(&self, entries: &Entries<'_>, by: BlockRank) -> Vec<f64> {
        let threads = Threads::of(entries.len());
        let each = self.bands().len().div_ceil(threads.tasks()).max(1);
        let mut tasks: Vec<_> = self.bands().step_by(each).collect();
        let scores = threads.each(&mut tasks, |first| {
            let bands = *first..self.bands().end.min(*first + each);
            let (mut scorer, mut buffer) = (self.scorer(by), Buffer::default());
            for piece in self.pieces(bands.clone(), PLACES, usize::MAX) {
                entries.feed(piece, 4 * PLACES, &mut buffer, &mut |rows| scorer.feed(rows));
            }
            scorer.scores
        });
        scores.concat()
    }

    /// The parts of some bands, in the order in which they are to be fed. A part is a number of whole rows with at
    /// most `most` entries, but at least one row. Rows longer than `columns` are cut, band by band.
    pub(crate) fn pieces(
        self,
        bands: Range<usize>,
        columns: usize,
        most: usize,
    ) -> impl Iterator<Item = Piece> + Clone + Send {
        let stride = self.columns;
        let together = stride <= columns;
        let bands = if stride == 0 { 0..0 } else { bands };
        // Whole rows of several bands, one after another.
        let step = if together { bands.len().max(1) } else { 1 };
        let end = bands.end;
        bands.step_by(step).flat_map(move |band| {
            let rows = self.top(band)..self.top(end.min(band + step));
            (0..stride).step_by(columns.min(stride)).flat_map(move |column| {
                let len = columns.min(stride - column);
                let runs = (most / len).clamp(1, rows.len());
                rows.clone().step_by(runs).map({
                    let end = rows.end;
                    move |row| Piece {
                        first: row * stride + column,
                        len,
                        runs: runs.min(end - row),
                        stride,
                    }
                })
            })
        })
    }

    /// The blocks that remain after the `requested` ones with the lowest scores are pruned. The first of several ties
    /// is pruned first. No score may be NaN.
    pub(crate) fn select(self, scores: &[f64], remaining: &Mask, requested: usize) -> BlockSelection {
        let segment = Segment {
            values: scores,
            prior: Some(remaining.as_words()),
        };
        let kept = select::lowest(&[segment], requested, Order::Value);
        BlockSelection {
            blocks: self,
            kept: kept.expect("as many remain, and no score is NaN").swap_remove(0),
        }
    }
}

/// Finds the scores of blocks.
#[derive(Clone, Debug)]
pub(crate) struct BlockScorer {
    blocks: Blocks,
    fold: Fold,
    by: BlockRank,
    /// The sums so far of the columns of the current band, or of some of them.
    sums: Vec<f64>,
    units: Units,
    scores: Vec<f64>,
}

impl BlockScorer {
    /// Takes in the next piece. Never inlined: it is long, and is called from several places.
    #[inline(never)]
    pub(crate) fn feed(&mut self, rows: Rows<'_>) {
        vectorized(
            #[inline(always)]
            || self.add(rows),
        );
    }

    #[inline(always)]
    fn add(&mut self, rows: Rows<'_>) {
        let Blocks { columns, width, .. } = self.blocks;
        let Piece { first, len, runs, .. } = rows.piece;
        let (first_row, column) = (first / columns, first % columns);
        self.sums.resize(len, self.fold.empty());
        let mut run = 0;
        while run < runs {
            let (_, above, height) = self.blocks.band(first_row + run);
            let of_band = (height - above).min(runs - run);
            self.fold.add(&mut self.sums, rows.part(run, of_band));
            run += of_band;
            if above + of_band < height {
                return;
            }
            let (scores, by) = (&mut self.scores, self.by);
            let end = |joined: f64, entries: usize| match by {
                BlockRank::MeanSquare => joined / entries as f64,
                BlockRank::MaxAbs => joined,
            };
            self.units.places(&self.sums, width, |joined| {
                scores.push(end(joined, height * width))
            });
            if column + len == columns && self.units.filled > 0 {
                let entries = height * self.units.filled;
                scores.push(end(self.units.end(), entries));
            }
            self.sums.fill(self.fold.empty());
        }
    }

    /// The scores, once all pieces have been fed.
    pub(crate) fn finish(self) -> Vec<f64> {
        self.scores
    }
}

/// Which blocks are kept.
#[derive(Clone, Debug)]
pub(crate) struct BlockSelection {
    blocks: Blocks,
    /// A bit for each block.
    kept: Vec<u64>,
}

impl BlockSelection {
    /// Number of blocks.
    pub(crate) fn count(&self) -> usize {
        self.blocks.count()
    }

    /// Number of blocks that are pruned.
    pub(crate) fn pruned(&self) -> usize {
        let kept: usize = self.kept.iter().map(|word| word.count_ones() as usize).sum();
        self.count() - kept
    }

    /// Clears the bits of pruned entries, of which the first bit is that of entry `first`.
    pub(crate) fn apply(&self, first: usize, len: usize, words: &mut [u64]) {
        self.blocks.parts(first, len, |block, part| {
            if self.kept[block / bits::BITS] >> (block % bits::BITS) & 1 == 0 {
                bits::clear(words, part);
            }
        });
    }
}

/// Refuses blocks without entries.
pub(crate) fn check(height: usize, width: usize) -> Result<()> {
    if height == 0 || width == 0 {
        return Err(PatternError::BlockSize { height, width }.into());
    }
    Ok(())
}
