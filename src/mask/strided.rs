//! [`Strided`]: the entries of an array of any memory layout, in logical row-major order, without a copy of all.

use ndarray::{ArrayView1, ArrayViewD, Axis, Ix1, Slice};

/// Entries that lie in one cache line, about: this many rows of a transposed matrix are copied side by side.
const ROWS: usize = 32;

/// An array view that gives its entries by flat index, which counts in row-major order whatever the strides are.
///
/// Runs of entries are copied into a buffer of the caller's. A view in standard layout needs no copy at all: it is a
/// [`slice`](Strided::slice).
#[derive(Clone, Debug)]
pub(crate) struct Strided<'a, T> {
    view: ArrayViewD<'a, T>,
    layout: Layout<'a, T>,
}

#[derive(Clone, Debug)]
enum Layout<'a, T> {
    /// In standard layout.
    Standard(&'a [T]),
    /// Without gaps: transposed, permuted, reversed.
    Dense {
        memory: &'a [T],
        /// Where in memory the entry of index 0 is.
        origin: usize,
        /// Axes from the outermost to the innermost, as few as will do.
        axes: Vec<Dim>,
    },
    /// With gaps or repetitions: sliced, stepped, broadcast.
    Gaps,
}

/// An axis: its length, and how far apart its entries are in memory.
#[derive(Clone, Copy, Debug)]
struct Dim {
    len: usize,
    stride: isize,
}

impl<'a, T: Copy> Strided<'a, T> {
    /// The entries of a view.
    pub(crate) fn new(view: ArrayViewD<'a, T>) -> Self {
        let layout = match (view.to_slice(), view.to_slice_memory_order()) {
            (Some(slice), _) => Layout::Standard(slice),
            (None, Some(memory)) => dense(&view, memory),
            (None, None) => Layout::Gaps,
        };
        Strided { view, layout }
    }

    /// Number of entries.
    pub(crate) fn len(&self) -> usize {
        self.view.len()
    }

    /// All entries, where they lie in memory in row-major order.
    pub(crate) fn slice(&self) -> Option<&'a [T]> {
        match self.layout {
            Layout::Standard(slice) => Some(slice),
            Layout::Dense { .. } | Layout::Gaps => None,
        }
    }

    /// The entry of a flat index, which has to be below [`len`](Self::len).
    pub(crate) fn entry(&self, index: usize) -> T {
        match &self.layout {
            Layout::Standard(slice) => slice[index],
            Layout::Dense { memory, origin, axes } => memory[place(*origin, axes, index)],
            Layout::Gaps => {
                let (row, column) = self.row(index);
                row[column]
            }
        }
    }

    /// How many entries are best copied together: of a transposed matrix, the rows that share cache lines. A power of
    /// two.
    pub(crate) fn together(&self) -> usize {
        const LINE: usize = 64;
        match &self.layout {
            Layout::Dense { axes, .. } => match axes[..] {
                [.., outer, inner] if outer.stride.unsigned_abs() == 1 => {
                    let rows = LINE / size_of::<T>().clamp(1, LINE);
                    rows.min(outer.len)
                        .saturating_mul(inner.len)
                        .min(1 << 31)
                        .next_power_of_two()
                }
                _ => 1,
            },
            Layout::Standard(_) | Layout::Gaps => 1,
        }
    }

    /// Copies the entries from flat index `start` on into all of `into`.
    ///
    /// The longer the run, the better for a transposed view: entries that are neighbours in memory are far apart in
    /// row-major order, and only those of one run are read together.
    pub(crate) fn copy(&self, start: usize, into: &mut [T]) {
        match &self.layout {
            Layout::Standard(slice) => into.copy_from_slice(&slice[start..start + into.len()]),
            Layout::Dense { memory, origin, axes } => copy_dense(memory, *origin, axes, start, into),
            Layout::Gaps => {
                let mut done = 0;
                while done < into.len() {
                    let (mut row, column) = self.row(start + done);
                    let len = (row.len() - column).min(into.len() - done);
                    row.slice_axis_inplace(Axis(0), Slice::from(column..column + len));
                    let into = &mut into[done..done + len];
                    match row.to_slice() {
                        Some(slice) => into.copy_from_slice(slice),
                        None => into.iter_mut().zip(row).for_each(|(to, from)| *to = *from),
                    }
                    done += len;
                }
            }
        }
    }

    /// The innermost row that holds an entry, and where in the row it is.
    fn row(&self, index: usize) -> (ArrayView1<'a, T>, usize) {
        let last = self.view.ndim().saturating_sub(1);
        let columns = self.view.shape().last().copied().unwrap_or(1);
        let (mut outer, mut row) = (index / columns, self.view.clone());
        for axis in (0..last).rev() {
            let len = self.view.len_of(Axis(axis));
            row.collapse_axis(Axis(axis), outer % len);
            outer /= len;
        }
        for _ in 0..last {
            row = row.index_axis_move(Axis(0), 0);
        }
        let row = row.into_dimensionality::<Ix1>();
        (row.expect("every other axis is gone"), index % columns)
    }
}

