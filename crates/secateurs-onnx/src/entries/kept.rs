//! [`Kept`]: a tensor without what is removed.

use std::mem;
use std::ops::Range;

use super::{CHUNK, Entries, Take};
use crate::error::Result;

/// What is read in vain rather than skipped: less would not pay for another call of the system.
const GAP: usize = 1 << 12;

/// A tensor with only some indices of some dimensions.
#[derive(Debug)]
pub struct Kept<'a> {
    of: Entries<'a>,
    dims: Vec<usize>,
    /// Bytes of an entry.
    size: usize,
    /// Of each dimension what is kept, in order; `None` for all.
    kept: Vec<Option<Vec<usize>>>,
}

impl<'a> Kept<'a> {
    /// A tensor of this shape, whose entries are of this size, with these indices of each dimension.
    pub fn new(of: Entries<'a>, dims: &[usize], size: usize, kept: Vec<Option<Vec<usize>>>) -> Result<Self> {
        Ok(Kept {
            of: of.readable()?,
            dims: dims.to_vec(),
            size,
            kept,
        })
    }

    /// The length of each dimension.
    pub fn dims(&self) -> Vec<usize> {
        let kept = self.kept.iter().zip(&self.dims);
        kept.map(|(kept, dim)| kept.as_ref().map_or(*dim, Vec::len))
            .collect()
    }

    pub(super) fn len(&self) -> usize {
        self.dims().iter().product::<usize>() * self.size
    }

    pub(super) fn for_each_chunk(&self, take: &mut Take<'_>) -> Result<()> {
        // Rows are what the last dimensions span: as many of them as fit in a chunk, and at least one.
        let fits = |first: &usize| self.bytes_from(*first) <= CHUNK;
        let first = (0..self.dims.len()).find(fits);
        let first = first.unwrap_or(self.dims.len().saturating_sub(1));
        let row = self.bytes_from(first);
        if row == 0 {
            return Ok(());
        }
        let (mut read, mut made, mut other) = (Vec::new(), Vec::new(), Vec::new());
        let rows = self.rows(first);
        for span in spans(&rows, row) {
            let begin = rows[span.start];
            read.resize((rows[span.end - 1] + 1 - begin) * row, 0);
            self.of.read_at(begin * row, &mut read)?;
            for number in &rows[span] {
                let whole = &read[(number - begin) * row..][..row];
                self.cut_row(first, whole, &mut made, &mut other);
                if made.len() >= CHUNK {
                    take(&made)?;
                    made.clear();
                }
            }
        }
        take(&made)
    }

    /// Bytes of all dimensions from this one on.
    fn bytes_from(&self, first: usize) -> usize {
        self.dims[first..].iter().product::<usize>() * self.size
    }

    /// The numbers of the rows that are kept, by the dimensions before this one.
    fn rows(&self, first: usize) -> Vec<usize> {
        let mut rows = vec![0];
        for (kept, dim) in self.kept.iter().zip(&self.dims).take(first) {
            let all: Vec<usize> = (0..*dim).collect();
            let kept = kept.as_ref().unwrap_or(&all);
            let inner = |row: usize| kept.iter().map(move |index| row * dim + index);
            rows = rows.into_iter().flat_map(inner).collect();
        }
        rows
    }

    /// Appends what is kept of a row to `made`. The last dimensions first: what is moved in larger pieces is less then.
    fn cut_row(&self, first: usize, row: &[u8], made: &mut Vec<u8>, other: &mut Vec<u8>) {
        let cut = |dim: &usize| self.kept[*dim].is_some();
        let Some(last) = (first..self.dims.len()).find(cut) else {
            return made.extend_from_slice(row);
        };
        let mut inner = self.size;
        let mut before: Option<Vec<u8>> = None;
        for dim in (last..self.dims.len()).rev() {
            let length = self.dims[dim];
            match &self.kept[dim] {
                None => inner *= length,
                Some(kept) => {
                    let source = before.as_deref().unwrap_or(row);
                    if dim == last {
                        gather(source, length, inner, kept, made);
                    } else {
                        let mut next = mem::take(other);
                        next.clear();
                        gather(source, length, inner, kept, &mut next);
                        *other = before.replace(next).unwrap_or_default();
                    }
                    inner *= kept.len();
                }
            }
        }
    }
}

/// Numbers of rows that are read together: those that are near each other, as far as they fit in a chunk.
fn spans(rows: &[usize], row: usize) -> impl Iterator<Item = Range<usize>> {
    let mut begin = 0;
    std::iter::from_fn(move || {
        let first = *rows.get(begin)?;
        let near = |pair: &&[usize]| {
            let gap = (pair[1] - pair[0] - 1) * row;
            gap <= GAP && (pair[1] + 1 - first) * row <= CHUNK
        };
        let more = rows[begin..].windows(2).take_while(near).count();
        let span = begin..begin + 1 + more;
        begin = span.end;
        Some(span)
    })
}

/// Appends the pieces of `inner` bytes that are kept of each `length` of them.
fn gather(source: &[u8], length: usize, inner: usize, kept: &[usize], into: &mut Vec<u8>) {
    for outer in source.chunks_exact((length * inner).max(1)) {
        match inner {
            1 => single::<1>(outer, kept, into),
            2 => single::<2>(outer, kept, into),
            4 => single::<4>(outer, kept, into),
            8 => single::<8>(outer, kept, into),
            _ => {
                for index in kept {
                    into.extend_from_slice(&outer[index * inner..][..inner]);
                }
            }
        }
    }
}

/// The same for single entries, whose size the compiler knows.
fn single<const SIZE: usize>(outer: &[u8], kept: &[usize], into: &mut Vec<u8>) {
    let entries = outer.as_chunks::<SIZE>().0;
    let begin = into.len();
    into.resize(begin + kept.len() * SIZE, 0);
    for (entry, index) in into[begin..].as_chunks_mut::<SIZE>().0.iter_mut().zip(kept) {
        *entry = entries[*index];
    }
}
