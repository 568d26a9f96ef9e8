//! The index of a sharded checkpoint: which file holds which tensor.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Component, Path};

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::Shard;
use super::header::LIMIT;
use crate::checkpoint::damage::Damage;
use crate::checkpoint::io::failed;
use crate::error::{CheckpointError, Error, Result};

/// Opens every shard that an index names, in order of their names, and checks that the two agree.
pub(in crate::checkpoint) fn open(index: &Path) -> Result<Vec<Shard>> {
    let damaged = |damage| {
        Error::Checkpoint(CheckpointError::Damaged {
            path: index.to_owned(),
            damage: Box::new(damage),
        })
    };
    let placed = read(index)?;
    let folder = index.parent().unwrap_or(Path::new(""));
    let mut by_shard: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, shard) in &placed {
        if !is_file_name(shard) {
            return Err(damaged(Damage::BadShardName {
                name: name.clone(),
                shard: shard.clone(),
            }));
        }
        by_shard.entry(shard).or_default().push(name);
    }
    let mut shards = Vec::new();
    for (file, names) in &by_shard {
        let path = folder.join(file);
        if !path.exists() {
            return Err(damaged(Damage::MissingShard {
                shard: file.to_string(),
                tensors: names.len(),
                name: names[0].to_owned(),
            }));
        }
        shards.push(Shard::open(&path)?);
    }
    agree(&placed, &shards).map_err(damaged)?;
    Ok(shards)
}

/// Checks that every tensor is where the index says, once, and that there are no others.
fn agree(placed: &BTreeMap<String, String>, shards: &[Shard]) -> Result<(), Damage> {
    let mut found: BTreeMap<&str, &str> = BTreeMap::new();
    for shard in shards {
        for entry in &shard.header.entries {
            if found.insert(&entry.name, shard.file_name()).is_some() {
                return Err(Damage::DuplicateTensor {
                    name: entry.name.clone(),
                });
            }
        }
    }
    for (name, shard) in placed {
        let found = found.remove(&name[..]);
        if found != Some(shard) {
            return Err(Damage::WrongShard {
                name: name.clone(),
                shard: shard.clone(),
                found: found.map(str::to_owned),
            });
        }
    }
    match found.into_iter().next() {
        Some((name, shard)) => Err(Damage::Unlisted {
            name: name.to_owned(),
            shard: shard.to_owned(),
        }),
        None => Ok(()),
    }
}

/// Where an index places each tensor.
fn read(index: &Path) -> Result<BTreeMap<String, String>> {
    placed(&text(index)?).map_err(|damage| {
        Error::Checkpoint(CheckpointError::Damaged {
            path: index.to_owned(),
            damage: Box::new(damage),
        })
    })
}

/// What stands in an index.
pub(in crate::checkpoint) fn text(index: &Path) -> Result<Vec<u8>> {
    let damaged = |damage| {
        Error::Checkpoint(CheckpointError::Damaged {
            path: index.to_owned(),
            damage: Box::new(damage),
        })
    };
    let len = fs::metadata(index).map_err(failed("read", index))?.len();
    if len > LIMIT {
        return Err(damaged(Damage::HeaderTooLarge {
            claimed: len,
            limit: LIMIT,
        }));
    }
    fs::read(index).map_err(failed("read", index))
}

/// Where the text of an index places each tensor.
pub(in crate::checkpoint) fn placed(text: &[u8]) -> Result<BTreeMap<String, String>, Damage> {
    let Index { weight_map } = serde_json::from_slice(text).map_err(|error| Damage::Json {
        reason: format!("not the index of a sharded checkpoint: {error}"),
    })?;
    match weight_map.duplicate {
        Some(name) => Err(Damage::DuplicateTensor { name }),
        None if weight_map.placed.is_empty() => Err(Damage::EmptyIndex),
        None => Ok(weight_map.placed),
    }
}

/// The text of an index that places tensors anew: whatever else the old one said remains, and the total size, where it
/// is stated, becomes the new one.
///
/// `notes` are remarks for its `metadata`.
pub(in crate::checkpoint) fn replaced(
    old: &Path,
    placed: &BTreeMap<&str, &str>,
    total_size: u64,
    notes: &[(&str, &str)],
) -> Result<String> {
    let damaged = |reason| {
        Error::Checkpoint(CheckpointError::Damaged {
            path: old.to_owned(),
            damage: Box::new(Damage::Json { reason }),
        })
    };
    let old_text = text(old)?;
    let mut json: serde_json::Map<String, Value> =
        serde_json::from_slice(&old_text).map_err(|error| damaged(error.to_string()))?;
    let map = placed
        .iter()
        .map(|(name, shard)| (name.to_string(), Value::from(*shard)));
    json.insert("weight_map".into(), Value::Object(map.collect()));
    let metadata = json.entry("metadata").or_insert(Value::Null);
    if metadata.is_null() {
        *metadata = Value::Object(Default::default());
    }
    if let Value::Object(metadata) = metadata {
        if let Some(size) = metadata.get_mut("total_size") {
            *size = total_size.into();
        }
        for &(key, text) in notes {
            metadata.insert(key.into(), text.into());
        }
    } else if !notes.is_empty() {
        return Err(damaged("its `metadata` is not an object".into()));
    }
    let mut text = serde_json::to_string_pretty(&json).expect("what was JSON still is");
    text.push('\n');
    Ok(text)
}

/// A remark that [`replaced`] left in an index.
pub(in crate::checkpoint) fn note(text: &[u8], key: &str) -> Option<String> {
    let mut json: serde_json::Map<String, Value> = serde_json::from_slice(text).ok()?;
    match json.get_mut("metadata")?.get_mut(key)?.take() {
        Value::String(text) => Some(text),
        _ => None,
    }
}

/// Whether a name leads to a file of the same folder, and nowhere else.
fn is_file_name(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    matches!((parts.next(), parts.next()), (Some(Component::Normal(part)), None) if part == name)
        && !name.contains(['/', '\\', '\0'])
}

#[derive(Deserialize)]
struct Index {
    weight_map: WeightMap,
}

struct WeightMap {
    placed: BTreeMap<String, String>,
    /// The first name that came twice.
    duplicate: Option<String>,
}

impl<'de> Deserialize<'de> for WeightMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = WeightMap;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of file names by tensor names")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<WeightMap, A::Error> {
                let mut read = WeightMap {
                    placed: BTreeMap::new(),
                    duplicate: None,
                };
                while let Some((name, shard)) = map.next_entry::<String, String>()? {
                    if read.placed.insert(name.clone(), shard).is_some() {
                        read.duplicate.get_or_insert(name);
                    }
                }
                Ok(read)
            }
        }

        deserializer.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::is_file_name;

    #[test]
    fn shards_lie_beside_their_index() {
        assert!(is_file_name("model-00001-of-00002.safetensors"));
        for name in ["", ".", "..", "../a", "/a", "a/b", "a/", "./a", "a\\b", "a\0b"] {
            assert!(!is_file_name(name), "{name:?}");
        }
    }
}
