//! What is coupled to what: a walk over the graph that labels each index of each axis with its unit of removal.
//!
//! `rules.md` has the rule of each operator.

mod attention;
mod choice;
mod contractions;
mod elementwise;
mod follow;
mod fused;
mod gather;
mod group_norm;
mod heads;
mod inexact;
mod layers;
mod parts;
mod quantized;
mod recurrent;
mod reductions;
mod reshapes;
mod rules;
mod shared;
mod tracked;
mod units;
mod weights;
mod whole;

use std::collections::{HashMap, HashSet};

pub use choice::Choice;
pub use contractions::equation;
pub use follow::{Change, Follow, epsilon_of_fewer, factor_of_fewer};
pub use fused::{epsilon, sum_of};
pub use inexact::OverKept;
use ndarray::ArrayD;
pub use recurrent::has_usual_activations;
use tracked::Tracked;
pub use units::{FIXED, Labels, Units};
use weights::Axis;
use whole::Whole;

use crate::external::External;
use crate::graph::{Graph, Node};
use crate::reference;
use crate::shapes::{Computed, Known, Shape, infer};
use crate::tensor::{Constant, FLOAT, INT64};

/// The couplings of a graph.
pub struct Couplings<'a> {
    /// Units, groups, and what is held.
    pub units: Units,
    /// Of each initializer that can be cut, the units along its dimensions.
    pub parameters: HashMap<&'a str, Vec<Option<Labels>>>,
    /// Uses of shared weights that are cut as another one is, with the name of that one, which has the units.
    pub tied: HashMap<&'a str, &'a str>,
    /// The weights, and the dimensions of them, whose entries make the units along that dimension.
    pub makers: Vec<(&'a str, usize)>,
    /// The units along the dimensions of values.
    pub labels: HashMap<&'a str, Vec<Option<Labels>>>,
    /// Values that are not zero where a channel was removed.
    pub not_zero: HashSet<&'a str>,
    /// What has to follow.
    pub follows: Vec<Follow>,
    /// Axes of which something has to be kept, besides those of parameters.
    pub never_empty: Vec<Labels>,
    /// Axes of their own length that a matrix product runs over, such as head sizes: units stand for one index each there,
    /// whatever they stand for elsewhere.
    pub heads: Vec<Labels>,
    /// Nodes that range over the channels that are kept, by the user's choice.
    pub over_kept: HashMap<usize, OverKept>,
    /// The shapes of values.
    pub shapes: HashMap<&'a str, Shape>,
    /// Values that follow from shapes alone.
    pub computed: HashMap<&'a str, ArrayD<f64>>,
}

impl Couplings<'_> {
    /// The indices of an axis that are kept when these units are removed.
    pub fn kept(&self, labels: &Labels, removed: &HashSet<u32>) -> Vec<usize> {
        let stays = |index: &usize| !removed.contains(&self.units.root(labels[*index]));
        (0..labels.len()).filter(stays).collect()
    }

    /// All units that weights belong to, by their roots.
    pub fn weighted_units(&self) -> HashSet<u32> {
        let labels = self.parameters.values().flatten().flatten();
        let roots = labels.flat_map(|labels| labels.iter().map(|unit| self.units.root(*unit)));
        roots
            .filter(|unit| self.units.reason(*unit) != Some(FIXED))
            .collect()
    }
}

/// The walk.
struct Walk<'a, 'g> {
    graph: &'g Graph<'a>,
    known: Known<'g, 'a>,
    values: HashMap<&'a str, Tracked>,
    units: Units,
    axes: HashMap<&'a str, Vec<Axis>>,
    follows: Vec<Follow>,
    never_empty: Vec<Labels>,
    heads: Vec<Labels>,
    makers: Vec<(&'a str, usize)>,
    /// Values that are all zero, besides constants.
    zeros: HashSet<&'a str>,
    choice: Choice,
    /// The means of layer norms that are written out, where these may be cut.
    means: HashSet<usize>,
    /// The reshapes that divide channels into parts that go as a whole.
    into_whole: HashMap<usize, Whole>,
    /// The nodes that repeat keys and values for several queries, where queries are to go alone.
    repeats: HashSet<usize>,
    over_kept: HashMap<usize, OverKept>,
}

/// Finds the couplings of a graph.
pub fn couplings<'a>(graph: &Graph<'a>) -> Couplings<'a> {
    couplings_by(graph, Choice::default())
}

