//! Entries: the cut that the lowest of them fall under, found by passes over all of them.

use std::ops::Range;

use num_traits::AsPrimitive;
use safetensors::Dtype;

use super::{Asked, Ranks, Verdict, Verdicts};
use crate::checkpoint::crew::crew;
use crate::checkpoint::extent::{Extent, whole};
use crate::checkpoint::values::{Values, with_floats};
use crate::checkpoint::work::Phase;
use crate::checkpoint::{Checkpoint, TensorInfo, Unit};
use crate::error::{AmountError, Error, MaskError, Result};
use crate::mask::bits::clear;
use crate::mask::normalize::EuclideanNorm;
use crate::mask::select::{Cut, CutFinder, CutWriter, Order, SelectError};
use crate::mask::{Amount, EntryRank, GlobalOptions};

/// Consecutive entries that a sample takes at a time.
const RUN: usize = 64;

/// How many entries a sample is taken of: below, it takes as long as a pass; above, too many keys would be in doubt.
/// Tests have few.
const SAMPLED: Range<usize> = if cfg!(test) { 1 << 10 } else { 1 << 18 }..500_000_000;

/// Keys in doubt that all workers together may hold: at most 64 MB.
const MOST_KEYS: usize = 1 << 23;

/// A tensor whose entries are ranked together with those of others.
#[derive(Clone, Copy, Debug)]
struct Part {
    tensor: usize,
    ranks: Ranks,
    /// Only what is under this cut is ranked, if there is one.
    cap: Option<Cut>,
}

/// What a worker ranks with.
struct Ranker {
    values: Values,
    ranked: Values,
    finder: CutFinder,
    /// The entries that a cap leaves to be ranked, packed.
    candidates: Vec<u64>,
}

impl Checkpoint {
    /// The entries that fall of one tensor, ranked by themselves, and how many.
    pub(super) fn entries_of(
        &self,
        place: usize,
        tensor: usize,
        amount: Amount,
        by: EntryRank,
    ) -> Result<(Verdict, usize)> {
        let entries = self.tensors()[tensor].entries();
        let asked = amount.units(entries, entries)?; // nothing is masked in a file (S3)
        let ranks = match by {
            EntryRank::Random { seed } => Ranks::lots(seed, place),
            EntryRank::Magnitude | EntryRank::Value => Ranks::Values,
        };
        let part = Part {
            tensor,
            ranks,
            cap: None,
        };
        let cut = self.cut(&[part], asked, order(by))?;
        let verdict = Verdict::Entries {
            cut,
            ranks,
            cap: None,
        };
        Ok((verdict, asked))
    }

    /// The entries that fall of several tensors, ranked together.
    pub(super) fn entries_together(
        &self,
        tensors: &[usize],
        amount: Amount,
        by: EntryRank,
        options: &GlobalOptions<'_>,
    ) -> Result<Verdicts> {
        let entries = |tensor: usize| self.tensors()[tensor].entries();
        let room =
            |tensor: usize| options.prunable(self.tensors()[tensor].name(), entries(tensor), entries(tensor));
        let all = tensors.iter().map(|&tensor| entries(tensor)).sum();
        let asked = amount.units(all, all)?;
        let reachable = tensors.iter().map(|&tensor| room(tensor)).sum();
        if let Some(max_sparsity) = options.lowest_cap()
            && asked > reachable
        {
            return Err(Error::Amount(AmountError::Capped {
                requested: asked,
                achievable: reachable,
                max_sparsity,
            }));
        }
        let mut parts = Vec::with_capacity(tensors.len());
        for (place, &tensor) in tensors.iter().enumerate() {
            let ranks = match by {
                EntryRank::Random { seed } => Ranks::lots(seed, place),
                _ if options.is_normalized() => Ranks::Shares {
                    norm: self.euclidean_norm(tensor)?,
                },
                _ => Ranks::Values,
            };
            parts.push(Part {
                tensor,
                ranks,
                cap: None,
            });
        }
        // What each tensor may lose is ranked together; what it may not is spared.
        if reachable < all {
            for part in &mut parts {
                part.cap = Some(self.cut(&[*part], room(part.tensor), order(by))?);
            }
        }
        let cut = self.cut(&parts, asked, order(by))?;
        let each = parts.iter().map(|part| Verdict::Entries {
            cut,
            ranks: part.ranks,
            cap: part.cap,
        });
        Ok(Verdicts {
            each: each.collect(),
            asked: Asked::Together(asked),
            unit: Unit::Entries,
        })
    }

