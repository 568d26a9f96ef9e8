//! [`MaskedTensors`]: tensors written anew under the masks that belong to them.

use super::{NewFiles, OutputPlan};
use crate::checkpoint::Checkpoint;
use crate::checkpoint::report::Counts;
use crate::checkpoint::stream::Chunk;
use crate::checkpoint::stream::chunk::whole;
use crate::checkpoint::stream::values::{Values, count, select, with_floats};
use crate::error::Result;

/// Tensors of a checkpoint, and their masks, which may be in another one.
pub(in crate::checkpoint) struct MaskedTensors<'a> {
    pub tensors: &'a Checkpoint,
    pub masks: &'a Checkpoint,
    /// In the order of the tensors.
    pub pairs: Vec<Pair>,
}

/// A tensor and its mask.
#[derive(Clone, Copy, Debug)]
pub(in crate::checkpoint) struct Pair {
    /// Number of the tensor.
    pub tensor: usize,
    /// Number of the mask.
    pub mask: usize,
    /// Where the tensor begins in the new file.
    pub begin: u64,
}

/// What a worker holds.
#[derive(Default)]
struct Worker {
    values: Values,
    mask: Values,
    kept: Vec<u64>,
    counts: Counts,
}

impl MaskedTensors<'_> {
    /// Writes the tensors, with +0.0 where their masks are 0, and what is only copied. Returns what was counted
    /// of each tensor.
    pub fn write(&self, files: &NewFiles<'_>, plan: &OutputPlan) -> Result<Vec<Counts>> {
        let infos = self.tensors.tensors();
        // Each chunk with the place of its pair.
        let jobs = self.pairs.iter().enumerate().flat_map(|(place, pair)| {
            whole(pair.tensor, &infos[pair.tensor], 64).map(move |chunk| (place, chunk))
        });
        let mut counts = vec![Counts::default(); self.pairs.len()];
        files.run(
            plan,
            jobs,
            Worker::default,
            |(_, chunk)| self.tensors.bytes_of(*chunk),
            |&mut (place, chunk), worker| {
                let of_mask = Chunk::run(self.pairs[place].mask, chunk.first, chunk.len);
                self.masks
                    .read_mask(of_mask, &mut worker.mask, &mut worker.kept)?;
                self.tensors.read_chunk(chunk, &mut worker.values)?;
                worker.counts = Counts {
                    pruned: chunk.len - count(&worker.kept),
                    zeros: with_floats!(&mut worker.values, values => select(values, &worker.kept), raw => 0),
                    ..Counts::default()
                };
                Ok(())
            },
            |&mut (place, _), worker| {
                counts[place].add(worker.counts);
                Ok(())
            },
            |(place, chunk), worker| {
                let info = &infos[chunk.tensor];
                let before = self.tensors.bytes_of(Chunk::run(chunk.tensor, 0, chunk.first));
                files.write(
                    info.shard,
                    self.pairs[place].begin + before,
                    worker.values.stored(),
                )
            },
        )?;
        Ok(counts)
    }
}
