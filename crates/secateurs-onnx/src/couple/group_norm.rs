//! Group norm: whole groups of channels are removed, which leaves the mean and variance of the others as they are.
//!
//! Exporters write it as a `Reshape` into groups, an `InstanceNormalization` of these, and a `Reshape` back; newer ones
//! as `GroupNormalization`.

use std::collections::HashSet;

use super::whole::Whole;
use super::{Change, FIXED, Labels, Tracked, Walk};
use crate::graph::{Graph, Node};

/// The numbers of `Reshape` nodes that only instance norms read: what they divide is divided into groups.
pub fn divide_into_groups(graph: &Graph<'_>) -> HashSet<usize> {
    let (mut normalised, mut others) = (HashSet::new(), HashSet::new());
    others.extend(&graph.outputs);
    // Readers come before what they read, so that what is quantized in between is seen through.
    for node in graph.nodes.iter().rev() {
        let output = node.output();
        let passes = || output.is_some_and(|name| normalised.contains(name) && !others.contains(name));
        let into_norm = match node.op {
            "InstanceNormalization" => true,
            "QuantizeLinear" | "DequantizeLinear" => passes(),
            _ => false,
        };
        for (place, name) in node.inputs.iter().enumerate() {
            match (into_norm, place) {
                (true, 0) => normalised.insert(*name),
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

impl<'a> Walk<'a, '_> {
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
