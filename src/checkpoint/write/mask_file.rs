//! [`MaskFile`]: masks in a file of their own, as PyTorch would save them: `NAME_mask`, a byte for each entry.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use safetensors::Dtype;

use crate::checkpoint::format::layout::{Layout, Planned};
use crate::checkpoint::io::{Kind, OutputFile, Staged};
use crate::checkpoint::stream::Chunk;
use crate::checkpoint::{Checkpoint, Existing};
use crate::error::Result;
use crate::prunable::suffix::MASK;

/// A file of masks that is being written.
pub(in crate::checkpoint) struct MaskFile {
    staged: Staged,
    file: OutputFile,
    /// Where the mask of each tensor begins, by the number of the tensor.
    begins: BTreeMap<usize, u64>,
}

impl MaskFile {
    /// Checks that the masks of these tensors can go to `path`, apart from the checkpoint and from `output`.
    pub fn stage(
        checkpoint: &Checkpoint,
        tensors: &[usize],
        path: &Path,
        existing: Existing,
        output: Option<&Staged>,
    ) -> Result<Self> {
        let planned: Vec<_> = tensors
            .iter()
            .map(|&tensor| {
                let info = &checkpoint.tensors()[tensor];
                Planned {
                    name: format!("{}{MASK}", info.name()),
                    dtype: Dtype::BOOL,
                    shape: info.shape().to_vec(),
                }
            })
            .collect();
        let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
        let layout = Layout::new(&planned, &metadata)?;
        let staged = Staged::new(path, Kind::File, existing, &checkpoint.inputs(), &BTreeSet::new())?;
        if let Some(output) = output {
            staged.check_apart_from(output)?;
        }
        // Masks say as much about a model as others may know of it.
        let like = checkpoint.shards().first().map(|shard| shard.path());
        let file = OutputFile::create(&staged.path(), layout.len, like)?;
        file.write_at(&layout.header, 0)?;
        Ok(MaskFile {
            staged,
            file,
            begins: tensors.iter().copied().zip(layout.begins).collect(),
        })
    }

    /// Writes the mask of a chunk, which is given packed.
    pub fn write(&self, chunk: Chunk, kept: &[u64]) -> Result<()> {
        let bit = |i: usize| (kept[i / 64] >> (i % 64) & 1) as u8;
        let bytes: Vec<u8> = (0..chunk.entries()).map(bit).collect();
        let begin = self.begins[&chunk.tensor];
        chunk.each_run().try_for_each(|(at, run)| {
            self.file
                .write_at(&bytes[at..at + run.len], begin + run.first as u64)
        })
    }

    /// Waits until the file is on the disk, so that it can be committed.
    pub fn into_staged(self) -> Result<Staged> {
        self.file.sync()?;
        Ok(self.staged)
    }
}
