//! [`Search`]: the process that merges counts.

use serde::{Deserialize, Serialize};

use super::counts::Found;
use super::pass::{RankedTensor, Work};
use super::selection::SelectedTensor;
use super::{Counts, DistributedError, GlobalSelection, Pass, TensorSummary};
use crate::checkpoint::prune::{check_options, plan_of};
use crate::checkpoint::select::Goal;
use crate::checkpoint::{Scope, listing};
use crate::error::{Error, MaskError, Result};
use crate::mask::patterns::entries::{Ranks, order};
use crate::mask::select::{Cut, CutFinder, Order};
use crate::mask::{GlobalOptions, Plan, PruningMethod};

/// A search for what is pruned of a checkpoint whose files lie on several machines.
///
/// It reads no file, and its memory is that of one [`Counts`]. It can be serialised, to go on in another process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Search {
    pass: Pass,
    requested: usize,
    order: Order,
}

impl Search {
    /// A search among these tensors, which are those of all files, for what a method prunes of the ones with these names.
    /// Neither order makes a difference. Caps and ranking by norms are as in
    /// [`PruneJob::with_options`](crate::checkpoint::PruneJob::with_options).
    ///
    /// # Errors
    ///
    /// [`DistributedError::InTwoFiles`] for a tensor that comes twice;
    /// [`MaskError::Unsupported`](crate::error::MaskError::Unsupported) for a method that does not rank single entries; and as
    /// [`Checkpoint::prune`](crate::checkpoint::Checkpoint::prune),
    /// [`with_options`](crate::checkpoint::PruneJob::with_options) and
    /// [`measure`](crate::checkpoint::PruneJob::measure) for names, options and amounts.
    pub fn new<M: PruningMethod + ?Sized>(
        tensors: impl IntoIterator<Item = TensorSummary>,
        names: impl IntoIterator<Item: AsRef<str>>,
        method: &M,
        options: &GlobalOptions<'_>,
    ) -> Result<Self> {
        let mut all: Vec<TensorSummary> = tensors.into_iter().collect();
        all.sort_by(|a, b| a.name().cmp(b.name()));
        if let Some(twice) = all.windows(2).find(|pair| pair[0].name() == pair[1].name()) {
            let name = twice[0].name().to_owned();
            return Err(DistributedError::InTwoFiles { name }.into());
        }
        let plan = plan_of(method, Scope::Global)?;
        let numbers = listing::prunable(&all, names)?;
        let ranked = numbers.iter().map(|&number| &all[number]);
        check_options(
            options,
            &plan,
            Scope::Global,
            ranked.clone().map(TensorSummary::name),
        )?;
        let Plan::Entries { amount, by } = plan else {
            return Err(Error::Mask(MaskError::Unsupported {
                method: format!("{method:?}"),
                reason: "a search ranks single entries, so only unstructured methods can be used",
            }));
        };
        let sizes = ranked.clone().map(|tensor| (tensor.name(), tensor.entries()));
        let Goal { requested, limits } = Goal::of(sizes, 0, amount, options)?;
        let tensors = ranked.enumerate().map(|(place, summary)| RankedTensor {
            summary: summary.clone(),
            ranks: Ranks::by(by, place),
            most: limits
                .as_ref()
                .map(|limits| limits[place])
                .filter(|most| *most < summary.entries()),
            cap: None,
        });
        let order = order(by);
        let work = match options.is_normalized() || limits.is_some() {
            true => Work::Prepare {
                normalized: options.is_normalized(),
                order,
            },
            false => Work::Count(CutFinder::new(requested, order)),
        };
        let pass = Pass {
            number: 0,
            tensors: tensors.collect(),
            work,
        };
        Ok(Search {
            pass,
            requested,
            order,
        })
    }

    /// What is to be counted in each file now.
    pub fn pass(&self) -> &Pass {
        &self.pass
    }

    /// Ends a pass with the merged counts of all files. `None` means that there is another pass.
    ///
    /// # Errors
    ///
    /// [`DistributedError::NotCounted`], [`DistributedError::AnotherPass`], and [`DistributedError::Changed`] where
    /// counts contradict those of earlier passes. The search is then as before, and can go on with other counts.
    pub fn end_pass(&mut self, counts: Counts) -> Result<Option<GlobalSelection>> {
        if counts.pass != self.pass.number {
            return Err(DistributedError::AnotherPass.into());
        }
        let mut names = self.pass.tensors.iter().map(|tensor| tensor.summary.name());
        if let Some(missing) = names.find(|name| !counts.has(name)) {
            let name = missing.to_owned();
            return Err(DistributedError::NotCounted { name }.into());
        }
        let work = match (&self.pass.work, counts.found) {
            (Work::Prepare { .. }, Found::Prepared(mut prepared)) => {
                for tensor in &mut self.pass.tensors {
                    if let Some(found) = prepared.remove(tensor.summary.name()) {
                        (tensor.ranks, tensor.cap) = (found.ranks, found.cap);
                    }
                }
                Work::Count(CutFinder::new(self.requested, self.order))
            }
            (
                Work::Count(finder),
                Found::Keys {
                    finder: mut counted, ..
                },
            ) => {
                if !counted.is_of_pass_of(finder) {
                    return Err(DistributedError::AnotherPass.into());
                }
                match counted.end_pass().map_err(|_| DistributedError::Changed)? {
                    Some(cut) => Work::Split(cut),
                    None => Work::Count(*counted),
                }
            }
            (Work::Split(cut), Found::Split(split)) => {
                let counted = self.pass.tensors.iter().filter_map(|tensor| {
                    let split = split.get(tensor.summary.name())?;
                    Some((tensor, split.most, split.ties))
                });
                return self.selection(*cut, counted).map(Some);
            }
            _ => return Err(DistributedError::AnotherPass.into()),
        };
        self.pass.work = work;
        self.pass.number += 1;
        Ok(None)
    }

    /// The selection: ties are pruned in the order of the tensors.
    fn selection<'a>(
        &self,
        cut: Cut,
        counted: impl Iterator<Item = (&'a RankedTensor, usize, usize)>,
    ) -> Result<GlobalSelection> {
        let (mut ties_before, mut all) = (0, 0_usize);
        let mut tensors = Vec::new();
        for (tensor, most, ties) in counted {
            let below = most.checked_sub(ties).ok_or(DistributedError::Changed)?;
            let pruned_ties = ties.min(cut.ties_to_prune() - ties_before);
            tensors.push(SelectedTensor {
                tensor: tensor.clone(),
                pruned: below + pruned_ties,
                ties_before,
            });
            ties_before += pruned_ties;
            all = all.saturating_add(below + pruned_ties);
        }
        if all != self.requested {
            return Err(DistributedError::Changed.into());
        }
        Ok(GlobalSelection { tensors, cut })
    }
}
