//! Pruning of checkpoints: [`Checkpoint::prune`].

use std::path::{Path, PathBuf};

use super::crew::crew;
use super::draft::{Draft, Existing};
use super::erase::{Cuts, Desk, Eraser, Tally};
use super::find::{Asked, Verdicts};
use super::masks::MaskFile;
use super::report::{CheckpointReport, TensorReport};
use super::rewrite::Rewrite;
use super::work::Phase;
use super::{Checkpoint, TensorInfo};
use crate::error::{CheckpointError, Error, ListError, MaskError, Result};
use crate::mask::{EntryRank, GlobalOptions, Plan, PruningMethod};

/// What is ranked together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// The units of each tensor for themselves.
    Local,
    /// The entries of all tensors together, exactly, across files and types (S17).
    Global,
}

/// Tensors and the method that they are to be pruned by; made by [`Checkpoint::prune`].
///
/// Nothing has been read of the tensors yet: that is for [`write`](Self::write), or [`measure`](Self::measure).
#[derive(Clone, Debug)]
pub struct Pruning<'a> {
    checkpoint: &'a Checkpoint,
    /// Numbers of the tensors, and so in the order of their names.
    tensors: Vec<usize>,
    plan: Plan<'a>,
    scope: Scope,
    options: GlobalOptions<'static>,
    masks: Option<PathBuf>,
}

impl Checkpoint {
    /// Prepares to prune the tensors of these names by a method of the mask layer.
    ///
    /// The order in which they are listed does not matter: they are ranked by name, bytewise (S5). Nothing is masked
    /// in a file, so a zero is an entry that ranks lowest (S3). A random method gives each tensor a stream of its own,
    /// by its place among the names that are listed (S18).
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
    /// assert_eq!((report.asked, report.pruned()), (2, 2));
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
    ) -> Result<Pruning<'a>> {
        let tensors = self.numbers(names)?;
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
        Ok(Pruning {
            checkpoint: self,
            tensors,
            plan,
            scope,
            options: GlobalOptions::default(),
            masks: None,
        })
    }

    /// The numbers of tensors that can be pruned, by their names.
    pub(super) fn numbers(&self, names: impl IntoIterator<Item: AsRef<str>>) -> Result<Vec<usize>> {
        let mut numbers = Vec::new();
        for name in names {
            let name = name.as_ref();
            let number = self.number(name)?;
            let info = &self.tensors()[number];
            if !info.is_float() {
                return Err(Error::Checkpoint(CheckpointError::NotPrunable {
                    name: name.into(),
                    dtype: info.dtype().to_string(),
                }));
            }
            numbers.push(number);
        }
        numbers.sort_unstable();
        if let Some(twice) = numbers.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Error::List(ListError::ListedTwice {
                path: self.tensors()[twice[0]].name().into(),
            }));
        }
        if numbers.is_empty() {
            return Err(Error::List(ListError::NoParameters));
        }
        Ok(numbers)
    }
}

