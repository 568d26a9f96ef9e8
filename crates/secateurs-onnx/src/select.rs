//! Which units are removed: the least important of each group, or of all groups of a kind.

use std::collections::{BTreeMap, HashMap, HashSet};

use ndarray::Array1;
use secateurs::mask::{self, Amount, L1Unstructured};

use crate::bias::{Shifts, shifts};
use crate::couple::Couplings;
use crate::error::Result;
use crate::graph::Graph;
use crate::importance::importance;
use crate::options::{Options, Scope};
use crate::sent::sent;

/// What was decided of one group of channels.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupReport {
    /// The weights that are cut, by name.
    pub parameters: Vec<String>,
    /// The operator that makes the channels first.
    pub kind: String,
    /// Channels of the group.
    pub channels: usize,
    /// Channels that are removed.
    pub removed: usize,
    /// Channels that have to stay, by reason.
    pub held: BTreeMap<String, usize>,
}

/// Units that are removed, and what was decided of each group.
pub struct Selection {
    pub removed: HashSet<u32>,
    pub groups: Vec<GroupReport>,
    /// What biases take up.
    pub shifts: Shifts,
    /// The number of units whose constants they take up.
    pub folded: usize,
}

/// Groups, their units, and how important these are: what a selection needs.
pub struct Candidates {
    groups: Vec<Group>,
    importance: HashMap<u32, f64>,
}

struct Group {
    parameters: Vec<String>,
    kind: String,
    units: Vec<u32>,
    held: BTreeMap<String, usize>,
    /// Those that may be removed.
    free: Vec<u32>,
    /// What the number of units that are kept has to be a multiple of.
    multiple: usize,
}

impl Candidates {
    /// The groups of a graph.
    pub fn of(graph: &Graph<'_>, couplings: &Couplings<'_>, options: &Options) -> Result<Self> {
        let importance = importance(graph, couplings, options)?;
        let uses = uses(couplings);
        // In the order of units, which is that of the nodes that made them. Units of a group that are used in different
        // places, such as the halves of a split, are not compared with each other.
        let mut members: BTreeMap<(u32, &[u32]), Vec<u32>> = BTreeMap::new();
        let mut units: Vec<u32> = couplings.weighted_units().into_iter().collect();
        units.sort_unstable();
        for unit in units {
            let key = (couplings.units.group(unit), &uses.of[&unit][..]);
            members.entry(key).or_default().push(unit);
        }
        let multiplicities = couplings.units.multiplicities();
        let heads = couplings.heads.iter().flat_map(|labels| labels.iter());
        let heads: HashSet<u32> = heads.map(|unit| couplings.units.root(*unit)).collect();
        let groups = members.into_iter().map(|((_, axes), units)| {
            let mut parameters: Vec<String> = axes
                .iter()
                .map(|axis| graph.original(uses.names[*axis as usize]).to_owned())
                .collect();
            parameters.sort_unstable();
            parameters.dedup();
            let chosen = options.chosen.as_ref();
            let chosen = chosen.is_none_or(|chosen| (chosen.0)(&parameters));
            let (mut held, mut free) = (BTreeMap::new(), Vec::new());
            for unit in &units {
                let reason = match couplings.units.reason(*unit) {
                    Some(reason) => reason,
                    None if !chosen => "the choice of groups",
                    None if !importance.contains_key(unit) => "having no importance",
                    None => {
                        free.push(*unit);
                        continue;
                    }
                };
                *held.entry(reason.to_owned()).or_insert(0) += 1;
            }
            // Units that stand for several channels each need not be as many.
            let each = if units.iter().any(|unit| heads.contains(unit)) {
                1
            } else {
                multiplicities[&units[0]]
            };
            Group {
                multiple: options.round_to / gcd(options.round_to, each),
                parameters,
                kind: couplings.units.kind(units[0]).to_owned(),
                units,
                held,
                free,
            }
        });
        Ok(Candidates {
            groups: groups.collect(),
            importance,
        })
    }

    /// Selects this amount of units.
    pub fn select(&self, couplings: &Couplings<'_>, options: &Options, amount: Amount) -> Result<Selection> {
        let ranked = match options.scope {
            Scope::Group => self.of_each_group(options, amount)?,
            Scope::Global => self.of_each_kind(options, amount)?,
        };
        let mut removed: HashSet<u32> = ranked.into_iter().flatten().collect();
        self.keep_one_of_each_axis(couplings, &mut removed);
        let groups = self.groups.iter().map(|group| GroupReport {
            parameters: group.parameters.clone(),
            kind: group.kind.clone(),
            channels: group.units.len(),
            removed: group.units.iter().filter(|unit| removed.contains(unit)).count(),
            held: group.held.clone(),
        });
        Ok(Selection {
            groups: groups.collect(),
            removed,
            shifts: Shifts::new(),
            folded: 0,
        })
    }

    /// Selects the units that are masked already and send nothing.
    pub fn masked(&self, graph: &Graph<'_>, couplings: &Couplings<'_>) -> Selection {
        let sent = sent(graph, couplings);
        let free = self.groups.iter().flat_map(|group| &group.free);
        let mut removed: HashSet<u32> = free.copied().filter(|unit| sent.nothing.contains(unit)).collect();
        self.keep_one_of_each_axis(couplings, &mut removed);
        let groups = self.groups.iter().map(|group| {
            let mut report = group.report(&removed);
            let something = group
                .free
                .iter()
                .filter(|unit| sent.something.contains(unit))
                .count();
            if something > 0 {
                report
                    .held
                    .insert("a bias or shift that no other bias can take up".into(), something);
            }
            report
        });
        let folded: HashSet<u32> = sent.constants.iter().map(|constant| constant.unit).collect();
        Selection {
            groups: groups.collect(),
            shifts: shifts(graph, &sent.constants, &removed),
            folded: folded.intersection(&removed).count(),
            removed,
        }
    }

