//! Entries: what a file tells of those that are ranked together.

use std::ops::Range;

use num_traits::AsPrimitive;
use safetensors::Dtype;

use super::{Requested, Selection, Selections, floats};
use crate::checkpoint::stream::Chunk;
use crate::checkpoint::stream::Phase;
use crate::checkpoint::stream::chunk::whole;
use crate::checkpoint::stream::ordered;
use crate::checkpoint::stream::values::Values;
use crate::checkpoint::{Checkpoint, Unit};
use crate::error::{Error, MaskError, Result};
use crate::mask::patterns::channels::Channels;
use crate::mask::patterns::entries::{Part, Ranks, Source, select, select_of, under};
use crate::mask::patterns::{Floats, with_floats};
use crate::mask::select::{CutFinder, CutWriter, SelectError};
use crate::mask::{Amount, EntryRank, GlobalOptions, Norm};

/// Keys in doubt that all workers together may hold: at most 64 MB.
const MOST_KEYS: usize = 1 << 23;

/// Tensors of a checkpoint that are ranked together.
pub(in crate::checkpoint) struct Listed<'a> {
    pub checkpoint: &'a Checkpoint,
    /// Their numbers.
    pub tensors: &'a [usize],
}

/// What a worker ranks with.
struct Ranker {
    values: Values,
    ranked: Vec<f64>,
    finder: CutFinder,
    /// The entries that a cap leaves to be ranked, packed. They are found as if no ties with the cap's cut came before,
    /// and once more where too many did.
    candidates: Vec<u64>,
    /// Ties with the cap's cut, among the candidates and before the chunk.
    ties: usize,
    ties_before: usize,
}

impl Checkpoint {
    /// The entries that are pruned of one tensor, ranked by themselves, and how many.
    pub(super) fn entries_of(
        &self,
        tensors: &[usize],
        place: usize,
        zeros: usize,
        amount: Amount,
        by: EntryRank,
    ) -> Result<(Selection, usize)> {
        let entries = self.tensors()[tensors[place]].entries();
        let requested = zeros + amount.units(entries - zeros, entries)?;
        let listed = Listed {
            checkpoint: self,
            tensors,
        };
        let selection = select_of(&listed, place, requested, by)?;
        Ok((Selection::Entries(selection), requested))
    }

    /// The entries that are pruned of several tensors, ranked together.
    pub(super) fn entries_together(
        &self,
        tensors: &[usize],
        zeros: usize,
        amount: Amount,
        by: EntryRank,
        options: &GlobalOptions<'_>,
    ) -> Result<Selections> {
        let infos = tensors.iter().map(|&tensor| &self.tensors()[tensor]);
        let sizes = infos.map(|info| (info.name(), info.entries()));
        let Goal { requested, limits } = Goal::of(sizes, zeros, amount, options)?;
        let listed = Listed {
            checkpoint: self,
            tensors,
        };
        let selections = select(
            &listed,
            tensors.len(),
            (requested, limits.as_deref()),
            by,
            options.is_normalized(),
        )?;
        Ok(Selections {
            each: selections.into_iter().map(Selection::Entries).collect(),
            requested: Requested::Together(requested),
            unit: Unit::Entries,
        })
    }

    /// Reads a chunk, where there is anything in it to rank by.
    fn read_to_rank(&self, ranks: Ranks, chunk: Chunk, values: &mut Values) -> Result<()> {
        if ranks.reads() {
            self.read_chunk(chunk, values)?;
        }
        Ok(())
    }
}

/// What the entries of a chunk rank by.
pub(in crate::checkpoint) fn ranked<'a>(
    ranks: Ranks,
    chunk: Chunk,
    values: &'a Values,
    buffer: &'a mut Vec<f64>,
) -> Floats<'a> {
    ranks.of(chunk.piece(), floats(values), buffer)
}

/// How much is pruned of tensors that are ranked together.
pub(in crate::checkpoint) struct Goal {
    pub requested: usize,
    /// How many entries of each may be pruned, if a cap leaves fewer than there are.
    pub limits: Option<Vec<usize>>,
}

impl Goal {
    /// The goal for tensors of these names and sizes, of which `zeros` entries count as pruned before.
    pub fn of<'a>(
        tensors: impl Iterator<Item = (&'a str, usize)> + Clone,
        zeros: usize,
        amount: Amount,
        options: &GlobalOptions<'_>,
    ) -> Result<Self> {
        let sizes = tensors.clone().map(|(_, entries)| entries);
        let all = sizes.fold(0, usize::saturating_add);
        let limits: Vec<usize> = tensors
            .map(|(name, entries)| options.prunable(name, entries, entries))
            .collect();
        let requested = zeros + amount.units(all - zeros, all)?;
        let capped = options.achievable(requested, &limits)? < all;
        Ok(Goal {
            requested,
            limits: capped.then_some(limits),
        })
    }
}

