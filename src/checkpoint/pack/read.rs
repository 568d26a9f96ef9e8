//! [`Contents`]: what a packed checkpoint consists of, checked as far as headers tell.

use std::collections::{BTreeMap, HashSet};

use super::PackError;
use super::form::{Form, Part};
use super::record;
use crate::checkpoint::damage::Damage;
use crate::checkpoint::format::header::{Entry, Header};
use crate::checkpoint::format::index;
use crate::checkpoint::format::layout::Planned;
use crate::checkpoint::{Checkpoint, Shard, TensorInfo};
use crate::error::{CheckpointError, Error, Result};

/// What a packed checkpoint consists of.
pub(super) struct Contents {
    pub shards: Vec<Originally>,
    /// The text of the original's index, where it had one.
    pub index: Option<String>,
}

/// What a shard was before it was packed.
pub(super) struct Originally {
    /// The length field and the JSON of its header.
    pub header: Vec<u8>,
    /// Bytes of the whole file.
    pub len: u64,
    /// Its tensors, in their order.
    pub tensors: Vec<Original>,
}

/// A tensor of the original.
pub(super) struct Original {
    pub name: String,
    /// Where it begins in the original file.
    pub begin: u64,
    pub bytes: u64,
    pub source: Source,
}

/// Where a tensor is in the packed checkpoint.
pub(super) enum Source {
    /// As it was, under its own name.
    Plain(TensorInfo),
    Packed(Box<Parts>),
}

/// The parts of a packed tensor.
pub(super) struct Parts {
    pub form: Form,
    pub kept: u64,
    pub row_offsets: TensorInfo,
    pub compressed: TensorInfo,
    pub bitmask: TensorInfo,
}

impl Contents {
    /// Reads what a packed checkpoint says of itself.
    pub fn of(checkpoint: &Checkpoint) -> Result<Self> {
        if !checkpoint.shards().iter().any(record::is_packed) {
            return Err(PackError::NotPacked {
                path: checkpoint.path().to_owned(),
            }
            .into());
        }
        let shards = checkpoint.shards().iter().enumerate();
        let shards = shards.map(|(number, shard)| {
            let damaged = |damage| {
                Error::Checkpoint(CheckpointError::Damaged {
                    path: shard.path().to_owned(),
                    damage: Box::new(damage),
                })
            };
            let (text, header) = record::original(shard).map_err(damaged)?;
            let original = Finder::new(checkpoint, number).originally(text, &header);
            original.and_then(|found| found.map_err(damaged))
        });
        let shards = shards.collect::<Result<Vec<_>>>()?;
        let index = original_index(checkpoint, &shards)?;
        Ok(Contents { shards, index })
    }
}

/// Finds the tensors of one shard.
struct Finder<'a> {
    checkpoint: &'a Checkpoint,
    shard: &'a Shard,
    here: BTreeMap<&'a str, &'a TensorInfo>,
    used: HashSet<&'a str>,
}

impl<'a> Finder<'a> {
    fn new(checkpoint: &'a Checkpoint, number: usize) -> Self {
        let here = checkpoint.tensors().iter().filter(|info| info.shard == number);
        Finder {
            checkpoint,
            shard: &checkpoint.shards()[number],
            here: here.map(|info| (info.name(), info)).collect(),
            used: HashSet::new(),
        }
    }

    /// What the shard was, by its original header. The outer error is of reading, the inner of what was read.
    fn originally(mut self, text: &str, header: &Header) -> Result<Result<Originally, Damage>> {
        let data = 8 + text.len() as u64;
        let mut tensors = Vec::with_capacity(header.entries.len());
        for entry in &header.entries {
            let source = match self.source(entry) {
                Ok(source) => source,
                Err(damage) => return Ok(Err(damage)),
            };
            if let Source::Packed(parts) = &source
                && let Some(damage) = self.wrong_shape(entry, &parts.form)?
            {
                return Ok(Err(damage));
            }
            tensors.push(Original {
                name: entry.name.clone(),
                begin: data + entry.begin,
                bytes: entry.end - entry.begin,
                source,
            });
        }
        if let Some(stray) = self.here.keys().find(|name| !self.used.contains(**name)) {
            let name = stray.to_string();
            return Ok(Err(Damage::PackedStray { name }));
        }
        let mut header_bytes = (text.len() as u64).to_le_bytes().to_vec();
        header_bytes.extend(text.as_bytes());
        Ok(Ok(Originally {
            header: header_bytes,
            len: data + header.data_len(),
            tensors,
        }))
    }

