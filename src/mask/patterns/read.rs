//! The entries of a tensor in memory, of any type and layout, as they count in scores: piece by piece, without a copy
//! of the tensor.

use std::iter;
use std::ops::Range;

use half::{bf16, f16};

use super::piece::Rows;
use super::{Floats, Piece, Wide};
use crate::error::{Error, MaskError};
use crate::mask::bits::{BITS, masked, word_at};
use crate::mask::float_view::FloatView;
use crate::mask::packed::Mask;
use crate::mask::parallel::vectorized;
use crate::mask::select::Element;
use crate::mask::strided::Strided;

/// What an entry counts as in a norm if the prior mask prunes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Masked {
    /// As its own value: the scores were given.
    AsGiven,
    /// As 0: the scores are the values of a parameter, with its mask applied.
    AsZero,
}

/// This many places, as f64, stay in the first-level cache beside the entries that are added onto them.
pub(super) const PLACES: usize = 2048;

/// This many entries are copied at once if they cannot be read in place. All intermediate results stay in the
/// second-level cache.
const COPIED: usize = 4 * PLACES;

/// At most this many if they lie in another order: as many as share cache lines.
const GATHERED: usize = 1 << 17;

/// The entries of a tensor in row-major order, of which those that a mask prunes may count as 0.
#[derive(Clone, Debug)]
pub(crate) struct Entries<'a> {
    values: Values<'a>,
    prior: Option<&'a Mask>,
    zeros: Zeros,
}

