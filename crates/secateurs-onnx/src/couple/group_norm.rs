//! Group norm: whole groups of channels are removed, which leaves the mean and variance of the others as they are.
//!
//! Exporters write it as a `Reshape` into groups, an `InstanceNormalization` of these, and a `Reshape` back; newer ones
//! as `GroupNormalization`.

use std::collections::HashSet;

use super::whole::Whole;
use super::{Change, FIXED, Labels, Tracked, Walk};
use crate::graph::{Graph, Node};

/// Most entries of a vector whose entries are compared.
const MOST: usize = 1 << 16;

/// The numbers of `Reshape` nodes that only instance norms read: what they divide is divided into groups.
pub fn divide_into_groups(graph: &Graph<'_>) -> HashSet<usize> {
    let (mut normalised, mut others) = (HashSet::new(), HashSet::new());
    others.extend(&graph.outputs);
    for node in &graph.nodes {
        for (place, name) in node.inputs.iter().enumerate() {
            match (node.op, place) {
                ("InstanceNormalization", 0) => normalised.insert(*name),
                _ => others.insert(*name),
            };
        }
    }
    let nodes = graph.nodes.iter().enumerate();
    let divide = nodes.filter(|(_, node)| {
        let output = node.output();
        node.op == "Reshape" && output.is_some_and(|name| normalised.contains(name) && !others.contains(name))
    });
    divide.map(|(number, _)| number).collect()
}

/// The names that more than one node reads.
pub fn shared<'a>(graph: &Graph<'a>) -> HashSet<&'a str> {
    let (mut once, mut more) = (HashSet::new(), HashSet::new());
    for name in graph.nodes.iter().flat_map(|node| &node.inputs) {
        if !once.insert(*name) {
            more.insert(*name);
        }
    }
    more
}

impl<'a> Walk<'a, '_> {
    /// Each channel is normalised by itself, and scale and shift are cut along with it.
    ///
    /// Exporters write the scales 1 and the shifts 0 of all group norms once. They would tie channels that have nothing
    /// to do with each other, so each norm gets as many of them as it needs.
    pub(super) fn instance_norm(
        &mut self,
        number: usize,
        node: &Node<'a>,
        first: Tracked,
    ) -> Option<Tracked> {
        self.hold_all_but_channels(&first, node.op);
        let mut output = Tracked::zero(first.shape.clone()?, vec![None; first.labels.len()]);
        *output.labels.get_mut(1)? = first.labels[1].clone();
        for place in [1, 2] {
            let name = node.input(place)?;
            let Some(labels) = first.units(1) else {
                self.fix(name, 0, FIXED);
                continue;
            };
            // A shift that stays where its channel goes has to be zero.
            let uniform = self.shared_and_uniform(name, labels.len());
            match uniform.filter(|value| place == 1 || *value == 0.0) {
                Some(value) => {
                    let labels = labels.clone();
                    self.follow(number, Change::Uniform { place, value, labels });
                    output.not_zero = first.not_zero.clone();
                }
                None => self.cut_along(name, 0, labels, node.op),
            }
        }
        Some(output)
    }

    /// The number that all entries of a vector are, if several nodes read it.
    fn shared_and_uniform(&self, name: &str, length: usize) -> Option<f64> {
        let constant = self.graph.constants.get(name);
        let constant = constant.filter(|constant| self.shared.contains(name) && constant.dims == [length]);
        let values = constant.filter(|_| (1..=MOST).contains(&length))?.floats()?;
        values.iter().all(|x| *x == values[0]).then_some(values[0])
    }

    /// Scale and shift are those of channels, or in version 18 of groups.
    pub(super) fn group_norm(&mut self, number: usize, node: &Node<'a>, first: Tracked) -> Option<Tracked> {
        self.hold_all_but_channels(&first, node.op);
        let groups = usize::try_from(node.int("num_groups")?).ok()?;
        let Some(labels) = first.units(1).cloned() else {
            [1, 2]
                .into_iter()
                .filter_map(|place| node.input(place))
                .for_each(|name| self.fix(name, 0, FIXED));
            return Some(Tracked::fixed(first.shape, first.dtype));
        };
        (groups > 1 && labels.len().is_multiple_of(groups)).then_some(())?;
        let parts = self.divided(&labels, &[groups, labels.len() / groups], Some(Whole::Groups));
        let of_groups: Labels = parts.into_iter().next().flatten()?;
        for place in [1, 2] {
            let name = node.input(place)?;
            let length = self.value(name).len(0)?;
            let with = if length == groups { &of_groups } else { &labels };
            self.cut_along(name, 0, with, node.op);
        }
        let (name, labels) = ("num_groups", of_groups);
        self.follow(number, Change::Attribute { name, labels });
        // With scale and shift removed, whatever came in.
        Some(Tracked::zero(first.shape?, first.labels))
    }
}
