//! [`Update`]: what a pruner did at a step; and [`PrunerState`], how far it has come.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::mask::Mask;
use crate::prunable::{MaskAction, MaskChange, Prunable, Pruning};

/// How far a pruner has come: all that it remembers between steps.
///
/// Save it with the model and the optimiser, and give it to a pruner that is set up the same way, to go on as if never
/// stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrunerState {
    /// The last step that was asked for.
    pub(super) last_step: Option<u64>,
    /// Updates that were made, each of which has random numbers of its own.
    pub(super) updates: u64,
}

impl PrunerState {
    /// The last step that was asked for, or `None` before the first one.
    pub fn last_step(&self) -> Option<u64> {
        self.last_step
    }

    /// How many updates were made.
    pub fn updates(&self) -> u64 {
        self.updates
    }

    /// Whether the step comes after all that were asked for before.
    pub(super) fn is_next(&self, step: u64) -> bool {
        self.last_step.is_none_or(|last| step > last)
    }
}

/// What a pruner did at a step.
///
/// It prints as a line: `step 900: 900 of 1000 entries pruned, 90.00 % (13 newly, 0 regrown)`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Update {
    /// The step.
    pub step: u64,
    /// The share that the schedule named: the target sparsity, or the fraction of entries to exchange.
    pub share: f64,
    /// What happened to each parameter.
    pub parameters: Vec<ParameterUpdate>,
}

/// What a pruner did to one parameter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ParameterUpdate {
    /// Path of the parameter.
    pub path: String,
    /// Entries that were kept before and are pruned now.
    pub pruned: usize,
    /// Entries that were pruned before and are kept now.
    pub regrown: usize,
    /// Entries that are masked now.
    pub masked: usize,
    /// Entries in all.
    pub entries: usize,
}

impl Update {
    /// Entries that were kept before and are pruned now.
    pub fn pruned(&self) -> usize {
        self.sum(|parameter| parameter.pruned)
    }

    /// Entries that were pruned before and are kept now.
    pub fn regrown(&self) -> usize {
        self.sum(|parameter| parameter.regrown)
    }

    /// Entries that are masked now.
    pub fn masked(&self) -> usize {
        self.sum(|parameter| parameter.masked)
    }

    /// Entries in all.
    pub fn entries(&self) -> usize {
        self.sum(|parameter| parameter.entries)
    }

    /// The share of entries that are masked now, in [0, 1].
    pub fn sparsity(&self) -> f64 {
        match self.entries() {
            0 => 0.0,
            entries => self.masked() as f64 / entries as f64,
        }
    }

    fn sum(&self, count: impl Fn(&ParameterUpdate) -> usize) -> usize {
        self.parameters.iter().map(count).sum()
    }
}

impl fmt::Display for Update {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "step {}: {} of {} entries pruned, {:.2} % ({} newly, {} regrown)",
            self.step,
            self.masked(),
            self.entries(),
            100.0 * self.sparsity(),
            self.pruned(),
            self.regrown()
        )
    }
}

/// New masks for some parameters, and what they change.
#[derive(Default)]
pub(super) struct Masks {
    changes: Vec<MaskChange>,
    parameters: Vec<ParameterUpdate>,
}

impl Masks {
    /// Adds the new mask of a parameter. A parameter whose mask stays the same keeps its history, too.
    pub fn add(&mut self, path: &str, before: Option<&Mask>, mask: Mask) -> Result<()> {
        let (kept, masked) = (mask.count_kept(), mask.count_pruned());
        let both = match before {
            Some(before) => before.and(&mask)?.count_kept(),
            None => kept,
        };
        self.parameters.push(ParameterUpdate {
            path: path.to_owned(),
            pruned: before.map_or(mask.len(), Mask::count_kept) - both,
            regrown: kept - both,
            masked,
            entries: mask.len(),
        });
        if before != Some(&mask) && (before.is_some() || masked > 0) {
            self.changes.push(MaskChange {
                path: path.to_owned(),
                action: MaskAction::Set(Pruning::from_mask(Arc::new(mask))),
            });
        }
        Ok(())
    }

    /// What is to be changed.
    pub fn changes(&self) -> &[MaskChange] {
        &self.changes
    }

    /// Sets the masks: all of them, or none if there is an error.
    pub fn commit(self, model: &mut dyn Prunable, step: u64, share: f64) -> Result<Update> {
        model.commit(self.changes)?;
        Ok(Update {
            step,
            share,
            parameters: self.parameters,
        })
    }
}
