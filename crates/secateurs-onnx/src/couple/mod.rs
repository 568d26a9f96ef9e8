//! What is coupled to what: a walk over the graph that labels each index of each axis with its unit of removal.
//!
//! `rules.md` has the rule of each operator.

mod operators;
mod reshapes;
mod units;

use std::collections::HashMap;

pub use units::{Labels, Units};

use crate::graph::Graph;
use crate::reference;
use crate::shapes::{Integers, Shape, infer};

/// What is known of a value.
#[derive(Clone, Debug)]
pub struct Tracked {
    /// Its shape, if it can be told.
    pub shape: Option<Shape>,
    /// Of each dimension that can be cut, the units of its indices.
    pub labels: Vec<Option<Labels>>,
    /// The node that makes something else than zero of channels that are removed, if there is one.
    pub not_zero: Option<String>,
}

impl Tracked {
    fn untracked(shape: Option<Shape>) -> Self {
        Tracked {
            labels: vec![None; shape.as_ref().map_or(0, Vec::len)],
            shape,
            not_zero: None,
        }
    }
}

/// An attribute or input that has to follow a cut.
#[derive(Clone, Debug)]
pub enum Follow {
    /// The number of groups of a depthwise convolution.
    Groups {
        /// Number of the node.
        node: usize,
        /// Its channels.
        labels: Labels,
    },
    /// An entry of the target of a `Reshape`.
    Target {
        /// Number of the node.
        node: usize,
        /// The dimension of its output.
        dim: usize,
        /// The units of that dimension.
        labels: Labels,
    },
}

/// The couplings of a graph.
pub struct Couplings<'a> {
    /// Units, groups, and what is held.
    pub units: Units,
    /// Of each initializer that can be cut, the units along its dimensions.
    pub parameters: HashMap<&'a str, Vec<Option<Labels>>>,
    /// What has to follow.
    pub follows: Vec<Follow>,
    /// The shapes of values.
    pub shapes: HashMap<&'a str, Shape>,
}

/// The walk.
struct Walk<'a, 'g> {
    graph: &'g Graph<'a>,
    known: Integers<'g, 'a>,
    values: HashMap<&'a str, Tracked>,
    units: Units,
    parameters: HashMap<&'a str, Vec<Option<Labels>>>,
    follows: Vec<Follow>,
}

/// Finds the couplings of a graph.
pub fn couplings<'a>(graph: &Graph<'a>) -> Couplings<'a> {
    let mut walk = Walk {
        graph,
        known: Integers::of(graph),
        values: HashMap::new(),
        units: Units::default(),
        parameters: HashMap::new(),
        follows: Vec::new(),
    };
    for (name, shape) in &graph.inputs {
        walk.values.insert(name, Tracked::untracked(Some(shape.clone())));
    }
    for (name, constant) in &graph.constants {
        let shape = constant.dims.iter().map(|dim| Some(*dim)).collect();
        walk.values.insert(name, Tracked::untracked(Some(shape)));
    }
    for (number, node) in graph.nodes.iter().enumerate() {
        let shapes: Vec<Option<Shape>> = node
            .inputs
            .iter()
            .map(|input| walk.values.get(input).and_then(|value| value.shape.clone()))
            .collect();
        let computed = reference::of_shapes(&walk.known, node, &shapes);
        let shape = match &computed {
            Some(array) => Some(array.shape().iter().map(|length| Some(*length)).collect()),
            None => infer(&walk.known, node, &shapes),
        };
        let output = walk.node(number, node, shape);
        if let (Some(array), Some(name)) = (computed, node.outputs.first()) {
            walk.known.computed.insert(name, array);
        }
        for (place, name) in node.outputs.iter().filter(|name| !name.is_empty()).enumerate() {
            let value = match place {
                0 => output.clone(),
                _ => Tracked::untracked(None),
            };
            // The values of `Constant` nodes are there already.
            walk.values.entry(name).or_insert(value);
        }
    }
    for output in &graph.outputs {
        walk.hold_all(output, "outputs of the graph");
    }
    let shapes = walk.values.iter();
    let shapes = shapes.filter_map(|(name, value)| Some((*name, value.shape.clone()?)));
    Couplings {
        shapes: shapes.collect(),
        units: walk.units,
        parameters: walk.parameters,
        follows: walk.follows,
    }
}

impl<'a> Walk<'a, '_> {
    /// The value of this name.
    fn value(&self, name: &str) -> Tracked {
        self.values
            .get(name)
            .cloned()
            .unwrap_or_else(|| Tracked::untracked(None))
    }

    /// Holds all units of a value.
    fn hold_all(&mut self, name: &str, reason: &str) {
        for labels in self.value(name).labels.iter().flatten() {
            self.units.hold(labels, reason);
        }
    }

    /// The units along a dimension of a constant, which are those of `with` if it has none yet. What is no initializer
    /// cannot be cut, and holds `with`.
    fn cut_along(&mut self, name: &'a str, dim: usize, with: &Labels, reason: &str) {
        let constant = self
            .graph
            .constants
            .get(name)
            .filter(|_| self.graph.initializers.contains(name));
        let fits = constant
            .is_some_and(|constant| constant.dims.get(dim) == Some(&with.len()) && constant.dtype.is_float());
        let Some(constant) = constant.filter(|_| fits) else {
            self.units.hold(with, reason);
            return;
        };
        let rank = constant.dims.len();
        let axes = self.parameters.entry(name).or_insert_with(|| vec![None; rank]);
        match &axes[dim] {
            Some(labels) => {
                let labels = labels.clone();
                self.units.tie(&labels, with);
            }
            None => axes[dim] = Some(with.clone()),
        }
    }
}
