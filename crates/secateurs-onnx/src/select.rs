//! Which units are removed: importance of each, and the lowest of each group.

use std::collections::{BTreeMap, HashMap, HashSet};

use ndarray::Array1;
use secateurs::mask::{self, Amount, L1Unstructured};

use crate::couple::Couplings;
use crate::error::Result;
use crate::graph::Graph;

/// How much to remove, and how.
#[derive(Clone, Debug)]
pub struct Options {
    pub(crate) amount: Amount,
    pub(crate) norm: Norm,
    pub(crate) round_to: usize,
    pub(crate) verify: bool,
}

/// The norm over all weights of a unit that ranks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Norm {
    /// The sum of absolute values.
    L1,
    /// The Euclidean norm.
    L2,
}

impl Options {
    /// Removes this amount of the channels of each group: a fraction, or a count. The channels with the lowest Euclidean
    /// norm over all coupled weights go first, and what is kept of a group is rounded up to a multiple of 8, because many
    /// processors compute other numbers more slowly.
    ///
    /// # Errors
    ///
    /// [`Error::Prune`](crate::Error::Prune) for an invalid amount.
    pub fn new(amount: impl TryInto<Amount, Error: Into<secateurs::Error>>) -> Result<Self> {
        Ok(Options {
            amount: amount.try_into().map_err(Into::into)?,
            norm: Norm::L2,
            round_to: 8,
            verify: true,
        })
    }

    /// With another norm.
    pub fn norm(mut self, norm: Norm) -> Self {
        self.norm = norm;
        self
    }

    /// With what is kept of each group rounded up to a multiple of this; 1 rounds nothing.
    pub fn round_to(mut self, multiple: usize) -> Self {
        self.round_to = multiple.max(1);
        self
    }

    /// Whether the smaller model is run beside the masked one before it is given out, which is the default. Without it,
    /// nothing proves that they compute the same.
    pub fn verify(mut self, verify: bool) -> Self {
        self.verify = verify;
        self
    }
}

/// What was decided of one group of channels.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupReport {
    /// The initializers that are cut, by name.
    pub parameters: Vec<String>,
    /// Channels of the group.
    pub channels: usize,
    /// Channels that are removed.
    pub removed: usize,
    /// Channels that have to stay, by reason.
    pub held: BTreeMap<String, usize>,
}

/// Units that are removed, and what was decided of each group.
pub(crate) struct Selection {
    pub removed: HashSet<u32>,
    pub groups: Vec<GroupReport>,
}

/// Selects the units to remove.
pub(crate) fn select(graph: &Graph<'_>, couplings: &Couplings<'_>, options: &Options) -> Result<Selection> {
    let scores = scores(graph, couplings, options.norm);
    // In the order of units, which is that of the nodes that made them.
    let mut groups: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    let mut units: Vec<u32> = scores.keys().copied().collect();
    units.sort_unstable();
    for unit in units {
        groups.entry(couplings.units.group(unit)).or_default().push(unit);
    }
    let mut selection = Selection {
        removed: HashSet::new(),
        groups: Vec::new(),
    };
    let names = names(couplings);
    let mut counts = Vec::new();
    for (group, units) in groups {
        let free: Vec<u32> = units
            .iter()
            .copied()
            .filter(|unit| couplings.units.reason(*unit).is_none())
            .collect();
        let requested = options.amount.units(units.len(), units.len())?;
        let kept = (units.len() - requested).next_multiple_of(options.round_to);
        // A group is never removed as a whole.
        let count = units.len().saturating_sub(kept.max(1)).min(free.len());
        if count > 0 {
            let ranked = Array1::from_iter(free.iter().map(|unit| scores[unit]));
            let mask = mask::compute(&L1Unstructured::new(count)?, &ranked, None)?.mask;
            let removed = free.iter().zip(mask.iter()).filter(|(_, kept)| !kept);
            selection.removed.extend(removed.map(|(unit, _)| *unit));
        }
        let mut held = BTreeMap::new();
        for unit in &units {
            if let Some(reason) = couplings.units.reason(*unit) {
                *held.entry(reason.to_owned()).or_insert(0) += 1;
            }
        }
        selection.groups.push(GroupReport {
            parameters: names.get(&group).cloned().unwrap_or_default(),
            channels: units.len(),
            removed: 0,
            held,
        });
        counts.push(units);
    }
    keep_one_of_each_axis(couplings, &scores, &mut selection.removed);
    for (report, units) in selection.groups.iter_mut().zip(counts) {
        report.removed = units
            .iter()
            .filter(|unit| selection.removed.contains(unit))
            .count();
    }
    Ok(selection)
}

/// Keeps the most important unit of each axis that would lose all: an axis may have only a part of a group.
fn keep_one_of_each_axis(couplings: &Couplings<'_>, scores: &HashMap<u32, f64>, removed: &mut HashSet<u32>) {
    let mut parameters: Vec<_> = couplings.parameters.iter().collect();
    parameters.sort_by_key(|(name, _)| **name);
    for labels in parameters.iter().flat_map(|(_, axes)| axes.iter().flatten()) {
        let roots = labels.iter().map(|unit| couplings.units.root(*unit));
        if roots.clone().all(|root| removed.contains(&root)) {
            let score = |root: &u32| scores.get(root).copied().unwrap_or(0.0);
            let best = roots.max_by(|a, b| score(a).total_cmp(&score(b)).then(b.cmp(a)));
            best.map(|root| removed.remove(&root));
        }
    }
}

/// The initializers that the cuts of each group go through.
fn names(couplings: &Couplings<'_>) -> HashMap<u32, Vec<String>> {
    let mut names: HashMap<u32, Vec<String>> = HashMap::new();
    for (name, axes) in &couplings.parameters {
        let groups = axes.iter().flatten().flat_map(|labels| labels.iter());
        let groups: HashSet<u32> = groups.map(|unit| couplings.units.group(*unit)).collect();
        for group in groups {
            names.entry(group).or_default().push((*name).to_owned());
        }
    }
    names.values_mut().for_each(|list| list.sort());
    names
}

/// The importance of each unit: a norm over all weights that go with it.
fn scores(graph: &Graph<'_>, couplings: &Couplings<'_>, norm: Norm) -> HashMap<u32, f64> {
    let mut sums: HashMap<u32, f64> = HashMap::new();
    let mut names: Vec<&&str> = couplings.parameters.keys().collect();
    names.sort(); // sums have one order
    for name in names {
        let constant = &graph.constants[*name];
        let Some(values) = constant.floats() else { continue };
        for (dim, labels) in couplings.parameters[*name].iter().enumerate() {
            let Some(labels) = labels else { continue };
            let inner: usize = constant.dims[dim + 1..].iter().product();
            let mut own = vec![0.0; labels.len()];
            for (number, run) in values.chunks(inner.max(1)).enumerate() {
                own[number % labels.len()] += match norm {
                    Norm::L1 => run.iter().map(|x| x.abs()).sum::<f64>(),
                    Norm::L2 => run.iter().map(|x| x * x).sum::<f64>(),
                };
            }
            for (unit, sum) in labels.iter().zip(own) {
                *sums.entry(couplings.units.root(*unit)).or_insert(0.0) += sum;
            }
        }
    }
    if norm == Norm::L2 {
        sums.values_mut().for_each(|sum| *sum = sum.sqrt());
    }
    sums
}
