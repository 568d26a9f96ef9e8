//! [`Piece`]: the part of a tensor that is fed at once.

use super::Wide;

/// Entries of a tensor: runs of consecutive ones, in row-major order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// The first entry.
    pub(crate) first: usize,
    /// Entries of each run.
    pub(crate) len: usize,
    /// How many runs there are.
    pub(crate) runs: usize,
    /// Entries from the beginning of one run to that of the next.
    pub(crate) stride: usize,
}

impl Piece {
    /// One run.
    pub(crate) fn run(first: usize, len: usize) -> Self {
        Piece {
            first,
            len,
            runs: 1,
            stride: len,
        }
    }

    /// How many entries it has.
    pub(crate) fn entries(&self) -> usize {
        self.len * self.runs
    }

    /// Number of entries from its first to its last, including those between its runs.
    pub(super) fn span(&self) -> usize {
        match self.runs {
            0 => 0,
            runs => (runs - 1) * self.stride + self.len,
        }
    }

    /// The entries of each run.
    pub(crate) fn each_run(self) -> impl Iterator<Item = std::ops::Range<usize>> {
        let starts = (0..self.runs).map(move |run| self.first + run * self.stride);
        starts.map(move |start| start..start + self.len)
    }

    /// The same entries as one run, if its runs follow each other without gaps.
    pub(crate) fn joined(self) -> Self {
        if self.runs > 1 && self.stride == self.len {
            Piece::run(self.first, self.entries())
        } else {
            self
        }
    }

    /// Some of its runs, as a piece.
    pub(super) fn some_runs(self, first: usize, runs: usize) -> Self {
        Piece {
            first: self.first + first * self.stride,
            runs,
            ..self
        }
    }
}

/// The entries of a piece: its runs next to each other, or with the entries that lie between them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows<'a> {
    /// The piece.
    pub(crate) piece: Piece,
    /// Its entries.
    pub(crate) values: Wide<'a>,
    /// How far apart the runs are in `values`.
    pub(super) stride: usize,
}

impl<'a> Rows<'a> {
    /// Runs that are next to each other in `values`.
    pub(crate) fn packed(piece: Piece, values: Wide<'a>) -> Self {
        Rows {
            piece,
            values,
            stride: piece.len,
        }
    }

    /// Some of its runs.
    pub(super) fn part(self, first: usize, runs: usize) -> Self {
        let start = first * self.stride;
        let values = match self.values {
            Wide::F32(values) => Wide::F32(&values[start..]),
            Wide::F64(values) => Wide::F64(&values[start..]),
        };
        Rows {
            piece: self.piece.some_runs(first, runs),
            values,
            stride: self.stride,
        }
    }

    /// Runs that lie in `values` as they do in the tensor.
    pub(super) fn spread(piece: Piece, values: Wide<'a>) -> Self {
        Rows {
            piece,
            values,
            stride: piece.stride,
        }
    }
}
