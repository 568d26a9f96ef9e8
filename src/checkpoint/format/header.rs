//! The header of a safetensors file: 8 bytes of length, then JSON that says where each tensor lies.
//!
//! This is our own reader rather than that of the `safetensors` crate, which needs the whole file in memory and silently
//! takes the last of two entries with one name.

use std::collections::BTreeMap;
use std::fmt;

use safetensors::Dtype;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};

use crate::checkpoint::damage::Damage;

/// Bytes of the length field.
pub(in crate::checkpoint) const PREFIX: u64 = 8;

/// The longest header that is read, the limit of the format's own implementations.
pub(in crate::checkpoint) const LIMIT: u64 = 100_000_000;

/// The key that is not a tensor, but free text of the writer of the file.
pub(in crate::checkpoint) const RESERVED: &str = "__metadata__";

/// What a header says, checked against the length of its file.
#[derive(Debug)]
pub(in crate::checkpoint) struct Header {
    /// Tensors in the order of their bytes.
    pub entries: Vec<Entry>,
    /// Free text that the writer of the file left.
    pub metadata: BTreeMap<String, String>,
}

/// One tensor of a header.
#[derive(Clone, Debug)]
pub(in crate::checkpoint) struct Entry {
    pub name: String,
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    /// The first byte and the byte after the last, counted from the end of the header.
    pub begin: u64,
    pub end: u64,
}

/// The length of the header of a file of `file_len` bytes, from its first 8 bytes.
pub(in crate::checkpoint) fn length(prefix: [u8; PREFIX as usize], file_len: u64) -> Result<u64, Damage> {
    let claimed = u64::from_le_bytes(prefix);
    if claimed > LIMIT {
        return Err(Damage::HeaderTooLarge {
            claimed,
            limit: LIMIT,
        });
    }
    let len = file_len.saturating_sub(PREFIX);
    if claimed > len {
        return Err(Damage::HeaderTruncated { claimed, len });
    }
    Ok(claimed)
}

impl Header {
    /// Reads a header, and checks that its tensors fill `data_len` bytes, each byte once.
    pub(in crate::checkpoint) fn parse(json: &[u8], data_len: u64) -> Result<Self, Damage> {
        Self::read(json, Some(data_len))
    }

    /// Reads a header whose data are not there, and checks that its tensors lie without holes and overlaps.
    pub(in crate::checkpoint) fn parse_alone(json: &[u8]) -> Result<Self, Damage> {
        Self::read(json, None)
    }

    /// Bytes of all tensors.
    pub(in crate::checkpoint) fn data_len(&self) -> u64 {
        self.entries.last().map_or(0, |entry| entry.end)
    }

    fn read(json: &[u8], data_len: Option<u64>) -> Result<Self, Damage> {
        let raw: Raw = serde_json::from_slice(json).map_err(|error| Damage::Json {
            reason: format!("the header is not a safetensors header: {error}"),
        })?;
        if let Some(name) = raw.duplicate {
            return Err(Damage::DuplicateTensor { name });
        }
        let mut entries = raw.entries;
        for entry in &entries {
            entry.check()?;
        }
        // Empty tensors before the one that begins at the same byte.
        entries.sort_by_key(|entry| (entry.begin, entry.end));
        let end = entries.last().map_or(0, |entry| entry.end);
        tile(&entries, data_len.unwrap_or(end))?;
        Ok(Header {
            entries,
            metadata: raw.metadata,
        })
    }
}

impl Entry {
    fn check(&self) -> Result<(), Damage> {
        if self.begin > self.end {
            return Err(Damage::BackwardOffsets {
                name: self.name.clone(),
                offsets: (self.begin, self.end),
            });
        }
        let expected = bytes(self.dtype, &self.shape);
        let got = self.end - self.begin;
        if expected != Some(got) {
            return Err(Damage::WrongSize {
                name: self.name.clone(),
                dtype: self.dtype.to_string(),
                shape: self.shape.clone(),
                expected,
                got,
            });
        }
        Ok(())
    }
}

