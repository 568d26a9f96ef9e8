//! What a packed file says of the one it was made of.

use std::collections::BTreeMap;

use crate::checkpoint::Shard;
use crate::checkpoint::damage::Damage;
use crate::checkpoint::format::header::Header;

/// Key of the version of the layout.
const VERSION_KEY: &str = "secateurs.pack";
const VERSION: &str = "1";
/// Key of the original header.
const HEADER_KEY: &str = "secateurs.header";
/// Key of the original index.
pub(super) const INDEX_KEY: &str = "secateurs.index";

/// The metadata of a packed file whose original had this header.
pub(super) fn metadata(original: &BTreeMap<String, String>, header: String) -> BTreeMap<String, String> {
    let mut metadata = original.clone();
    metadata.insert(VERSION_KEY.into(), VERSION.into());
    metadata.insert(HEADER_KEY.into(), header);
    metadata
}

pub(super) fn is_packed(shard: &Shard) -> bool {
    shard.metadata().contains_key(VERSION_KEY)
}

/// The original header of a packed file: its text, and what it says.
pub(super) fn original(shard: &Shard) -> Result<(&str, Header), Damage> {
    let bad = |reason: String| Damage::PackedRecord { reason };
    match shard.metadata().get(VERSION_KEY).map(|version| &version[..]) {
        Some(VERSION) => {}
        Some(other) => {
            return Err(bad(format!(
                "it is of version `{other}`, and this program knows version {VERSION}"
            )));
        }
        None => {
            return Err(bad(
                "this file is not packed, but others of the checkpoint are".into()
            ));
        }
    }
    let Some(text) = shard.metadata().get(HEADER_KEY) else {
        return Err(bad(format!("`{HEADER_KEY}` is missing from the metadata")));
    };
    match Header::parse_alone(text.as_bytes()) {
        Ok(header) => Ok((text, header)),
        Err(damage) => Err(bad(format!("`{HEADER_KEY}`: {damage}"))),
    }
}
