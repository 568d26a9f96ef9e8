//! PyTorch's pruned weights made plain: [`Checkpoint::bake`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::Checkpoint;
use super::draft::{Draft, Existing};
use super::files::{Copied, Files, join};
use super::given::{SUFFIX, check_mask};
use super::index;
use super::layout::{Layout, Planned};
use super::masking::{MaskedTensor, MaskingReport};
use super::overlay::{Masked, Overlay};
use crate::error::{CheckpointError, Error, Result};

/// What the name of an original has behind that of its weight.
const ORIGINAL: &str = "_orig";

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
    /// weight, are the one tensor `NAME`: +0.0 where the mask is 0 (S10), and the original's bytes where it is 1.
    /// Everything else stays as it is, byte for byte.
    ///
    /// A weight takes the place of its original (S13), in the same shard. Masks are of dtype BOOL, U8 or a
    /// floating-point one. A `NAME_mask` without a `NAME_orig`, such as the mask of an attention, stays.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::NoPairs`](crate::error::CheckpointError::NoPairs) where there is nothing to bake; [`CheckpointError::Unpaired`](crate::error::CheckpointError::Unpaired) for an original without a mask;
    /// [`CheckpointError::NameTaken`](crate::error::CheckpointError::NameTaken) where the weight is there too; [`CheckpointError::NotPrunable`](crate::error::CheckpointError::NotPrunable) and [`CheckpointError::NotMask`](crate::error::CheckpointError::NotMask) for dtypes
    /// that cannot be masked or masks; [`MaskError::ShapeMismatch`](crate::error::MaskError::ShapeMismatch) and [`MaskError::NotBinary`](crate::error::MaskError::NotBinary), inside an
    /// [`Error::Parameter`] that names the tensor; [`CheckpointError::OutputExists`](crate::error::CheckpointError::OutputExists), [`CheckpointError::BadOutput`](crate::error::CheckpointError::BadOutput), [`Error::Io`], and
    /// [`CheckpointError::ChangedMeanwhile`](crate::error::CheckpointError::ChangedMeanwhile).
    pub fn bake(&self, path: impl AsRef<Path>, existing: Existing) -> Result<MaskingReport> {
        let draft = Draft::begin(self, path.as_ref(), self.is_folder(), existing)?;
        let pairs = self.pairs()?;
        let plan = Plan::new(self, &pairs)?;
        let outputs: Vec<_> = plan
            .layouts
            .iter()
            .map(|layout| layout.as_ref().map(|layout| (&layout.header[..], layout.len)))
            .collect();
        let files = Files::begin(self, draft, &outputs)?;
        let overlay = Overlay {
            tensors: self,
            masks: self,
            pairs: pairs
                .iter()
                .map(|pair| Masked {
                    tensor: pair.original,
                    mask: pair.mask,
                    begin: plan.begins[&pair.original],
                })
                .collect(),
        };
        let total = plan.layouts.iter().flatten().map(|layout| layout.len).sum();
        let tallies = overlay.write(&files, &plan.copied, total)?;
        let index = plan.index(self)?;
        let copied = files.finish(index.as_deref(), |_| Ok(()))?;
        let mut tensors: Vec<_> = pairs
            .iter()
            .zip(tallies)
            .map(|(pair, tally)| MaskedTensor::new(&pair.name, &self.tensors()[pair.original], tally))
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
            let mask = format!("{name}{SUFFIX}");
            let Ok(number) = self.number(&mask) else {
                return Err(Error::Checkpoint(CheckpointError::Unpaired {
                    name: info.name().into(),
                    mask,
                }));
            };
            if self.number(name).is_ok() {
                return Err(Error::Checkpoint(CheckpointError::NameTaken {
                    name: info.name().into(),
                    weight: name.into(),
                }));
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
            return Err(Error::Checkpoint(CheckpointError::NoPairs {
                path: self.path().to_owned(),
            }));
        }
        Ok(pairs)
    }
}

/// Where everything goes.
struct Plan {
    /// By shard; `None` for one that held masks only.
    layouts: Vec<Option<Layout>>,
    /// By tensor that stays or is an original: where it begins in the new file.
    begins: BTreeMap<usize, u64>,
    copied: Vec<Copied>,
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
            layouts: Vec::new(),
            begins: BTreeMap::new(),
            copied: Vec::new(),
            names: Vec::new(),
            size: 0,
        };
        for (number, shard) in checkpoint.shards().iter().enumerate() {
            let entries = shard.header.entries.iter();
            let mut stay: Vec<usize> = entries
                .filter_map(|entry| checkpoint.number(&entry.name).ok())
                .filter(|tensor| !masks.contains(tensor))
                .collect();
            if stay.is_empty() && !shard.header.entries.is_empty() {
                plan.layouts.push(None);
                plan.names.push(Vec::new());
                continue;
            }
            let lay_out = |stay: &[usize]| {
                let planned = stay.iter().map(|tensor| {
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
            let mut layout = lay_out(&stay)?;
            // Without masks of odd lengths in between, tensors could lie where some readers cannot take them.
            if stay
                .iter()
                .zip(&layout.begins)
                .any(|(tensor, begin)| begin % width(tensor) != 0)
            {
                stay.sort_by_key(|tensor| std::cmp::Reverse(width(tensor)));
                layout = lay_out(&stay)?;
            }
            let mut shard_names = Vec::new();
            for (tensor, begin) in stay.into_iter().zip(&layout.begins) {
                let info = &checkpoint.tensors()[tensor];
                plan.begins.insert(tensor, *begin);
                plan.size += info.bytes();
                shard_names.push(names.get(&tensor).map_or(info.name(), |name| *name).to_owned());
                if !names.contains_key(&tensor) {
                    plan.copied.push(Copied {
                        shard: number,
                        from: info.begin,
                        to: *begin,
                        len: info.bytes(),
                    });
                }
            }
            plan.layouts.push(Some(layout));
            plan.names.push(shard_names);
        }
        plan.copied = join(plan.copied);
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
        index::replaced(old, &placed.collect(), self.size, None).map(Some)
    }
}
