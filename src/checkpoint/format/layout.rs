//! [`Layout`]: where the tensors of a new safetensors file lie, and the header that says so.

use std::collections::BTreeMap;

use safetensors::Dtype;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::header::{self, RESERVED};
use crate::error::{CheckpointError, Error, Result};

/// One tensor of a new file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Planned {
    pub name: String,
    pub dtype: Dtype,
    pub shape: Vec<usize>,
}

/// The beginning of a new file, and where each of its tensors begins.
#[derive(Debug)]
pub(crate) struct Layout {
    /// The length field and the JSON.
    pub header: Vec<u8>,
    /// By tensor: its first byte in the file.
    pub begins: Vec<u64>,
    /// Length of the file.
    pub len: u64,
}

impl Layout {
    /// Lays out tensors one after the other, in this order. The data begins at a multiple of 8.
    pub fn new(tensors: &[Planned], metadata: &BTreeMap<String, String>) -> Result<Self> {
        let mut ranges = Vec::with_capacity(tensors.len());
        let mut end = 0;
        for tensor in tensors {
            if tensor.name == RESERVED {
                return Err(Error::Checkpoint(CheckpointError::ReservedName {
                    name: tensor.name.clone(),
                }));
            }
            let bytes = header::bytes(tensor.dtype, &tensor.shape);
            let next = bytes.and_then(|bytes| u64::checked_add(end, bytes));
            let Some(next) = next else {
                return Err(Error::Checkpoint(CheckpointError::TooLarge {
                    shape: tensor.shape.clone(),
                }));
            };
            ranges.push((end, next));
            end = next;
        }
        let json = Json {
            tensors,
            ranges: &ranges,
            metadata,
        };
        let mut text = serde_json::to_vec(&json).expect("maps of text and numbers are JSON");
        text.resize(text.len().next_multiple_of(8), b' ');
        let mut header = (text.len() as u64).to_le_bytes().to_vec();
        header.append(&mut text);
        let data = header.len() as u64;
        Ok(Layout {
            header,
            begins: ranges.iter().map(|(begin, _)| data + begin).collect(),
            len: data + end,
        })
    }
}

struct Json<'a> {
    tensors: &'a [Planned],
    ranges: &'a [(u64, u64)],
    metadata: &'a BTreeMap<String, String>,
}

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Entry<'a> {
            dtype: Dtype,
            shape: &'a [usize],
            data_offsets: (u64, u64),
        }

        let mut map = serializer.serialize_map(None)?;
        if !self.metadata.is_empty() {
            map.serialize_entry(RESERVED, self.metadata)?;
        }
        for (tensor, range) in self.tensors.iter().zip(self.ranges) {
            map.serialize_entry(
                &tensor.name,
                &Entry {
                    dtype: tensor.dtype,
                    shape: &tensor.shape,
                    data_offsets: *range,
                },
            )?;
        }
        map.end()
    }
}
