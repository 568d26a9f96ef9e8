//! Masks in a file of their own, as PyTorch would save them: `name_mask`, a byte for each entry.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::Dtype;

use super::Checkpoint;
use super::draft::{Draft, Existing};
use super::extent::Extent;
use super::layout::{Layout, Planned};
use super::rewrite::Output;
use crate::error::Result;

/// A file of masks that is being written.
pub(super) struct MaskFile {
    draft: Draft,
    output: Output,
    /// Where the mask of each tensor begins, by the number of the tensor.
    begins: BTreeMap<usize, u64>,
}

impl MaskFile {
    pub fn begin(
        checkpoint: &Checkpoint,
        tensors: &[usize],
        path: &Path,
        existing: Existing,
    ) -> Result<Self> {
        let planned: Vec<_> = tensors
            .iter()
            .map(|&tensor| {
                let info = &checkpoint.tensors()[tensor];
                Planned {
                    name: format!("{}_mask", info.name()),
                    dtype: Dtype::BOOL,
                    shape: info.shape().to_vec(),
                }
            })
            .collect();
        let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
        let layout = Layout::new(&planned, &metadata)?;
        let draft = Draft::begin(checkpoint, path, false, existing)?;
        let output = Output::open(draft.path(), layout.len)?;
        output.write_at(&layout.header, 0)?;
        Ok(MaskFile {
            draft,
            output,
            begins: tensors.iter().copied().zip(layout.begins).collect(),
        })
    }

    /// Writes the mask of an extent, which is given packed.
    pub fn write(&self, extent: Extent, kept: &[u64]) -> Result<()> {
        let bit = |i: usize| (kept[i / 64] >> (i % 64) & 1) as u8;
        let bytes: Vec<u8> = (0..extent.entries()).map(bit).collect();
        let begin = self.begins[&extent.tensor];
        extent.each_run().try_for_each(|(at, run)| {
            self.output
                .write_at(&bytes[at..at + run.len], begin + run.first as u64)
        })
    }

    pub fn commit(self) -> Result<()> {
        self.output.sync()?;
        drop(self.output);
        self.draft.commit()
    }
}
