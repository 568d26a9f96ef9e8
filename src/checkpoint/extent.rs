//! [`Extent`]: the part of a tensor that is looked at in one go.

use super::crew::crew;
use super::values::Values;
use super::work::{Phase, Progress};
use super::{Checkpoint, TensorInfo};
use crate::error::Result;
use crate::mask::patterns::Piece;

/// Bytes of a chunk: small enough that it stays in the cache from reading to writing. Tests have short ones, so that
/// small tensors have many.
pub(super) const CHUNK: usize = if cfg!(test) { 1 << 10 } else { 1 << 18 };

/// Entries of a tensor: runs of consecutive ones, in row-major order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    /// Number of the tensor in the checkpoint.
    pub tensor: usize,
    pub first: usize,
    /// Entries of each run.
    pub len: usize,
    /// How many runs there are: one, except where what has to be seen together does not lie together.
    pub runs: usize,
    /// Entries from the beginning of one run to that of the next.
    pub stride: usize,
}

impl Extent {
    /// One run.
    pub fn run(tensor: usize, first: usize, len: usize) -> Self {
        Extent {
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
        Extent {
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

    /// The runs, each with the place of its first entry among the entries of the extent.
    pub fn each_run(self) -> impl Iterator<Item = (usize, Extent)> {
        (0..self.runs).map(move |run| {
            let first = self.first + run * self.stride;
            (run * self.len, Extent::run(self.tensor, first, self.len))
        })
    }
}

/// The whole of a tensor, in parts that begin at multiples of `grain` entries, which is not 0.
pub(super) fn whole(
    tensor: usize,
    info: &TensorInfo,
    grain: usize,
) -> impl Iterator<Item = Extent> + Clone + Send + use<> {
    let entries = info.entries();
    let step = (chunk(info) / grain).max(1) * grain;
    (0..entries)
        .step_by(step)
        .map(move |first| Extent::run(tensor, first, step.min(entries - first)))
}

/// How many entries of a tensor make a chunk.
pub(super) fn chunk(info: &TensorInfo) -> usize {
    CHUNK * 8 / info.dtype().bitsize()
}

impl Checkpoint {
    /// Shows each extent to `look`, one after the other, as floats where it is of a type that can be pruned.
    pub(super) fn look(
        &self,
        phase: Phase,
        extents: impl Iterator<Item = Extent> + Send + Clone,
        mut look: impl FnMut(Extent, &mut Values) -> Result<()> + Send,
    ) -> Result<()> {
        let mut told = self.meter(phase, extents.clone());
        crew(
            &mut self.work.hire(extents.clone(), Values::default),
            extents,
            |extent, values| self.read_extent(*extent, values),
            |extent, values| {
                look(*extent, values)?;
                told(*extent);
                Ok(())
            },
            |_, _| Ok(()),
        )
    }

    /// A function that is told which extents are done, and tells how far that is.
    pub(super) fn meter(
        &self,
        phase: Phase,
        extents: impl Iterator<Item = Extent>,
    ) -> impl FnMut(Extent) + Send {
        let total = extents.map(|extent| self.bytes_of(extent)).sum();
        let mut done = 0;
        move |extent| {
            done += self.bytes_of(extent);
            self.work.tell(Progress { phase, done, total });
        }
    }

    /// Reads an extent.
    pub(super) fn read_extent(&self, extent: Extent, values: &mut Values) -> Result<()> {
        let info = &self.tensors()[extent.tensor];
        let dtype = info.is_float().then_some(info.dtype());
        values.fill(dtype, self.bytes_of(extent) as usize, |mut bytes| {
            for (_, run) in extent.each_run() {
                let (of_run, rest) = bytes.split_at_mut(self.bytes_of(run) as usize);
                self.shards()[info.shard].read_at(of_run, self.position(run))?;
                bytes = rest;
            }
            Ok(())
        })
    }

    /// Reads bytes of a shard.
    pub(super) fn read_bytes(
        &self,
        shard: usize,
        position: u64,
        len: usize,
        bytes: &mut Vec<u8>,
    ) -> Result<()> {
        bytes.resize(len, 0);
        self.shards()[shard].read_at(bytes, position)
    }

    /// Where the first entry of an extent lies in its file.
    pub(super) fn position(&self, extent: Extent) -> u64 {
        let before = Extent::run(extent.tensor, 0, extent.first);
        self.tensors()[extent.tensor].begin + self.bytes_of(before)
    }

    pub(super) fn bytes_of(&self, extent: Extent) -> u64 {
        let bits = self.tensors()[extent.tensor].dtype().bitsize();
        (extent.entries() as u64 * bits as u64) / 8
    }
}
