//! [`Counts`]: what was counted in some of the files.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::DistributedError;
use crate::error::Result;
use crate::mask::patterns::entries::Ranks;
use crate::mask::select::{Cut, CutFinder};

/// What [`Checkpoint::count`](crate::checkpoint::Checkpoint::count) counted in a file, or in several where counts were
/// [merged](Self::merge). It can be serialised.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Counts {
    pub(super) pass: u32,
    pub(super) found: Found,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Found {
    Prepared(BTreeMap<String, Prepared>),
    Keys {
        /// Of which tensors.
        tensors: BTreeSet<String>,
        finder: Box<CutFinder>,
    },
    Split(BTreeMap<String, Split>),
}

/// What the entries of a tensor are ranked by, and the cut that its candidates are under.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Prepared {
    pub ranks: Ranks,
    pub cap: Option<Cut>,
}

/// What the cut prunes of a tensor.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Split {
    /// Entries that are pruned if all ties are.
    pub most: usize,
    /// How many of these are ties.
    pub ties: usize,
}

impl Counts {
    /// Counts of the files of both. The order in which counts are merged makes no difference.
    ///
    /// # Errors
    ///
    /// [`DistributedError::CountedTwice`] if both counted the same tensor, [`DistributedError::AnotherPass`] if they did
    /// not count for the same pass.
    pub fn merge(self, other: Counts) -> Result<Counts> {
        if self.pass != other.pass {
            return Err(DistributedError::AnotherPass.into());
        }
        let found = match (self.found, other.found) {
            (Found::Prepared(ours), Found::Prepared(theirs)) => Found::Prepared(join(ours, theirs)?),
            (Found::Split(ours), Found::Split(theirs)) => Found::Split(join(ours, theirs)?),
            (
                Found::Keys {
                    mut tensors,
                    mut finder,
                },
                Found::Keys {
                    tensors: others,
                    finder: other,
                },
            ) => {
                if !finder.is_of_pass_of(&other) {
                    return Err(DistributedError::AnotherPass.into());
                }
                for name in others {
                    if let Some(name) = tensors.replace(name) {
                        return Err(DistributedError::CountedTwice { name }.into());
                    }
                }
                finder.merge(*other);
                Found::Keys { tensors, finder }
            }
            _ => return Err(DistributedError::AnotherPass.into()),
        };
        Ok(Counts {
            pass: self.pass,
            found,
        })
    }

    /// Whether this tensor was counted.
    pub(super) fn has(&self, name: &str) -> bool {
        match &self.found {
            Found::Prepared(tensors) => tensors.contains_key(name),
            Found::Keys { tensors, .. } => tensors.contains(name),
            Found::Split(tensors) => tensors.contains_key(name),
        }
    }
}

fn join<T>(mut ours: BTreeMap<String, T>, theirs: BTreeMap<String, T>) -> Result<BTreeMap<String, T>> {
    for (name, counted) in theirs {
        if ours.contains_key(&name) {
            return Err(DistributedError::CountedTwice { name }.into());
        }
        ours.insert(name, counted);
    }
    Ok(ours)
}
