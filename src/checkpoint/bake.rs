//! Plain weights from those that PyTorch prunes: [`Checkpoint::bake`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::format::index;
use super::format::layout::{Layout, Planned};
use super::report::{MaskedTensor, MaskingReport};
use super::write::mask_tensor::{MaskTensorError, check_mask};
use super::write::masked::{self, MaskedTensors};
use super::write::{NewFile, NewFiles, OutputPlan};
use super::{Checkpoint, Existing};
use crate::error::{CheckpointError, Error, Result};
use crate::prunable::suffix::{MASK, ORIGINAL};

/// A weight that PyTorch pruned.
struct Pair {
    /// Number of the original.
    original: usize,
    /// Number of the mask.
    mask: usize,
    /// Name of the weight.
    name: String,
}

impl Checkpoint {
    /// Writes a new checkpoint in which the pairs `NAME_orig` and `NAME_mask`, which PyTorch saves of a pruned
    /// weight, are the one tensor `NAME`: +0.0 where the mask is 0, and the original's bytes where it is 1.
    /// Everything else is copied byte for byte.
    ///
    /// A weight takes the place of its original, in the same shard. Masks are of dtype BOOL, U8 or a
    /// floating-point one. A `NAME_mask` without a `NAME_orig`, such as an attention mask, is copied.
    ///
    /// # Errors
    ///
    /// [`MaskTensorError::NoPairs`](crate::error::MaskTensorError::NoPairs) where there is nothing to bake; [`MaskTensorError::Unpaired`](crate::error::MaskTensorError::Unpaired) for an original without a mask;
    /// [`MaskTensorError::NameTaken`](crate::error::MaskTensorError::NameTaken) where the weight is there too; [`CheckpointError::NotPrunable`](crate::error::CheckpointError::NotPrunable) and [`MaskTensorError::NotMask`](crate::error::MaskTensorError::NotMask) for dtypes
    /// that cannot be masked or masks; [`MaskError::ShapeMismatch`](crate::error::MaskError::ShapeMismatch) and [`MaskError::NotBinary`](crate::error::MaskError::NotBinary), inside an
    /// [`Error::Parameter`] that names the tensor; [`OutputError`](crate::error::OutputError) where the output
    /// exists, or would be, replace or lie inside an input, [`Error::Io`], and
    /// [`CheckpointError::ChangedMeanwhile`](crate::error::CheckpointError::ChangedMeanwhile).
    pub fn bake(&self, path: impl AsRef<Path>, existing: Existing) -> Result<MaskingReport> {
        let mut files = NewFiles::stage(self, path.as_ref(), existing, None)?;
        let pairs = self.pairs()?;
        let plan = Plan::new(self, &pairs)?;
        files.create(&plan.output)?;
        let masked = MaskedTensors {
            tensors: self,
            masks: self,
            pairs: pairs
                .iter()
                .map(|pair| masked::Pair {
                    tensor: pair.original,
                    mask: pair.mask,
                    begin: plan.begins[&pair.original],
                })
                .collect(),
        };
        let counts = masked.write(&files, &plan.output)?;
        let copied = files.finish(&plan.output, None, |_| Ok(()))?;
        let mut tensors: Vec<_> = pairs
            .iter()
            .zip(counts)
            .map(|(pair, counts)| MaskedTensor::new(&pair.name, &self.tensors()[pair.original], counts))
            .collect();
        tensors.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(MaskingReport { tensors, copied })
    }