/// Bytes that a tensor takes, unless they are too many to count or no whole number.
pub(in crate::checkpoint) fn bytes(dtype: Dtype, shape: &[usize]) -> Option<u64> {
    // The dimensions that are not 0 have to be countable too, as array libraries ask.
    let nonzero = shape
        .iter()
        .filter(|&&n| n != 0)
        .try_fold(1_u64, |all, &n| all.checked_mul(n as u64))?;
    let entries = if shape.contains(&0) { 0 } else { nonzero };
    let bits = entries.checked_mul(dtype.bitsize() as u64)?;
    isize::try_from(nonzero).ok()?;
    (bits % 8 == 0 && bits / 8 <= i64::MAX as u64).then_some(bits / 8)
}

/// Checks that tensors in the order of their bytes leave no hole and do not overlap.
fn tile(entries: &[Entry], data_len: u64) -> Result<(), Damage> {
    let mut end = 0;
    let mut before: Option<&Entry> = None;
    for entry in entries {
        if entry.begin > end {
            return Err(Damage::Hole {
                before: entry.name.clone(),
                bytes: end..entry.begin,
            });
        }
        if entry.begin < end {
            return Err(Damage::Overlap {
                first: before.map(|entry| entry.name.clone()).unwrap_or_default(),
                second: entry.name.clone(),
                at: end..entry.begin,
            });
        }
        end = entry.end;
        before = Some(entry);
    }
    if end > data_len {
        return Err(Damage::Truncated {
            expected: end,
            got: data_len,
        });
    }
    if end < data_len {
        return Err(Damage::TrailingBytes {
            extra: data_len - end,
        });
    }
    Ok(())
}

/// The JSON object as it stands, with the first name that came twice.
struct Raw {
    entries: Vec<Entry>,
    metadata: BTreeMap<String, String>,
    duplicate: Option<String>,
}

