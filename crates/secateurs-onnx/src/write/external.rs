//! [`NewData`]: the file of weights that goes with a model.

use std::borrow::Cow;

use crate::proto::bytes_field;
use crate::tensor::field::EXTERNAL_DATA;

/// Where tensors begin, so that a runtime can map the file into memory.
const ALIGNMENT: usize = 64;

/// The pieces of a file of weights. Those of tensors that do not change are slices of the file that was read.
pub struct NewData<'a> {
    location: String,
    pieces: Vec<Cow<'a, [u8]>>,
    len: usize,
}

impl<'a> NewData<'a> {
    /// An empty file of this name.
    pub fn new(location: &str) -> Self {
        NewData {
            location: location.to_owned(),
            pieces: Vec::new(),
            len: 0,
        }
    }

    /// Adds the entries of a tensor, and writes into its message where they are.
    pub fn add(&mut self, raw: Cow<'a, [u8]>, message: &mut Vec<u8>) {
        let padding = self.len.next_multiple_of(ALIGNMENT) - self.len;
        if padding > 0 {
            self.pieces.push(vec![0; padding].into());
        }
        let begin = self.len + padding;
        self.len = begin + raw.len();
        let entries = [
            ("location", self.location.clone()),
            ("offset", begin.to_string()),
            ("length", raw.len().to_string()),
        ];
        for (key, value) in entries {
            let mut entry = Vec::new();
            bytes_field(&mut entry, 1, key.as_bytes());
            bytes_field(&mut entry, 2, value.as_bytes());
            bytes_field(message, EXTERNAL_DATA, &entry);
        }
        self.pieces.push(raw);
    }

    /// Its pieces, in order.
    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        self.pieces.iter().map(|piece| &piece[..])
    }

    /// Its length in bytes.
    pub fn len(&self) -> usize {
        self.len
    }
}
