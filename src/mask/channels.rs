//! The channels of a tensor: its slices along one dimension, their norms, and masks that drop them whole.

use num_traits::AsPrimitive;

use super::lanes::{Lanes, largest, smallest, sum};
use super::norm::{Kind, Norm};
use super::nuclear;
use super::packed::Mask;
use crate::error::{Error, Result};

/// So many partial results are held at once: they stay in the first-level cache.
const BLOCK: usize = 2048;

/// A tensor seen as channels: entry `(o, c, i)` has row-major index `(o × count + c) × inner + i`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Channels<'a> {
    shape: &'a [usize],
    axis: usize,
    outer: usize,
    count: usize,
    inner: usize,
}

impl<'a> Channels<'a> {
    /// The channels of a tensor of `shape` along `dim`, which may count from the end.
    pub(crate) fn along(dim: isize, shape: &'a [usize]) -> Result<Self> {
        if shape.len() < 2 {
            return Err(Error::NoChannels {
                shape: shape.to_vec(),
            });
        }
        let axis = axis(dim, shape)?;
        Ok(Channels {
            shape,
            axis,
            outer: shape[..axis].iter().product(),
            count: shape[axis],
            inner: shape[axis + 1..].iter().product(),
        })
    }

    /// Number of channels.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// The dimension that numbers the channels, from 0.
    pub(crate) fn axis(&self) -> usize {
        self.axis
    }

    /// For each channel whether any of its entries is kept.
    pub(crate) fn left(&self, mask: &Mask) -> Vec<bool> {
        let mut left = vec![false; self.count];
        for o in 0..self.outer {
            for (c, left) in left.iter_mut().enumerate() {
                let start = (o * self.count + c) * self.inner;
                *left = *left || (start..start + self.inner).any(|flat| mask.bit(flat));
            }
        }
        left
    }

    /// The prior mask without the channels that are not `kept`.
    pub(crate) fn mask(&self, prior: Option<&Mask>, kept: &[bool]) -> Mask {
        let mut words = match prior {
            Some(prior) => prior.as_words().to_vec(),
            None => Mask::ones(self.shape).as_words().to_vec(),
        };
        for o in 0..self.outer {
            for (c, _) in kept.iter().enumerate().filter(|(_, kept)| !**kept) {
                let start = (o * self.count + c) * self.inner;
                clear(&mut words, start..start + self.inner);
            }
        }
        Mask::from_words(self.shape, words).expect("clearing bits leaves a mask a mask")
    }

    /// The norm of each channel of a tensor in standard layout, in f64.
    ///
    /// The order of additions is fixed (S5): entries that differ only in the dimensions before the channel's are
    /// added first, in row-major order; the sums so found are added in 16 lanes, as [`Lanes`] says.
    ///
    /// A NaN in a channel makes its norm NaN, under every norm.
    pub(crate) fn norms<T: AsPrimitive<f64>>(&self, values: &[T], norm: Norm) -> Result<Vec<f64>> {
        let order = match norm.kind() {
            Kind::Frobenius => 2.0,
            Kind::Nuclear => return self.nuclear_norms(values),
            Kind::Order(n) => n,
        };
        Ok(match order {
            f64::INFINITY => self.fold(values, 0.0, f64::abs, largest),
            f64::NEG_INFINITY => self.fold(values, f64::INFINITY, f64::abs, smallest),
            0.0 => self.fold(
                values,
                0.0,
                |x| if x.is_nan() { x } else { f64::from(x != 0.0) },
                sum,
            ),
            1.0 => self.fold(values, 0.0, f64::abs, sum),
            2.0 => roots(self.fold(values, 0.0, |x| x * x, sum), f64::sqrt),
            _ => roots(self.fold(values, 0.0, |x| libm::pow(x.abs(), order), sum), |s| {
                libm::pow(s, 1.0 / order)
            }),
        })
    }