    fn source(&mut self, entry: &Entry) -> Result<Source, Damage> {
        if self.here.contains_key(&entry.name[..]) {
            let as_it_was = Planned {
                name: entry.name.clone(),
                dtype: entry.dtype,
                shape: entry.shape.clone(),
            };
            return self.take(entry, as_it_was).map(Source::Plain);
        }
        let form = Form::of(entry.dtype, &entry.shape);
        // How many values there are is what the file says; the bits will tell whether it is so.
        let compressed = Part::Compressed.name(&entry.name);
        let kept = self.here.get(&compressed[..]).map_or(0, |info| info.entries());
        let [shape, row_offsets, compressed, bitmask] = form.parts(&entry.name, kept);
        self.take(entry, shape)?;
        if form.entries == 0 && kept > 0 {
            return Err(Damage::PackedBits {
                name: entry.name.clone(),
                bits: 0,
                values: kept as u64,
            });
        }
        Ok(Source::Packed(Box::new(Parts {
            row_offsets: self.take(entry, row_offsets)?,
            compressed: self.take(entry, compressed)?,
            bitmask: self.take(entry, bitmask)?,
            kept: kept as u64,
            form,
        })))
    }

    /// A tensor that has to be there and of this form.
    fn take(&mut self, entry: &Entry, needed: Planned) -> Result<TensorInfo, Damage> {
        let Some(info) = self.here.get(&needed.name[..]) else {
            return Err(Damage::PackedMissing {
                name: entry.name.clone(),
                part: needed.name,
            });
        };
        if (info.dtype(), info.shape()) != (needed.dtype, &needed.shape[..]) {
            return Err(Damage::PackedPart {
                name: entry.name.clone(),
                part: needed.name,
                expected: format!("dtype {} and shape {:?}", needed.dtype, needed.shape),
                got: format!("dtype {} and shape {:?}", info.dtype(), info.shape()),
            });
        }
        if !self.used.insert(info.name()) {
            return Err(Damage::PackedRecord {
                reason: format!("`{}` is a part of two tensors", needed.name),
            });
        }
        Ok((*info).clone())
    }

    /// What is wrong with the stated shape of a packed tensor.
    fn wrong_shape(&self, entry: &Entry, form: &Form) -> Result<Option<Damage>> {
        let part = Part::Shape.name(&entry.name);
        let info = self.checkpoint.tensor(&part)?;
        let mut bytes = vec![0; info.bytes() as usize];
        self.shard.read_at(&mut bytes, info.begin)?;
        let got: Vec<i64> = bytes
            .as_chunks()
            .0
            .iter()
            .map(|b| i64::from_le_bytes(*b))
            .collect();
        let same = got.iter().copied().eq(form.shape.iter().map(|&n| n as i64));
        Ok((!same).then(|| Damage::PackedShape {
            part,
            expected: form.shape.clone(),
            got,
        }))
    }
}

/// The text of the original's index, once it is seen to place every tensor where it was.
fn original_index(checkpoint: &Checkpoint, shards: &[Originally]) -> Result<Option<String>> {
    let Some(path) = &checkpoint.index else {
        return Ok(None);
    };
    let damaged = |reason: &str| {
        Error::Checkpoint(CheckpointError::Damaged {
            path: path.clone(),
            damage: Box::new(Damage::PackedRecord {
                reason: reason.to_owned(),
            }),
        })
    };
    let Some(text) = index::note(&index::text(path)?, record::INDEX_KEY) else {
        return Err(damaged(
            "`secateurs.index` is missing from the metadata of the index",
        ));
    };
    let placed = index::placed(text.as_bytes());
    let placed = placed.map_err(|damage| damaged(&format!("`{}`: {damage}", record::INDEX_KEY)))?;
    let found: BTreeMap<&str, &str> = checkpoint
        .shards()
        .iter()
        .zip(shards)
        .flat_map(|(shard, original)| {
            let names = original.tensors.iter().map(|tensor| &tensor.name[..]);
            names.map(|name| (name, shard.file_name()))
        })
        .collect();
    let stated = placed.iter().map(|(name, shard)| (&name[..], &shard[..]));
    if !stated.eq(found) {
        return Err(damaged(
            "the original index does not place tensors where they are",
        ));
    }
    Ok(Some(text))
}
