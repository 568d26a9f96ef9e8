//! Writing fields.

/// Appends a number.
pub fn write_varint(into: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        into.push(value as u8 | 0x80);
        value >>= 7;
    }
    into.push(value as u8);
}

/// Appends an integer field.
pub fn varint_field(into: &mut Vec<u8>, number: u64, value: u64) {
    write_varint(into, number << 3);
    write_varint(into, value);
}

/// Appends a field of one 32-bit float.
pub fn float_field(into: &mut Vec<u8>, number: u64, value: f32) {
    write_varint(into, number << 3 | 5);
    into.extend_from_slice(&value.to_le_bytes());
}

/// Appends a field of text, of bytes, or of a message.
pub fn bytes_field(into: &mut Vec<u8>, number: u64, bytes: &[u8]) {
    length_delimited(into, number, bytes.len());
    into.extend_from_slice(bytes);
}

/// Appends the tag and the length of a field whose bytes follow.
pub fn length_delimited(into: &mut Vec<u8>, number: u64, length: usize) {
    write_varint(into, number << 3 | 2);
    write_varint(into, length as u64);
}
