//! [`NewData`]: the file of weights that goes with a model.

use crate::entries::Entries;
use crate::proto::bytes_field;
use crate::tensor::field::EXTERNAL_DATA;

/// Where tensors begin, so that a runtime can map the file into memory.
const ALIGNMENT: usize = 64;

/// The pieces of a file of weights.
pub struct NewData<'a> {
    location: String,
    pieces: Vec<Entries<'a>>,
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
    pub fn add(&mut self, raw: Entries<'a>, message: &mut Vec<u8>) {
        let padding = self.len.next_multiple_of(ALIGNMENT) - self.len;
        if padding > 0 {
            self.pieces.push(Entries::Memory(&[0; ALIGNMENT][..padding]));
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
    pub fn pieces(&self) -> &[Entries<'a>] {
        &self.pieces
    }

    /// Its length in bytes.
    pub fn len(&self) -> usize {
        self.len
    }
}
