//! [`Names`] of what is added.

use std::collections::HashSet;

use crate::graph::Graph;

/// Names that the graph does not have yet.
pub struct Names<'g> {
    taken: HashSet<&'g str>,
    next: usize,
}

impl<'g> Names<'g> {
    pub fn of(graph: &'g Graph<'_>) -> Self {
        let nodes = graph.nodes.iter().flat_map(|node| &node.outputs);
        let inputs = graph.inputs.iter().map(|input| input.name);
        let constants = graph.constants.keys().copied();
        Names {
            taken: nodes.copied().chain(inputs).chain(constants).collect(),
            next: 0,
        }
    }

    /// A new name that begins with this one.
    pub fn fresh(&mut self, after: &str) -> String {
        loop {
            let name = format!("{after}_cut{}", self.next);
            self.next += 1;
            if !self.taken.contains(&*name) {
                return name;
            }
        }
    }
}
