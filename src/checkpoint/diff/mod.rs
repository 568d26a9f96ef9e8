//! What differs between two checkpoints: [`Checkpoint::diff`].

mod compare;

use std::collections::{BTreeMap, BTreeSet};

use compare::Comparison;
use safetensors::Dtype;

use super::stream::chunk::whole;
use super::stream::{Chunk, Phase, ordered};
use super::{Checkpoint, TensorInfo};
use crate::error::Result;

/// What differs between two checkpoints, called left and right.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct CheckpointDiff {
    /// The tensors that differ, by name.
    pub tensors: Vec<TensorDiff>,
    /// The metadata that differ, by key.
    pub metadata: Vec<MetadataDiff>,
    /// Two tensors that share a file on either side, but lie in it in another order: the first such pair, in the
    /// order of the left.
    pub order: Option<(String, String)>,
    /// How many tensors are the same.
    pub same: usize,
    /// How far apart the entries are, of all tensors that are floats of one dtype and shape on both sides. `None` if
    /// there are none.
    pub figures: Option<Figures>,
}

/// How far apart the entries of two sides are, of those that are finite on both.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Figures {
    /// The largest absolute difference.
    pub largest: f64,
    /// The mean absolute difference, of all entries, equal or not.
    pub mean: f64,
    /// The cosine of the angle between the two sides as vectors. `None` where one of them is zero.
    pub cosine: Option<f64>,
}

/// How two checkpoints are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiffOptions {
    ignore_signed_zero: bool,
}

impl DiffOptions {
    /// Whether −0.0 is the same as +0.0. By default it is not.
    pub fn ignore_signed_zero(self, ignore_signed_zero: bool) -> Self {
        DiffOptions { ignore_signed_zero }
    }
}

/// A tensor that is not the same on both sides.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TensorDiff {
    /// Name of the tensor.
    pub name: String,
    /// What differs.
    pub difference: Difference,
}

/// What differs about a tensor.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Difference {
    /// Only the left has it.
    OnlyLeft,
    /// Only the right has it.
    OnlyRight,
    /// Dtype or shape, so that entries cannot be compared.
    Form {
        /// Dtype and shape on the left.
        left: (Dtype, Vec<usize>),
        /// Dtype and shape on the right.
        right: (Dtype, Vec<usize>),
    },
    /// Some entries: their bits, so that −0.0 is not +0.0, and a NaN is equal to itself.
    Entries {
        /// How many differ.
        differing: usize,
        /// How many there are.
        entries: usize,
        /// The first that differs, in row-major order.
        first: usize,
        /// How far apart the entries are; `None` if they are not floats, or none is finite.
        figures: Option<Figures>,
    },
}

/// A key of the metadata whose text is not the same on both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MetadataDiff {
    /// The key.
    pub key: String,
    /// Its texts in the files of the left; several, where the files of a sharded checkpoint disagree.
    pub left: Vec<String>,
    /// Its texts in the files of the right.
    pub right: Vec<String>,
}

impl CheckpointDiff {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.tensors.is_empty() && self.metadata.is_empty() && self.order.is_none()
    }
}

/// Bytes of a part of both sides.
#[derive(Default)]
struct Both {
    left: Vec<u8>,
    right: Vec<u8>,
    found: Comparison,
}

impl Checkpoint {
    /// Finds what differs between this checkpoint, the left, and another one: tensors that only one has, dtypes,
    /// shapes and entries, metadata, and the order of tensors within a file.
    ///
    /// How tensors are spread over files makes no difference, nor do other files of a folder. Entries are compared by
    /// their bits.
    ///
    /// # Errors
    ///
    /// [`Error::Io`](crate::Error::Io), and [`CheckpointError::ChangedMeanwhile`](crate::error::CheckpointError::ChangedMeanwhile).
    pub fn diff(&self, right: &Checkpoint) -> Result<CheckpointDiff> {
        self.diff_with(right, &DiffOptions::default())
    }

