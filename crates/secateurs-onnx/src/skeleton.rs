//! [`Skeleton`]: a model without the entries of its large weights.

use std::borrow::Cow;
use std::io::{BufReader, Cursor, Read, Seek};
use std::sync::OnceLock;

use crate::entries::{Entries, Take};
use crate::error::{Error, Result};
use crate::graph::field::{GRAPH_INITIALIZER, MODEL_GRAPH};
use crate::input_file::InputFile;
use crate::proto::{Field, Value, fields, length_delimited, varint_field, write_varint};
use crate::tensor::field::RAW_DATA;

/// Entries of fewer bytes stay in the message.
const LARGE: u64 = 1 << 12;
/// More than is between two large weights, as a rule.
const BUFFER: usize = 1 << 13;

/// A model in which the entries of large initializers are not in their messages: the field of entries holds the number of
/// a part instead, which no valid model has there. So it is read, changed and written as any model, and only who wants
/// entries reads them.
#[derive(Clone, Debug, Default)]
pub struct Skeleton<'a> {
    /// The `ModelProto`.
    pub bytes: Vec<u8>,
    /// The entries that are not in it.
    pub parts: Vec<Entries<'a>>,
    /// The names of weights with several uses, and a name for each use: kept here once the model is read.
    pub names: OnceLock<Vec<(String, Vec<String>)>>,
}

/// What a message is, as far as entries of initializers are concerned.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Model,
    Graph,
    Tensor,
}

impl Kind {
    /// What a field of such a message is.
    fn inner(self, field: u64) -> Option<Kind> {
        match (self, field) {
            (Kind::Model, MODEL_GRAPH) => Some(Kind::Graph),
            (Kind::Graph, GRAPH_INITIALIZER) => Some(Kind::Tensor),
            _ => None,
        }
    }
}

impl<'a> Skeleton<'a> {
    /// That of a model in memory.
    pub fn of_bytes(model: &'a [u8]) -> Result<Self> {
        let part = |offset: u64, len: usize| Entries::Memory(&model[offset as usize..][..len]);
        Self::scan(Cursor::new(model), model.len() as u64, &part, &|error| {
            unreachable!("reading memory does not fail: {error}")
        })
    }

    /// That of a model in a file.
    pub fn of_file(file: &'a InputFile) -> Result<Self> {
        let part = |offset, len| Entries::File { file, offset, len };
        Self::scan(file.reader()?, file.len(), &part, &|error| file.failed(error))
    }

    fn scan(
        reader: impl Read + Seek,
        len: u64,
        part: &dyn Fn(u64, usize) -> Entries<'a>,
        failed: &dyn Fn(std::io::Error) -> Error,
    ) -> Result<Self> {
        let mut scan = Scan {
            reader: BufReader::with_capacity(BUFFER, reader),
            at: 0,
            parts: Vec::new(),
            part,
            failed,
        };
        let bytes = scan.message(Kind::Model, len, true)?;
        Ok(Skeleton {
            bytes,
            parts: scan.parts,
            names: OnceLock::new(),
        })
    }

    /// Number of bytes of the model with all entries.
    pub fn len(&self) -> Result<u64> {
        Ok(self.pieces()?.iter().map(|piece| piece.len() as u64).sum())
    }

    /// Gives the bytes of the model with all entries, in order.
    pub fn for_each_chunk(&self, take: &mut Take<'_>) -> Result<()> {
        for piece in self.pieces()? {
            match piece {
                Piece::Bytes(bytes) => take(&bytes)?,
                Piece::Part(entries) => entries.for_each_chunk(take)?,
            }
        }
        Ok(())
    }

    fn pieces(&self) -> Result<Vec<Piece<'_, 'a>>> {
        self.message(Kind::Model, &self.bytes)
    }

    fn message<'s>(&'s self, kind: Kind, message: &'s [u8]) -> Result<Vec<Piece<'s, 'a>>> {
        let mut pieces = Vec::new();
        // Fields that stay as they are, and follow each other, are one piece.
        let (mut begin, mut at) = (0, 0);
        for each in fields(message)? {
            let inner = match (kind.inner(each.number), each.bytes()) {
                _ if kind == Kind::Tensor => self.part(&each).map(|part| vec![Piece::Part(part)]),
                (Some(inner), Some(bytes)) => Some(self.message(inner, bytes)?),
                _ => None,
            };
            let has_parts = |inner: &Vec<Piece<'_, '_>>| inner.iter().any(Piece::is_part);
            if let Some(inner) = inner.filter(has_parts) {
                let mut header = Vec::new();
                length_delimited(&mut header, each.number, inner.iter().map(Piece::len).sum());
                pieces.push(Piece::Bytes(message[begin..at].into()));
                pieces.push(Piece::Bytes(header.into()));
                pieces.extend(inner);
                begin = at + each.raw.len();
            }
            at += each.raw.len();
        }
        pieces.push(Piece::Bytes(message[begin..at].into()));
        Ok(pieces)
    }

    fn part(&self, field: &Field<'_>) -> Option<&Entries<'a>> {
        part(&self.parts, field)
    }
}