    /// The norm of all entries of a tensor, added up in the mask layer's order.
    fn euclidean_norm(&self, tensor: usize) -> Result<f64> {
        let mut norm = EuclideanNorm::new();
        let extents = whole(tensor, &self.tensors()[tensor], 64);
        self.look(Phase::Ranking, extents, |_, values| {
            with_floats!(values, values => norm.feed(values), raw => {});
            Ok(())
        })?;
        match norm.end() {
            norm if norm.is_nan() => Err(self.first_nan(tensor)?),
            norm => Ok(norm),
        }
    }

    /// The cut that the `asked` lowest entries of these tensors fall under.
    fn cut(&self, parts: &[Part], asked: usize, order: Order) -> Result<Cut> {
        let mut finder = CutFinder::new(asked, order);
        if let Some((sample, entries)) = self.sample(parts)? {
            finder = finder.expecting(&sample, entries, MOST_KEYS / self.work.workers());
        }
        loop {
            finder = self.pass(parts, finder)?;
            match finder.end_pass() {
                Ok(Some(cut)) => return Ok(cut),
                Ok(None) => {}
                Err(SelectError::TooMany { requested, remaining }) => {
                    return Err(Error::Amount(AmountError::TooLarge { requested, remaining }));
                }
                Err(_) => return Err(self.changed(parts[0].tensor)),
            }
        }
    }

    /// What some entries rank by, and how many there are in all; `None` where a sample spares no pass. What comes out
    /// does not depend on it.
    fn sample(&self, parts: &[Part]) -> Result<Option<(Vec<f64>, usize)>> {
        let infos = parts.iter().map(|part| &self.tensors()[part.tensor]);
        let entries: usize = infos.clone().map(TensorInfo::entries).sum();
        let wide = parts.iter().zip(infos).any(|(part, info)| {
            part.ranks != Ranks::Values || matches!(info.dtype(), Dtype::F32 | Dtype::F64)
        });
        let capped = parts.iter().any(|part| part.cap.is_some());
        if !wide || capped || !SAMPLED.contains(&entries) {
            return Ok(None);
        }
        // So many that the keys in doubt are about as many: with fewer there were more of those, and the other way
        // round.
        let runs = ((entries as f64).powf(2.0 / 3.0) as usize).div_ceil(RUN);
        let stretch = entries / runs;
        let mut sample = Vec::with_capacity(runs * RUN);
        let (mut chunk, mut ranked) = (Values::default(), Values::default());
        let (mut number, mut before) = (0, 0);
        for part in parts {
            let end = before + self.tensors()[part.tensor].entries();
            loop {
                let place = number * stretch + scatter(number) % stretch;
                if place >= end {
                    break;
                }
                number += 1;
                let extent = Extent::run(part.tensor, place - before, RUN.min(end - place));
                self.read_to_rank(&part.ranks, extent, &mut chunk)?;
                let ranked = part.ranks.of(extent, &chunk, &mut ranked);
                with_floats!(ranked, values => sample.extend(values.iter().map(|x| AsPrimitive::<f64>::as_(*x))), raw => {});
            }
            before = end;
        }
        Ok(Some((sample, entries)))
    }

