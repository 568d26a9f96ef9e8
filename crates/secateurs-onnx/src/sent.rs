//! What masked channels still send: a channel whose weights are zero sends its bias, and what follows makes of that.
//!
//! Such a channel is followed through the graph as one number. It can be removed, and the model computes what it computed
//! before, where that number is zero wherever the channel is read, or where a bias takes it up.

use std::collections::{HashMap, HashSet};

use ndarray::{ArrayD, Axis, IxDyn};

use crate::bias::{Constant, takes_up};
use crate::couple::{Couplings, Labels};
use crate::graph::{Graph, Node};
use crate::reference::{self, from_constant};
use crate::shapes::{ELEMENTWISE, is_padded};

/// Operators that make one number of one number, wherever it stands.
const THROUGH: [&str; 13] = [
    "BatchNormalization",
    "PRelu",
    "Add",
    "Sub",
    "Mul",
    "Div",
    "BiasGelu",
    "FastGelu",
    "Cast",
    "Clip",
    "Where",
    "Min",
    "Max",
];

/// Operators that give back the number that fills a channel.
const POOLS: [&str; 5] = [
    "MaxPool",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "Resize",
    "Dropout",
];

/// Operators that move channels.
const MOVES: [&str; 9] = [
    // Integers are followed as what they stand for.
    "DequantizeLinear",
    "Flatten",
    "Gather",
    "Reshape",
    "Squeeze",
    "Unsqueeze",
    "Transpose",
    "Identity",
    "Concat",
];

/// The units of which all weights that make them are zero.
pub struct Sent {
    /// Those that can go: wherever they are read, they send zero, or a constant that a bias takes up.
    pub nothing: HashSet<u32>,
    /// Those that send something else.
    pub something: HashSet<u32>,
    /// The constants that biases take up.
    pub constants: Vec<Constant>,
}

/// What the units of a graph send.
pub fn sent(graph: &Graph<'_>, couplings: &Couplings<'_>) -> Sent {
    let root = |unit: &u32| couplings.units.root(*unit);
    let (mut masked, mut alive) = (HashSet::new(), HashSet::new());
    for (name, dim) in &couplings.makers {
        let (Some(Some(labels)), Some(array)) = (
            couplings.parameters.get(name).and_then(|axes| axes.get(*dim)),
            from_constant(&graph.constants[name]),
        ) else {
            continue;
        };
        for (index, unit) in labels.iter().enumerate() {
            let zero = array.index_axis(Axis(*dim), index).iter().all(|x| *x == 0.0);
            if zero {
                masked.insert(root(unit))
            } else {
                alive.insert(root(unit))
            };
        }
    }
    masked.retain(|unit| !alive.contains(unit));
    let mut numbers: HashMap<&str, ArrayD<f64>> = HashMap::new();
    let mut something = HashSet::new();
    let mut constants = Vec::new();
    for (at, node) in graph.nodes.iter().enumerate() {
        let Some(output) = node.outputs.first() else {
            continue;
        };
        let number = follow(graph, couplings, node, &numbers, &masked);
        if number.is_none() {
            // It reads its inputs: what they send matters here.
            for name in node
                .inputs
                .iter()
                .filter(|name| !graph.constants.contains_key(*name))
            {
                let labels = couplings.labels.get(name).into_iter().flatten();
                for (dim, labels) in labels
                    .enumerate()
                    .filter_map(|(dim, own)| Some((dim, own.as_ref()?)))
                {
                    for (index, unit) in labels
                        .iter()
                        .enumerate()
                        .filter(|(_, unit)| masked.contains(&root(unit)))
                    {
                        // Without a number it is what operators make of zero: what was not zero was noted before.
                        let sends = match numbers.get(name) {
                            Some(array) if array.shape()[dim] == labels.len() => {
                                same(array.index_axis(Axis(dim), index).iter())
                            }
                            Some(_) => f64::NAN,
                            None if couplings.not_zero.contains(name) => f64::NAN,
                            None => 0.0,
                        };
                        let rank = couplings.labels.get(name).map_or(0, Vec::len);
                        if sends.is_finite() && sends != 0.0 && takes_up(graph, node, name, dim, rank) {
                            constants.push(Constant {
                                node: at,
                                channel: index,
                                unit: root(unit),
                                value: sends,
                            });
                        } else if sends != 0.0 {
                            something.insert(root(unit));
                        }
                    }
                }
            }
        }
        let number = number.or_else(|| made(graph, couplings, node, &masked));
        if let Some(number) = number {
            numbers.insert(output, reference::as_quantized(graph, node, number));
        }
    }
    let nothing = masked
        .into_iter()
        .filter(|unit| !something.contains(unit))
        .collect();
    Sent {
        nothing,
        something,
        constants,
    }
}

