//! [`Fold`]: how the entries of a channel or a block become its score.
//!
//! The order of additions is fixed. Entries that differ only in the outer dimensions are added first, in row-major
//! order. The resulting sums are then added in lanes, as [`Lanes`] says. The result does not depend on how a tensor
//! is cut into pieces.

use super::lanes::Lanes;
use super::piece::Rows;
use super::{Wide, lanes};
use crate::mask::norm::Kind;
use crate::mask::{BlockRank, Norm};

/// How entries are mapped and joined: `(Σ |x|ⁿ)^(1/n)` and its limits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Fold {
    Largest,
    Smallest,
    Nonzero,
    Magnitudes,
    Squares,
    Powers(f64),
}

/// Runs `$body` with `$values` bound to a slice of floats, `$map` to what a fold maps entries by, and `$join` to what
/// it joins them by: one copy of the body for each.
macro_rules! with_fold {
    ($fold:expr, $wide:expr, |$values:ident, $map:ident, $join:ident| $body:expr) => {
        crate::mask::patterns::floats::with_wide!($wide, $values => {
            macro_rules! run {
                ($of:expr, $by:expr) => {{
                    let ($map, $join) = (
                        #[inline(always)]
                        |x: &_| $of(f64::from(*x)),
                        $by,
                    );
                    $body
                }};
            }
            match $fold {
                Fold::Largest => run!(f64::abs, lanes::largest),
                Fold::Smallest => run!(f64::abs, lanes::smallest),
                Fold::Nonzero => run!(|x: f64| if x.is_nan() { x } else { f64::from(x != 0.0) }, lanes::sum),
                Fold::Magnitudes => run!(f64::abs, lanes::sum),
                Fold::Squares => run!(|x: f64| x * x, lanes::sum),
                Fold::Powers(n) => run!(|x: f64| libm::pow(x.abs(), n), lanes::sum),
            }
        })
    };
}

impl Fold {
    /// The fold of a norm. `None` for the nuclear norm, which is not a fold.
    pub(super) fn of_norm(norm: Norm) -> Option<Self> {
        Some(match norm.kind() {
            Kind::Nuclear => return None,
            Kind::Frobenius => Fold::Squares,
            Kind::Order(f64::INFINITY) => Fold::Largest,
            Kind::Order(f64::NEG_INFINITY) => Fold::Smallest,
            Kind::Order(0.0) => Fold::Nonzero,
            Kind::Order(1.0) => Fold::Magnitudes,
            Kind::Order(2.0) => Fold::Squares,
            Kind::Order(n) => Fold::Powers(n),
        })
    }

    pub(super) fn of_blocks(by: BlockRank) -> Self {
        match by {
            BlockRank::MeanSquare => Fold::Squares,
            BlockRank::MaxAbs => Fold::Largest,
        }
    }

    /// The fold of no values.
    pub(super) fn empty(self) -> f64 {
        match self {
            Fold::Smallest => f64::INFINITY,
            _ => 0.0,
        }
    }

    /// Makes a norm of a sum.
    pub(super) fn root(self, sum: f64) -> f64 {
        match self {
            Fold::Squares => sum.sqrt(),
            Fold::Powers(n) => libm::pow(sum, 1.0 / n),
            _ => sum,
        }
    }

    /// Joins the runs of a piece onto the places, run by run. Each run is as long as there are places.
    #[inline(always)]
    pub(super) fn add(self, places: &mut [f64], rows: Rows<'_>) {
        with_fold!(self, rows.values, |values, map, join| add(
            places,
            values,
            rows.piece.runs,
            rows.stride,
            map,
            join
        ));
    }
}

/// Joins `runs` runs onto the places, several at a time, so that a place is loaded and stored once for all of them.
#[inline(always)]
fn add<T>(
    places: &mut [f64],
    values: &[T],
    runs: usize,
    stride: usize,
    map: impl Fn(&T) -> f64,
    join: impl Fn(f64, f64) -> f64,
) {
    let len = places.len();
    let run = |number: usize| &values[number * stride..][..len];
    let four = runs / 4 * 4;
    for first in (0..four).step_by(4) {
        let [a, b, c, d] = [run(first), run(first + 1), run(first + 2), run(first + 3)];
        for ((((place, a), b), c), d) in places.iter_mut().zip(a).zip(b).zip(c).zip(d) {
            *place = join(join(join(join(*place, map(a)), map(b)), map(c)), map(d));
        }
    }
    for number in four..runs {
        for (place, x) in places.iter_mut().zip(run(number)) {
            *place = join(*place, map(x));
        }
    }
}

/// Folds a row into consecutive units, each in lanes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Units {
    fold: Fold,
    lanes: Lanes,
    /// Values that the current unit has so far.
    pub(super) filled: usize,
}

impl Units {
    pub(super) fn new(fold: Fold) -> Self {
        Units {
            fold,
            lanes: Lanes::new(fold.empty()),
            filled: 0,
        }
    }

    /// Folds in entries. A unit with `len` entries is passed to `done`.
    #[inline(always)]
    pub(super) fn entries(&mut self, values: Wide<'_>, len: usize, done: impl FnMut(f64)) {
        with_fold!(self.fold, values, |values, map, join| self
            .fold(values, len, map, join, done));
    }

    /// Folds in places, onto which entries were added.
    #[inline(always)]
    pub(super) fn places(&mut self, values: &[f64], len: usize, mut done: impl FnMut(f64)) {
        if len == 1 {
            // A unit of one place is that value itself: all other lanes are empty.
            return values.iter().for_each(|x| done(*x));
        }
        match self.fold {
            Fold::Largest => self.fold(values, len, |x| *x, lanes::largest, done),
            Fold::Smallest => self.fold(values, len, |x| *x, lanes::smallest, done),
            _ => self.fold(values, len, |x| *x, lanes::sum, done),
        }
    }

    /// Ends a unit before it is full.
    pub(super) fn end(&mut self) -> f64 {
        let ended = std::mem::replace(self, Units::new(self.fold)).lanes;
        match self.fold {
            Fold::Largest => ended.join(lanes::largest),
            Fold::Smallest => ended.join(lanes::smallest),
            _ => ended.join(lanes::sum),
        }
    }

    #[inline(always)]
    fn fold<T>(
        &mut self,
        mut values: &[T],
        len: usize,
        map: impl Fn(&T) -> f64,
        join: impl Fn(f64, f64) -> f64,
        mut done: impl FnMut(f64),
    ) {
        while !values.is_empty() {
            let (now, rest) = values.split_at(values.len().min(len - self.filled));
            self.lanes.fold(now, &map, &join);
            self.filled += now.len();
            values = rest;
            if self.filled == len {
                done(self.lanes.join(&join));
                (self.lanes, self.filled) = (Lanes::new(self.fold.empty()), 0);
            }
        }
    }
}
