//! Selection from weights in memory.

use ndarray::{ArrayView1, ArrayViewD};

use super::element::Element;
use super::error::SelectError;
use super::key::{Order, Scale, fill_keys};
use super::solve;
use super::source::{BLOCK, Block, Source, TASK};
use crate::mask::strided::Strided;

/// Weights that lie in memory, in logical row-major order.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a, T> {
    /// The entries.
    pub values: &'a [T],
    /// The packed mask so far, one bit for each entry. Entries whose bit is 0 are pruned already: they are not ranked,
    /// and stay pruned. `None` means that nothing is pruned yet.
    pub prior: Option<&'a [u64]>,
}

impl<'a, T> Segment<'a, T> {
    /// Weights without a prior mask.
    pub fn new(values: &'a [T]) -> Self {
        Self { values, prior: None }
    }
}

/// Weights of any memory layout, ranked in logical row-major order without a copy of all of them.
#[derive(Clone, Debug)]
pub(crate) struct ViewSegment<'a, T> {
    /// The entries.
    pub(crate) values: ArrayViewD<'a, T>,
    /// As in [`Segment`].
    pub(crate) prior: Option<&'a [u64]>,
}

/// Finds the k lowest of the entries that remain in all segments together, and returns each segment's new mask.
///
/// Exactly k entries are pruned. Ties are pruned in the order of the segments and, within a segment, of the index.
/// Entries that a prior mask prunes are not ranked and stay pruned. The result depends on nothing else, such as the
/// number of threads.
///
/// # Errors
///
/// [`SelectError::TooLarge`] if k is more than remain, [`SelectError::Nan`] if any entry that remains is NaN,
/// [`SelectError::PriorLength`] if the length of a prior mask does not match its segment.
///
/// ```
/// use secateurs::mask::select::{Order, Segment, SelectError, lowest};
///
/// let (a, b) = ([0.5_f32, 2.0], [1.0, -3.0]);
/// assert_eq!(lowest(&[Segment::new(&a), Segment::new(&b)], 2, Order::Magnitude)?, [[0b10], [0b10]]);
/// assert_eq!(lowest(&[Segment::new(&a), Segment::new(&b)], 1, Order::Value)?, [[0b11], [0b01]]);
///
/// let too_many = lowest(&[Segment::new(&a)], 3, Order::Value);
/// assert_eq!(too_many, Err(SelectError::TooLarge { requested: 3, remaining: 2 }));
/// # Ok::<(), SelectError>(())
/// ```
pub fn lowest<T: Element>(
    segments: &[Segment<'_, T>],
    k: usize,
    order: Order,
) -> Result<Vec<Vec<u64>>, SelectError> {
    solve::lowest(&Floats::of_slices(segments, order), k)
}

/// As [`lowest`], for views of any memory layout.
pub(crate) fn lowest_of_views<T: Element>(
    segments: &[ViewSegment<'_, T>],
    k: usize,
    order: Order,
) -> Result<Vec<Vec<u64>>, SelectError> {
    let segments = segments.iter();
    let segments = segments.map(|segment| (Strided::new(segment.values.clone()), segment.prior));
    let segments = segments.collect();
    solve::lowest(&Floats { segments, order }, k)
}

/// Floats and the order by which they are ranked.
pub(super) struct Floats<'a, T> {
    segments: Vec<(Strided<'a, T>, Option<&'a [u64]>)>,
    order: Order,
}

impl<'a, T: Element> Floats<'a, T> {
    pub(super) fn of_slices(segments: &[Segment<'a, T>], order: Order) -> Self {
        let view = |values| Strided::new(ArrayView1::from(values).into_dyn());
        Floats {
            segments: segments.iter().map(|s| (view(s.values), s.prior)).collect(),
            order,
        }
    }
}

impl<T: Element> Source<T::Key> for Floats<'_, T> {
    fn scale(&self) -> Scale<T::Key> {
        Scale::of::<T>(self.order)
    }

    fn is_even(&self) -> bool {
        false
    }

    fn segments(&self) -> usize {
        self.segments.len()
    }

    fn len(&self, segment: usize) -> usize {
        self.segments[segment].0.len()
    }

    fn prior(&self, segment: usize) -> Option<&[u64]> {
        self.segments[segment].1
    }

    fn block(&self, segment: usize, start: usize, len: usize, block: &mut Block<T::Key>) -> bool {
        let values = &self.segments[segment].0;
        let keys =
            |values: &[T], keys: &mut [T::Key]| fill_keys(T::bits(values), self.order, T::HIGHEST, keys);
        if let Some(values) = values.slice() {
            return keys(&values[start..start + len], &mut block.keys);
        }
        // Entries that are neighbours in memory may be far apart in row-major order, so those are read together.
        let together = values.together().clamp(4 * BLOCK, TASK);
        let first = start - start % together;
        let (which, ahead) = block.ahead.get_or_insert_default();
        if ahead.is_empty() || *which != (segment, first) {
            let mut run = vec![T::ZERO; together.min(values.len() - first)];
            values.copy(first, &mut run);
            ahead.resize(run.len(), T::Key::default());
            keys(&run, ahead);
            *which = (segment, first);
        }
        let keys = &mut block.keys[..len];
        keys.copy_from_slice(&ahead[start - first..][..len]);
        let scale = self.scale();
        keys.iter().any(|key| scale.is_nan(*key))
    }

    fn entries(&self, segment: usize, indices: &[usize], keys: &mut Vec<T::Key>) {
        let key = match self.order {
            Order::Magnitude => T::magnitude,
            Order::Value => T::value,
        };
        let values = &self.segments[segment].0;
        match values.slice() {
            Some(values) => keys.extend(indices.iter().map(|index| key(values[*index]))),
            None => keys.extend(indices.iter().map(|index| key(values.entry(*index)))),
        }
    }
}
