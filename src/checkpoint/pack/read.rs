//! [`Contents`]: what a packed checkpoint consists of, checked as far as headers tell.

use std::collections::{BTreeMap, HashSet};

use super::PackError;
use super::form::{Form, Part};
use super::record::{self, Record, Version};
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
    /// Its tensors, in the order of their bytes.
    pub tensors: Vec<Original>,
    /// Where the checksums of the tensors are; version 1 has none.
    pub checksums: Option<TensorInfo>,
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
    /// In version 1: where each row begins among the values.
    pub row_offsets: Option<TensorInfo>,
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
            let record = record::original(shard).map_err(damaged)?;
            let original = Finder::new(checkpoint, number, record.version).originally(&record);
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
    version: Version,
}

impl<'a> Finder<'a> {
    fn new(checkpoint: &'a Checkpoint, number: usize, version: Version) -> Self {
        let here = checkpoint.tensors().iter().filter(|info| info.shard == number);
        Finder {
            checkpoint,
            shard: &checkpoint.shards()[number],
            here: here.map(|info| (info.name(), info)).collect(),
            used: HashSet::new(),
            version,
        }
    }

    /// What the shard was, by its original header. The outer error is of reading, the inner of what was read.
    fn originally(mut self, record: &Record<'_>) -> Result<Result<Originally, Damage>> {
        let Record { text, header, .. } = record;
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
        let checksums = match self.checksums(header) {
            Ok(checksums) => checksums,
            Err(damage) => return Ok(Err(damage)),
        };
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
            checksums,
        }))
    }

    /// Where the checksums are.
    fn checksums(&mut self, header: &Header) -> Result<Option<TensorInfo>, Damage> {
        if self.version == Version::One {
            return Ok(None);
        }
        // A file may be unpacked without the others, so its number is not known.
        let mut names = self.here.keys();
        let name = names.find(|name| name.starts_with(record::CHECKSUMS));
        let name = name.map_or_else(|| format!("{}0", record::CHECKSUMS), |name| name.to_string());
        self.take(&name, record::checksums(name.clone(), header.entries.len()))
            .map(Some)
    }

    fn source(&mut self, entry: &Entry) -> Result<Source, Damage> {
        if self.here.contains_key(&entry.name[..]) {
            let as_it_was = Planned {
                name: entry.name.clone(),
                dtype: entry.dtype,
                shape: entry.shape.clone(),
            };
            return self.take(&entry.name, as_it_was).map(Source::Plain);
        }
        let form = Form::of(self.version, entry.dtype, &entry.shape);
        // How many values there are is what the file says; the bits will tell whether it is so.
        let compressed = Part::Compressed.name(&entry.name);
        let kept = self.here.get(&compressed[..]).map_or(0, |info| info.entries());
        let version = self.version;
        let mut take = |part| self.take(&entry.name, form.part(part, &entry.name, kept));
        let (compressed, bitmask) = (take(Part::Compressed)?, take(Part::Bitmask)?);
        let row_offsets = match version {
            Version::One => {
                take(Part::Shape)?;
                Some(take(Part::RowOffsets)?)
            }
            Version::Two => None,
        };
        if form.entries == 0 && kept > 0 {
            return Err(Damage::PackedBits {
                name: entry.name.clone(),
                bits: 0,
                values: kept as u64,
            });
        }
        Ok(Source::Packed(Box::new(Parts {
            row_offsets,
            compressed,
            bitmask,
            kept: kept as u64,
            form,
        })))
    }

    /// A tensor that has to be there and of this form.
    fn take(&mut self, of: &str, needed: Planned) -> Result<TensorInfo, Damage> {
        let Some(info) = self.here.get(&needed.name[..]) else {
            return Err(Damage::PackedMissing {
                name: of.to_owned(),
                part: needed.name,
            });
        };
        if (info.dtype(), info.shape()) != (needed.dtype, &needed.shape[..]) {
            return Err(Damage::PackedPart {
                name: of.to_owned(),
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

    /// What is wrong with the stated shape of a packed tensor, which only version 1 states.
    fn wrong_shape(&self, entry: &Entry, form: &Form) -> Result<Option<Damage>> {
        if self.version == Version::Two {
            return Ok(None);
        }
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
    let packed_text = index::text(path)?;
    let Some(text) = index::note(&packed_text, record::INDEX_KEY) else {
        return Err(damaged(
            "`secateurs.index` is missing from the metadata of the index",
        ));
    };
    let checksum = index::note(&packed_text, record::INDEX_CRC_KEY);
    let needs_checksum = shards.iter().any(|shard| shard.checksums.is_some());
    if needs_checksum && checksum != Some(record::checksum(&text)) {
        return Err(damaged("`secateurs.index` does not match its checksum"));
    }
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