/// The layout of a view that has no gaps.
fn dense<'a, T>(view: &ArrayViewD<'a, T>, memory: &'a [T]) -> Layout<'a, T> {
    let mut axes: Vec<Dim> = Vec::with_capacity(view.ndim());
    let mut origin = 0;
    for (&len, &stride) in view.shape().iter().zip(view.strides()) {
        if len <= 1 {
            continue;
        }
        if stride < 0 {
            origin += (len - 1) * stride.unsigned_abs();
        }
        // An axis whose steps are as long as all of the next one makes one longer axis with it.
        match axes.last_mut() {
            Some(outer) if outer.stride == stride * len as isize => {
                *outer = Dim {
                    len: outer.len * len,
                    stride,
                }
            }
            _ => axes.push(Dim { len, stride }),
        }
    }
    Layout::Dense { memory, origin, axes }
}

/// Where in memory an entry is.
fn place(origin: usize, axes: &[Dim], mut index: usize) -> usize {
    let mut place = origin;
    for axis in axes.iter().rev() {
        place = place.wrapping_add_signed((index % axis.len) as isize * axis.stride);
        index /= axis.len;
    }
    place
}

/// Copies a run of a view without gaps, row by row, or some rows side by side where their entries are neighbours.
fn copy_dense<T: Copy>(memory: &[T], origin: usize, axes: &[Dim], start: usize, into: &mut [T]) {
    let inner = *axes.last().unwrap_or(&Dim { len: 1, stride: 1 });
    let outer = axes.len().checked_sub(2).map(|outer| axes[outer]);
    let mut done = 0;
    while done < into.len() {
        let index = start + done;
        let (column, from) = (index % inner.len, place(origin, axes, index));
        let into = &mut into[done..];
        if let Some(outer) = outer
            && column == 0
            && outer.stride.unsigned_abs() == 1
        {
            let rows = outer.len - index / inner.len % outer.len;
            let rows = rows.min(ROWS).min(into.len() / inner.len);
            if rows > 1 {
                let into = &mut into[..rows * inner.len];
                copy_rows(memory, from, (inner, outer.stride), into);
                done += into.len();
                continue;
            }
        }
        let len = (inner.len - column).min(into.len());
        copy_row(memory, from, inner.stride, &mut into[..len]);
        done += len;
    }
}

/// Copies one row, of which the first entry is at `from`.
fn copy_row<T: Copy>(memory: &[T], from: usize, stride: isize, into: &mut [T]) {
    let last = from.wrapping_add_signed((into.len() as isize - 1) * stride);
    let step = stride.unsigned_abs();
    if stride == 1 {
        into.copy_from_slice(&memory[from..=last]);
    } else if stride > 0 {
        let row = memory[from..=last].iter().step_by(step);
        into.iter_mut().zip(row).for_each(|(to, from)| *to = *from);
    } else {
        let row = memory[last..=from].iter().rev().step_by(step);
        into.iter_mut().zip(row).for_each(|(to, from)| *to = *from);
    }
}

