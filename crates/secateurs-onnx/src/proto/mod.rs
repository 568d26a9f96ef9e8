//! Protobuf, as far as ONNX needs it: messages whose fields stay slices of the file, so that what is not changed is
//! copied byte for byte, also fields that are not known here.

mod encode;

pub use encode::{bytes_field, float_field, length_delimited, varint_field, write_varint};

use crate::error::{Error, Result};

/// A field of a message.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    /// Its number.
    pub number: u64,
    /// The whole field: tag, length and value.
    pub raw: &'a [u8],
    /// Its value.
    pub value: Value<'a>,
}

/// The value of a field, by its wire type.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// Integers, booleans and enumerations.
    Varint(u64),
    /// Doubles, and integers of fixed length.
    Fixed64,
    /// Text, bytes, messages and packed lists.
    Bytes(&'a [u8]),
    /// Floats, and integers of fixed length.
    Fixed32([u8; 4]),
}

impl<'a> Field<'a> {
    /// The bytes of a field that has a length.
    pub fn bytes(&self) -> Option<&'a [u8]> {
        match self.value {
            Value::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The text of a field.
    pub fn text(&self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    /// The integer of a field.
    pub fn int(&self) -> Option<i64> {
        match self.value {
            Value::Varint(value) => Some(value as i64),
            _ => None,
        }
    }

    /// The float of a field.
    pub fn float(&self) -> Option<f32> {
        match self.value {
            Value::Fixed32(bytes) => Some(f32::from_le_bytes(bytes)),
            _ => None,
        }
    }

    /// Appends the integers of a repeated field, which may be packed or not.
    pub fn ints(&self, into: &mut Vec<i64>) -> Result<()> {
        match self.value {
            Value::Varint(value) => into.push(value as i64),
            Value::Bytes(packed) => {
                let mut reader = Reader { bytes: packed, at: 0 };
                while reader.at < packed.len() {
                    into.push(reader.varint()? as i64);
                }
            }
            _ => return Err(reader_error("an integer has the wire type of a float", 0)),
        }
        Ok(())
    }
}

/// The fields of a message, in order.
pub fn fields(message: &[u8]) -> Result<Vec<Field<'_>>> {
    let mut reader = Reader {
        bytes: message,
        at: 0,
    };
    let mut fields = Vec::new();
    while reader.at < message.len() {
        fields.push(reader.field()?);
    }
    Ok(fields)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn field(&mut self) -> Result<Field<'a>> {
        let start = self.at;
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => {
                self.take(8)?;
                Value::Fixed64
            }
            2 => {
                let length = usize::try_from(self.varint()?).unwrap_or(usize::MAX);
                Value::Bytes(self.take(length)?)
            }
            5 => Value::Fixed32(self.take(4)?.try_into().expect("four were taken")),
            _ => return Err(reader_error("a field has an unknown wire type", start)),
        };
        match tag >> 3 {
            0 => Err(reader_error("a field has number 0", start)),
            number => Ok(Field {
                number,
                raw: &self.bytes[start..self.at],
                value,
            }),
        }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let rest = &self.bytes[self.at..];
        if length > rest.len() {
            return Err(reader_error("a field is longer than what contains it", self.at));
        }
        self.at += length;
        Ok(&rest[..length])
    }

    fn varint(&mut self) -> Result<u64> {
        let (start, mut value) = (self.at, 0_u64);
        for shift in (0..64).step_by(7) {
            let Some(&byte) = self.bytes.get(self.at) else {
                return Err(reader_error("a number ends too early", start));
            };
            self.at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(reader_error("a number is too long", start))
    }
}

fn reader_error(reason: &'static str, offset: usize) -> Error {
    Error::Damaged { reason, offset }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::encode::write_varint;
    use super::*;

    proptest! {
        #[test]
        fn fields_cover_the_message_byte_for_byte(
            list in proptest::collection::vec((1..5000_u64, 0..4_u8, any::<u64>(), proptest::collection::vec(any::<u8>(), 0..20)), 0..20),
        ) {
            let mut message = Vec::new();
            for (number, kind, value, bytes) in &list {
                match kind {
                    0 => varint_field(&mut message, *number, *value),
                    1 => {
                        write_varint(&mut message, number << 3 | 1);
                        message.extend(value.to_le_bytes());
                    }
                    2 => bytes_field(&mut message, *number, bytes),
                    _ => {
                        write_varint(&mut message, number << 3 | 5);
                        message.extend((*value as u32).to_le_bytes());
                    }
                }
            }
            let read = fields(&message).unwrap();
            prop_assert_eq!(read.len(), list.len());
            let again: Vec<u8> = read.iter().flat_map(|field| field.raw).copied().collect();
            prop_assert_eq!(&again, &message);
            for (field, (number, kind, value, bytes)) in read.iter().zip(&list) {
                prop_assert_eq!(field.number, *number);
                match kind {
                    0 => prop_assert_eq!(field.int(), Some(*value as i64)),
                    2 => prop_assert_eq!(field.bytes(), Some(&bytes[..])),
                    _ => {}
                }
            }
        }

        #[test]
        fn any_bytes_give_fields_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(read) = fields(&bytes) {
                prop_assert_eq!(read.iter().map(|field| field.raw.len()).sum::<usize>(), bytes.len());
            }
        }
    }
}
