//! [`Masked`]: a tensor some indices of which are zero.

use super::{Entries, Take};
use crate::error::Result;

/// A tensor in which some indices of some dimensions are set to zero.
#[derive(Debug)]
pub struct Masked<'a> {
    pub(super) of: Entries<'a>,
    /// What is set to zero, with how far these bytes are from each other.
    zeros: Vec<Zeros>,
    /// The entry for zero.
    zero: Vec<u8>,
}

/// One index of one dimension: `len` bytes, `step` bytes after those before, from `first` on.
#[derive(Debug)]
struct Zeros {
    first: usize,
    len: usize,
    step: usize,
}

impl<'a> Masked<'a> {
    /// A tensor of this shape, whose entries are of this size, in which the indices of `zeros`, each a dimension and an
    /// index, have the entry `zero`.
    pub fn new(
        of: Entries<'a>,
        (dims, size): (&[usize], usize),
        zeros: &[(usize, usize)],
        zero: Vec<u8>,
    ) -> Self {
        let zeros = zeros.iter().map(|&(dim, index)| {
            let len = dims[dim + 1..].iter().product::<usize>() * size;
            Zeros {
                first: index * len,
                len,
                step: dims[dim] * len,
            }
        });
        let zeros = zeros.filter(|zeros| zeros.len > 0);
        Masked {
            of,
            zeros: zeros.collect(),
            zero,
        }
    }

    pub(super) fn for_each_chunk(&self, take: &mut Take<'_>) -> Result<()> {
        let mut begin = 0;
        let mut masked = Vec::new();
        self.of.for_each_chunk(&mut |chunk| {
            masked.clear();
            masked.extend_from_slice(chunk);
            let end = begin + chunk.len();
            for Zeros { first, len, step } in &self.zeros {
                // The first that does not end before the chunk begins.
                let number = (begin + 1).saturating_sub(first + len).div_ceil(*step);
                for from in (first + number * step..end).step_by(*step) {
                    let (from, to) = (from.max(begin), (from + len).min(end));
                    let zeros = &mut masked[from - begin..to - begin];
                    match self.zero[..] {
                        // Much faster for the zeros of floats.
                        [first, ref others @ ..] if others.iter().all(|byte| *byte == first) => {
                            zeros.fill(first)
                        }
                        _ => {
                            let entries = zeros.chunks_exact_mut(self.zero.len());
                            entries.for_each(|entry| entry.copy_from_slice(&self.zero));
                        }
                    }
                }
            }
            begin = end;
            take(&masked)
        })
    }
}
