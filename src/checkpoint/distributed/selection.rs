//! [`GlobalSelection`]: what a search found; and [`ShardJob`], which prunes a file by it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::pass::{Here, RankedTensor};
use super::{DistributedError, TensorSummary};
use crate::checkpoint::job::Job;
use crate::checkpoint::select::{Requested, Selections};
use crate::checkpoint::{Checkpoint, CheckpointReport, Existing};
use crate::error::Result;
use crate::mask::select::Cut;

/// What is pruned of all tensors of a checkpoint: found by a [`Search`](super::Search). It can be serialised.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GlobalSelection {
    /// By name.
    pub(super) tensors: Vec<SelectedTensor>,
    pub(super) cut: Cut,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SelectedTensor {
    pub tensor: RankedTensor,
    /// Entries that are pruned.
    pub pruned: usize,
    /// Ties with the cut that are pruned in tensors before this one.
    pub ties_before: usize,
}

impl GlobalSelection {
    /// The tensors, by name, and how many entries of each are pruned.
    pub fn tensors(&self) -> impl Iterator<Item = (&TensorSummary, usize)> {
        let tensors = self.tensors.iter();
        tensors.map(|selected| (&selected.tensor.summary, selected.pruned))
    }

    /// How many entries are pruned in all, which are as many as were requested.
    pub fn pruned(&self) -> usize {
        let pruned = self.tensors.iter().map(|selected| selected.pruned);
        pruned.fold(0, usize::saturating_add)
    }
}

/// A file and what is pruned of it; made by [`Checkpoint::apply_selection`].
#[derive(Clone, Debug)]
pub struct ShardJob<'a> {
    job: Job<'a>,
    selections: Selections,
}

impl Checkpoint {
    /// Prepares to prune this checkpoint, which may be one file of a larger one, by what a search over all files found.
    /// Tensors that are not in it are left to others. A file without any of them is copied.
    ///
    /// # Errors
    ///
    /// [`DistributedError::AnotherTensor`](super::DistributedError::AnotherTensor) for a tensor that has another type or shape than in the search.
    pub fn apply_selection(&self, selection: &GlobalSelection) -> Result<ShardJob<'_>> {
        let tensors: Vec<RankedTensor> = selection.tensors.iter().map(|s| s.tensor.clone()).collect();
        let here = Here::of(&tensors, self)?;
        let selected = || here.places.iter().map(|&place| &selection.tensors[place]);
        // No search finds that, but a selection that was read may claim it.
        if let Some(other) = selected().find(|s| s.pruned > s.tensor.summary.entries()) {
            let name = other.tensor.summary.name().to_owned();
            return Err(DistributedError::AnotherTensor { name }.into());
        }
        let requested = Requested::Share {
            requested: selected().map(|tensor| tensor.pruned).collect(),
            ties_before: selected().map(|tensor| tensor.ties_before).collect(),
        };
        Ok(ShardJob {
            selections: here.selections(selection.cut, requested),
            job: Job::new(self, here.numbers),
        })
    }
}

impl ShardJob<'_> {
    /// Also writes the masks, as [`PruneJob::with_masks`](crate::checkpoint::PruneJob::with_masks) does.
    pub fn with_masks(mut self, path: impl Into<PathBuf>) -> Self {
        self.job.masks = Some(path.into());
        self
    }

    /// Finds out what would be pruned, and writes nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Io`](crate::Error::Io); [`CheckpointError::ChangedMeanwhile`](crate::error::CheckpointError::ChangedMeanwhile) where the file is not the one that
    /// was counted.
    pub fn measure(&self) -> Result<CheckpointReport> {
        self.job.measure(|| Ok(self.selections.clone()))
    }

    /// Prunes into a new file, as [`PruneJob::write`](crate::checkpoint::PruneJob::write) does. The report is of the
    /// tensors of this file.
    ///
    /// # Errors
    ///
    /// As [`measure`](Self::measure); [`OutputError`](crate::error::OutputError) where the output exists, or would be,
    /// replace or lie inside an input.
    pub fn write(&self, path: impl AsRef<Path>, existing: Existing) -> Result<CheckpointReport> {
        self.job
            .write(path.as_ref(), existing, || Ok(self.selections.clone()))
    }
}
