//! The second half of pruning: what was found to fall becomes masks of chunks, and zeros.

use super::Checkpoint;
use super::extent::Extent;
use super::find::{Asked, Verdict, Verdicts, ranked};
use super::values::{Values, count, select, with_floats};
use crate::error::Result;
use crate::mask::bits::clear;
use crate::mask::patterns::entries::{EntrySelection, EntryWriter, Ties};

/// What a worker has in its hands.
#[derive(Default)]
pub(super) struct Desk {
    pub values: Values,
    /// What the entries of the chunk are ranked by, if not by themselves.
    ranked: Vec<f64>,
    /// The packed mask of the chunk.
    pub kept: Vec<u64>,
    /// By tensor, what this worker counted.
    tally: Vec<Tally>,
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub fell: usize,
    /// Entries that are zero now.
    pub zeros: usize,
}

/// Masks and zeroes tensors, chunk by chunk, in the three steps of a [`crew`](super::crew::crew).
pub(super) struct Eraser<'a> {
    checkpoint: &'a Checkpoint,
    /// Numbers of the tensors, in the order in which they are ranked.
    tensors: &'a [usize],
    verdicts: &'a Verdicts,
}

impl<'a> Eraser<'a> {
    pub fn new(checkpoint: &'a Checkpoint, tensors: &'a [usize], verdicts: &'a Verdicts) -> Self {
        Eraser {
            checkpoint,
            tensors,
            verdicts,
        }
    }

    /// All parts of all tensors, in the order in which they have to come.
    pub fn extents(&self) -> impl Iterator<Item = Extent> + Clone + Send + use<'a> {
        let (checkpoint, verdicts) = (self.checkpoint, self.verdicts);
        let pairs = self.tensors.iter().zip(&verdicts.each);
        pairs.flat_map(move |(&tensor, verdict)| verdict.extents(checkpoint, tensor))
    }

    /// Before the turn of an extent: reads it, and masks what depends on nothing before it.
    pub fn read(&self, extent: Extent, desk: &mut Desk) -> Result<()> {
        self.checkpoint.read_extent(extent, &mut desk.values)?;
        desk.kept.clear();
        desk.kept.resize(extent.entries().div_ceil(64), u64::MAX);
        let behind = extent.entries()..desk.kept.len() * 64;
        clear(&mut desk.kept, behind);
        let verdict = &self.verdicts.each[self.place(extent)];
        match verdict.mask(extent, &desk.values, &mut desk.kept) {
            Ok(()) => Ok(()),
            Err(_) => Err(self.checkpoint.first_nan(extent.tensor)?),
        }
    }

    /// In the turn of an extent: what is under a cut, where of ties the first ones are pruned.
    pub fn cut(&self, extent: Extent, cuts: &mut Cuts, desk: &mut Desk) {
        let place = self.place(extent);
        if let Verdict::Entries(selection) = &self.verdicts.each[place] {
            let shared = matches!(self.verdicts.asked, Asked::Together(_));
            let writer = cuts.of(place, selection, shared);
            let ranked = ranked(selection.ranks, extent, &desk.values, &mut desk.ranked);
            writer.apply(ranked, &mut desk.kept);
        }
    }

    /// After the turn of an extent: makes +0.0 of what falls (S10), and counts.
    pub fn erase(&self, extent: Extent, desk: &mut Desk) {
        let fell = extent.entries() - count(&desk.kept);
        let zeros = with_floats!(&mut desk.values, values => select(values, &desk.kept), raw => 0);
        desk.tally.resize(self.tensors.len(), Tally::default());
        let tally = &mut desk.tally[self.place(extent)];
        tally.fell += fell;
        tally.zeros += zeros;
    }

    /// What all workers together counted, by tensor.
    pub fn tally(&self, desks: Vec<Desk>) -> Vec<Tally> {
        let mut sums = vec![Tally::default(); self.tensors.len()];
        for desk in desks {
            for (sum, tally) in sums.iter_mut().zip(desk.tally) {
                sum.fell += tally.fell;
                sum.zeros += tally.zeros;
            }
        }
        sums
    }

    /// The place in the list of the tensor that an extent is of.
    fn place(&self, extent: Extent) -> usize {
        self.tensors
            .binary_search(&extent.tensor)
            .expect("only listed tensors are pruned")
    }
}

/// The cuts that are under way.
#[derive(Default)]
pub(super) struct Cuts {
    /// The tensor at which they are.
    writer: Option<(usize, EntryWriter)>,
}

impl Cuts {
    /// What applies the selection of a tensor: begun where it is not the one that is under way. The cut of tensors that
    /// are ranked together is `shared`.
    fn of(&mut self, place: usize, selection: &EntrySelection, shared: bool) -> &mut EntryWriter {
        let ties = match self.writer.take() {
            Some((before, writer)) if before == place => return &mut self.writer.insert((before, writer)).1,
            Some((_, writer)) if shared => Ties {
                of_cap: 0,
                ..writer.ties()
            },
            _ => Ties::default(),
        };
        &mut self.writer.insert((place, selection.writer(ties))).1
    }
}
