//! [`Pass`]: what is counted next; and [`Checkpoint::count`], which counts it in a file.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::counts::{Found, Prepared, Split};
use super::{Counts, DistributedError, TensorSummary};
use crate::checkpoint::apply_selection::Applier;
use crate::checkpoint::select::{Listed, Requested, Selection, Selections};
use crate::checkpoint::stream::Phase;
use crate::checkpoint::{Checkpoint, TensorInfo, Unit, listing};
use crate::error::Result;
use crate::mask::patterns::entries::{EntrySelection, Part, Ranks, Source, cap_of, usual_passes};
use crate::mask::select::{Cut, CutFinder, Order};

/// What the files of a checkpoint are counted by, once: given by [`Search::pass`](super::Search::pass).
///
/// It can be serialised, and does not grow with the files: it holds the list of tensors and a few numbers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Pass {
    pub(super) number: u32,
    /// The tensors that are ranked together, by name.
    pub(super) tensors: Vec<RankedTensor>,
    pub(super) work: Work,
}

/// A tensor among those that are ranked together.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct RankedTensor {
    pub summary: TensorSummary,
    pub ranks: Ranks,
    /// How many of its entries may be pruned, if a cap leaves fewer than there are.
    pub most: Option<usize>,
    /// Only entries under this cut are ranked, if it has a cap.
    pub cap: Option<Cut>,
}

impl listing::Named for RankedTensor {
    fn name(&self) -> &str {
        self.summary.name()
    }

    fn dtype(&self) -> safetensors::Dtype {
        self.summary.dtype()
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Work {
    /// Of each tensor by itself: its norm, and the cut of its cap.
    Prepare { normalized: bool, order: Order },
    /// The keys of all tensors together.
    Count(CutFinder),
    /// Of each tensor, the entries that the cut may prune, and its ties.
    Split(Cut),
}

/// The tensors of a pass that are in one checkpoint.
pub(super) struct Here<'a> {
    /// Their numbers in the checkpoint, and so in the order of their names.
    pub numbers: Vec<usize>,
    /// The same tensors in the list.
    pub places: Vec<usize>,
    pub tensors: Vec<&'a RankedTensor>,
}

impl<'a> Here<'a> {
    pub fn of(all: &'a [RankedTensor], checkpoint: &Checkpoint) -> Result<Self> {
        let mut here = Here {
            numbers: Vec::new(),
            places: Vec::new(),
            tensors: Vec::new(),
        };
        for (number, info) in checkpoint.tensors().iter().enumerate() {
            let Some(place) = listing::lookup(all, info.name()) else {
                continue;
            };
            if !all[place].summary.is_of(info) || !info.is_float() {
                let name = info.name().to_owned();
                return Err(DistributedError::AnotherTensor { name }.into());
            }
            here.numbers.push(number);
            here.places.push(place);
            here.tensors.push(&all[place]);
        }
        Ok(here)
    }

    /// What is pruned of each by this cut, together with the ties before it.
    pub fn selections(&self, cut: Cut, requested: Requested) -> Selections {
        let selection = |tensor: &&RankedTensor| {
            Selection::Entries(EntrySelection {
                cut,
                ranks: tensor.ranks,
                cap: tensor.cap,
            })
        };
        Selections {
            each: self.tensors.iter().map(selection).collect(),
            requested,
            unit: Unit::Entries,
        }
    }

    fn parts(&self) -> Vec<Part> {
        let parts = self.tensors.iter().enumerate();
        let part = |(place, tensor): (usize, &&RankedTensor)| Part {
            place,
            ranks: tensor.ranks,
            cap: tensor.cap,
        };
        parts.map(part).collect()
    }

