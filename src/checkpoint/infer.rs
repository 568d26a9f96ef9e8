//! Inferring masks from the zeros of a checkpoint: [`Checkpoint::write_masks`].

use std::path::Path;

use super::io::commit;
use super::report::{Counts, MaskedTensor, MaskingReport};
use super::stream::chunk::whole;
use super::stream::values::{Float, Values, count, with_floats};
use super::stream::{Phase, ordered};
use super::write::mask_file::MaskFile;
use super::{Checkpoint, Existing};
use crate::error::Result;

/// What a worker holds.
#[derive(Default)]
struct Worker {
    values: Values,
    kept: Vec<u64>,
}

impl Checkpoint {
    /// Writes the masks of tensors that were pruned before, to a safetensors file of its own: for each tensor `NAME` a
    /// BOOL tensor `NAME_mask` of its shape, false where the entry is +0.0 or −0.0.
    ///
    /// [`apply_masks`](Self::apply_masks) applies them to another checkpoint, such as one that was trained further.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::UnknownTensor`](crate::error::CheckpointError::UnknownTensor), [`CheckpointError::NotPrunable`](crate::error::CheckpointError::NotPrunable),
    /// [`ListError::ListedTwice`](crate::error::ListError::ListedTwice) and [`ListError::NoParameters`](crate::error::ListError::NoParameters) for
    /// the list; [`OutputError`](crate::error::OutputError) where the output
    /// exists, or would be, replace or lie inside an input,
    /// [`Error::Io`](crate::Error::Io), and [`CheckpointError::ChangedMeanwhile`](crate::error::CheckpointError::ChangedMeanwhile).
    pub fn write_masks(
        &self,
        names: impl IntoIterator<Item: AsRef<str>>,
        path: impl AsRef<Path>,
        existing: Existing,
    ) -> Result<MaskingReport> {
        let tensors = self.numbers(names)?;
        let masks = MaskFile::stage(self, &tensors, path.as_ref(), existing, None)?;
        let mut counts = vec![Counts::default(); tensors.len()];
        let chunks = tensors
            .iter()
            .flat_map(|&tensor| whole(tensor, &self.tensors()[tensor], 64));
        let mut report = self.meter(Phase::Writing, chunks.clone());
        ordered(
            &mut self.work.workers_for(chunks.clone(), Worker::default),
            chunks,
            |chunk, worker| {
                self.read_chunk(*chunk, &mut worker.values)?;
                worker.kept.clear();
                with_floats!(&worker.values, values => not_zero(values, &mut worker.kept), raw => {});
                Ok(())
            },
            |chunk, worker| {
                let place = tensors.binary_search(&chunk.tensor).expect("it is in the list");
                let zeros = chunk.len - count(&worker.kept);
                counts[place].add(Counts {
                    pruned: zeros,
                    zeros,
                    ..Counts::default()
                });
                report(*chunk);
                Ok(())
            },
            |chunk, worker| masks.write(chunk, &worker.kept),
        )?;
        self.check_unchanged()?;
        commit(vec![masks.into_staged()?])?;
        let masked = tensors.iter().zip(counts).map(|(&tensor, counts)| {
            let info = &self.tensors()[tensor];
            MaskedTensor::new(info.name(), info, counts)
        });
        Ok(MaskingReport {
            tensors: masked.collect(),
            copied: Vec::new(),
        })
    }
}

/// A bit for each entry, set where it is not zero.
fn not_zero<T: Float>(values: &[T], kept: &mut Vec<u64>) {
    kept.extend(values.chunks(64).map(|block| {
        let bits = block.iter().enumerate();
        bits.fold(0, |word, (i, x)| word | u64::from(*x != T::ZERO) << i)
    }));
}
