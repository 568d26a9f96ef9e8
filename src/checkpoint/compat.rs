//! Names under which `find` and `erase` know what has moved. Goes when they are rewritten.

use super::Checkpoint;
use super::stream::values::Values;
use super::stream::workers::Work;
use super::stream::{Chunk, Phase};
use crate::error::Result;

pub(super) mod crew {
    pub(in crate::checkpoint) use crate::checkpoint::stream::ordered as crew;
}
pub(super) mod extent {
    pub(in crate::checkpoint) use crate::checkpoint::stream::Chunk as Extent;
    pub(in crate::checkpoint) use crate::checkpoint::stream::chunk::{
        CHUNK_BYTES as CHUNK, entries_per_chunk as chunk, whole,
    };
}
pub(super) use super::stream::values;
pub(super) use super::stream::workers as work;

impl Checkpoint {
    pub(super) fn look(
        &self,
        phase: Phase,
        chunks: impl Iterator<Item = Chunk> + Send + Clone,
        visit: impl FnMut(Chunk, &mut Values) -> Result<()> + Send,
    ) -> Result<()> {
        self.for_each_chunk(phase, chunks, visit)
    }

    pub(super) fn read_extent(&self, chunk: Chunk, values: &mut Values) -> Result<()> {
        self.read_chunk(chunk, values)
    }
}

impl Work {
    pub fn hire<W>(&self, jobs: impl Iterator, new: impl Fn() -> W) -> Vec<W> {
        self.workers_for(jobs, new)
    }
}