    fn of_each_group(&self, options: &Options, amount: Amount) -> Result<Vec<Vec<u32>>> {
        let of_group = |group: &Group| {
            let requested = amount.units(group.units.len(), group.units.len())?;
            let count = group.at_most(options, requested);
            lowest(&group.free, |unit| self.importance[&unit], count)
        };
        self.groups.iter().map(of_group).collect()
    }

    /// Ranks the units of all groups of a kind against each other, relative to the mean of their group or not; then each
    /// group loses as many of its own as rounding allows.
    fn of_each_kind(&self, options: &Options, amount: Amount) -> Result<Vec<Vec<u32>>> {
        let mut kinds: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (number, group) in self.groups.iter().enumerate() {
            kinds.entry(&group.kind).or_default().push(number);
        }
        let mut removed = Vec::new();
        for numbers in kinds.values() {
            let mut relative: HashMap<u32, f64> = HashMap::new();
            let mut units = Vec::new();
            for group in numbers.iter().map(|number| &self.groups[*number]) {
                let sum: f64 = group.free.iter().map(|unit| self.importance[unit]).sum();
                let mean = match options.normalize {
                    true => (sum / group.free.len() as f64).max(f64::MIN_POSITIVE),
                    false => 1.0,
                };
                let own = group
                    .free
                    .iter()
                    .map(|unit| (*unit, self.importance[unit] / mean));
                relative.extend(own);
                units.extend(&group.free);
            }
            let all = numbers
                .iter()
                .map(|number| self.groups[*number].units.len())
                .sum();
            let count = amount.units(all, all)?.min(units.len());
            let chosen: HashSet<u32> = lowest(&units, |unit| relative[&unit], count)?
                .into_iter()
                .collect();
            for group in numbers.iter().map(|number| &self.groups[*number]) {
                let own = group.free.iter().filter(|unit| chosen.contains(unit)).count();
                let count = group.at_most(options, own);
                removed.push(lowest(&group.free, |unit| self.importance[&unit], count)?);
            }
        }
        Ok(removed)
    }

    /// Keeps the most important unit of each axis that would lose all: an axis may have only a part of a group.
    fn keep_one_of_each_axis(&self, couplings: &Couplings<'_>, removed: &mut HashSet<u32>) {
        let mut parameters: Vec<_> = couplings.parameters.iter().collect();
        parameters.sort_by_key(|(name, _)| **name);
        let axes = parameters.iter().flat_map(|(_, axes)| axes.iter().flatten());
        for labels in axes
            .chain(&couplings.never_empty)
            .filter(|labels| !labels.is_empty())
        {
            let roots = labels.iter().map(|unit| couplings.units.root(*unit));
            if roots.clone().all(|root| removed.contains(&root)) {
                let score = |root: &u32| self.importance.get(root).copied().unwrap_or(0.0);
                let best = roots.max_by(|a, b| score(a).total_cmp(&score(b)).then(b.cmp(a)));
                best.map(|root| removed.remove(&root));
            }
        }
    }
}

impl Group {
    fn report(&self, removed: &HashSet<u32>) -> GroupReport {
        GroupReport {
            parameters: self.parameters.clone(),
            kind: self.kind.clone(),
            channels: self.units.len(),
            removed: self.units.iter().filter(|unit| removed.contains(unit)).count(),
            held: self.held.clone(),
        }
    }

    /// The number of units that are removed when `requested` are to be: what is kept is rounded to the nearest multiple, a
    /// tie to the larger one, and never to zero.
    fn at_most(&self, options: &Options, requested: usize) -> usize {
        if requested == 0 {
            return 0;
        }
        let kept = self.units.len() - requested;
        let rounded = (2 * kept + self.multiple) / (2 * self.multiple) * self.multiple;
        let kept = rounded.max(self.multiple).max(options.keep_at_least);
        self.units.len().saturating_sub(kept).min(self.free.len())
    }
}

/// The greatest common divisor.
fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The least important units; of equally important ones the first.
fn lowest(units: &[u32], importance: impl Fn(u32) -> f64, count: usize) -> Result<Vec<u32>> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let ranked = Array1::from_iter(units.iter().map(|unit| importance(*unit)));
    let mask = mask::compute(&L1Unstructured::new(count)?, &ranked, None)?.mask;
    let removed = units.iter().zip(mask.iter()).filter(|(_, kept)| !kept);
    Ok(removed.map(|(unit, _)| *unit).collect())
}

/// The axes of initializers, and of each unit those that it is in.
struct Uses<'a> {
    /// Of each axis, the name of its initializer.
    names: Vec<&'a str>,
    of: HashMap<u32, Vec<u32>>,
}

fn uses<'a>(couplings: &Couplings<'a>) -> Uses<'a> {
    let mut uses = Uses {
        names: Vec::new(),
        of: HashMap::new(),
    };
    let mut parameters: Vec<_> = couplings.parameters.iter().collect();
    parameters.sort_by_key(|(name, _)| **name);
    for (name, axes) in parameters {
        for labels in axes.iter().flatten() {
            let axis = uses.names.len() as u32;
            uses.names.push(name);
            for unit in labels.iter() {
                let own = uses.of.entry(couplings.units.root(*unit)).or_default();
                if own.last() != Some(&axis) {
                    own.push(axis);
                }
            }
        }
    }
    uses
}