    /// As [`diff`](Self::diff), with options.
    ///
    /// # Errors
    ///
    /// As [`diff`](Self::diff).
    pub fn diff_with(&self, right: &Checkpoint, options: &DiffOptions) -> Result<CheckpointDiff> {
        let names: BTreeSet<&str> = [self, right]
            .iter()
            .flat_map(|side| side.tensors().iter().map(TensorInfo::name))
            .collect();
        let mut tensors = Vec::new();
        let mut comparable = Vec::new();
        for name in &names {
            let difference = match (self.lookup(name), right.lookup(name)) {
                (Some(left), Some(other)) => {
                    let (a, b) = (&self.tensors()[left], &right.tensors()[other]);
                    if (a.dtype(), a.shape()) == (b.dtype(), b.shape()) {
                        comparable.push((left, other));
                        continue;
                    }
                    Difference::Form {
                        left: (a.dtype(), a.shape().to_vec()),
                        right: (b.dtype(), b.shape().to_vec()),
                    }
                }
                (Some(_), None) => Difference::OnlyLeft,
                _ => Difference::OnlyRight,
            };
            tensors.push(TensorDiff {
                name: name.to_string(),
                difference,
            });
        }
        let mut all = Comparison::default();
        for (tensor, found) in self.compare(right, &comparable, options)? {
            all.join(0, &found);
            if let Some(first) = found.first {
                tensors.push(TensorDiff {
                    name: self.tensors()[tensor].name().to_owned(),
                    difference: Difference::Entries {
                        differing: found.differing,
                        entries: self.tensors()[tensor].entries(),
                        first,
                        figures: found.figures(),
                    },
                });
            }
        }
        tensors.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(CheckpointDiff {
            same: names.len() - tensors.len(),
            tensors,
            metadata: metadata(self, right),
            order: order(self, right),
            figures: all.figures(),
        })
    }

    /// Compares the entries of these pairs of tensors.
    fn compare(
        &self,
        right: &Checkpoint,
        pairs: &[(usize, usize)],
        options: &DiffOptions,
    ) -> Result<BTreeMap<usize, Comparison>> {
        let chunks = pairs.iter().flat_map(|&(tensor, other)| {
            whole(tensor, &self.tensors()[tensor], 64).map(move |chunk| (chunk, other))
        });
        let mut report = self.meter(Phase::Reading, chunks.clone().map(|(chunk, _)| chunk));
        let mut found: BTreeMap<usize, Comparison> = BTreeMap::new();
        ordered(
            &mut self.work.workers_for(chunks.clone(), Both::default),
            chunks,
            |(chunk, other), both| {
                self.read_raw(*chunk, &mut both.left)?;
                let of_right = Chunk::run(*other, chunk.first, chunk.len);
                right.read_raw(of_right, &mut both.right)?;
                let dtype = self.tensors()[chunk.tensor].dtype();
                both.found = Comparison::of(&both.left, &both.right, dtype, options);
                Ok(())
            },
            |(chunk, _), both| {
                let so_far = found.entry(chunk.tensor).or_default();
                so_far.join(chunk.first, &both.found);
                report(*chunk);
                Ok(())
            },
            |_, _| Ok(()),
        )?;
        for side in [self, right] {
            side.check_unchanged()?;
        }
        Ok(found)
    }
}

/// The metadata of all files of a checkpoint, whichever they are in.
fn all_metadata(checkpoint: &Checkpoint) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut all: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for (key, text) in checkpoint.shards().iter().flat_map(|shard| shard.metadata()) {
        all.entry(&key[..]).or_default().insert(&text[..]);
    }
    all
}

fn metadata(left: &Checkpoint, right: &Checkpoint) -> Vec<MetadataDiff> {
    let (left, right) = (all_metadata(left), all_metadata(right));
    let keys: BTreeSet<&str> = left.keys().chain(right.keys()).copied().collect();
    let texts = |side: &BTreeMap<&str, BTreeSet<&str>>, key| -> Vec<String> {
        side.get(key)
            .into_iter()
            .flatten()
            .map(|text| text.to_string())
            .collect()
    };
    keys.into_iter()
        .map(|key| MetadataDiff {
            key: key.to_owned(),
            left: texts(&left, key),
            right: texts(&right, key),
        })
        .filter(|diff| diff.left != diff.right)
        .collect()
}

/// The first two tensors that share a file on both sides, in another order.
fn order(left: &Checkpoint, right: &Checkpoint) -> Option<(String, String)> {
    let places: BTreeMap<&str, (usize, usize)> = right
        .shards()
        .iter()
        .enumerate()
        .flat_map(|(number, shard)| {
            let entries = shard.header.entries.iter().enumerate();
            entries.map(move |(place, entry)| (&entry.name[..], (number, place)))
        })
        .collect();
    for shard in left.shards() {
        // By file of the right: the last tensor that was seen in it.
        let mut last: BTreeMap<usize, (usize, &str)> = BTreeMap::new();
        for entry in &shard.header.entries {
            let Some(&(file, place)) = places.get(&entry.name[..]) else {
                continue;
            };
            match last.insert(file, (place, &entry.name)) {
                Some((before, name)) if before > place => {
                    return Some((name.to_owned(), entry.name.clone()));
                }
                _ => {}
            }
        }
    }
    None
}