/// The number that all of these are; NaN if they differ.
fn same<'x>(mut numbers: impl Iterator<Item = &'x f64>) -> f64 {
    match numbers.next() {
        Some(first) if numbers.all(|x| x == first) => *first,
        _ => f64::NAN,
    }
}

/// The axis of a value that has units, if it is one.
fn axis<'c>(couplings: &'c Couplings<'_>, name: &str) -> Option<(usize, &'c Labels)> {
    only_axis(couplings.labels.get(name)?)
}

fn only_axis(labels: &[Option<Labels>]) -> Option<(usize, &Labels)> {
    let mut with = labels
        .iter()
        .enumerate()
        .filter_map(|(dim, labels)| Some((dim, labels.as_ref()?)));
    with.next().filter(|_| with.next().is_none())
}

/// What a layer makes of masked channels: its bias.
fn made(
    graph: &Graph<'_>,
    couplings: &Couplings<'_>,
    node: &Node<'_>,
    masked: &HashSet<u32>,
) -> Option<ArrayD<f64>> {
    let output = node.outputs.first()?;
    let (dim, labels) = axis(couplings, output)?;
    let bias = match node.op {
        "Conv" | "ConvTranspose" | "Gemm" => node.input(2),
        "MatMul" => None,
        // Whatever comes in: zero where scale and shift are.
        "LayerNormalization" => return scaled(graph, couplings, node, node.inputs.get(1..)?, masked),
        "SkipLayerNormalization" => {
            let weights = node.inputs.get(2..node.inputs.len().min(4))?;
            return scaled(graph, couplings, node, weights, masked);
        }
        _ => return None,
    };
    let bias = match bias {
        Some(name) => Some(from_constant(graph.constants.get(name)?)?),
        None => None,
    };
    let of = |(index, unit): (usize, &u32)| match (masked.contains(&couplings.units.root(*unit)), &bias) {
        (false, _) => f64::NAN,
        (true, None) => 0.0,
        (true, Some(bias)) => bias.iter().nth(index).copied().unwrap_or(f64::NAN),
    };
    let mut shape = vec![1; couplings.labels[output].len()];
    shape[dim] = labels.len();
    ArrayD::from_shape_vec(IxDyn(&shape), labels.iter().enumerate().map(of).collect()).ok()
}

/// What a norm sends: zero where its scale and its shift are zero, and otherwise something that is not known.
fn scaled(
    graph: &Graph<'_>,
    couplings: &Couplings<'_>,
    node: &Node<'_>,
    weights: &[&str],
    masked: &HashSet<u32>,
) -> Option<ArrayD<f64>> {
    let (dim, labels) = axis(couplings, node.output()?)?;
    let weights = weights.iter().filter(|name| !name.is_empty());
    let weights: Vec<ArrayD<f64>> = weights
        .map(|name| from_constant(graph.constants.get(name)?))
        .collect::<Option<_>>()?;
    let of = |(index, unit): (usize, &u32)| {
        let zero = weights
            .iter()
            .all(|values| values.iter().nth(index) == Some(&0.0));
        let zero = zero && masked.contains(&couplings.units.root(*unit));
        if zero { 0.0 } else { f64::NAN }
    };
    let mut shape = vec![1; couplings.labels[node.output()?].len()];
    shape[dim] = labels.len();
    ArrayD::from_shape_vec(IxDyn(&shape), labels.iter().enumerate().map(of).collect()).ok()
}

/// A value without numbers: what operators make of zero, which is zero unless the walk says otherwise; what was not zero was
/// noted before.
fn assumed(couplings: &Couplings<'_>, name: &str, masked: &HashSet<u32>) -> ArrayD<f64> {
    let unknown = ArrayD::from_elem(IxDyn(&[]), f64::NAN);
    let Some((dim, labels)) = axis(couplings, name).filter(|_| !couplings.not_zero.contains(name)) else {
        return unknown;
    };
    let number = |unit: &u32| {
        if masked.contains(&couplings.units.root(*unit)) {
            0.0
        } else {
            f64::NAN
        }
    };
    let mut shape = vec![1; couplings.labels[name].len()];
    shape[dim] = labels.len();
    ArrayD::from_shape_vec(IxDyn(&shape), labels.iter().map(number).collect()).unwrap_or(unknown)
}

