//! Groups: of each so many consecutive entries along a dimension some are kept (N:M). Each group is for itself, so
//! nothing has to be found before the masks are made.

use super::ranks::draw;
use crate::checkpoint::TensorInfo;
use crate::checkpoint::extent::{Extent, chunk};
use crate::checkpoint::values::{Values, with_floats};
use crate::error::Result;
use crate::mask::groups::{FoundNan, Groups};
use crate::mask::select::Element;
use crate::mask::{EntryRank, random};

/// Fewer consecutive entries than these are not worth a read of their own.
const SHORTEST_RUN: usize = 64;

/// Which entries of a tensor's groups are kept. A slab is `of × inner` entries: the `j`-th entry of its group number
/// `i` is entry `j × inner + i`.
#[derive(Clone, Copy, Debug)]
pub(in crate::checkpoint) struct GroupRule {
    keep: usize,
    of: usize,
    inner: usize,
    by: EntryRank,
    /// The random stream of the tensor.
    key: [u8; 32],
    entries: usize,
}

impl GroupRule {
    /// Of a tensor of `shape`, to keep so many of so many along `dim`; by chance according to its place in the list.
    pub fn new(
        shape: &[usize],
        (keep, of): (usize, usize),
        dim: isize,
        (by, place): (EntryRank, usize),
    ) -> Result<Self> {
        let groups = Groups::along(dim, shape, keep, of)?;
        let entries = shape.iter().product();
        let seed = match by {
            EntryRank::Random { seed } => seed,
            EntryRank::Magnitude | EntryRank::Value => 0,
        };
        Ok(GroupRule {
            keep,
            of,
            inner: if entries == 0 { 0 } else { groups.slab() / of },
            by,
            key: random::stream_key(seed, place as u64, 0),
            entries,
        })
    }

    /// How many entries fall.
    pub fn falling(&self) -> usize {
        self.entries / self.of * (self.of - self.keep)
    }

    /// The tensor in parts of whole groups: some slabs one after the other; or, where a slab is too long, some
    /// neighbouring groups of one, whose entries lie in as many runs.
    pub fn extents(
        &self,
        tensor: usize,
        info: &TensorInfo,
    ) -> impl Iterator<Item = Extent> + Clone + Send + use<> {
        let GroupRule {
            of, inner, entries, ..
        } = *self;
        let slab = (of * inner).max(1);
        let fits = chunk(info);
        let width = (fits / of).max(SHORTEST_RUN).clamp(1, inner.max(1));
        let (step, runs) = if width == inner {
            ((fits / slab).max(1) * slab, 1)
        } else {
            (slab, of)
        };
        (0..entries).step_by(step).flat_map(move |first| {
            let (end, width) = match runs {
                1 => (step.min(entries - first), step),
                _ => (inner, width),
            };
            (0..end).step_by(width).map(move |column| Extent {
                tensor,
                first: first + column,
                len: width.min(end - column),
                runs,
                stride: inner,
            })
        })
    }

    /// Clears the bits of what falls in an extent.
    pub fn mask(&self, extent: Extent, values: &Values, kept: &mut [u64]) -> Result<(), FoundNan> {
        // The extent by itself is a tensor of groups, too.
        let inner = if extent.runs == 1 { self.inner } else { extent.len };
        let shape = [extent.entries() / inner.max(1), inner];
        let groups = Groups::along(0, &shape, self.keep, self.of).expect("an extent is of whole groups");
        match self.by {
            EntryRank::Magnitude => {
                with_floats!(values, values => groups.choose(values, magnitude, 0, None, kept), raw => Ok(()))
            }
            EntryRank::Value => {
                with_floats!(values, values => groups.choose(values, value, 0, None, kept), raw => Ok(()))
            }
            EntryRank::Random { .. } => {
                let mut lots = Vec::with_capacity(extent.entries());
                for (_, run) in extent.each_run() {
                    draw(self.key, run.first, run.len, &mut lots);
                }
                groups.choose(&lots, value, 0, None, kept)
            }
        }
    }
}

fn magnitude<T: Element>(entry: T) -> T::Key {
    entry.magnitude()
}

fn value<T: Element>(entry: T) -> T::Key {
    entry.value()
}