#[derive(Deserialize)]
struct RawEntry {
    dtype: Dtype,
    shape: Vec<usize>,
    data_offsets: (u64, u64),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Raw;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
                let mut raw = Raw {
                    entries: Vec::new(),
                    metadata: BTreeMap::new(),
                    duplicate: None,
                };
                let mut seen = std::collections::HashSet::new();
                while let Some(name) = map.next_key::<String>()? {
                    if !seen.insert(name.clone()) {
                        raw.duplicate.get_or_insert(name.clone());
                    }
                    if name == RESERVED {
                        raw.metadata = map.next_value()?;
                        continue;
                    }
                    let RawEntry {
                        dtype,
                        shape,
                        data_offsets: (begin, end),
                    } = map
                        .next_value()
                        .map_err(|error| serde::de::Error::custom(format!("tensor `{name}`: {error}")))?;
                    raw.entries.push(Entry {
                        name,
                        dtype,
                        shape,
                        begin,
                        end,
                    });
                }
                Ok(raw)
            }
        }

        deserializer.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn damage(json: &str, data_len: u64) -> Damage {
        Header::parse(json.as_bytes(), data_len).unwrap_err()
    }

    #[test]
    fn reads_names_types_shapes_and_metadata() {
        let json = r#"{"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]},
            "__metadata__":{"format":"pt"},
            "a":{"dtype":"BF16","shape":[1,2],"data_offsets":[0,4]},
            "none":{"dtype":"F64","shape":[3,0],"data_offsets":[4,4]}}   "#;
        let header = Header::parse(json.as_bytes(), 12).unwrap();
        let names: Vec<_> = header.entries.iter().map(|entry| &entry.name[..]).collect();
        assert_eq!(names, ["a", "none", "b"]);
        assert_eq!(header.metadata["format"], "pt");
        assert!(Header::parse(b"{}", 0).unwrap().entries.is_empty());
    }

    #[test]
    fn refuses_lengths_that_lie() {
        assert!(matches!(
            length(u64::MAX.to_le_bytes(), 100),
            Err(Damage::HeaderTooLarge { .. })
        ));
        assert!(matches!(
            length(93u64.to_le_bytes(), 100),
            Err(Damage::HeaderTruncated { claimed: 93, len: 92 })
        ));
        assert_eq!(length(92u64.to_le_bytes(), 100), Ok(92));
    }

    #[test]
    fn refuses_headers_that_lie() {
        let one = |rest: &str| format!(r#"{{"w":{{"dtype":"F32",{rest}}}}}"#);
        let wrong = damage(&one(r#""shape":[3],"data_offsets":[0,8]"#), 8);
        assert!(matches!(
            wrong,
            Damage::WrongSize {
                expected: Some(12),
                got: 8,
                ..
            }
        ));
        let huge = one(r#""shape":[4294967296,4294967296,4294967296],"data_offsets":[0,8]"#);
        assert!(matches!(
            damage(&huge, 8),
            Damage::WrongSize { expected: None, .. }
        ));
        let hidden = one(r#""shape":[4294967296,4294967296,0],"data_offsets":[0,0]"#);
        assert!(matches!(
            damage(&hidden, 0),
            Damage::WrongSize { expected: None, .. }
        ));
        assert!(matches!(
            damage(&one(r#""shape":[1],"data_offsets":[8,4]"#), 8),
            Damage::BackwardOffsets { offsets: (8, 4), .. }
        ));
        assert_eq!(
            damage(&one(r#""shape":[2],"data_offsets":[0,8]"#), 7),
            Damage::Truncated { expected: 8, got: 7 }
        );
        assert_eq!(
            damage(&one(r#""shape":[2],"data_offsets":[0,8]"#), 9),
            Damage::TrailingBytes { extra: 1 }
        );
        assert!(matches!(
            damage(&one(r#""shape":[2],"data_offsets":[4,12]"#), 12),
            Damage::Hole { .. }
        ));
        for text in [
            "",
            "[]",
            "{",
            r#"{"w":3}"#,
            r#"{"w":{"dtype":"X9","shape":[],"data_offsets":[0,0]}}"#,
            r#"{"w":{"dtype":"F32","shape":[-1],"data_offsets":[0,0]}}"#,
            r#"{"__metadata__":{"n":3}}"#,
            "\u{0}\u{1}",
        ] {
            assert!(matches!(damage(text, 0), Damage::Json { .. }), "{text}");
        }
        assert!(matches!(
            Header::parse(&[b'{', 0xff, b'}'], 0),
            Err(Damage::Json { .. })
        ));
        let deep = format!("{{\"w\":{}", "[".repeat(100_000));
        assert!(matches!(damage(&deep, 0), Damage::Json { .. }));
    }

    #[test]
    fn refuses_overlaps_and_duplicates() {
        let two = |a: &str, b: &str| {
            let entry = |at: &str| format!(r#"{{"dtype":"U8","shape":[4],"data_offsets":{at}}}"#);
            format!(r#"{{"a":{},"b":{}}}"#, entry(a), entry(b))
        };
        assert!(matches!(
            damage(&two("[0,4]", "[2,6]"), 6),
            Damage::Overlap { first, second, .. } if first == "a" && second == "b"
        ));
        assert!(matches!(
            damage(&two("[0,4]", "[0,4]"), 4),
            Damage::Overlap { .. }
        ));
        let twice = two("[0,4]", "[4,8]").replace("\"b\"", "\"a\"");
        assert_eq!(damage(&twice, 8), Damage::DuplicateTensor { name: "a".into() });
    }

    #[test]
    fn types_narrower_than_a_byte_fill_whole_bytes() {
        assert_eq!(bytes(Dtype::F4, &[4]), Some(2));
        assert_eq!(bytes(Dtype::F4, &[3]), None);
        assert_eq!(bytes(Dtype::F64, &[]), Some(8));
    }
}
