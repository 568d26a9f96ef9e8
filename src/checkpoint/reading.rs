//! Reading the tensors of a checkpoint, chunk by chunk.

use super::Checkpoint;
use super::stream::values::Values;
use super::stream::{Chunk, Phase, Progress, ordered};
use crate::error::Result;

impl Checkpoint {
    /// Calls `visit` with each chunk, in order, as floats where it is of a type that can be pruned.
    pub(super) fn for_each_chunk(
        &self,
        phase: Phase,
        chunks: impl Iterator<Item = Chunk> + Send + Clone,
        mut visit: impl FnMut(Chunk, &mut Values) -> Result<()> + Send,
    ) -> Result<()> {
        let mut report = self.meter(phase, chunks.clone());
        ordered(
            &mut self.work.workers_for(chunks.clone(), Values::default),
            chunks,
            |chunk, values| self.read_chunk(*chunk, values),
            |chunk, values| {
                visit(*chunk, values)?;
                report(*chunk);
                Ok(())
            },
            |_, _| Ok(()),
        )
    }

    /// A function that is called with each chunk that is done, and reports progress.
    pub(super) fn meter(
        &self,
        phase: Phase,
        chunks: impl Iterator<Item = Chunk>,
    ) -> impl FnMut(Chunk) + Send {
        let total: u64 = chunks.map(|chunk| self.bytes_of(chunk)).sum();
        let mut done = 0;
        move |chunk| {
            let bytes = self.bytes_of(chunk);
            done += bytes;
            match phase {
                Phase::Ranking => self.work.ranked(bytes, total - done),
                _ => self.work.tell(Progress { phase, done, total }),
            }
        }
    }

    /// Reads a chunk.
    pub(super) fn read_chunk(&self, chunk: Chunk, values: &mut Values) -> Result<()> {
        let info = &self.tensors()[chunk.tensor];
        let dtype = info.is_float().then_some(info.dtype());
        values.fill(dtype, self.bytes_of(chunk) as usize, |mut bytes| {
            for (_, run) in chunk.each_run() {
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

    /// Where the first entry of a chunk lies in its file.
    pub(super) fn position(&self, chunk: Chunk) -> u64 {
        let before = Chunk::run(chunk.tensor, 0, chunk.first);
        self.tensors()[chunk.tensor].begin + self.bytes_of(before)
    }

    pub(super) fn bytes_of(&self, chunk: Chunk) -> u64 {
        let bits = self.tensors()[chunk.tensor].dtype().bitsize();
        (chunk.entries() as u64 * bits as u64) / 8
    }

    /// Reads the bytes of a chunk.
    pub(super) fn read_raw(&self, chunk: Chunk, bytes: &mut Vec<u8>) -> Result<()> {
        let shard = self.tensors()[chunk.tensor].shard;
        self.read_bytes(shard, self.position(chunk), self.bytes_of(chunk) as usize, bytes)
    }
}