    /// Maps and folds each channel's entries in the documented order, with contiguous inner loops.
    fn fold<T: AsPrimitive<f64>>(
        &self,
        values: &[T],
        empty: f64,
        map: impl Fn(f64) -> f64 + Copy,
        join: impl Fn(f64, f64) -> f64 + Copy,
    ) -> Vec<f64> {
        if self.outer * self.inner == 0 {
            return vec![empty; self.count];
        }
        // Adds up, for the places of a slab from `offset` on, the entries that share the place.
        let add_up = |offset: usize, places: &mut [f64]| {
            places.fill(empty);
            for slab in values.chunks_exact(self.count * self.inner) {
                for (place, x) in places.iter_mut().zip(&slab[offset..]) {
                    *place = join(*place, map(x.as_()));
                }
            }
        };
        let mut norms = Vec::with_capacity(self.count);
        let mut places = [empty; BLOCK];
        if self.inner <= BLOCK {
            let several = BLOCK / self.inner;
            for first in (0..self.count).step_by(several) {
                let width = several.min(self.count - first) * self.inner;
                add_up(first * self.inner, &mut places[..width]);
                norms.extend(places[..width].chunks_exact(self.inner).map(|channel| {
                    let mut lanes = Lanes::new(empty);
                    lanes.fold(channel, join);
                    lanes.join(join)
                }));
            }
        } else {
            for channel in 0..self.count {
                let mut lanes = Lanes::new(empty);
                for start in (0..self.inner).step_by(BLOCK) {
                    let width = BLOCK.min(self.inner - start);
                    add_up(channel * self.inner + start, &mut places[..width]);
                    lanes.fold(&places[..width], join);
                }
                norms.push(lanes.join(join));
            }
        }
        norms
    }

    /// The sum of singular values of each channel, which has to be a matrix.
    fn nuclear_norms<T: AsPrimitive<f64>>(&self, values: &[T]) -> Result<Vec<f64>> {
        let (rows, columns) = match (self.axis, self.shape) {
            (0, &[_, rows, columns]) | (1, &[rows, _, columns]) | (2, &[rows, columns, _]) => (rows, columns),
            _ => {
                return Err(Error::NuclearNorm {
                    shape: self.shape.to_vec(),
                });
            }
        };
        let channel = |c: usize| {
            let slabs = values.chunks_exact((self.count * self.inner).max(1));
            let entries = slabs.flat_map(move |slab| &slab[c * self.inner..(c + 1) * self.inner]);
            entries.map(|x| x.as_()).collect()
        };
        Ok((0..self.count)
            .map(|c| nuclear::norm(channel(c), rows, columns))
            .collect())
    }
}

/// The dimension that `dim` means: counted from the end where negative.
pub(super) fn axis(dim: isize, shape: &[usize]) -> Result<usize> {
    let axis = if dim < 0 {
        dim.checked_add_unsigned(shape.len())
    } else {
        Some(dim)
    };
    axis.and_then(|axis| usize::try_from(axis).ok())
        .filter(|&axis| axis < shape.len())
        .ok_or_else(|| Error::DimOutOfRange {
            dim,
            shape: shape.to_vec(),
        })
}

fn roots(mut sums: Vec<f64>, root: impl Fn(f64) -> f64) -> Vec<f64> {
    sums.iter_mut().for_each(|sum| *sum = root(*sum));
    sums
}

/// Clears a range of bits.
pub(super) fn clear(words: &mut [u64], range: std::ops::Range<usize>) {
    let (first, last) = (range.start / 64, range.end / 64);
    let from = u64::MAX << (range.start % 64);
    let until = !(u64::MAX << (range.end % 64));
    if range.is_empty() {
    } else if first == last {
        words[first] &= !(from & until);
    } else {
        words[first] &= !from;
        words[first + 1..last].fill(0);
        if until != 0 {
            words[last] &= !until;
        }
    }
}
