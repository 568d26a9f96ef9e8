//! The second half of pruning: selections become masks of chunks, and pruned entries +0.0.

use super::Checkpoint;
use super::report::Counts;
use super::select::{Requested, Selection, Selections, ranked};
use super::stream::values::{Values, count, select, with_floats, zeros};
use super::stream::{Chunk, Phase, ordered};
use crate::error::Result;
use crate::mask::bits::clear;
use crate::mask::patterns::entries::{EntrySelection, EntryWriter, Ties};

/// What a worker holds.
#[derive(Default)]
pub(super) struct Worker {
    pub values: Values,
    /// What the entries of the chunk are ranked by, if not by themselves.
    ranked: Vec<f64>,
    /// The packed mask of the chunk.
    pub kept: Vec<u64>,
    /// Ties with the cut that are pruned in the chunk.
    ties: usize,
    /// By tensor, what this worker counted.
    counts: Vec<Counts>,
}

/// Masks and zeroes tensors, chunk by chunk, in the three steps of an [`ordered`](super::stream::ordered) pipeline.
pub(super) struct Applier<'a> {
    checkpoint: &'a Checkpoint,
    /// Numbers of the tensors, in the order in which they are ranked.
    tensors: &'a [usize],
    selections: &'a Selections,
}

impl<'a> Applier<'a> {
    pub fn new(checkpoint: &'a Checkpoint, tensors: &'a [usize], selections: &'a Selections) -> Self {
        Applier {
            checkpoint,
            tensors,
            selections,
        }
    }

    /// All parts of all tensors, in the order in which they have to come.
    pub fn chunks(&self) -> impl Iterator<Item = Chunk> + Clone + Send + use<'a> {
        let (checkpoint, selections) = (self.checkpoint, self.selections);
        let pairs = self.tensors.iter().zip(&selections.each);
        pairs.flat_map(move |(&tensor, selection)| selection.chunks(checkpoint, tensor))
    }

    /// Takes all chunks through the three steps, and returns what was counted, by tensor. Nothing is written.
    pub fn measure(&self, phase: Phase) -> Result<Vec<Counts>> {
        let mut report = self.checkpoint.meter(phase, self.chunks());
        let mut cuts = Cuts::default();
        let work = &self.checkpoint.work;
        let mut workers = work.workers_for(self.chunks(), Worker::default);
        ordered(
            &mut workers,
            self.chunks(),
            |chunk, worker| self.read(*chunk, worker),
            |chunk, worker| {
                self.cut(*chunk, &mut cuts, worker);
                report(*chunk);
                Ok(())
            },
            |chunk, worker| {
                self.mask(chunk, worker);
                Ok(())
            },
        )?;
        Ok(self.counts(workers))
    }

    /// To prepare a chunk: reads it, and masks what depends on nothing before it.
    pub fn read(&self, chunk: Chunk, worker: &mut Worker) -> Result<()> {
        self.checkpoint.read_chunk(chunk, &mut worker.values)?;
        worker.kept.clear();
        worker.kept.resize(chunk.entries().div_ceil(64), u64::MAX);
        let unused = chunk.entries()..worker.kept.len() * 64;
        clear(&mut worker.kept, unused);
        let selection = &self.selections.each[self.place(chunk)];
        match selection.mask(chunk, &worker.values, &mut worker.kept) {
            Ok(()) => Ok(()),
            Err(_) => Err(self.checkpoint.first_nan(chunk.tensor)?),
        }
    }

    /// In order: masks what is under a cut, where of ties the first ones are pruned.
    pub fn cut(&self, chunk: Chunk, cuts: &mut Cuts, worker: &mut Worker) {
        let place = self.place(chunk);
        worker.ties = 0;
        if let Selection::Entries(selection) = &self.selections.each[place] {
            let writer = cuts.of(place, selection, &self.selections.requested);
            let before = writer.ties().of_cut;
            let ranked = ranked(selection.ranks, chunk, &worker.values, &mut worker.ranked);
            writer.apply(ranked, &mut worker.kept);
            worker.ties = writer.ties().of_cut - before;
        }
    }

    /// To finish a chunk: makes pruned entries +0.0, and counts.
    pub fn mask(&self, chunk: Chunk, worker: &mut Worker) {
        let pruned = chunk.entries() - count(&worker.kept);
        let before = with_floats!(&worker.values, values => zeros(values), raw => 0);
        let zeros = with_floats!(&mut worker.values, values => select(values, &worker.kept), raw => 0);
        worker.counts.resize(self.tensors.len(), Counts::default());
        worker.counts[self.place(chunk)].add(Counts {
            pruned,
            zeros,
            newly: zeros - before,
            ties: worker.ties,
        });
    }

    /// What all workers together counted, by tensor.
    pub fn counts(&self, workers: Vec<Worker>) -> Vec<Counts> {
        let mut sums = vec![Counts::default(); self.tensors.len()];
        for worker in workers {
            for (sum, counts) in sums.iter_mut().zip(worker.counts) {
                sum.add(counts);
            }
        }
        sums
    }

    /// The place in the list of the tensor that a chunk is of.
    fn place(&self, chunk: Chunk) -> usize {
        self.tensors
            .binary_search(&chunk.tensor)
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
    /// What applies the selection of a tensor: begun where it is not the one that is under way. Of tensors that are ranked
    /// together, the ties of those before count.
    fn of(&mut self, place: usize, selection: &EntrySelection, requested: &Requested) -> &mut EntryWriter {
        let before = match self.writer.take() {
            Some((before, writer)) if before == place => return &mut self.writer.insert((before, writer)).1,
            before => before.map_or(0, |(_, writer)| writer.ties().of_cut),
        };
        let ties = Ties {
            of_cut: match requested {
                Requested::Each(_) => 0,
                Requested::Together(_) => before,
                Requested::Share { ties_before, .. } => ties_before[place],
            },
            of_cap: 0,
        };
        &mut self.writer.insert((place, selection.writer(ties))).1
    }
}