impl Source for Listed<'_> {
    fn entries(&self, place: usize) -> (usize, usize) {
        let entries = self.checkpoint.tensors()[self.tensors[place]].entries();
        (entries, entries)
    }

    fn is_wide(&self, place: usize) -> bool {
        let info = &self.checkpoint.tensors()[self.tensors[place]];
        matches!(info.dtype(), Dtype::F32 | Dtype::F64)
    }

    fn norms(&self, tensors: usize) -> Result<Vec<f64>> {
        let norms = self.tensors[..tensors].iter().map(|&tensor| {
            let info = &self.checkpoint.tensors()[tensor];
            let mut scorer = Channels::whole(info.entries()).scorer(Norm::L2, info.shape())?;
            let pieces = scorer.pieces(0..1, super::PLACES, super::PLACES);
            self.checkpoint.feed(tensor, pieces, |rows| scorer.feed(rows))?;
            Ok(self.checkpoint.without_nan(tensor, scorer.finish(1))?[0])
        });
        norms.collect()
    }

    fn sample(&self, part: &Part, entries: Range<usize>, sample: &mut Vec<f64>) -> Result<()> {
        let (mut values, mut buffer) = (Values::default(), Vec::new());
        let chunk = Chunk::run(self.tensors[part.place], entries.start, entries.len());
        self.checkpoint.read_to_rank(part.ranks, chunk, &mut values)?;
        with_floats!(ranked(part.ranks, chunk, &values, &mut buffer), ranked => {
            sample.extend(ranked.iter().map(|x| AsPrimitive::<f64>::as_(*x)));
        });
        Ok(())
    }

    fn sampling(&self) -> (usize, f64) {
        (64, 6.0)
    }

    fn most_keys(&self) -> usize {
        MOST_KEYS / self.checkpoint.work.workers()
    }

    /// Each worker has a copy of the finder that counts what it reads; counts are added up.
    fn pass(&self, parts: &[Part], finder: CutFinder) -> Result<CutFinder> {
        let checkpoint = self.checkpoint;
        let jobs = parts.iter().flat_map(|part| {
            let tensor = self.tensors[part.place];
            whole(tensor, &checkpoint.tensors()[tensor], 64).map(move |chunk| (part, chunk))
        });
        let mut report = checkpoint.meter(Phase::Ranking, jobs.clone().map(|(_, chunk)| chunk));
        let mut rankers = checkpoint.work.workers_for(jobs.clone(), || Ranker {
            values: Values::default(),
            ranked: Vec::new(),
            finder: finder.clone(),
            candidates: Vec::new(),
            ties: 0,
            ties_before: 0,
        });
        // By place, how many of the ties with a cap's cut came before the present chunk.
        let mut ties = vec![0; self.tensors.len()];
        ordered(
            &mut rankers,
            jobs,
            |(part, chunk), ranker| {
                checkpoint.read_to_rank(part.ranks, *chunk, &mut ranker.values)?;
                match &part.cap {
                    None => self.count(part, *chunk, ranker),
                    Some(cap) => {
                        ranker.find_candidates(part.ranks, cap.writer(), *chunk);
                        Ok(())
                    }
                }
            },
            |(part, chunk), ranker| {
                ranker.ties_before = ties[part.place];
                ties[part.place] += ranker.ties;
                report(*chunk);
                Ok(())
            },
            |(part, chunk), ranker| {
                let Some(cap) = &part.cap else { return Ok(()) };
                if ranker.ties_before + ranker.ties > cap.ties_to_prune() {
                    ranker.find_candidates(part.ranks, cap.writer_after(ranker.ties_before), chunk);
                }
                self.count(part, chunk, ranker)
            },
        )?;
        let finders = rankers.into_iter().map(|ranker| ranker.finder);
        let merged = finders.reduce(|mut all, finder| {
            all.merge(finder);
            all
        });
        Ok(merged.unwrap_or(finder))
    }

    fn changed(&self, place: usize) -> Error {
        self.checkpoint.changed(self.tensors[place])
    }
}

impl Listed<'_> {
    /// Feeds the entries of a chunk to the finder of a worker.
    fn count(&self, part: &Part, chunk: Chunk, ranker: &mut Ranker) -> Result<()> {
        let ranked = ranked(part.ranks, chunk, &ranker.values, &mut ranker.ranked);
        let candidates = part.cap.map(|_| &ranker.candidates[..]);
        let fed = with_floats!(ranked, values => ranker.finder.feed(values, candidates));
        fed.map_err(|error| match error {
            SelectError::Nan { index, .. } => MaskError::NanScore {
                parameter: Some(self.checkpoint.tensors()[chunk.tensor].name().to_owned()),
                index: chunk.first + index,
            }
            .into(),
            _ => self.changed(part.place),
        })
    }
}

impl Ranker {
    /// Finds what a cap leaves to be ranked of a chunk, and how many of that are ties with the cap's cut.
    fn find_candidates(&mut self, ranks: Ranks, mut cap: CutWriter, chunk: Chunk) {
        let before = cap.ties_pruned();
        let ranked = ranked(ranks, chunk, &self.values, &mut self.ranked);
        under(&mut cap, ranked, None, &mut self.candidates);
        self.ties = cap.ties_pruned() - before;
    }
}
