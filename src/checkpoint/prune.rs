//! Pruning of checkpoints: [`Checkpoint::prune`].

use std::path::{Path, PathBuf};

use super::job::Job;
use super::listing;
use super::report::CheckpointReport;
use super::select::Selections;
use super::{Checkpoint, Existing, TensorInfo};
use crate::error::{Error, ListError, MaskError, Result};
use crate::mask::{EntryRank, GlobalOptions, Plan, PruningMethod};

/// What is ranked together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// The units of each tensor by itself.
    Local,
    /// The entries of all tensors together, exactly, across files and types.
    Global,
}

/// Tensors and the method by which they will be pruned; made by [`Checkpoint::prune`].
///
/// No tensor has been read yet: [`write`](Self::write) and [`measure`](Self::measure) do that.
#[derive(Clone, Debug)]
pub struct PruneJob<'a> {
    job: Job<'a>,
    plan: Plan<'a>,
    scope: Scope,
    options: GlobalOptions<'static>,
    /// Whether the amount is of the entries that are not zero.
    of_nonzero: bool,
}

impl Checkpoint {
    /// Prepares to prune the tensors of these names by a method of the mask layer.
    ///
    /// The order in which they are listed does not matter: they are ranked by name, bytewise. Nothing is masked in a
    /// file, so a zero is an entry that ranks lowest. A random method gives each tensor a stream of its own, by its
    /// place among the listed names in that order.
    ///
    /// Everything is ranked while it is read, so memory does not grow with the file: by entries and by groups (N:M) it
    /// is constant, by channels and blocks it holds one number for each of those of one tensor, and then a mark for
    /// each of all tensors. (The nuclear norm alone is taken of a tensor that is loaded whole.)
    ///
    /// ```
    /// use secateurs::checkpoint::{Checkpoint, Dtype, Existing, Scope};
    /// use secateurs::mask::L1Unstructured;
    ///
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let (path, pruned) = (folder.path().join("model.safetensors"), folder.path().join("pruned.safetensors"));
    /// # let bytes: Vec<u8> = [0.5_f32, -0.1, 3.0, 0.2].iter().flat_map(|x| x.to_le_bytes()).collect();
    /// # let weight = safetensors::tensor::TensorView::new(Dtype::F32, vec![2, 2], &bytes).unwrap();
    /// # safetensors::serialize_to_file([("fc.weight", weight)], None, &path).unwrap();
    /// let checkpoint = Checkpoint::open(&path)?;
    /// let method = L1Unstructured::new(0.5)?;
    /// let report = checkpoint.prune(["fc.weight"], &method, Scope::Global)?.write(&pruned, Existing::Refuse)?;
    /// assert_eq!((report.requested, report.pruned()), (2, 2));
    /// # Ok::<(), secateurs::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`CheckpointError::UnknownTensor`](crate::error::CheckpointError::UnknownTensor), [`ListError::ListedTwice`](crate::error::ListError::ListedTwice), [`ListError::NoParameters`](crate::error::ListError::NoParameters) for an empty list,
    /// [`CheckpointError::NotPrunable`](crate::error::CheckpointError::NotPrunable) for a tensor that is not of a floating-point type, and [`MaskError::Unsupported`](crate::error::MaskError::Unsupported) for a
    /// method that does not describe itself by a [`Plan`], or cannot prune globally.
    pub fn prune<'a, M: PruningMethod + ?Sized>(
        &'a self,
        names: impl IntoIterator<Item: AsRef<str>>,
        method: &'a M,
        scope: Scope,
    ) -> Result<PruneJob<'a>> {
        let tensors = self.numbers(names)?;
        Ok(PruneJob {
            job: Job::new(self, tensors),
            plan: plan_of(method, scope)?,
            scope,
            options: GlobalOptions::default(),
            of_nonzero: false,
        })
    }

    /// The numbers of tensors that can be pruned, by their names.
    pub(super) fn numbers(&self, names: impl IntoIterator<Item: AsRef<str>>) -> Result<Vec<usize>> {
        listing::prunable(self.tensors(), names)
    }
}

