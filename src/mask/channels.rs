//! The channels of a tensor: its slices along one dimension, their norms, and masks that drop them whole.

use super::bits;
use super::effective::{Entries, PIECE};
use super::lanes::{Lanes, largest, smallest, sum};
use super::norm::{Kind, Norm};
use super::nuclear;
use super::packed::Mask;
use super::parallel::{Threads, vectorized};
use super::select::Element;
use crate::error::{Error, NormError, PatternError, Result};

/// A task has no fewer places than this, so that what it reads of each slab is long enough to be read ahead.
const FEW: usize = 512;

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
            return Err(Error::Pattern(PatternError::NoChannels {
                shape: shape.to_vec(),
            }));
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
        let slab = self.slab();
        let mut any = vec![0; slab.div_ceil(bits::BITS)];
        for o in 0..self.outer {
            bits::or_from(&mut any, mask.as_words(), o * slab, slab);
        }
        let channels = (0..self.count).map(|c| c * self.inner..(c + 1) * self.inner);
        channels.map(|places| bits::any_set(&any, places)).collect()
    }

    /// The prior mask without the channels that are not `kept`.
    pub(crate) fn mask(&self, prior: Option<&Mask>, kept: &[bool]) -> Mask {
        let mut words = match prior {
            Some(prior) => prior.as_words().to_vec(),
            None => Mask::ones(self.shape).into_words(),
        };
        let pruned = (0..self.count).filter(|&c| !kept[c]);
        let pruned = pruned.map(|c| c * self.inner..(c + 1) * self.inner);
        if self.outer == 1 {
            pruned.for_each(|places| bits::clear(&mut words, places));
        } else {
            let slab = self.slab();
            let mut kept = Mask::ones(&[slab]).into_words();
            pruned.for_each(|places| bits::clear(&mut kept, places));
            for o in 0..self.outer {
                bits::and_at(&mut words, o * slab, slab, &kept);
            }
        }
        Mask::from_words(self.shape, words).expect("clearing bits leaves a mask a mask")
    }

    /// The number of entries that differ only in the dimensions from the channel's on.
    fn slab(&self) -> usize {
        self.count * self.inner
    }

    /// The norm of each channel of a tensor in standard layout, in f64.
    ///
    /// The order of additions is fixed (S5): entries that differ only in the dimensions before the channel's are
    /// added first, in row-major order; the sums so found are added in 16 lanes, as [`Lanes`] says.
    ///
    /// A NaN in a channel makes its norm NaN, under every norm.
    pub(crate) fn norms<T: Element>(&self, entries: Entries<'_, T>, norm: Norm) -> Result<Vec<f64>> {
        let order = match norm.kind() {
            Kind::Frobenius => 2.0,
            Kind::Nuclear => return self.nuclear_norms(entries),
            Kind::Order(n) => n,
        };
        Ok(match order {
            f64::INFINITY => self.fold(entries, 0.0, f64::abs, largest),
            f64::NEG_INFINITY => self.fold(entries, f64::INFINITY, f64::abs, smallest),
            0.0 => self.fold(
                entries,
                0.0,
                |x| if x.is_nan() { x } else { f64::from(x != 0.0) },
                sum,
            ),
            1.0 => self.fold(entries, 0.0, f64::abs, sum),
            2.0 => roots(self.fold(entries, 0.0, |x| x * x, sum), f64::sqrt),
            _ => roots(self.fold(entries, 0.0, |x| libm::pow(x.abs(), order), sum), |s| {
                libm::pow(s, 1.0 / order)
            }),
        })
    }

    /// Maps and folds each channel's entries in the documented order, with contiguous inner loops.
    fn fold<T: Element>(
        &self,
        entries: Entries<'_, T>,
        empty: f64,
        map: impl Fn(f64) -> f64 + Copy + Sync + Send,
        join: impl Fn(f64, f64) -> f64 + Copy + Sync + Send,
    ) -> Vec<f64> {
        let mut norms = vec![empty; self.count];
        if self.outer * self.inner == 0 {
            return norms;
        }
        let threads = Threads::of(entries.len());
        let places = self.slab().div_ceil(threads.tasks()).max(FEW);
        let channels = places.div_ceil(self.inner);
        let mut tasks: Vec<_> = norms.chunks_mut(channels).enumerate().collect();
        threads.each(&mut tasks, |(number, norms)| {
            vectorized(
                #[inline(always)]
                || {
                    let first = *number * channels;
                    if self.outer == 1 {
                        self.fold_rows(entries, first, norms, map, join)
                    } else {
                        self.fold_places(entries, first, norms, map, join)
                    }
                },
            )
        });
        norms
    }

    /// [`fold`](Self::fold) of channels that lie one behind the other, each in one row: its places are its entries.
    /// `norms`, of the channels from `first` on, hold what nothing folds to.
    #[inline(always)]
    fn fold_rows<T: Element>(
        &self,
        entries: Entries<'_, T>,
        first: usize,
        norms: &mut [f64],
        map: impl Fn(f64) -> f64,
        join: impl Fn(f64, f64) -> f64,
    ) {
        let mut buffer = [T::ZERO; PIECE];
        for (channel, norm) in norms.iter_mut().enumerate() {
            let row = (first + channel) * self.inner;
            let mut lanes = Lanes::new(*norm);
            for start in (0..self.inner).step_by(PIECE) {
                let width = PIECE.min(self.inner - start);
                let piece = entries.piece(row + start, width, &mut buffer);
                lanes.fold(piece, |x| map(x.as_()), &join);
            }
            *norm = lanes.join(&join);
        }
    }

    /// [`fold`](Self::fold) of channels of which each slab has a part: first the entries that share a place, slab by
    /// slab, then the places. `norms`, of the channels from `first` on, hold what nothing folds to.
    #[inline(always)]
    fn fold_places<T: Element>(
        &self,
        entries: Entries<'_, T>,
        first: usize,
        norms: &mut [f64],
        map: impl Fn(f64) -> f64,
        join: impl Fn(f64, f64) -> f64,
    ) {
        let empty = norms[0];
        let mut buffer = [T::ZERO; PIECE];
        let mut places = [empty; PIECE];
        let (start, end) = (first * self.inner, (first + norms.len()) * self.inner);
        // Pieces end where they end, in the middle of a channel too: its lanes are kept for the next one.
        let (mut channel, mut lanes, mut folded) = (0, Lanes::new(empty), 0);
        for piece_start in (start..end).step_by(PIECE) {
            let places = &mut places[..PIECE.min(end - piece_start)];
            places.fill(empty);
            for o in 0..self.outer {
                let piece = entries.piece(o * self.slab() + piece_start, places.len(), &mut buffer);
                for (place, x) in places.iter_mut().zip(piece) {
                    *place = join(*place, map(x.as_()));
                }
            }
            let mut rest = &*places;
            while !rest.is_empty() {
                let (now, later) = rest.split_at(rest.len().min(self.inner - folded));
                lanes.fold(now, |x| x, &join);
                folded += now.len();
                rest = later;
                if folded == self.inner {
                    norms[channel] = lanes.join(&join);
                    (channel, lanes, folded) = (channel + 1, Lanes::new(empty), 0);
                }
            }
        }
    }

    /// The sum of singular values of each channel, which has to be a matrix.
    fn nuclear_norms<T: Element>(&self, entries: Entries<'_, T>) -> Result<Vec<f64>> {
        let (rows, columns) = match (self.axis, self.shape) {
            (0, &[_, rows, columns]) | (1, &[rows, _, columns]) | (2, &[rows, columns, _]) => (rows, columns),
            _ => {
                return Err(Error::Norm(NormError::NotMatrices {
                    shape: self.shape.to_vec(),
                }));
            }
        };
        let channel = |c: usize| {
            let mut matrix = Vec::with_capacity(rows * columns);
            for o in 0..self.outer {
                let start = (o * self.count + c) * self.inner;
                entries.each_piece_of(start..start + self.inner, |piece| {
                    matrix.extend(piece.iter().map(|x| -> f64 { x.as_() }))
                });
            }
            matrix
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
        .ok_or_else(|| {
            Error::Pattern(PatternError::DimOutOfRange {
                dim,
                shape: shape.to_vec(),
            })
        })
}

fn roots(mut sums: Vec<f64>, root: impl Fn(f64) -> f64) -> Vec<f64> {
    sums.iter_mut().for_each(|sum| *sum = root(*sum));
    sums
}