impl Pruning<'_> {
    /// The tensors, in the order in which they are ranked.
    pub fn tensors(&self) -> impl Iterator<Item = &TensorInfo> {
        let infos = self.checkpoint.tensors();
        self.tensors.iter().map(move |&number| &infos[number])
    }

    /// With a cap on each tensor's sparsity, or ranking by norms, or both: as in
    /// [`mask::compute_global_with`](crate::mask::compute_global_with), exact over all files. A cap takes further
    /// passes over each tensor, norms take one, and quotients, which are f64, up to four.
    ///
    /// # Errors
    ///
    /// [`MaskError::Unsupported`](crate::error::MaskError::Unsupported) where tensors are not ranked together, and for norms with a method that ranks by chance.
    pub fn with_options(mut self, options: GlobalOptions<'static>) -> Result<Self> {
        let reason = match (self.scope, &self.plan) {
            (Scope::Local, _) => Some("caps and norms are for global pruning, which ranks tensors together"),
            (_, Plan::Entries { by, .. }) if options.is_normalized() => match by {
                EntryRank::Random { .. } => Some("what ranks by chance has no norm to be ranked by"),
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
        let unlisted = |name: &&str| self.tensors().all(|tensor| tensor.name() != *name);
        if let Some(name) = options.capped().find(unlisted) {
            return Err(ListError::UnexpectedCap { path: name.into() }.into());
        }
        if let Some(reason) = reason.filter(|_| !options.is_default()) {
            return Err(Error::Mask(MaskError::Unsupported {
                method: format!("{:?}", self.plan),
                reason,
            }));
        }
        self.options = options;
        Ok(self)
    }

    /// Also writes the masks, to a safetensors file of its own: of each tensor `name` a BOOL tensor `name_mask` of
    /// its shape, true where kept.
    pub fn with_masks(mut self, path: impl Into<PathBuf>) -> Self {
        self.masks = Some(path.into());
        self
    }

    /// Finds out what would fall, and writes nothing.
    ///
    /// # Errors
    ///
    /// [`AmountError::TooLarge`](crate::error::AmountError::TooLarge) for a count above the units that there are; [`MaskError::NanScore`](crate::error::MaskError::NanScore) names the tensor and
    /// the index of a NaN that would have to be ranked; [`PatternError::NoChannels`](crate::error::PatternError::NoChannels) and [`PatternError::DimOutOfRange`](crate::error::PatternError::DimOutOfRange) where a
    /// structured method does not fit, and [`PatternError::Indivisible`](crate::error::PatternError::Indivisible) where N:M does not; [`AmountError::Capped`](crate::error::AmountError::Capped) where caps do not
    /// leave as much to prune as was asked for; [`Error::Io`]; [`CheckpointError::ChangedMeanwhile`](crate::error::CheckpointError::ChangedMeanwhile) where a file changed.
    pub fn measure(&self) -> Result<CheckpointReport> {
        let verdicts = self.find()?;
        let eraser = Eraser::new(self.checkpoint, &self.tensors, &verdicts);
        let mut told = self.checkpoint.meter(Phase::Reading, eraser.extents());
        let mut cuts = Cuts::default();
        let mut desks = self.checkpoint.work.hire(eraser.extents(), Desk::default);
        crew(
            &mut desks,
            eraser.extents(),
            |extent, desk| eraser.read(*extent, desk),
            |extent, desk| {
                eraser.cut(*extent, &mut cuts, desk);
                told(*extent);
                Ok(())
            },
            |extent, desk| {
                eraser.erase(extent, desk);
                Ok(())
            },
        )?;
        let tally = eraser.tally(desks);
        self.report(&verdicts, tally, Vec::new())
    }

    /// Prunes into a new checkpoint: the same names, order, types, shapes and metadata, and everything that is not
    /// pruned byte for byte. A folder gives a folder, with every other file copied.
    ///
    /// The output is written beside its place, flushed, and renamed into it when it is whole. What a killed run left
    /// behind there is removed.
    ///
    /// # Errors
    ///
    /// As [`measure`](Self::measure); [`CheckpointError::OutputExists`](crate::error::CheckpointError::OutputExists), and [`CheckpointError::BadOutput`](crate::error::CheckpointError::BadOutput) where the output would be the
    /// input, or cannot be replaced.
    pub fn write(&self, path: impl AsRef<Path>, existing: Existing) -> Result<CheckpointReport> {
        let checkpoint = self.checkpoint;
        let draft = Draft::begin(checkpoint, path.as_ref(), checkpoint.is_folder(), existing)?;
        let masks = match &self.masks {
            Some(masks) if masks == path.as_ref() => {
                return Err(Error::Checkpoint(CheckpointError::BadOutput {
                    path: masks.clone(),
                    reason: "the masks cannot have the name of the output",
                }));
            }
            Some(masks) => Some(MaskFile::begin(checkpoint, &self.tensors, masks, existing)?),
            None => None,
        };
        let verdicts = self.find()?;
        let eraser = Eraser::new(checkpoint, &self.tensors, &verdicts);
        let rewrite = Rewrite::begin(checkpoint, draft)?;
        let tally = rewrite.run(&eraser, masks.as_ref())?;
        let mut report = self.report(&verdicts, tally, Vec::new())?;
        report.copied = rewrite.finish(masks)?;
        Ok(report)
    }

    fn find(&self) -> Result<Verdicts> {
        self.checkpoint
            .find(&self.tensors, &self.plan, self.scope, &self.options)
    }

    /// What it came to, once what fell is checked against what was asked for.
    fn report(
        &self,
        verdicts: &Verdicts,
        tally: Vec<Tally>,
        copied: Vec<PathBuf>,
    ) -> Result<CheckpointReport> {
        let tensors = self.tensors().zip(&tally).enumerate();
        let tensors = tensors.map(|(place, (info, tally))| {
            let (units, reached) = verdicts.each[place].units(info.entries(), tally.fell);
            TensorReport {
                name: info.name().to_owned(),
                dtype: info.dtype(),
                shape: info.shape().to_vec(),
                asked: match &verdicts.asked {
                    Asked::Each(asked) => Some(asked[place]),
                    Asked::Together(_) => None,
                },
                reached,
                units,
                pruned: tally.fell,
                zeros: tally.zeros,
                entries: info.entries(),
            }
        });
        let report = CheckpointReport {
            tensors: tensors.collect(),
            unit: verdicts.unit,
            asked: match &verdicts.asked {
                Asked::Each(asked) => asked.iter().sum(),
                Asked::Together(asked) => *asked,
            },
            copied,
        };
        if report.reached() != report.asked {
            return Err(Error::Checkpoint(CheckpointError::ChangedMeanwhile {
                path: self.checkpoint.path().to_owned(),
            }));
        }
        Ok(report)
    }
}
