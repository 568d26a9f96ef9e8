//! What a packed file says of the one it was made of.

use std::collections::BTreeMap;

use safetensors::Dtype;

use crate::checkpoint::Shard;
use crate::checkpoint::damage::Damage;
use crate::checkpoint::format::header::Header;
use crate::checkpoint::format::layout::Planned;

/// Key of the version of the format.
const VERSION_KEY: &str = "secateurs.pack";
/// Key of the original header.
const HEADER_KEY: &str = "secateurs.header";
/// Key of the checksum of the original header.
const HEADER_CRC_KEY: &str = "secateurs.header.crc32";
/// Key of the original index.
pub(super) const INDEX_KEY: &str = "secateurs.index";
/// Key of the checksum of the original index.
pub(super) const INDEX_CRC_KEY: &str = "secateurs.index.crc32";
/// What the name of the tensor of checksums begins with; the number of the file follows.
pub(super) const CHECKSUMS: &str = "secateurs.crc32.";

/// The format of a packed file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// A safetensors file, without checksums; wide matrices have an offset for each row.
    One,
    /// A container of its own, with checksums.
    Two,
}

/// What a packed file says of the one it was made of.
pub(super) struct Record<'a> {
    pub version: Version,
    /// The text of the original header.
    pub text: &'a str,
    pub header: Header,
}

/// The metadata of a packed file whose original had this header.
pub(super) fn metadata(original: &BTreeMap<String, String>, header: String) -> BTreeMap<String, String> {
    let mut metadata = original.clone();
    metadata.insert(VERSION_KEY.into(), "2".into());
    metadata.insert(HEADER_CRC_KEY.into(), checksum(&header));
    metadata.insert(HEADER_KEY.into(), header);
    metadata
}

/// The tensor that holds the checksums of this number of tensors, in the order of their bytes in the original.
pub(super) fn checksums(name: String, tensors: usize) -> Planned {
    Planned {
        name,
        dtype: Dtype::U32,
        shape: vec![tensors],
    }
}

/// The checksum of a text, as it is written.
pub(super) fn checksum(text: &str) -> String {
    format!("{:08x}", crc32fast::hash(text.as_bytes()))
}

pub(super) fn is_packed(shard: &Shard) -> bool {
    shard.is_container() || shard.metadata().contains_key(VERSION_KEY)
}

/// What a packed file says of its original.
pub(super) fn original(shard: &Shard) -> Result<Record<'_>, Damage> {
    let bad = |reason: String| Damage::PackedRecord { reason };
    let stated = shard.metadata().get(VERSION_KEY).map(|version| &version[..]);
    let version = match (stated, shard.is_container()) {
        (Some("1"), false) => Version::One,
        (Some("2"), true) => Version::Two,
        (Some(version @ ("1" | "2")), _) => {
            return Err(bad(format!(
                "it is of version {version}, but does not begin as files of this version do"
            )));
        }
        (Some(other), _) => {
            return Err(bad(format!(
                "it is of version `{other}`, and this program knows versions 1 and 2"
            )));
        }
        (None, false) => {
            return Err(bad(
                "this file is not packed, but others of the checkpoint are".into()
            ));
        }
        (None, true) => return Err(bad(format!("`{VERSION_KEY}` is missing from the metadata"))),
    };
    let Some(text) = shard.metadata().get(HEADER_KEY) else {
        return Err(bad(format!("`{HEADER_KEY}` is missing from the metadata")));
    };
    if version == Version::Two && shard.metadata().get(HEADER_CRC_KEY) != Some(&checksum(text)) {
        return Err(bad(format!("`{HEADER_KEY}` does not match its checksum")));
    }
    match Header::parse_alone(text.as_bytes()) {
        Ok(header) => Ok(Record {
            version,
            text,
            header,
        }),
        Err(damage) => Err(bad(format!("`{HEADER_KEY}`: {damage}"))),
    }
}
