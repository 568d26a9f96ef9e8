//! [`MergedMask`].

use serde::{Deserialize, Serialize};

use crate::mask::{Plan, PruningMethod, PruningType};

/// The record of an earlier mask in a parameter's pruning history: how many entries it kept. As a method it prunes
/// nothing, because its mask is already part of the parameter's mask.
///
/// Custom and global pruning work by whole masks. A history that kept each of them would grow by one bit per weight
/// at every call. So only the last mask is kept, as a [`CustomFromMask`](super::CustomFromMask), and earlier ones
/// become this record. PyTorch keeps them all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MergedMask {
    /// Entries that the mask kept.
    pub kept: usize,
    /// Entries in total.
    pub entries: usize,
}

impl MergedMask {
    pub(crate) fn of(mask: &crate::mask::Mask) -> Self {
        MergedMask {
            kept: mask.count_kept(),
            entries: mask.len(),
        }
    }
}

#[typetag::serde(name = "secateurs::MergedMask")]
impl PruningMethod for MergedMask {
    fn pruning_type(&self) -> PruningType {
        PruningType::Whole
    }

    fn plan(&self) -> Option<Plan<'_>> {
        Some(Plan::Nothing)
    }
}

/// Successive records of one tensor, as they are serialised: a few bytes each.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::mask) struct MergedMasks {
    entries: usize,
    kept: Vec<usize>,
}

impl MergedMasks {
    pub fn of(mask: MergedMask) -> Self {
        MergedMasks {
            entries: mask.entries,
            kept: vec![mask.kept],
        }
    }

    /// Appends a record, unless it is of a tensor of another size.
    pub fn push(&mut self, mask: MergedMask) -> bool {
        let fits = mask.entries == self.entries;
        self.kept.extend(fits.then_some(mask.kept));
        fits
    }

    pub fn iter(&self) -> impl Iterator<Item = MergedMask> {
        let entries = self.entries;
        self.kept.iter().map(move |&kept| MergedMask { kept, entries })
    }
}

#[typetag::serde(name = "secateurs::MergedMasks")]
impl PruningMethod for MergedMasks {
    fn pruning_type(&self) -> PruningType {
        PruningType::Whole
    }

    fn plan(&self) -> Option<Plan<'_>> {
        Some(Plan::Nothing)
    }
}