    fn names(&self) -> impl Iterator<Item = String> {
        self.tensors.iter().map(|tensor| tensor.summary.name().to_owned())
    }
}

impl Checkpoint {
    /// Counts, for a pass of a [`Search`](super::Search), in the tensors of this checkpoint, which may be one file of
    /// a larger one. Tensors of the search that are not here are left to others.
    ///
    /// The result depends on the pass and on the tensors only. Memory is that of ranking in one process.
    ///
    /// # Errors
    ///
    /// [`DistributedError::AnotherTensor`] for a tensor that has another type or shape than in the search;
    /// [`MaskError::NanScore`](crate::error::MaskError::NanScore) names the tensor and the index of a NaN that would have to be ranked;
    /// [`Error::Io`](crate::Error::Io); [`CheckpointError::ChangedMeanwhile`](crate::error::CheckpointError::ChangedMeanwhile) where the file changed.
    pub fn count(&self, pass: &Pass) -> Result<Counts> {
        let here = Here::of(&pass.tensors, self)?;
        self.work.begin_ranking(pass.work.bytes(self, &here));
        let found = match &pass.work {
            Work::Prepare { normalized, order } => {
                Found::Prepared(self.prepare(&here, *normalized, *order)?)
            }
            Work::Count(finder) => {
                let listed = Listed {
                    checkpoint: self,
                    tensors: &here.numbers,
                };
                Found::Keys {
                    tensors: here.names().collect::<BTreeSet<_>>(),
                    finder: Box::new(listed.pass(&here.parts(), finder.clone())?),
                }
            }
            Work::Split(cut) => Found::Split(self.split(&here, *cut)?),
        };
        self.work.end_ranking();
        Ok(Counts {
            pass: pass.number,
            found,
        })
    }

    /// The norm of each tensor, and the cut of its cap.
    fn prepare(&self, here: &Here<'_>, normalized: bool, order: Order) -> Result<BTreeMap<String, Prepared>> {
        let listed = Listed {
            checkpoint: self,
            tensors: &here.numbers,
        };
        let norms = match normalized {
            true => listed.norms(here.numbers.len())?.into_iter().map(Some).collect(),
            false => vec![None; here.numbers.len()],
        };
        let mut all = BTreeMap::new();
        for (mut part, norm) in here.parts().into_iter().zip(norms) {
            if let Some(norm) = norm {
                part.ranks = Ranks::Shares { norm };
            }
            let tensor = here.tensors[part.place];
            let cap = tensor
                .most
                .map(|most| cap_of(&listed, &part, most, order))
                .transpose()?;
            let ranks = part.ranks;
            all.insert(tensor.summary.name().to_owned(), Prepared { ranks, cap });
        }
        Ok(all)
    }

    /// Of each tensor, how many entries a cut prunes if it prunes all of its ties, and how many of them are ties.
    fn split(&self, here: &Here<'_>, cut: Cut) -> Result<BTreeMap<String, Split>> {
        let selections = here.selections(cut.with_all_ties(), Requested::Each(Vec::new()));
        let counts = Applier::new(self, &here.numbers, &selections).measure(Phase::Ranking)?;
        let split = counts.into_iter().map(|counts| Split {
            most: counts.pruned,
            ties: counts.ties,
        });
        Ok(here.names().zip(split).collect())
    }
}

impl Work {
    /// The bytes that counting is going to read.
    fn bytes(&self, checkpoint: &Checkpoint, here: &Here<'_>) -> u64 {
        let infos = here.numbers.iter().map(|&number| &checkpoint.tensors()[number]);
        match self {
            Work::Count(_) | Work::Split(_) => infos.map(TensorInfo::bytes).sum(),
            Work::Prepare { normalized, .. } => {
                let bits = |tensor: &RankedTensor, info: &TensorInfo| match tensor.ranks {
                    Ranks::Values if !normalized => info.dtype().bitsize(),
                    _ => 64,
                };
                let each = infos.zip(&here.tensors).map(|(info, tensor)| {
                    let passes = tensor
                        .most
                        .map(|_| usual_passes(info.entries(), bits(tensor, info)));
                    info.bytes() * (u64::from(*normalized) + passes.unwrap_or(0))
                });
                each.sum()
            }
        }
    }
}
