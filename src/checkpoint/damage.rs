//! [`Damage`]: the ways in which a checkpoint can be broken.

use std::ops::Range;

/// What is wrong with a file of a checkpoint.
///
/// Every claim of a file is checked against the file itself before anything is allocated or written by it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    // ---- the file ----
    /// A file too short to hold even the length of a header.
    #[error("the file has {}, too few for a safetensors header", bytes(*len))]
    TooShort {
        /// Bytes that there are.
        len: u64,
    },
    /// A header that is said to be longer than any can be.
    #[error(
        "the header claims {claimed} bytes, but at most {limit} are allowed: this is probably not a safetensors file"
    )]
    HeaderTooLarge {
        /// Length that the file states.
        claimed: u64,
        /// Most that is accepted.
        limit: u64,
    },
    /// A header that would end after the end of the file.
    #[error(
        "the header claims {claimed} bytes, but the file has only {len} after its length field: download or copy it again"
    )]
    HeaderTruncated {
        /// Length that the file states.
        claimed: u64,
        /// Bytes that there are.
        len: u64,
    },
    /// Fewer bytes of data than the header describes.
    #[error(
        "the data is truncated: the header describes {expected} bytes, the file holds {got}: download or copy it again"
    )]
    Truncated {
        /// Bytes of data that the header describes.
        expected: u64,
        /// Bytes of data that there are.
        got: u64,
    },
    /// More bytes of data than the header describes.
    #[error("{} at the end of the file {} to no tensor", bytes(*extra), if *extra == 1 { "belongs" } else { "belong" })]
    TrailingBytes {
        /// Bytes after the last tensor.
        extra: u64,
    },

    // ---- the header ----
    /// A header, or an index, that is not the JSON it should be.
    #[error("not valid: {reason}")]
    Json {
        /// What the parser said.
        reason: String,
    },
    /// A tensor described twice.
    #[error("tensor `{name}` is listed twice")]
    DuplicateTensor {
        /// Name of the tensor.
        name: String,
    },
    /// A tensor whose end comes before its beginning.
    #[error("tensor `{name}` claims to begin at byte {} and to end at byte {}", offsets.0, offsets.1)]
    BackwardOffsets {
        /// Name of the tensor.
        name: String,
        /// The first byte and the byte after the last, as stated.
        offsets: (u64, u64),
    },
    /// A tensor whose bytes are not as many as its shape and type need.
    #[error("tensor `{name}` of dtype {dtype} and shape {shape:?} needs {}, but has {got}", needs(*expected, shape))]
    WrongSize {
        /// Name of the tensor.
        name: String,
        /// Its type.
        dtype: String,
        /// Its shape.
        shape: Vec<usize>,
        /// Bytes that this needs; `None` where no file can hold them, or they are not a whole number.
        expected: Option<u64>,
        /// Bytes that it has.
        got: u64,
    },
    /// Two tensors that share bytes.
    #[error("tensors `{first}` and `{second}` overlap: `{second}` begins at byte {}, before byte {}", at.end, at.start)]
    Overlap {
        /// The tensor that begins first.
        first: String,
        /// The tensor that begins inside it.
        second: String,
        /// Where the first ends and the second begins, as `end..begin`: an empty range.
        at: Range<u64>,
    },
    /// Bytes between tensors that belong to none.
    #[error("bytes {} to {} of the data, before tensor `{before}`, belong to no tensor", bytes.start, bytes.end)]
    Hole {
        /// The tensor after the hole.
        before: String,
        /// The bytes.
        bytes: Range<u64>,
    },

    // ---- the index ----
    /// An index that names no tensors.
    #[error("the index lists no tensor")]
    EmptyIndex,
    /// An index that names a file outside of its folder.
    #[error("the index places `{name}` in `{shard}`, which is not a file name")]
    BadShardName {
        /// Name of the tensor.
        name: String,
        /// The file that the index names.
        shard: String,
    },
    /// An index that names a file that is not there.
    #[error("shard `{shard}` is missing: the index places {tensors} tensors in it, such as `{name}`")]
    MissingShard {
        /// The file that the index names.
        shard: String,
        /// How many tensors should be in it.
        tensors: usize,
        /// One of them.
        name: String,
    },
    /// A tensor that is not in the shard that the index names.
    #[error("the index places `{name}` in `{shard}`, but it is {}", found.as_ref().map_or("in no shard".to_owned(), |f| format!("in `{f}`")))]
    WrongShard {
        /// Name of the tensor.
        name: String,
        /// The shard that the index names.
        shard: String,
        /// The shard that the tensor is in.
        found: Option<String>,
    },
    /// A tensor of a shard that the index does not list.
    #[error("shard `{shard}` holds `{name}`, which the index does not list")]
    Unlisted {
        /// Name of the tensor.
        name: String,
        /// The shard that it is in.
        shard: String,
    },

    // ---- packed tensors ----
    /// A packed file that does not say, or says wrongly, what was packed.
    #[error("the record of what was packed cannot be used: {reason}")]
    PackedRecord {
        /// What is wrong with it.
        reason: String,
    },
    /// A part of a packed tensor that is not there.
    #[error("`{name}` is neither stored nor packed: its part `{part}` is missing")]
    PackedMissing {
        /// Name of the tensor.
        name: String,
        /// The part that is missing.
        part: String,
    },
    /// A tensor, or a part of a packed one, that is not of the dtype or shape that it needs.
    #[error("`{part}` has {got}, but `{name}` needs {expected}")]
    PackedPart {
        /// Name of the tensor that it is a part of.
        name: String,
        /// Name of the part.
        part: String,
        /// The dtype and shape that it should have.
        expected: String,
        /// The dtype and shape that it has.
        got: String,
    },
    /// A packed tensor that states another shape than it had.
    #[error("`{part}` holds {got:?}, but the tensor had shape {expected:?}")]
    PackedShape {
        /// Name of the part that states the shape.
        part: String,
        /// The shape that the tensor had.
        expected: Vec<usize>,
        /// What is stated.
        got: Vec<i64>,
    },
    /// A mask that does not have as many bits set as there are values.
    #[error("`{name}` is packed with {values} values, but {bits} bits of its bitmask are set")]
    PackedBits {
        /// Name of the tensor.
        name: String,
        /// Bits that are set.
        bits: u64,
        /// Values that there are.
        values: u64,
    },
    /// A tensor that is not what it was when it was packed.
    #[error(
        "`{name}` does not match its checksum: it is {got:08x}, and was {expected:08x} when it was packed: \
         download or copy the file again"
    )]
    PackedChecksum {
        /// Name of the tensor.
        name: String,
        /// CRC-32 of its bytes when it was packed.
        expected: u32,
        /// CRC-32 of what is there.
        got: u32,
    },
    /// A row that claims to begin at another value than it does.
    #[error("row {row} of `{name}` claims to begin at value {got}, but begins at {expected}")]
    PackedRow {
        /// Name of the tensor.
        name: String,
        /// The row.
        row: usize,
        /// The value at which it begins, by the bits before it.
        expected: u64,
        /// What is stated.
        got: i64,
    },
    /// A tensor of a packed file that is neither one of the original's nor a part of one.
    #[error("`{name}` is in the packed file, but belongs to no tensor that was packed")]
    PackedStray {
        /// Name of the tensor.
        name: String,
    },
}

fn needs(expected: Option<u64>, shape: &[usize]) -> String {
    let entries = shape.iter().try_fold(1_u64, |all, &n| all.checked_mul(n as u64));
    match (expected, entries) {
        (Some(expected), _) => bytes(expected),
        // Of less than a byte each.
        (None, Some(entries)) if entries < 1 << 48 => "a part of a byte".to_owned(),
        (None, _) => "more bytes than any file has".to_owned(),
    }
}

/// `1 byte`, `2 bytes`.
fn bytes(n: u64) -> String {
    format!("{n} byte{}", if n == 1 { "" } else { "s" })
}
