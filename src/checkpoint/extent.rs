//! [`Extent`]: the part of a tensor that is looked at in one go.

use super::flow::{CHUNK, flow};
use super::values::Values;
use super::work::{Phase, Progress};
use super::{Checkpoint, TensorInfo};
use crate::error::Result;

/// Consecutive entries of a tensor, in row-major order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    /// Number of the tensor in the checkpoint.
    pub tensor: usize,
    pub first: usize,
    pub len: usize,
}

/// The whole of a tensor, in parts that begin at multiples of `grain` entries, which is not 0.
pub(super) fn whole(
    tensor: usize,
    info: &TensorInfo,
    grain: usize,
) -> impl Iterator<Item = Extent> + Clone + Send + use<> {
    let entries = info.entries();
    let step = step(info, grain);
    (0..entries).step_by(step).map(move |first| Extent {
        tensor,
        first,
        len: step.min(entries - first),
    })
}

/// How many entries of a tensor make a chunk: a multiple of the grain.
fn step(info: &TensorInfo, grain: usize) -> usize {
    let fits = CHUNK * 8 / info.dtype().bitsize();
    (fits / grain).max(1) * grain
}

impl Checkpoint {
    /// Shows each extent to `look`, one after the other, as floats where it is of a type that can be pruned.
    pub(super) fn look(
        &self,
        phase: Phase,
        extents: impl Iterator<Item = Extent> + Send + Clone,
        mut look: impl FnMut(Extent, &mut Values) -> Result<()>,
    ) -> Result<()> {
        // Where there is next to nothing to read, starting threads would take longer.
        let in_parallel = self.work.in_parallel() && extents.clone().nth(1).is_some();
        let total = extents.clone().map(|extent| self.bytes_of(extent)).sum();
        let mut done = 0;
        let mut scratch = Vec::new();
        flow(
            in_parallel,
            extents,
            |extent, values| self.read_extent(*extent, &mut scratch, values),
            |extent, values| {
                look(*extent, values)?;
                done += self.bytes_of(*extent);
                self.work.tell(Progress { phase, done, total });
                Ok(())
            },
            |_, _| Ok(()),
        )
    }

    /// Reads an extent; `scratch` is memory for its bytes.
    pub(super) fn read_extent(
        &self,
        extent: Extent,
        scratch: &mut Vec<u8>,
        values: &mut Values,
    ) -> Result<()> {
        let info = &self.tensors()[extent.tensor];
        let position = info.begin + (extent.first as u64 * info.dtype().bitsize() as u64) / 8;
        self.read_bytes(info.shard, position, self.bytes_of(extent) as usize, scratch)?;
        values.decode(info.is_float().then_some(info.dtype()), scratch);
        Ok(())
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

    pub(super) fn bytes_of(&self, extent: Extent) -> u64 {
        let bits = self.tensors()[extent.tensor].dtype().bitsize();
        (extent.len as u64 * bits as u64) / 8
    }
}
