//! Where the uses of a shared weight go: those that are cut in the same way stay together, others get one of their own.

use std::collections::{HashMap, HashSet};

use super::{Changes, NewTensor};
use crate::couple::Couplings;
use crate::error::Result;
use crate::graph::Graph;

/// An input of a node that gets another name.
pub struct Renamed<'a> {
    pub node: usize,
    pub place: usize,
    pub name: &'a str,
}

/// Gives the new tensors of uses the names of what is written: that of the weight, if nothing needs it as it was.
pub fn settle<'a>(
    graph: &Graph<'a>,
    couplings: &Couplings<'a>,
    changes: &mut Changes<'a>,
) -> Result<Vec<Renamed<'a>>> {
    let mut renamed = Vec::new();
    for shared in &graph.shared {
        let of = |alias: &'a str| couplings.tied.get(alias).copied().unwrap_or(alias);
        let unchanged = shared
            .uses
            .iter()
            .filter(|each| !changes.tensors.contains_key(of(each.alias)));
        let mut needed: HashSet<&str> = shared.read.iter().copied().collect();
        needed.extend(unchanged.map(|each| each.name));
        for (name, number) in shared.copies.iter().rev() {
            if needed.contains(name) {
                needed.extend(&graph.nodes[*number].inputs);
            } else {
                changes.dropped.insert(*number);
            }
        }
        let mut written: Vec<(&'a str, NewTensor<'a>)> = Vec::new();
        let mut names: HashMap<&str, &'a str> = HashMap::new();
        for each in &shared.uses {
            let own = of(each.alias);
            if let Some(new) = changes.tensors.remove(own) {
                let mut same = None;
                for (name, other) in &written {
                    if same.is_none() && other.is(&new)? {
                        same = Some(*name);
                    }
                }
                let free = written.is_empty() && !needed.contains(shared.name);
                let name = same.unwrap_or(if free { shared.name } else { each.alias });
                names.insert(own, name);
                if same.is_none() {
                    written.push((name, new));
                }
            }
            let Some(name) = names.get(own).copied().filter(|name| *name != each.name) else {
                continue;
            };
            let inputs = graph.nodes[each.node].inputs.iter().enumerate();
            let places = inputs.filter(|(_, input)| **input == each.alias);
            renamed.extend(places.map(|(place, _)| Renamed {
                node: each.node,
                place,
                name,
            }));
        }
        changes.tensors.extend(written);
    }
    Ok(renamed)
}

impl NewTensor<'_> {
    /// Whether it is equal to another one.
    fn is(&self, other: &Self) -> Result<bool> {
        Ok(self.dims == other.dims && self.entries.bytes()? == other.entries.bytes()?)
    }
}