/// The numbers of an operator that only moves channels, or those of a weight, by the units that these belong to.
fn moved(
    graph: &Graph<'_>,
    couplings: &Couplings<'_>,
    node: &Node<'_>,
    numbers: &HashMap<&str, ArrayD<f64>>,
    masked: &HashSet<u32>,
) -> Option<ArrayD<f64>> {
    let output = node.output()?;
    let (dim, labels) = axis(couplings, output)?;
    let all = if node.op == "Concat" { node.inputs.len() } else { 1 };
    let mut by_unit: HashMap<u32, f64> = HashMap::new();
    for name in node.inputs.iter().take(all) {
        let labels = couplings.parameters.get(name).or(couplings.labels.get(name));
        let Some((at, own)) = labels.and_then(|labels| only_axis(labels)) else {
            continue;
        };
        let array = match (numbers.get(name), graph.constants.get(name)) {
            (Some(array), _) => array.clone(),
            (None, Some(constant)) => from_constant(constant)?,
            (None, None) => assumed(couplings, name, masked),
        };
        if array.shape().get(at) != Some(&own.len()) {
            return None;
        }
        for (index, unit) in own.iter().enumerate() {
            let number = same(array.index_axis(Axis(at), index).iter());
            let known = by_unit.entry(couplings.units.root(*unit)).or_insert(number);
            if *known != number {
                *known = f64::NAN;
            }
        }
    }
    let of = |unit: &u32| {
        by_unit
            .get(&couplings.units.root(*unit))
            .copied()
            .unwrap_or(f64::NAN)
    };
    let mut shape = vec![1; couplings.labels[output].len()];
    shape[dim] = labels.len();
    ArrayD::from_shape_vec(IxDyn(&shape), labels.iter().map(of).collect()).ok()
}

/// What a node makes of the numbers that its inputs send. `None` if it does more than to make one number of each.
fn follow<'a>(
    graph: &Graph<'a>,
    couplings: &Couplings<'a>,
    node: &Node<'a>,
    numbers: &HashMap<&str, ArrayD<f64>>,
    masked: &HashSet<u32>,
) -> Option<ArrayD<f64>> {
    let (dim, labels) = axis(couplings, node.outputs.first()?)?;
    let first = numbers.get(node.input(0)?);
    let wide = |array: &ArrayD<f64>| array.ndim() > dim && array.shape()[dim] == labels.len();
    let depthwise = node.op == "Conv"
        && node
            .int("group")
            .is_some_and(|groups| groups as usize == labels.len());
    match node.op {
        // Beyond the edge it puts a number of its own.
        "Resize" if node.text("coordinate_transformation_mode") == Some("tf_crop_and_resize") => None,
        op if POOLS.contains(&op) => first.filter(|array| wide(array)).cloned(),
        // It makes its channel anew, of weights that go with it.
        "Conv" if depthwise => made(graph, couplings, node, masked),
        "QuantizeLinear" => first.filter(|array| wide(array)).cloned(),
        op if THROUGH.contains(&op) || ELEMENTWISE.contains(&op) => {
            let mut values = HashMap::new();
            for name in node.inputs.iter().copied().filter(|name| !name.is_empty()) {
                let value = match (numbers.get(name), graph.constants.get(name)) {
                    (Some(number), _) => number.clone(),
                    (None, Some(constant)) => from_constant(constant)?,
                    (None, None) => assumed(couplings, name, masked),
                };
                values.insert(name, value);
            }
            // What is the same whatever stands for what is not known, such as zero times anything.
            let with = |stand_in: f64| {
                let values = values.iter().enumerate().map(|(number, (name, array))| {
                    let other = stand_in + 0.37 * number as f64;
                    (*name, array.mapv(|x| if x.is_nan() { other } else { x }))
                });
                reference::node(graph, node, &values.collect())
            };
            let (one, other) = (with(0.731)?, with(-1.972)?);
            let mut same = one;
            same.zip_mut_with(&other, |one, other| {
                *one = if *one == *other { *one } else { f64::NAN }
            });
            Some(same).filter(|array| wide(array))
        }
        "ReduceMean" | "ReduceMax" | "ReduceMin" => {
            let (dim, labels) = axis(couplings, node.input(0)?)?;
            let rank = couplings.labels.get(node.input(0)?)?.len() as i64;
            let axes = match node.ints("axes") {
                Some(axes) => axes.to_vec(),
                None => graph.constants.get(node.input(1)?)?.ints()?,
            };
            let others = axes.iter().all(|axis| axis.rem_euclid(rank) != dim as i64);
            let known = first.is_some_and(|array| array.shape().get(dim) == Some(&labels.len()));
            (others && known && !axes.is_empty()).then(|| moved(graph, couplings, node, numbers, masked))?
        }
        "AveragePool" => {
            let inside = !is_padded(node) && node.int("ceil_mode").unwrap_or(0) == 0;
            let only_inside = node.int("count_include_pad").unwrap_or(0) == 0;
            first
                .filter(|array| (inside || only_inside) && wide(array))
                .cloned()
        }
        "Gather" if graph.constants.contains_key(node.input(0)?) => None,
        op if MOVES.contains(&op) => moved(graph, couplings, node, numbers, masked),
        _ => None,
    }
}
