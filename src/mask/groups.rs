//! The groups of a tensor: each m consecutive entries along one dimension, of which n are kept.

use super::channels::axis;
use super::packed::Mask;
use super::select::Element;
use crate::error::{Error, PatternError, Result};

/// So many groups are looked at side by side.
const LANES: usize = 64;

/// Larger groups than this are sorted; in smaller ones every entry is compared with every other, which has no
/// branches.
const COMPARED: usize = 16;

/// A tensor seen as groups. Group `g` has as its entries `j = 0, 1, …` those of row-major index
/// `(g / inner × of + j) × inner + g mod inner`, so that the groups numbered from `g / inner × inner` on fill a slab
/// of `of × inner` entries that lie one after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Groups {
    keep: usize,
    of: usize,
    inner: usize,
}

/// A NaN among the entries that are left: there is no choice.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct FoundNan;

impl Groups {
    /// The groups of `of` entries along `dim`, which may count from the end, of a tensor of `shape`.
    pub(crate) fn along(dim: isize, shape: &[usize], keep: usize, of: usize) -> Result<Self> {
        check(keep, of)?;
        let axis = axis(dim, shape)?;
        if !shape[axis].is_multiple_of(of) {
            return Err(Error::Pattern(PatternError::Indivisible {
                dim,
                shape: shape.to_vec(),
                of,
            }));
        }
        Ok(Groups {
            keep,
            of,
            inner: shape[axis + 1..].iter().product(),
        })
    }

    /// Number of entries after which groups begin anew: the length of a slab.
    pub(crate) fn slab(&self) -> usize {
        self.of * self.inner
    }

    /// Clears the bits of what falls: of each group the lowest keys, equal ones by index, until so many are pruned
    /// as the group may not keep. Those pruned before count among them.
    ///
    /// `values` are whole slabs, the first of which begins at entry `start` of the tensor; `prior` and `words` are
    /// masks of all of the tensor.
    pub(crate) fn choose<T: Element>(
        &self,
        values: &[T],
        key: impl Fn(T) -> T::Key + Copy,
        start: usize,
        prior: Option<&Mask>,
        words: &mut [u64],
    ) -> Result<(), FoundNan> {
        let left = |flat: usize| prior.is_none_or(|prior| prior.bit(start + flat));
        let fall = |flat: usize| words[(start + flat) / 64] &= !(1 << ((start + flat) % 64));
        if self.of <= COMPARED {
            self.compare(values, key, left, fall)
        } else {
            self.sort(values, key, left, fall)
        }
    }

    /// Chooses by comparing each entry of a group with each other one: an entry falls if fewer of them come before
    /// it than are to fall.
    fn compare<T: Element>(
        &self,
        values: &[T],
        key: impl Fn(T) -> T::Key + Copy,
        left: impl Fn(usize) -> bool,
        mut fall: impl FnMut(usize),
    ) -> Result<(), FoundNan> {
        let mut keys = [[T::Key::default(); LANES]; COMPARED];
        let mut rows = [[0_u8; LANES]; COMPARED]; // 1 for an entry that is left
        let mut falls = [[0_u8; LANES]; COMPARED];
        let groups = values.len() / self.of;
        for first in (0..groups).step_by(LANES) {
            let width = LANES.min(groups - first);
            let (mut nan, mut falling) = (false, [0_u8; LANES]);
            self.places(first, width, |j, lane, flat| {
                let (value, left) = (values[flat], left(flat));
                keys[j][lane] = key(value);
                rows[j][lane] = left.into();
                nan |= left && value.magnitude() > T::HIGHEST;
                falling[lane] += u8::from(left);
            });
            if nan {
                return Err(FoundNan);
            }
            for falling in &mut falling {
                *falling = falling.saturating_sub(self.keep as u8);
            }
            for j in 0..self.of {
                let mut before = [0_u8; LANES];
                for other in 0..j {
                    for lane in 0..LANES {
                        before[lane] += rows[other][lane] & u8::from(keys[other][lane] <= keys[j][lane]);
                    }
                }
                for other in j + 1..self.of {
                    for lane in 0..LANES {
                        before[lane] += rows[other][lane] & u8::from(keys[other][lane] < keys[j][lane]);
                    }
                }
                for lane in 0..LANES {
                    falls[j][lane] = rows[j][lane] & u8::from(before[lane] < falling[lane]);
                }
            }
            self.places(first, width, |j, lane, flat| {
                if falls[j][lane] != 0 {
                    fall(flat);
                }
            });
        }
        Ok(())
    }

    /// Visits the entries of `width` groups from `first` on, as `(entry of the group, lane, row-major index)`, in an
    /// order that is kind to memory.
    #[inline(always)]
    fn places(&self, first: usize, width: usize, mut visit: impl FnMut(usize, usize, usize)) {
        let mut lane = 0;
        while lane < width {
            let (slab, column) = ((first + lane) / self.inner, (first + lane) % self.inner);
            let run = (self.inner - column).min(width - lane);
            for j in 0..self.of {
                let flat = (slab * self.of + j) * self.inner + column;
                for i in 0..run {
                    visit(j, lane + i, flat + i);
                }
            }
            lane += run;
        }
    }

    /// Chooses by selecting from a list of each group's entries.
    fn sort<T: Element>(
        &self,
        values: &[T],
        key: impl Fn(T) -> T::Key + Copy,
        left: impl Fn(usize) -> bool,
        mut fall: impl FnMut(usize),
    ) -> Result<(), FoundNan> {
        let mut entries = Vec::with_capacity(self.of);
        for group in 0..values.len() / self.of {
            entries.clear();
            let first = group / self.inner * self.slab() + group % self.inner;
            for flat in (first..first + self.slab()).step_by(self.inner) {
                if left(flat) {
                    if values[flat].magnitude() > T::HIGHEST {
                        return Err(FoundNan);
                    }
                    entries.push((key(values[flat]), flat));
                }
            }
            let falling = entries.len().saturating_sub(self.keep);
            if falling > 0 {
                entries.select_nth_unstable(falling - 1);
                entries[..falling].iter().for_each(|(_, flat)| fall(*flat));
            }
        }
        Ok(())
    }
}

/// Refuses groups of nothing, and to keep more of a group than there is.
pub(crate) fn check(keep: usize, of: usize) -> Result<()> {
    if of == 0 || keep > of {
        return Err(Error::Pattern(PatternError::KeepOf { keep, of }));
    }
    Ok(())
}
