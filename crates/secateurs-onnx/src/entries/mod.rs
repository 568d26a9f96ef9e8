//! [`Entries`]: the entries of a tensor, wherever they are.

mod kept;
mod masked;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

pub use kept::Kept;
pub use masked::Masked;

use crate::error::Result;
use crate::input_file::InputFile;

/// Bytes that are read or made at once: they stay in the processor's cache. A multiple of the size of any entry.
pub const CHUNK: usize = 1 << 18;

/// What takes bytes, in order.
pub type Take<'t> = dyn FnMut(&[u8]) -> Result<()> + 't;

/// The entries of a tensor, little-endian, as `raw_data` has them. Those that are in a file stay there until they are
/// needed, and those of a tensor that is cut or masked are made when they are.
#[derive(Clone, Debug)]
pub enum Entries<'a> {
    /// A part of a model in memory.
    Memory(&'a [u8]),
    /// Bytes that were made for it.
    Own(Arc<[u8]>),
    /// A part of a file.
    File {
        file: &'a InputFile,
        offset: u64,
        len: usize,
    },
    /// What is kept of a tensor.
    Kept(Arc<Kept<'a>>),
    /// A tensor that is masked.
    Masked(Arc<Masked<'a>>),
}

impl<'a> Entries<'a> {
    /// Number of bytes.
    pub fn len(&self) -> usize {
        match self {
            Entries::Memory(bytes) => bytes.len(),
            Entries::Own(bytes) => bytes.len(),
            Entries::File { len, .. } => *len,
            Entries::Kept(kept) => kept.len(),
            Entries::Masked(masked) => masked.of.len(),
        }
    }

    /// Gives all bytes, in order. Every piece is a number of whole entries.
    pub fn for_each_chunk(&self, take: &mut Take<'_>) -> Result<()> {
        match self {
            Entries::Memory(bytes) => bytes.chunks(CHUNK).try_for_each(take),
            Entries::Own(bytes) => bytes.chunks(CHUNK).try_for_each(take),
            Entries::File { len, .. } => {
                let mut buffer = vec![0; CHUNK.min(*len)];
                for begin in (0..*len).step_by(CHUNK) {
                    let piece = &mut buffer[..CHUNK.min(len - begin)];
                    self.read_at(begin, piece)?;
                    take(piece)?;
                }
                Ok(())
            }
            Entries::Kept(kept) => kept.for_each_chunk(take),
            Entries::Masked(masked) => masked.for_each_chunk(take),
        }
    }

    /// All bytes at once.
    pub fn bytes(&self) -> Result<Cow<'a, [u8]>> {
        if let Entries::Memory(bytes) = self {
            return Ok((*bytes).into());
        }
        let mut bytes = Vec::with_capacity(self.len());
        self.for_each_chunk(&mut |chunk| {
            bytes.extend_from_slice(chunk);
            Ok(())
        })?;
        Ok(bytes.into())
    }

    /// The same, but of a kind of which any part can be read.
    fn readable(self) -> Result<Self> {
        Ok(match self {
            Entries::Kept(_) | Entries::Masked(_) => Entries::Own(self.bytes()?.into()),
            other => other,
        })
    }

    /// Reads as many bytes as fit, of entries that are [`readable`](Self::readable).
    fn read_at(&self, begin: usize, into: &mut [u8]) -> Result<()> {
        let bytes: &[u8] = match self {
            Entries::File { file, offset, .. } => return file.read_at(into, offset + begin as u64),
            Entries::Memory(bytes) => bytes,
            Entries::Own(bytes) => bytes,
            Entries::Kept(_) | Entries::Masked(_) => unreachable!("these are not readable"),
        };
        into.copy_from_slice(&bytes[begin..][..into.len()]);
        Ok(())
    }

    /// A part, if it lies within. Of what is cut or masked, only all.
    pub fn part(&self, range: Range<usize>) -> Option<Self> {
        if range == (0..self.len()) {
            return Some(self.clone());
        }
        let len = range.end.checked_sub(range.start)?;
        match self {
            Entries::Memory(bytes) => bytes.get(range).map(Entries::Memory),
            Entries::File {
                file,
                offset,
                len: all,
            } => (range.end <= *all).then_some(Entries::File {
                file,
                offset: offset + range.start as u64,
                len,
            }),
            _ => None,
        }
    }
}
