//! Operators that range over channels, where the user accepts that they range over those that are kept.

use std::collections::{HashMap, HashSet};

use super::{Labels, Walk};
use crate::graph::{Graph, Node};

/// An operator that ranges over the channels that are kept, where it ranged over all.
#[derive(Clone, Debug)]
pub struct OverKept {
    /// What it is, for the report.
    pub kind: &'static str,
    /// The dimension of its first input that it ranges over.
    pub dim: usize,
    /// The units of that dimension.
    pub labels: Labels,
}

impl Walk<'_, '_> {
    /// Notes that a node ranges over what is kept of these units.
    pub(super) fn range_over_kept(
        &mut self,
        number: usize,
        kind: &'static str,
        dim: usize,
        labels: Option<&Labels>,
    ) {
        if let Some(labels) = labels.cloned() {
            self.over_kept.insert(number, OverKept { kind, dim, labels });
        }
    }
}

/// The means of layer norms that are written out, as exporters do for versions that have no operator for them: of x, and of
/// the squares of x less its mean. Numbers of nodes.
pub fn means_of_layer_norms(graph: &Graph<'_>) -> HashSet<usize> {
    let mut readers: HashMap<&str, Vec<usize>> = HashMap::new();
    for (number, node) in graph.nodes.iter().enumerate() {
        for name in node.inputs.iter().filter(|name| !name.is_empty()) {
            readers.entry(name).or_default().push(number);
        }
    }
    let of = |node: &Node<'_>| -> Vec<usize> {
        let output = node.output().filter(|name| !graph.outputs.contains(name));
        output
            .and_then(|name| readers.get(name))
            .cloned()
            .unwrap_or_default()
    };
    let mut means = HashSet::new();
    for (number, node) in graph.nodes.iter().enumerate() {
        if node.op != "ReduceMean" {
            continue;
        }
        let subtracts = |reader: &usize| {
            let reader = &graph.nodes[*reader];
            reader.op == "Sub" && reader.input(0) == node.input(0) && reader.input(1) == node.output()
        };
        let differences = of(node);
        if !differences.iter().all(subtracts) {
            continue;
        }
        let centred = differences.iter().flat_map(|reader| of(&graph.nodes[*reader]));
        let squares = centred.filter(|reader| is_square(graph, &graph.nodes[*reader]));
        let of_squares: Vec<usize> = squares.flat_map(|square| of(&graph.nodes[square])).collect();
        let same = |reader: &usize| {
            let reader = &graph.nodes[*reader];
            reader.op == "ReduceMean" && axes(graph, reader).is_some_and(|own| Some(own) == axes(graph, node))
        };
        if !of_squares.is_empty() && of_squares.iter().all(same) {
            means.insert(number);
            means.extend(of_squares);
        }
    }
    means
}

fn is_square(graph: &Graph<'_>, node: &Node<'_>) -> bool {
    let two = |name: &str| {
        let exponent = graph.constants.get(name).and_then(|own| own.floats());
        exponent.is_some_and(|values| values == [2.0])
    };
    match node.op {
        "Pow" => node.input(1).is_some_and(two),
        "Mul" => node.input(0) == node.input(1),
        _ => false,
    }
}

/// The axes as they are written.
fn axes(graph: &Graph<'_>, node: &Node<'_>) -> Option<Vec<i64>> {
    match (node.ints("axes"), node.input(1)) {
        (Some(axes), _) => Some(axes.to_vec()),
        (None, Some(name)) => graph.constants.get(name)?.ints(),
        (None, None) => None,
    }
}