/// The entries that a field of a tensor stands for, if it does.
pub fn part<'s, 'a>(parts: &'s [Entries<'a>], field: &Field<'_>) -> Option<&'s Entries<'a>> {
    match (field.number, field.value) {
        (RAW_DATA, Value::Varint(number)) => parts.get(usize::try_from(number).ok()?),
        _ => None,
    }
}

/// Appends the field that stands for the part of this number.
pub fn part_field(message: &mut Vec<u8>, number: usize) {
    varint_field(message, RAW_DATA, number as u64);
}

/// A part of a model that is written.
enum Piece<'s, 'a> {
    Bytes(Cow<'s, [u8]>),
    Part(&'s Entries<'a>),
}

impl Piece<'_, '_> {
    fn len(&self) -> usize {
        match self {
            Piece::Bytes(bytes) => bytes.len(),
            Piece::Part(entries) => entries.len(),
        }
    }

    fn is_part(&self) -> bool {
        matches!(self, Piece::Part(_))
    }
}

/// Reads a model once, from its begin to its end, but for large entries.
struct Scan<'a, 's, R> {
    reader: BufReader<R>,
    at: u64,
    parts: Vec<Entries<'a>>,
    part: &'s dyn Fn(u64, usize) -> Entries<'a>,
    failed: &'s dyn Fn(std::io::Error) -> Error,
}

impl<R: Read + Seek> Scan<'_, '_, R> {
    /// A message of this length, without entries if `parts` says so.
    fn message(&mut self, kind: Kind, len: u64, parts: bool) -> Result<Vec<u8>> {
        let begin = self.at;
        let end = begin + len;
        let mut out = Vec::new();
        while self.at < end {
            let first = out.len();
            let start = self.at;
            let tag = self.varint(end, &mut out)?;
            let number = tag >> 3;
            if number == 0 {
                return Err(damaged("a field has number 0", start));
            }
            match tag & 7 {
                0 if kind == Kind::Tensor && number == RAW_DATA => {
                    return Err(damaged("the entries of a tensor are a number", start));
                }
                0 => drop(self.varint(end, &mut out)?),
                1 => self.copy(8, end, &mut out)?,
                5 => self.copy(4, end, &mut out)?,
                2 => {
                    let len = self.varint(end, &mut out)?;
                    if len > end - self.at {
                        return Err(damaged("a field is longer than what contains it", self.at));
                    }
                    // What has to be written as it was, also a length that is written in more bytes than it needs.
                    let mut header = Vec::new();
                    write_varint(&mut header, tag);
                    write_varint(&mut header, len);
                    let parts = parts && header == out[first..];
                    match kind.inner(number) {
                        Some(inner) => {
                            let message = self.message(inner, len, parts)?;
                            if message.len() as u64 != len {
                                out.truncate(first);
                                length_delimited(&mut out, number, message.len());
                            }
                            out.extend_from_slice(&message);
                        }
                        None if parts && kind == Kind::Tensor && number == RAW_DATA && len >= LARGE => {
                            out.truncate(first);
                            part_field(&mut out, self.parts.len());
                            let len = usize::try_from(len);
                            let len = len.map_err(|_| damaged("a tensor does not fit in memory", start))?;
                            self.parts.push((self.part)(self.at, len));
                            self.skip(len as u64)?;
                        }
                        None => self.copy(len, end, &mut out)?,
                    }
                }
                _ => return Err(damaged("a field has an unknown wire type", start)),
            }
        }
        Ok(out)
    }

    fn varint(&mut self, end: u64, out: &mut Vec<u8>) -> Result<u64> {
        let (start, mut value) = (self.at, 0_u64);
        for shift in (0..64).step_by(7) {
            if self.at == end {
                return Err(damaged("a number ends too early", start));
            }
            let mut byte = [0];
            self.reader.read_exact(&mut byte).map_err(self.failed)?;
            out.push(byte[0]);
            self.at += 1;
            value |= u64::from(byte[0] & 0x7f) << shift;
            if byte[0] < 0x80 {
                return Ok(value);
            }
        }
        Err(damaged("a number is too long", start))
    }