#[derive(Clone, Debug)]
enum Values<'a> {
    F16(Strided<'a, f16>),
    BF16(Strided<'a, bf16>),
    F32(Strided<'a, f32>),
    F64(Strided<'a, f64>),
}

/// Which of the entries that the prior mask prunes count as 0 whatever their values are.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Zeros {
    None,
    Nans,
    All,
}

/// Buffers that entries are copied into, one for each thread.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    f16: Vec<f16>,
    bf16: Vec<bf16>,
    f32: Vec<f32>,
    f64: Vec<f64>,
}

macro_rules! with_values {
    ($values:expr, $strided:ident => $body:expr) => {
        match $values {
            Values::F16($strided) => $body,
            Values::BF16($strided) => $body,
            Values::F32($strided) => $body,
            Values::F64($strided) => $body,
        }
    };
}

impl<'a> Entries<'a> {
    /// The entries of a tensor under the mask so far.
    pub(crate) fn new(view: FloatView<'a>, prior: Option<&'a Mask>, masked: Masked) -> Self {
        Entries {
            values: match view {
                FloatView::F16(view) => Values::F16(Strided::new(view)),
                FloatView::BF16(view) => Values::BF16(Strided::new(view)),
                FloatView::F32(view) => Values::F32(Strided::new(view)),
                FloatView::F64(view) => Values::F64(Strided::new(view)),
            },
            prior,
            zeros: match masked {
                Masked::AsZero => Zeros::All,
                Masked::AsGiven => Zeros::None,
            },
        }
    }

    /// Number of entries.
    pub(crate) fn len(&self) -> usize {
        with_values!(&self.values, strided => strided.len())
    }

    /// Consecutive entries with their own values, whether pruned or not.
    pub(crate) fn run<'b>(&'b self, range: Range<usize>, buffer: &'b mut Buffer) -> Floats<'b> {
        macro_rules! run {
            ($variant:ident, $strided:expr, $buffer:expr) => {
                Floats::$variant(match $strided.slice() {
                    Some(slice) => &slice[range],
                    None => gather($strided, &[range], $buffer),
                })
            };
        }
        match &self.values {
            Values::F16(strided) => run!(F16, strided, &mut buffer.f16),
            Values::BF16(strided) => run!(BF16, strided, &mut buffer.bf16),
            Values::F32(strided) => run!(F32, strided, &mut buffer.f32),
            Values::F64(strided) => run!(F64, strided, &mut buffer.f64),
        }
    }

    /// Runs `score` over these entries. If the result is NaN, perhaps because of an entry that is pruned already, it
    /// runs again with that entry as 0. Any other NaN is an error that names the first one.
    pub(crate) fn without_nan<R>(
        &self,
        mut score: impl FnMut(&Entries<'a>) -> R,
        is_nan: impl Fn(&R) -> bool,
    ) -> Result<R, Error> {
        let mut scores = score(self);
        if is_nan(&scores) && self.prior.is_some() && self.zeros == Zeros::None {
            scores = score(&Entries {
                zeros: Zeros::Nans,
                ..self.clone()
            });
        }
        if is_nan(&scores) {
            Err(self.first_nan())
        } else {
            Ok(scores)
        }
    }

    /// The error that names the first NaN of those entries that are ranked.
    pub(crate) fn first_nan(&self) -> Error {
        let mut first = None;
        let remaining = Entries {
            zeros: Zeros::All,
            ..self.clone()
        };
        remaining.feed(
            Piece::run(0, self.len()),
            COPIED,
            &mut Buffer::default(),
            &mut |rows| {
                if first.is_none() {
                    first = rows.values.first_nan().map(|at| rows.piece.first + at);
                }
            },
        );
        MaskError::NanScore {
            parameter: None,
            index: first.expect("a score is NaN only where an entry is"),
        }
        .into()
    }

    /// Feeds the entries of a piece, in the parts in which they have to be copied: whole runs, or parts of a run that
    /// is longer than `most`.
    pub(crate) fn feed(
        &self,
        piece: Piece,
        most: usize,
        buffer: &mut Buffer,
        feed: &mut dyn FnMut(Rows<'_>),
    ) {
        let all = piece.first..piece.first + piece.span();
        let direct = match (&self.values, self.is_zeroed()) {
            (Values::F32(strided), false) => strided.slice().map(|slice| Wide::F32(&slice[all])),
            (Values::F64(strided), false) => strided.slice().map(|slice| Wide::F64(&slice[all])),
            _ => None,
        };
        if let Some(values) = direct {
            return feed(Rows::spread(piece, values));
        }
        let standard = with_values!(&self.values, strided => strided.slice().is_some());
        // In a view in another order, reading the gaps between runs touches hardly more memory than reading the runs.
        let spread = !standard && piece.runs > 1 && piece.stride <= 2 * piece.len;
        let together = with_values!(&self.values, strided => strided.together());
        let most = most.max(together.min(GATHERED));
        if piece.runs == 1 {
            for start in (0..piece.len).step_by(most) {
                let part = Piece::run(piece.first + start, most.min(piece.len - start));
                feed(self.copy(part, false, buffer));
            }
        } else {
            let runs = (most / if spread { piece.stride } else { piece.len }.max(1)).max(1);
            for first in (0..piece.runs).step_by(runs) {
                let part = piece.some_runs(first, runs.min(piece.runs - first));
                feed(self.copy(part, spread, buffer));
            }
        }
    }

    fn is_zeroed(&self) -> bool {
        self.prior.is_some() && self.zeros != Zeros::None
    }

    /// Copies the entries of a piece, with or without the entries between its runs.
    fn copy<'b>(&self, piece: Piece, spread: bool, buffer: &'b mut Buffer) -> Rows<'b> {
        vectorized(
            #[inline(always)]
            || self.copied(piece, spread, buffer),
        )
    }

    #[inline(always)]
    fn copied<'b>(&self, piece: Piece, spread: bool, buffer: &'b mut Buffer) -> Rows<'b> {
        let (ranges, step) = if spread {
            (
                iter::once(piece.first..piece.first + piece.span()).collect(),
                piece.stride,
            )
        } else {
            (piece.each_run().collect::<Vec<_>>(), piece.len)
        };
        let Buffer { f16, bf16, f32, f64 } = buffer;
        match &self.values {
            Values::F16(strided) => {
                let copied = Floats::F16(gather(strided, &ranges, f16));
                copied.widen(f32);
            }
            Values::BF16(strided) => {
                let copied = Floats::BF16(gather(strided, &ranges, bf16));
                copied.widen(f32);
            }
            Values::F32(strided) => _ = gather(strided, &ranges, f32),
            Values::F64(strided) => _ = gather(strided, &ranges, f64),
        }
        let entries = ranges.iter().map(Range::len).sum();
        let values = match &self.values {
            Values::F64(_) => {
                self.set_zeros(&ranges, &mut f64[..entries]);
                Wide::F64(&f64[..entries])
            }
            _ => {
                self.set_zeros(&ranges, &mut f32[..entries]);
                Wide::F32(&f32[..entries])
            }
        };
        Rows {
            piece,
            values,
            stride: step,
        }
    }

    /// Writes zeros over the entries that count as 0.
    fn set_zeros<T: Element>(&self, ranges: &[Range<usize>], mut values: &mut [T]) {
        let Some(prior) = self.prior else { return };
        for range in ranges {
            let (now, rest) = values.split_at_mut(range.len());
            match self.zeros {
                Zeros::None => {}
                Zeros::All => zero(now, prior, range.start),
                Zeros::Nans => {
                    for (i, value) in now.iter_mut().enumerate() {
                        if value.as_().is_nan() && !prior.bit(range.start + i) {
                            *value = T::ZERO;
                        }
                    }
                }
            }
            values = rest;
        }
    }
}

/// Copies ranges of entries one after the other.
fn gather<'b, T: Element>(
    strided: &Strided<'_, T>,
    ranges: &[Range<usize>],
    into: &'b mut Vec<T>,
) -> &'b [T] {
    let entries = ranges.iter().map(Range::len).sum();
    if into.len() < entries {
        into.resize(entries, T::ZERO);
    }
    let mut done = 0;
    for range in ranges {
        strided.copy(range.start, &mut into[done..done + range.len()]);
        done += range.len();
    }
    &into[..entries]
}

/// Writes zeros over the entries that a mask prunes. The first of `values` is entry `start`.
#[inline(always)]
fn zero<T: Element>(values: &mut [T], mask: &Mask, start: usize) {
    let words = mask.as_words();
    let (whole, rest) = values.as_chunks_mut::<BITS>();
    let end = start + whole.len() * BITS;
    for (number, block) in whole.iter_mut().enumerate() {
        *block = masked(block, word_at(words, start + number * BITS), T::ZERO);
    }
    let word = word_at(words, end);
    for (i, value) in rest.iter_mut().enumerate() {
        *value = if word >> i & 1 == 1 { *value } else { T::ZERO };
    }
}
