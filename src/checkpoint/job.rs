//! [`Job`]: carries out selections, in a report only or into a new checkpoint.

use std::path::{Path, PathBuf};

use super::apply_selection::{Applier, Cuts, Worker};
use super::report::{CheckpointReport, Counts, TensorReport};
use super::select::{Requested, Selections};
use super::stream::{Chunk, Phase};
use super::write::mask_file::MaskFile;
use super::write::{NewFiles, OutputPlan};
use super::{Checkpoint, Existing, TensorInfo};
use crate::error::{CheckpointError, Error, Result};

/// Tensors of a checkpoint that are pruned, and where their masks go.
#[derive(Clone, Debug)]
pub(super) struct Job<'a> {
    pub checkpoint: &'a Checkpoint,
    /// Numbers of the tensors, and so in the order of their names.
    pub tensors: Vec<usize>,
    pub masks: Option<PathBuf>,
}

impl<'a> Job<'a> {
    pub fn new(checkpoint: &'a Checkpoint, tensors: Vec<usize>) -> Self {
        Job {
            checkpoint,
            tensors,
            masks: None,
        }
    }

    /// The tensors, in the order in which they are ranked.
    pub fn tensors(&self) -> impl Iterator<Item = &TensorInfo> + Clone {
        let infos = self.checkpoint.tensors();
        self.tensors.iter().map(move |&number| &infos[number])
    }

    /// Finds out what would be pruned, and writes nothing.
    pub fn measure(&self, select: impl FnOnce() -> Result<Selections>) -> Result<CheckpointReport> {
        let selections = select()?;
        let applier = Applier::new(self.checkpoint, &self.tensors, &selections);
        self.report(&selections, applier.measure(Phase::Reading)?, Vec::new())
    }

    /// Prunes into a new checkpoint. What can be wrong with the output is found before anything is selected.
    pub fn write(
        &self,
        path: &Path,
        existing: Existing,
        select: impl FnOnce() -> Result<Selections>,
    ) -> Result<CheckpointReport> {
        let checkpoint = self.checkpoint;
        let mut files = NewFiles::stage(checkpoint, path, existing, None)?;
        let stage_masks =
            |path: &PathBuf| MaskFile::stage(checkpoint, &self.tensors, path, existing, Some(files.staged()));
        let masks = self.masks.as_ref().map(stage_masks).transpose()?;
        let selections = select()?;
        let applier = Applier::new(checkpoint, &self.tensors, &selections);
        let plan = OutputPlan::same_layout(checkpoint, &self.tensors);
        files.create(&plan)?;
        let mut cuts = Cuts::default();
        let workers = files.run(
            &plan,
            applier.chunks(),
            Worker::default,
            |chunk| checkpoint.bytes_of(*chunk),
            |chunk, worker| applier.read(*chunk, worker),
            |chunk, worker| {
                applier.cut(*chunk, &mut cuts, worker);
                Ok(())
            },
            |chunk, worker| {
                applier.mask(chunk, worker);
                self.write_chunk(chunk, worker.values.stored(), &files)?;
                masks
                    .as_ref()
                    .map_or(Ok(()), |masks| masks.write(chunk, &worker.kept))
            },
        )?;
        let mut report = self.report(&selections, applier.counts(workers), Vec::new())?;
        report.copied = files.finish(&plan, masks, |_| Ok(()))?;
        Ok(report)
    }

    /// Writes the bytes of a chunk to where it was read from.
    fn write_chunk(&self, chunk: Chunk, bytes: &[u8], files: &NewFiles<'_>) -> Result<()> {
        let info = &self.checkpoint.tensors()[chunk.tensor];
        let size = info.dtype().bitsize() / 8; // of a float
        chunk.each_run().try_for_each(|(at, run)| {
            let bytes = &bytes[at * size..(at + run.len) * size];
            files.write(info.shard, self.checkpoint.position(run), bytes)
        })
    }

    /// The report, once what is pruned is checked against what was requested.
    fn report(
        &self,
        selections: &Selections,
        counts: Vec<Counts>,
        copied: Vec<PathBuf>,
    ) -> Result<CheckpointReport> {
        let tensors = self.tensors().zip(&counts).enumerate();
        let tensors = tensors.map(|(place, (info, counts))| {
            let (units, achieved) = selections.each[place].units(info.entries(), counts.pruned);
            TensorReport {
                name: info.name().to_owned(),
                dtype: info.dtype(),
                shape: info.shape().to_vec(),
                requested: match &selections.requested {
                    Requested::Each(requested) | Requested::Share { requested, .. } => Some(requested[place]),
                    Requested::Together(_) => None,
                },
                achieved,
                units,
                pruned: counts.pruned,
                newly_pruned: counts.newly,
                zeros: counts.zeros,
                entries: info.entries(),
            }
        });
        let report = CheckpointReport {
            tensors: tensors.collect(),
            unit: selections.unit,
            requested: match &selections.requested {
                Requested::Each(requested) | Requested::Share { requested, .. } => requested.iter().sum(),
                Requested::Together(requested) => *requested,
            },
            copied,
        };
        if report.achieved() != report.requested {
            return Err(Error::Checkpoint(CheckpointError::ChangedMeanwhile {
                path: self.checkpoint.path().to_owned(),
            }));
        }
        Ok(report)
    }
}