    /// The pairs, in the order of their originals.
    fn pairs(&self) -> Result<Vec<Pair>> {
        let mut pairs = Vec::new();
        for (original, info) in self.tensors().iter().enumerate() {
            let Some(name) = info.name().strip_suffix(ORIGINAL) else {
                continue;
            };
            let mask = format!("{name}{MASK}");
            let Some(number) = self.lookup(&mask) else {
                return Err(MaskTensorError::Unpaired {
                    name: info.name().into(),
                    mask,
                }
                .into());
            };
            if self.lookup(name).is_some() {
                return Err(MaskTensorError::NameTaken {
                    name: info.name().into(),
                    weight: name.into(),
                }
                .into());
            }
            if !info.is_float() {
                return Err(Error::Checkpoint(CheckpointError::NotPrunable {
                    name: info.name().into(),
                    dtype: info.dtype().to_string(),
                }));
            }
            check_mask(&self.tensors()[number], info)?;
            let name = name.to_owned();
            pairs.push(Pair {
                original,
                mask: number,
                name,
            });
        }
        if pairs.is_empty() {
            return Err(MaskTensorError::NoPairs {
                path: self.path().to_owned(),
            }
            .into());
        }
        Ok(pairs)
    }
}

/// What goes where.
struct Plan {
    /// No file for a shard that held masks only.
    output: OutputPlan,
    /// By tensor that is kept or is an original: where it begins in the new file.
    begins: BTreeMap<usize, u64>,
    /// The new names of the tensors, by shard.
    names: Vec<Vec<String>>,
    /// Bytes of all tensors.
    size: u64,
}

impl Plan {
    fn new(checkpoint: &Checkpoint, pairs: &[Pair]) -> Result<Self> {
        let masks: BTreeSet<usize> = pairs.iter().map(|pair| pair.mask).collect();
        let names: BTreeMap<usize, &str> = pairs.iter().map(|pair| (pair.original, &pair.name[..])).collect();
        let mut plan = Plan {
            output: OutputPlan::default(),
            begins: BTreeMap::new(),
            names: Vec::new(),
            size: 0,
        };
        for shard in checkpoint.shards() {
            let entries = shard.header.entries.iter();
            let mut kept: Vec<usize> = entries
                .filter_map(|entry| checkpoint.lookup(&entry.name))
                .filter(|tensor| !masks.contains(tensor))
                .collect();
            if kept.is_empty() && !shard.header.entries.is_empty() {
                plan.output.files.push(None);
                plan.names.push(Vec::new());
                continue;
            }
            let lay_out = |kept: &[usize]| {
                let planned = kept.iter().map(|tensor| {
                    let info = &checkpoint.tensors()[*tensor];
                    Planned {
                        name: names.get(tensor).map_or(info.name(), |name| *name).to_owned(),
                        dtype: info.dtype(),
                        shape: info.shape().to_vec(),
                    }
                });
                Layout::new(&planned.collect::<Vec<_>>(), shard.metadata())
            };
            let width = |tensor: &usize| checkpoint.tensors()[*tensor].dtype().bitsize().div_ceil(8) as u64;
            let mut layout = lay_out(&kept)?;
            // Without masks of odd lengths in between, tensors could be misaligned for some readers.
            if kept
                .iter()
                .zip(&layout.begins)
                .any(|(tensor, begin)| begin % width(tensor) != 0)
            {
                kept.sort_by_key(|tensor| std::cmp::Reverse(width(tensor)));
                layout = lay_out(&kept)?;
            }
            let mut shard_names = Vec::new();
            for (tensor, begin) in kept.into_iter().zip(&layout.begins) {
                let info = &checkpoint.tensors()[tensor];
                plan.begins.insert(tensor, *begin);
                plan.size += info.bytes();
                shard_names.push(names.get(&tensor).map_or(info.name(), |name| *name).to_owned());
                if !names.contains_key(&tensor) {
                    plan.output.copy(info, *begin);
                }
            }
            plan.output.files.push(Some(NewFile {
                header: layout.header,
                len: layout.len,
            }));
            plan.names.push(shard_names);
        }
        plan.output.index = plan.index(checkpoint)?;
        Ok(plan)
    }

    /// The text of the new index, where there is one.
    fn index(&self, checkpoint: &Checkpoint) -> Result<Option<String>> {
        let Some(old) = &checkpoint.index else {
            return Ok(None);
        };
        let shards = checkpoint.shards().iter().zip(&self.names);
        let placed =
            shards.flat_map(|(shard, names)| names.iter().map(|name| (&name[..], shard.file_name())));
        index::replaced(old, &placed.collect(), self.size, &[]).map(Some)
    }
}