    fn copy(&mut self, len: u64, end: u64, out: &mut Vec<u8>) -> Result<()> {
        if len > end - self.at {
            return Err(damaged("a field is longer than what contains it", self.at));
        }
        let begin = out.len();
        out.resize(begin + len as usize, 0);
        self.reader.read_exact(&mut out[begin..]).map_err(self.failed)?;
        self.at += len;
        Ok(())
    }

    fn skip(&mut self, len: u64) -> Result<()> {
        self.at += len;
        self.reader.seek_relative(len as i64).map_err(self.failed)
    }
}

fn damaged(reason: &'static str, offset: u64) -> Error {
    let offset = usize::try_from(offset).unwrap_or(usize::MAX);
    Error::Damaged { reason, offset }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;
    use crate::external::External;
    use crate::graph::Model;
    use crate::proto::bytes_field;

    fn whole(skeleton: &Skeleton<'_>) -> Vec<u8> {
        let mut all = Vec::new();
        let written = skeleton.for_each_chunk(&mut |chunk| {
            all.extend_from_slice(chunk);
            Ok(())
        });
        written.unwrap();
        assert_eq!(all.len() as u64, skeleton.len().unwrap());
        all
    }

    /// A field whose tag and length take this number of bytes more than they need.
    fn field(into: &mut Vec<u8>, number: u64, bytes: &[u8], more: usize) {
        length_delimited(into, number, bytes.len());
        if more > 0 {
            *into.last_mut().unwrap() |= 0x80;
            into.extend(std::iter::repeat_n(0x80, more - 1));
            into.push(0);
        }
        into.extend_from_slice(bytes);
    }

    proptest! {
        #[test]
        fn a_model_is_written_byte_for_byte(
            tensors in proptest::collection::vec((0..3 * LARGE as usize, 0..3_usize, 0..3_usize), 0..6),
            graph_more in 0..3_usize,
            name_last in any::<bool>(),
        ) {
            let (mut model, mut graph) = (Vec::new(), Vec::new());
            bytes_field(&mut model, 2, b"who");
            for (number, (len, raw_more, more)) in tensors.iter().enumerate() {
                let (mut tensor, raw) = (Vec::new(), vec![number as u8; *len]);
                field(&mut tensor, RAW_DATA, &raw, *raw_more);
                if name_last {
                    bytes_field(&mut tensor, 8, b"name");
                }
                field(&mut graph, GRAPH_INITIALIZER, &tensor, *more);
                bytes_field(&mut graph, 1, b"a node");
            }
            field(&mut model, MODEL_GRAPH, &graph, graph_more);
            bytes_field(&mut model, 14, b"metadata");

            let skeleton = Skeleton::of_bytes(&model).unwrap();
            prop_assert_eq!(&whole(&skeleton), &model);
            let plain = |(len, raw_more, more): &&(usize, usize, usize)| {
                *len as u64 >= LARGE && raw_more + more + graph_more == 0
            };
            prop_assert_eq!(skeleton.parts.len(), tensors.iter().filter(plain).count());

            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("model");
            fs::write(&path, &model).unwrap();
            let file = InputFile::open(&path, &path).unwrap();
            let read = Skeleton::of_file(&file).unwrap();
            prop_assert_eq!(&read.bytes, &skeleton.bytes);
            prop_assert_eq!(&whole(&read), &model);
        }

        #[test]
        fn any_bytes_give_a_model_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(skeleton) = Skeleton::of_bytes(&bytes) {
                prop_assert_eq!(whole(&skeleton), bytes);
            }
        }
    }

    #[test]
    fn the_number_of_a_part_in_a_file_is_an_error() {
        let (mut model, mut graph, mut tensor) = (Vec::new(), Vec::new(), Vec::new());
        part_field(&mut tensor, 0);
        bytes_field(&mut graph, GRAPH_INITIALIZER, &tensor);
        bytes_field(&mut model, MODEL_GRAPH, &graph);
        assert!(matches!(Skeleton::of_bytes(&model), Err(Error::Damaged { .. })));

        // Of an array in a node it means nothing.
        let (mut model, mut graph, mut node, mut attribute) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        bytes_field(&mut attribute, 1, b"value");
        bytes_field(&mut attribute, 5, &tensor);
        bytes_field(&mut node, 2, b"x");
        bytes_field(&mut node, 4, b"Constant");
        bytes_field(&mut node, 5, &attribute);
        bytes_field(&mut graph, 1, &node);
        bytes_field(&mut model, MODEL_GRAPH, &graph);
        let skeleton = Skeleton::of_bytes(&model).unwrap();
        let read = Model::read(&skeleton, &External::default());
        assert!(matches!(read, Err(Error::Inconsistent { .. })));
    }
}
