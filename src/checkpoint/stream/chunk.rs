//! [`Chunk`]: the part of a tensor that is read at once.

use crate::checkpoint::format::TensorInfo;
use crate::mask::patterns::Piece;

/// Bytes of a chunk: small enough that it stays in the cache from reading to writing. Tests have short ones, so that
/// small tensors have many.
pub(in crate::checkpoint) const CHUNK_BYTES: usize = if cfg!(test) { 1 << 10 } else { 1 << 18 };

/// Entries of a tensor: runs of consecutive ones, in row-major order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::checkpoint) struct Chunk {
    /// Number of the tensor in the checkpoint.
    pub tensor: usize,
    pub first: usize,
    /// Entries of each run.
    pub len: usize,
    /// How many runs there are: one, except where entries that belong together do not lie together.
    pub runs: usize,
    /// Entries from the beginning of one run to that of the next.
    pub stride: usize,
}

impl Chunk {
    /// One run.
    pub fn run(tensor: usize, first: usize, len: usize) -> Self {
        Chunk {
            tensor,
            first,
            len,
            runs: 1,
            stride: len,
        }
    }

    /// A piece of a tensor.
    pub fn of(tensor: usize, piece: Piece) -> Self {
        let Piece {
            first,
            len,
            runs,
            stride,
        } = piece;
        Chunk {
            tensor,
            first,
            len,
            runs,
            stride,
        }
    }

    /// The same, of no tensor in particular.
    pub fn piece(&self) -> Piece {
        Piece {
            first: self.first,
            len: self.len,
            runs: self.runs,
            stride: self.stride,
        }
    }

    /// How many entries it has.
    pub fn entries(&self) -> usize {
        self.len * self.runs
    }

    /// The runs, each with the place of its first entry among the entries of the chunk.
    pub fn each_run(self) -> impl Iterator<Item = (usize, Chunk)> {
        (0..self.runs).map(move |run| {
            let first = self.first + run * self.stride;
            (run * self.len, Chunk::run(self.tensor, first, self.len))
        })
    }
}

/// The whole of a tensor, in parts that begin at multiples of `grain` entries, which is not 0.
pub(in crate::checkpoint) fn whole(
    tensor: usize,
    info: &TensorInfo,
    grain: usize,
) -> impl Iterator<Item = Chunk> + Clone + Send + use<> {
    let entries = info.entries();
    let step = (entries_per_chunk(info) / grain).max(1) * grain;
    (0..entries)
        .step_by(step)
        .map(move |first| Chunk::run(tensor, first, step.min(entries - first)))
}

/// How many entries of a tensor make a chunk.
pub(in crate::checkpoint) fn entries_per_chunk(info: &TensorInfo) -> usize {
    CHUNK_BYTES * 8 / info.dtype().bitsize()
}