    /// Shows all entries to a finder, once. Each worker has a copy that counts what it reads; counts are added up.
    fn pass(&self, parts: &[Part], finder: CutFinder) -> Result<CutFinder> {
        let jobs = parts.iter().flat_map(|part| {
            whole(part.tensor, &self.tensors()[part.tensor], 64).map(move |extent| (part, extent))
        });
        let mut told = self.meter(Phase::Ranking, jobs.clone().map(|(_, extent)| extent));
        let mut rankers = self.work.hire(jobs.clone(), || Ranker {
            values: Values::default(),
            ranked: Values::default(),
            finder: finder.clone(),
            candidates: Vec::new(),
        });
        let mut caps = Caps::default();
        crew(
            &mut rankers,
            jobs,
            |(part, extent), ranker| {
                self.read_to_rank(&part.ranks, *extent, &mut ranker.values)?;
                match part.cap {
                    None => self.feed(part, *extent, ranker),
                    Some(_) => Ok(()),
                }
            },
            |(part, extent), ranker| {
                if let Some(cap) = &part.cap {
                    caps.candidates(part, cap, *extent, ranker);
                }
                told(*extent);
                Ok(())
            },
            |(part, extent), ranker| match part.cap {
                None => Ok(()),
                Some(_) => self.feed(part, extent, ranker),
            },
        )?;
        let finders = rankers.into_iter().map(|ranker| ranker.finder);
        let merged = finders.reduce(|mut all, finder| {
            all.merge(finder);
            all
        });
        Ok(merged.unwrap_or(finder))
    }

    /// Shows the entries of an extent to the finder of a worker.
    fn feed(&self, part: &Part, extent: Extent, ranker: &mut Ranker) -> Result<()> {
        let ranked = part.ranks.of(extent, &ranker.values, &mut ranker.ranked);
        let candidates = part.cap.map(|_| &ranker.candidates[..]);
        let fed = with_floats!(ranked, values => ranker.finder.feed(values, candidates), raw => Ok(()));
        fed.map_err(|error| match error {
            SelectError::Nan { index, .. } => Error::Mask(MaskError::NanScore {
                parameter: Some(self.tensors()[part.tensor].name().to_owned()),
                index: extent.first + index,
            }),
            _ => self.changed(part.tensor),
        })
    }
}

/// What caps leave to be ranked; chunks have to come in order, because of what equals a cap's cut only the first ones
/// are left.
#[derive(Default)]
struct Caps {
    /// The tensor that is under way, and its cut.
    writer: Option<(usize, CutWriter)>,
}

impl Caps {
    fn candidates(&mut self, part: &Part, cap: &Cut, extent: Extent, ranker: &mut Ranker) {
        let writer = match &mut self.writer {
            Some((tensor, writer)) if *tensor == part.tensor => writer,
            other => &mut other.insert((part.tensor, cap.writer())).1,
        };
        let ranked = part.ranks.of(extent, &ranker.values, &mut ranker.ranked);
        under(writer, ranked, &mut ranker.candidates);
    }
}

/// The entries that are under a cut, packed.
pub(in crate::checkpoint) fn under(writer: &mut CutWriter, ranked: &Values, under: &mut Vec<u64>) {
    with_floats!(ranked, values => {
        under.clear();
        under.resize(values.len().div_ceil(64), 0);
        writer.mask(values, None, under);
        under.iter_mut().for_each(|word| *word = !*word);
        let behind = values.len()..under.len() * 64;
        clear(under, behind);
    }, raw => {});
}

/// Scrambles a number, so that no pattern in the weights is in step with the sample (the finaliser of MurmurHash3).
fn scatter(number: usize) -> usize {
    let x = number as u64 + 1;
    let x = (x ^ x >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let x = (x ^ x >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    (x ^ x >> 33) as usize
}

fn order(by: EntryRank) -> Order {
    match by {
        EntryRank::Magnitude => Order::Magnitude,
        EntryRank::Value | EntryRank::Random { .. } => Order::Value,
    }
}