/// Finds the couplings of a graph by what the user chose.
pub fn couplings_by<'a>(graph: &Graph<'a>, choice: Choice) -> Couplings<'a> {
    let attention = match choice.heads_are_whole() {
        true => heads::attention_nodes(graph),
        false => heads::AttentionNodes::default(),
    };
    let mut walk = Walk {
        graph,
        known: Known::of(graph),
        values: HashMap::new(),
        units: Units::default(),
        axes: HashMap::new(),
        follows: Vec::new(),
        never_empty: Vec::new(),
        heads: Vec::new(),
        makers: Vec::new(),
        zeros: HashSet::new(),
        choice,
        means: if choice.layer_norm {
            inexact::means_of_layer_norms(graph)
        } else {
            HashSet::new()
        },
        into_whole: into_whole(graph, attention.reshapes),
        repeats: match choice.query_heads {
            true => attention.repeats,
            false => HashSet::new(),
        },
        over_kept: HashMap::new(),
    };
    for input in &graph.inputs {
        let value = Tracked::fixed(Some(input.shape.clone()), input.dtype);
        walk.values.insert(input.name, value);
    }
    for (name, constant) in &graph.constants {
        let shape = constant.dims.iter().map(|dim| Some(*dim)).collect();
        walk.values
            .insert(name, Tracked::fixed(Some(shape), constant.read_as()));
    }
    for (number, node) in graph.nodes.iter().enumerate() {
        walk.visit(number, node);
    }
    for output in &graph.outputs {
        walk.hold_all(output, "outputs of the graph");
    }
    let tied = walk.tie_uses();
    let parameters = walk.parameters();
    let shapes = walk.values.iter();
    let shapes = shapes.filter_map(|(name, value)| Some((*name, value.shape.clone()?)));
    let labels = walk
        .values
        .iter()
        .map(|(name, value)| (*name, value.labels.clone()));
    let not_zero = walk.values.iter().filter(|(_, value)| value.not_zero.is_some());
    let computed = walk.known.computed.drain();
    let computed = computed.filter(|(_, value)| value.array.iter().all(|x| !x.is_nan()));
    Couplings {
        shapes: shapes.collect(),
        computed: computed.map(|(name, value)| (name, value.array)).collect(),
        parameters,
        tied,
        not_zero: not_zero.map(|(name, _)| *name).collect(),
        labels: labels.collect(),
        makers: walk.makers,
        units: walk.units,
        follows: walk.follows,
        never_empty: walk.never_empty,
        heads: walk.heads,
        over_kept: walk.over_kept,
    }
}

/// The reshapes that divide channels into parts that go as a whole: into these heads, and into groups of a norm.
fn into_whole(graph: &Graph<'_>, heads: HashMap<usize, heads::Heads>) -> HashMap<usize, Whole> {
    let mut all = HashMap::new();
    let heads = heads.into_iter();
    all.extend(heads.map(|(number, heads)| (number, Whole::Heads(heads))));
    let groups = group_norm::divide_into_groups(graph).into_iter();
    all.extend(groups.map(|number| (number, Whole::Groups)));
    all
}