impl PruneJob<'_> {
    /// The tensors, in the order in which they are ranked.
    pub fn tensors(&self) -> impl Iterator<Item = &TensorInfo> {
        self.job.tensors()
    }

    /// With an amount of the entries that are not zero yet: zeros are as if they were pruned before, and half of a
    /// tensor that is half zero leaves a quarter of it. What is requested in the report includes those zeros. One more
    /// pass counts them.
    ///
    /// # Errors
    ///
    /// [`MaskError::Unsupported`](crate::error::MaskError::Unsupported) for a method that does not rank single entries by magnitude, by which zeros are lowest.
    pub fn of_nonzero(mut self) -> Result<Self> {
        if !matches!(
            self.plan,
            Plan::Entries {
                by: EntryRank::Magnitude,
                ..
            }
        ) {
            return Err(Error::Mask(MaskError::Unsupported {
                method: format!("{:?}", self.plan),
                reason: "amounts of the entries that are not zero need single entries that are ranked by magnitude",
            }));
        }
        self.of_nonzero = true;
        Ok(self)
    }

    /// With a cap on each tensor's sparsity, or ranking by norms, or both: as in
    /// [`mask::compute_global_with`](crate::mask::compute_global_with), exact over all files. A cap takes further
    /// passes over each tensor, norms take one, and quotients, which are f64, up to four.
    ///
    /// # Errors
    ///
    /// [`MaskError::Unsupported`](crate::error::MaskError::Unsupported) where tensors are not ranked together, and for norms with a method that ranks at random.
    pub fn with_options(mut self, options: GlobalOptions<'static>) -> Result<Self> {
        let names = self.job.tensors().map(TensorInfo::name);
        check_options(&options, &self.plan, self.scope, names)?;
        self.options = options;
        Ok(self)
    }

    /// Also writes the masks, to a safetensors file of its own: of each tensor `name` a BOOL tensor `name_mask` of
    /// its shape, true where kept.
    pub fn with_masks(mut self, path: impl Into<PathBuf>) -> Self {
        self.job.masks = Some(path.into());
        self
    }

    /// Finds out what would be pruned, and writes nothing.
    ///
    /// # Errors
    ///
    /// [`AmountError::TooLarge`](crate::error::AmountError::TooLarge) for a count above the units that there are; [`MaskError::NanScore`](crate::error::MaskError::NanScore) names the tensor and
    /// the index of a NaN that would have to be ranked; [`PatternError::NoChannels`](crate::error::PatternError::NoChannels) and [`PatternError::DimOutOfRange`](crate::error::PatternError::DimOutOfRange) where a
    /// structured method does not fit, and [`PatternError::Indivisible`](crate::error::PatternError::Indivisible) where N:M does not; [`AmountError::Capped`](crate::error::AmountError::Capped) where caps do not
    /// leave as much to prune as is requested; [`Error::Io`]; [`CheckpointError::ChangedMeanwhile`](crate::error::CheckpointError::ChangedMeanwhile) where a file changed.
    pub fn measure(&self) -> Result<CheckpointReport> {
        self.job.measure(|| self.select())
    }

    /// Prunes into a new checkpoint: the same names, order, types, shapes and metadata, and everything that is not
    /// pruned byte for byte. A folder gives a folder, with every other file copied.
    ///
    /// The output is written under another name, flushed, and renamed into place when it is whole, together with the
    /// masks if they were requested. What a killed run for the same output left there is removed.
    ///
    /// # Errors
    ///
    /// As [`measure`](Self::measure); [`OutputError`](crate::error::OutputError) where the output
    /// exists, or would be, replace or lie inside an input.
    pub fn write(&self, path: impl AsRef<Path>, existing: Existing) -> Result<CheckpointReport> {
        self.job.write(path.as_ref(), existing, || self.select())
    }

    fn select(&self) -> Result<Selections> {
        let zeros = match self.of_nonzero {
            true => {
                let stats = self
                    .job
                    .checkpoint
                    .inspect(self.tensors().map(TensorInfo::name))?;
                stats
                    .iter()
                    .map(|stats| stats.as_ref().map_or(0, |stats| stats.zeros))
                    .collect()
            }
            false => vec![0; self.job.tensors.len()],
        };
        let (checkpoint, tensors) = (self.job.checkpoint, &self.job.tensors);
        let bytes = checkpoint.bytes_to_rank(tensors, &self.plan, self.scope, &self.options);
        checkpoint.work.begin_ranking(bytes);
        let selections = checkpoint.select(tensors, &zeros, &self.plan, self.scope, &self.options)?;
        checkpoint.work.end_ranking();
        Ok(selections)
    }
}

/// The plan of a method that can prune the tensors of a checkpoint.
pub(super) fn plan_of<M: PruningMethod + ?Sized>(method: &M, scope: Scope) -> Result<Plan<'_>> {
    let Some(plan) = method.plan() else {
        return Err(Error::Mask(MaskError::Unsupported {
            method: format!("{method:?}"),
            reason: "a checkpoint is pruned by methods that have a plan, as the built-in ones do",
        }));
    };
    if scope == Scope::Global && !matches!(plan, Plan::Nothing | Plan::Entries { .. }) {
        return Err(Error::Mask(MaskError::Unsupported {
            method: format!("{method:?}"),
            reason: "global pruning ranks single entries, so only unstructured methods can",
        }));
    }
    Ok(plan)
}

/// Checks options for the tensors of these names.
pub(super) fn check_options<'a>(
    options: &GlobalOptions<'_>,
    plan: &Plan<'_>,
    scope: Scope,
    names: impl Iterator<Item = &'a str> + Clone,
) -> Result<()> {
    let reason = match (scope, plan) {
        (Scope::Local, _) => Some("caps and norms are for global pruning, which ranks tensors together"),
        (_, Plan::Entries { by, .. }) if options.is_normalized() => match by {
            EntryRank::Random { .. } => {
                Some("random keys have no norm to be divided by; rank by magnitude, or without norms")
            }
            EntryRank::Magnitude | EntryRank::Value => None,
        },
        _ => None,
    };
    let reason = match options.scored().next() {
        Some(_) => {
            Some("the tensors of a checkpoint rank by themselves; scores are for parameters in memory")
        }
        None => reason,
    };
    let unlisted = |capped: &&str| names.clone().all(|name| name != *capped);
    if let Some(name) = options.capped().find(unlisted) {
        return Err(ListError::UnexpectedCap { path: name.into() }.into());
    }
    if let Some(reason) = reason.filter(|_| !options.is_default()) {
        return Err(Error::Mask(MaskError::Unsupported {
            method: format!("{plan:?}"),
            reason,
        }));
    }
    Ok(())
}
