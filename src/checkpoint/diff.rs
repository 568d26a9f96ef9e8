//! What differs between two checkpoints: [`Checkpoint::diff`].

use std::collections::{BTreeMap, BTreeSet};

use safetensors::Dtype;

use super::stream::chunk::whole;
use super::stream::{Chunk, Phase, ordered};
use super::{Checkpoint, TensorInfo};
use crate::error::Result;

/// What differs between two checkpoints, called left and right.
#[derive(Clone, Debug, PartialEq, Eq)]
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
}

/// A tensor that is not the same on both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TensorDiff {
    /// Name of the tensor.
    pub name: String,
    /// What differs.
    pub difference: Difference,
}

/// What differs about a tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// How many entries differ, and the first of them.
    differing: Option<(usize, usize)>,
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
        tensors.extend(self.differing_entries(right, &comparable)?);
        tensors.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(CheckpointDiff {
            same: names.len() - tensors.len(),
            tensors,
            metadata: metadata(self, right),
            order: order(self, right),
        })
    }

    /// Compares the entries of these pairs of tensors.
    fn differing_entries(&self, right: &Checkpoint, pairs: &[(usize, usize)]) -> Result<Vec<TensorDiff>> {
        let chunks = pairs.iter().flat_map(|&(tensor, other)| {
            whole(tensor, &self.tensors()[tensor], 64).map(move |chunk| (chunk, other))
        });
        let mut report = self.meter(Phase::Reading, chunks.clone().map(|(chunk, _)| chunk));
        let mut found: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
        ordered(
            &mut self.work.workers_for(chunks.clone(), Both::default),
            chunks,
            |(chunk, other), both| {
                self.read_raw(*chunk, &mut both.left)?;
                let of_right = Chunk::run(*other, chunk.first, chunk.len);
                right.read_raw(of_right, &mut both.right)?;
                let bits = self.tensors()[chunk.tensor].dtype().bitsize();
                both.differing = differing(&both.left, &both.right, bits);
                Ok(())
            },
            |(chunk, _), both| {
                if let Some((count, first)) = both.differing {
                    let known = found.entry(chunk.tensor).or_insert((0, chunk.first + first));
                    known.0 += count;
                }
                report(*chunk);
                Ok(())
            },
            |_, _| Ok(()),
        )?;
        for side in [self, right] {
            side.check_unchanged()?;
        }
        let diffs = found.into_iter().map(|(tensor, (differing, first))| TensorDiff {
            name: self.tensors()[tensor].name().to_owned(),
            difference: Difference::Entries {
                differing,
                entries: self.tensors()[tensor].entries(),
                first,
            },
        });
        Ok(diffs.collect())
    }
}

/// How many entries of `bits` bits differ, and the first of them, where some do.
fn differing(left: &[u8], right: &[u8], bits: usize) -> Option<(usize, usize)> {
    if left == right {
        return None;
    }
    let (mut count, mut first) = (0, None);
    if bits.is_multiple_of(8) {
        let entries = left.chunks(bits / 8).zip(right.chunks(bits / 8));
        for (i, _) in entries.enumerate().filter(|(_, (a, b))| a != b) {
            first.get_or_insert(i);
            count += 1;
        }
    } else {
        // Entries narrower than a byte, lowest bits first.
        let mut last = None;
        for bit in 0..left.len() * 8 {
            if (left[bit / 8] ^ right[bit / 8]) >> (bit % 8) & 1 == 1 && last != Some(bit / bits) {
                last = Some(bit / bits);
                first.get_or_insert(bit / bits);
                count += 1;
            }
        }
    }
    first.map(|first| (count, first))
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

#[cfg(test)]
mod tests {
    use super::differing;

    #[test]
    fn entries_of_any_width_are_counted() {
        assert_eq!(differing(&[1, 2, 3, 4], &[1, 0, 0, 4], 8), Some((2, 1)));
        assert_eq!(differing(&[1, 2, 3, 4], &[1, 0, 0, 4], 16), Some((2, 0)));
        assert_eq!(differing(&[1, 2, 3, 4], &[1, 2, 0, 0], 16), Some((1, 1)));
        assert_eq!(differing(&[0x11, 0x22], &[0x11, 0x31], 4), Some((2, 2)));
        assert_eq!(differing(&[0, 0, 0], &[0, 0b1100_0000, 0], 6), Some((1, 2)));
        assert_eq!(differing(&[7], &[7], 4), None);
    }
}