/// Copies neighbouring rows, of which the first entries are side by side in memory from `from` on.
fn copy_rows<T: Copy>(memory: &[T], from: usize, (inner, outer): (Dim, isize), into: &mut [T]) {
    let rows = into.len() / inner.len;
    for column in 0..inner.len {
        let first = from.wrapping_add_signed(column as isize * inner.stride);
        for row in 0..rows {
            into[row * inner.len + column] = memory[first.wrapping_add_signed(row as isize * outer)];
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{ArrayD, IxDyn};
    use proptest::prelude::*;

    use super::*;

    /// A view of an array after some changes of its layout.
    fn changed<'a>(array: &'a ArrayD<u32>, changes: &[(u8, usize, usize)]) -> ArrayViewD<'a, u32> {
        let mut view = array.view();
        for &(change, a, b) in changes {
            let (a, b) = (a % view.ndim(), b % view.ndim());
            match change {
                0 => view.invert_axis(Axis(a)),
                1 => view.swap_axes(a, b),
                2 => view.slice_axis_inplace(Axis(a), Slice::from(..).step_by(b as isize + 2)),
                3 => view.slice_axis_inplace(Axis(a), Slice::from(view.len_of(Axis(a)).min(b)..)),
                _ => view = view.insert_axis(Axis(a)),
            }
        }
        view
    }

    proptest! {
        #[test]
        fn runs_and_entries_are_those_of_the_contiguous_copy(
            shape in prop::collection::vec(1_usize..40, 1..5).prop_filter("small", |s| s.iter().product::<usize>() < 20_000),
            changes in prop::collection::vec((0_u8..5, 0_usize..6, 0_usize..6), 0..6),
            start in 0.0..1.0,
            len in 0.0..=1.0,
        ) {
            let entries: usize = shape.iter().product();
            let array = ArrayD::from_shape_vec(IxDyn(&shape), (0..entries as u32).collect()).unwrap();
            let view = changed(&array, &changes);
            let expected: Vec<u32> = view.iter().copied().collect();
            let strided = Strided::new(view.clone());
            prop_assert_eq!(strided.len(), expected.len());
            prop_assert_eq!(strided.slice(), view.as_slice());
            let start = (expected.len() as f64 * start) as usize;
            let len = ((expected.len() - start) as f64 * len) as usize;
            let mut run = vec![u32::MAX; len];
            strided.copy(start, &mut run);
            prop_assert_eq!(&run, &expected[start..start + len]);
            for index in (0..expected.len()).step_by(expected.len() / 50 + 1) {
                prop_assert_eq!(strided.entry(index), expected[index]);
            }
        }
    }

    #[test]
    fn scalars_empty_and_broadcast_views() {
        let scalar = ArrayD::from_elem(IxDyn(&[]), 7_u32);
        assert_eq!(Strided::new(scalar.view()).entry(0), 7);
        let empty = ArrayD::<u32>::zeros(IxDyn(&[3, 0, 2]));
        Strided::new(empty.view().reversed_axes()).copy(0, &mut []);
        let row = ArrayD::from_shape_vec(IxDyn(&[3]), vec![1_u32, 2, 3]).unwrap();
        let mut all = [0; 6];
        Strided::new(row.broadcast(IxDyn(&[2, 3])).unwrap()).copy(0, &mut all);
        assert_eq!(all, [1, 2, 3, 1, 2, 3]);
        let repeated = scalar.broadcast(IxDyn(&[2, 2])).unwrap();
        assert_eq!(Strided::new(repeated).entry(3), 7);
    }
}