impl<'a> Walk<'a, '_> {
    fn visit(&mut self, number: usize, node: &Node<'a>) {
        // The values of `Constant` nodes and of copies are there already.
        if node
            .outputs
            .first()
            .is_some_and(|name| self.graph.constants.contains_key(name))
        {
            return;
        }
        let shapes: Vec<Option<Shape>> = node
            .inputs
            .iter()
            .map(|input| self.values.get(input).and_then(|value| value.shape.clone()))
            .collect();
        self.note_zeros(node);
        if let Some(array) = reference::of_shapes(&self.known, node, &shapes) {
            let shape = array.shape().iter().map(|length| Some(*length)).collect();
            let mut computed = self.computed(node, array);
            if computed.dtype == FLOAT {
                // What a runtime computes, so that it can be written out.
                computed.array.mapv_inplace(|x| f64::from(x as f32));
            }
            let value = Tracked::fixed(Some(shape), computed.dtype);
            if let Some(output) = node.outputs.first() {
                self.known.computed.insert(output, computed);
                self.values.insert(output, value);
            }
            return;
        }
        self.freeze(number, node);
        let dtype = self.dtype(node);
        let shape = infer(&self.known, node, &shapes);
        let mut outputs = match self.rule(number, node, shape.clone()) {
            Some(outputs) => outputs,
            None => {
                let reason = if node.op.is_empty() {
                    "an operator of another domain"
                } else {
                    node.op
                };
                for input in &node.inputs {
                    self.hold_all(input, reason);
                }
                vec![Tracked::fixed(shape, dtype)]
            }
        }
        .into_iter();
        self.hold_what_is_computed_half(number, node);
        for name in node.outputs.iter().copied() {
            let mut value = outputs.next().unwrap_or_default();
            if value.dtype == 0 {
                value.dtype = dtype;
            }
            if !name.is_empty() {
                self.values.insert(name, value);
            }
        }
    }

    /// A value that was computed from shapes, and what each of its entries depends on.
    fn computed(&self, node: &Node<'a>, array: ArrayD<f64>) -> Computed {
        let from = if node.op == "Shape" {
            let labels = self.value(node.inputs[0]).labels;
            let rank = labels.len();
            let start = node.int("start").unwrap_or(0);
            let start = if start < 0 {
                (start + rank as i64).max(0)
            } else {
                start
            } as usize;
            let labels = labels.into_iter().skip(start).take(array.len());
            labels.map(|labels| labels.into_iter().collect()).collect()
        } else {
            let of = |(place, entry): (usize, usize)| -> Vec<Labels> {
                let value = node.input(place).and_then(|name| self.known.computed.get(name));
                value
                    .and_then(|value| value.from.get(entry))
                    .cloned()
                    .unwrap_or_default()
            };
            match reference::origins(&self.known, node) {
                Some(origins) => origins.into_iter().map(of).collect(),
                None => {
                    let inputs = node
                        .inputs
                        .iter()
                        .filter_map(|name| self.known.computed.get(name));
                    let all: Vec<Labels> = inputs.flat_map(|value| value.labels().cloned()).collect();
                    vec![all; array.len()]
                }
            }
        };
        let dtype = match node.op {
            "Shape" => INT64,
            "Cast" => node.int("to").unwrap_or(0),
            _ => self.dtype(node),
        };
        Computed { array, dtype, from }
    }

    /// Inputs that are computed from lengths which may be cut, but that mean something else than these lengths, such as
    /// the scale of attention, keep the values that they have.
    fn freeze(&mut self, number: usize, node: &Node<'a>) {
        for (place, name) in node.inputs.iter().enumerate() {
            let Some(value) = self.known.computed.get(name) else {
                continue;
            };
            if value.labels().next().is_some() && value.is_known() {
                let value = value.clone();
                self.follow(number, Change::Frozen { place, value });
            }
        }
    }

    /// Holds what an input depends on that is known in part, so that it cannot be written out, and that no rule wrote.
    fn hold_what_is_computed_half(&mut self, number: usize, node: &Node<'a>) {
        for (place, name) in node.inputs.iter().enumerate() {
            let Some(value) = self.known.computed.get(name).filter(|value| !value.is_known()) else {
                continue;
            };
            let written = self
                .follows
                .iter()
                .rev()
                .take_while(|follow| follow.node == number);
            let written = written
                .filter(|follow| matches!(&follow.change, Change::Input { place: own, .. } if *own == place))
                .count();
            if written == 0 {
                for labels in value.labels().cloned().collect::<Vec<_>>() {
                    self.units.hold(&labels, "a computation with its length");
                }
            }
        }
    }

    /// Notes an output that is all zero.
    fn note_zeros(&mut self, node: &Node<'a>) {
        let zeros = match node.op {
            "ConstantOfShape" => node.tensor("value").is_none_or(|value| {
                let value = Constant::read(value, &[], &External::default()).ok();
                value
                    .and_then(|value| value.floats())
                    .is_some_and(|values| values == [0.0])
            }),
            "Expand" | "Reshape" | "Unsqueeze" | "Squeeze" | "Identity" | "Cast" | "Slice" | "Transpose" => {
                node.input(0).is_some_and(|name| self.is_zeros(name))
            }
            _ => false,
        };
        if let Some(output) = node.outputs.first().filter(|_| zeros) {
            self.zeros.insert(output);
        }
    }

    /// Whether a value is known to be all zero.
    fn is_zeros(&self, name: &str) -> bool {
        /// More than a constant state has.
        const MOST: usize = 1 << 16;
        let constant = self
            .graph
            .constants
            .get(name)
            .filter(|constant| constant.len() <= MOST);
        let values = constant.and_then(|constant| constant.floats());
        self.zeros.contains(name) || values.is_some_and(|values| values.iter().all(|x| *x == 0.0))
    }

    /// The type of the first output of a node.
    fn dtype(&self, node: &Node<'a>) -> i64 {
        let of = |place: usize| {
            let value = node.input(place).and_then(|name| self.values.get(name));
            value.map_or(0, |value| value.dtype)
        };
        match (node.op, &node.integers) {
            (_, Some(integers)) => integers.output_type(self.graph),
            ("Cast", _) => node.int("to").unwrap_or(0),
            ("Where", _) => of(1),
            _ => of(0),
        }
    }

    fn follow(&mut self, node: usize, change: Change) {
        self.follows.push(Follow { node, change });
    }

    /// Holds all units of a value, and those of a weight.
    fn hold_all(&mut self, name: &'a str, reason: &str) {
        if self.graph.initializers.contains(name) {
            let rank = self.graph.constants[name].dims.len();
            (0..rank).for_each(|dim| self.fix(name, dim, reason));
            return;
        }
        for labels in self.value(name).labels.iter().flatten() {
            self.units.hold(labels, reason);
        }
    }

    /// A value as an operator takes it that only moves entries: of a weight, all axes can be cut.
    fn read(&mut self, name: &'a str, kind: &str) -> Tracked {
        if self.is_weight(name) {
            self.weight(name, kind)
        } else {
            self.value(name)
        }
    }

    /// Holds the units of a dimension.
    fn hold_dim(&mut self, value: &Tracked, dim: usize, reason: &str) {
        if let Some(labels) = value.units(dim) {
            self.units.hold(labels, reason);
        }
    }

    fn hold_from(&mut self, value: &Tracked, first: usize, reason: &str) {
        for dim in first..value.labels.len() {
            self.hold_dim(value, dim, reason);
        }
    }

    /// Holds the units of the batch and of what follows the channels.
    fn hold_all_but_channels(&mut self, value: &Tracked, reason: &str) {
        self.hold_from(value, 2, reason);
        self.hold_dim(value, 0, reason);
    }

    /// The units of a dimension that is consumed; they are held if they are not zero once they are removed.
    fn consume(&mut self, value: &Tracked, dim: usize) -> Option<Labels> {
        let labels = value.units(dim)?.clone();
        if let Some(op) = value.not_zero.as_ref().filter(|_| !self.choice.as_they_are) {
            self.units.hold(&labels, &not_zero(op));
        }
        Some(labels)
    }
}

/// The reason of what is held because an operator makes something else than zero of it.
fn not_zero(op: &str) -> String {
    format!("{op}, which is not zero at zero")
}
