//! An interpreter of the operators that are understood, in f64: slow and plain, to compare models with.

mod attention;
mod contraction;
mod convolution;
mod fused;
mod operators;
mod parts;
mod quantized;
mod recurrent;

use std::collections::{HashMap, HashSet};

use ndarray::{ArrayD, Axis, IxDyn};
pub use quantized::as_quantized;

use crate::error::{Error, Result};
use crate::graph::{Graph, Node, contradiction};
use crate::shapes::{Computed, Known, Shape, infer};
use crate::tensor::Constant;

/// How a node of the masked model computes, so that it computes what the node of the smaller model is to compute.
pub struct Adjusted {
    /// The indices of a dimension of its first input that it ranges over, where it ranges over all otherwise.
    pub kept: Option<Kept>,
    /// What its first output is multiplied by, because a constant was rounded.
    pub factor: f64,
    /// Another epsilon.
    pub epsilon: Option<f64>,
    /// What is added to its first output along a dimension, because a bias was rounded.
    pub shift: Option<(usize, Vec<f64>)>,
}

impl Default for Adjusted {
    fn default() -> Self {
        Adjusted {
            kept: None,
            factor: 1.0,
            epsilon: None,
            shift: None,
        }
    }
}

/// The indices of a dimension that are kept.
pub struct Kept {
    pub dim: usize,
    pub indices: Vec<usize>,
}

/// The outputs of a model. `replaced` are values in the place of initializers, and of what follows from shapes alone; some
/// nodes, by number, are `adjusted`. What is `tied` has the value of another name.
pub fn run(
    graph: &Graph<'_>,
    inputs: &HashMap<&str, ArrayD<f64>>,
    replaced: &HashMap<&str, ArrayD<f64>>,
    tied: &HashMap<&str, &str>,
    adjusted: &HashMap<usize, Adjusted>,
) -> Result<Vec<ArrayD<f64>>> {
    // Values are dropped after their last use.
    let mut uses: HashMap<&str, usize> = HashMap::new();
    let reads = graph.nodes.iter().flat_map(Node::reads);
    for name in reads.chain(graph.outputs.iter().copied()) {
        *uses.entry(name).or_insert(0) += 1;
    }
    let mut values: HashMap<&str, ArrayD<f64>> = inputs
        .iter()
        .map(|(name, array)| (*name, array.clone()))
        .collect();
    let mut integers: HashSet<&str> = HashSet::new();
    for (number, node) in graph.nodes.iter().enumerate() {
        // Its value is a constant already.
        if node
            .outputs
            .first()
            .is_some_and(|output| graph.constants.contains_key(output))
        {
            continue;
        }
        for name in node.reads().filter(|name| !name.is_empty()) {
            if !values.contains_key(name) {
                let constant = graph.constants.get(name);
                let array = replaced
                    .get(tied.get(name).unwrap_or(&name))
                    .cloned()
                    .or_else(|| from_constant(constant?));
                let array =
                    array.ok_or_else(|| contradiction(node.name, &format!("`{name}` has no value")))?;
                values.insert(name, array);
            }
        }
        let known = Inputs {
            graph,
            node,
            values: &values,
            integers: is_integer(graph, node, &integers),
            adjusted: adjusted.get(&number),
        };
        let (known_integer, factor) = (known.integers, known.adjusted.map(|adjusted| adjusted.factor));
        let given = node.outputs.first().and_then(|name| replaced.get(name));
        let mut outputs = match node.op {
            _ if given.is_some() => given.cloned().into_iter().collect(),
            _ if node.integers.is_some() => vec![known.on_integers()?],
            "Split" => known.split()?,
            "DynamicQuantizeLinear" => known.quantize_by_range()?,
            "LSTM" | "GRU" | "RNN" => known.recurrent()?,
            "SkipLayerNormalization" | "SkipSimplifiedLayerNormalization" => known.skip_norm()?,
            _ => vec![known.compute()?],
        };
        if let (Some(factor), Some(first)) = (factor, outputs.first_mut()) {
            first.mapv_inplace(|x| x * factor);
        }
        let shift = adjusted.get(&number).and_then(|adjusted| adjusted.shift.as_ref());
        if let (Some((dim, shift)), Some(first)) = (shift, outputs.first_mut())
            && first.shape().get(*dim) == Some(&shift.len())
        {
            let lines = first.axis_iter_mut(Axis(*dim)).zip(shift);
            lines.for_each(|(mut line, shift)| line.mapv_inplace(|x| x + shift));
        }
        for name in node.reads().filter(|name| !name.is_empty()) {
            let left = uses.get_mut(name).expect("every input was counted");
            *left -= 1;
            if *left == 0 {
                values.remove(name);
            }
        }
        if let Some(other) = node.outputs[1..]
            .iter()
            .skip(outputs.len() - 1)
            .find(|name| uses.contains_key(*name))
        {
            return Err(unsupported(node, &format!("its output `{other}` is used")));
        }
        if known_integer {
            integers.extend(node.outputs.first());
        }
        values.extend(node.outputs.iter().copied().zip(outputs));
    }
    let outputs = graph.outputs.iter().map(|name| {
        let value = values.get(name).cloned();
        let value = value.or_else(|| from_constant(graph.constants.get(name)?));
        value.ok_or_else(|| contradiction(name, "this output has no value"))
    });
    outputs.collect()
}

/// The first output of a node for these inputs, if it can be computed.
pub fn node<'a>(
    graph: &Graph<'a>,
    node: &Node<'a>,
    values: &HashMap<&'a str, ArrayD<f64>>,
) -> Option<ArrayD<f64>> {
    let integers = false;
    Inputs {
        graph,
        node,
        values,
        integers,
        adjusted: None,
    }
    .compute()
    .ok()
}

/// The value of a node that only computes with shapes that are fixed, such as the target of a `Reshape`. `None` for all
/// others.
pub fn of_shapes<'a>(
    known: &Known<'_, 'a>,
    node: &Node<'a>,
    shapes: &[Option<Shape>],
) -> Option<ArrayD<f64>> {
    /// More than a shape has dimensions.
    const MOST: usize = 64;
    if node.op == "Shape" {
        let shape = shapes.first()?.clone()?;
        let rank = shape.len() as i64;
        let limit = |name: &str, default: i64| {
            let at = node.int(name).unwrap_or(default);
            (if at < 0 { at.saturating_add(rank) } else { at }).clamp(0, rank) as usize
        };
        let (start, end) = (limit("start", 0), limit("end", rank));
        let part = shape.get(start..end.max(start))?.iter();
        let part = part.map(|length| length.map_or(f64::NAN, |length| length as f64));
        return Some(part.collect::<ndarray::Array1<f64>>().into_dyn());
    }
    let small = |shape: &Option<Shape>| {
        let len = shape.as_ref().and_then(|shape| crate::shapes::product(shape));
        len.is_some_and(|len| len <= MOST)
    };
    // What depends on weights is no business of shapes.
    let of_shapes = |name: &&str| {
        let constant = known.graph.constants.get(*name);
        let constant =
            constant.is_some_and(|own| !own.is_float() || !known.graph.initializers.contains(*name));
        name.is_empty() || constant || known.computed.contains_key(*name)
    };
    let from_shape = !node.inputs.is_empty() && node.inputs.iter().all(of_shapes);
    let given = || {
        node.inputs
            .iter()
            .zip(shapes)
            .filter(|(name, _)| !name.is_empty())
    };
    if !from_shape || !given().all(|(_, shape)| small(shape)) {
        return None;
    }
    let mut values = HashMap::new();
    for name in node.inputs.iter().filter(|name| !name.is_empty()) {
        let value = known.computed.get(name).map(|value| value.array.clone());
        let value = value.or_else(|| from_constant(known.graph.constants.get(name)?))?;
        values.insert(*name, value);
    }
    // What is not known spreads only through operators that look at each entry by itself.
    let partly = values.values().flatten().any(|x| x.is_nan());
    if partly && !SPREADS.contains(&node.op) {
        return None;
    }
    // A position that is not known could be anything.
    if partly && matches!(node.op, "Gather" | "Slice" | "Unsqueeze" | "Squeeze" | "Reshape") {
        let others = node.inputs.iter().skip(1).filter_map(|name| values.get(name));
        if others.flatten().any(|x| x.is_nan()) {
            return None;
        }
    }
    let integer = |name: &&str| {
        let computed = known.computed.get(*name).map(|value| value.dtype);
        let dtype = computed.or_else(|| Some(known.graph.constants.get(*name)?.read_as()));
        name.is_empty() || dtype.is_some_and(is_integer_type)
    };
    let inputs = Inputs {
        graph: known.graph,
        node,
        values: &values,
        integers: node.inputs.iter().all(integer),
        adjusted: None,
    };
    let small = |array: &ArrayD<f64>| array.len() <= MOST;
    let array = match (node.op, partly) {
        ("Equal", true) => {
            let equal = |a: f64, b: f64| {
                if a.is_nan() || b.is_nan() {
                    f64::NAN
                } else {
                    f64::from(u8::from(a == b))
                }
            };
            inputs.binary(equal).ok()
        }
        // What a condition that is not known chooses is known if there is no choice.
        ("Where", true) => {
            let [condition, yes, no] = [0, 1, 2].map(|place| inputs.get(place).ok());
            let same = inputs
                .combine(yes?, no?, |yes, no| if yes == no { yes } else { f64::NAN })
                .ok()?;
            let yes = inputs
                .combine(condition?, yes?, |c, yes| if c == 0.0 { 0.0 } else { yes })
                .ok()?;
            let no = inputs
                .combine(condition?, no?, |c, no| if c == 0.0 { no } else { 0.0 })
                .ok()?;
            let chosen = inputs.combine(&yes, &no, |yes, no| yes + no).ok()?;
            let unknown = condition?.mapv(|c| if c.is_nan() { f64::NAN } else { 0.0 });
            let chosen = inputs
                .combine(&chosen, &unknown, |chosen, unknown| chosen + unknown)
                .ok()?;
            inputs
                .combine(
                    &chosen,
                    &same,
                    |chosen, same| if chosen.is_nan() { same } else { chosen },
                )
                .ok()
        }
        _ => inputs.compute().ok(),
    };
    array.filter(small)
}

/// Of each entry of what a node computes from shapes, which input it is an entry of, and which; `None` for operators that
/// do more than move entries.
pub fn origins<'a>(known: &Known<'_, 'a>, node: &Node<'a>) -> Option<Vec<(usize, usize)>> {
    /// More entries than an input has.
    const STEP: usize = 1 << 16;
    let moved = match node.op {
        "Concat" => node.inputs.len(),
        "Gather" | "Slice" | "Unsqueeze" | "Squeeze" | "Reshape" | "Identity" | "Cast" => 1,
        _ => return None,
    };
    let mut values = HashMap::new();
    for (place, name) in node
        .inputs
        .iter()
        .enumerate()
        .filter(|(_, name)| !name.is_empty())
    {
        let value = known.computed.get(name).map(|value| value.array.clone());
        let mut value = value.or_else(|| from_constant(known.graph.constants.get(name)?))?;
        if place < moved {
            let entries = value.iter_mut().enumerate();
            entries.for_each(|(entry, x)| *x = (place * STEP + entry) as f64);
        }
        // The same value twice: what it depends on is the same, too.
        values.entry(*name).or_insert(value);
    }
    let inputs = Inputs {
        graph: known.graph,
        node,
        values: &values,
        integers: true,
        adjusted: None,
    };
    let codes = inputs.compute().ok()?;
    let codes = codes.iter().map(|code| *code as usize);
    Some(codes.map(|code| (code / STEP, code % STEP)).collect())
}

/// Operators through which an entry that is not known stays one that is not known.
const SPREADS: [&str; 16] = [
    "Gather",
    "Concat",
    "Slice",
    "Unsqueeze",
    "Squeeze",
    "Cast",
    "Mul",
    "Add",
    "Sub",
    "Div",
    "Reshape",
    "Identity",
    "Sqrt",
    "Pow",
    "Equal",
    "Where",
];

/// Whether this is the number of a type of integers.
fn is_integer_type(dtype: i64) -> bool {
    matches!(dtype, 2..=7 | 12 | 13)
}

/// Whether a node gives integers, which divide without a rest.
fn is_integer(graph: &Graph<'_>, node: &Node<'_>, integers: &HashSet<&str>) -> bool {
    let integer = |name: &&str| {
        let constant = graph
            .constants
            .get(*name)
            .is_some_and(|constant| is_integer_type(constant.read_as()));
        integers.contains(name) || constant
    };
    match node.op {
        "Shape" => true,
        "Cast" => node.int("to").is_some_and(is_integer_type),
        "ConstantOfShape" => false,
        _ => node.inputs.iter().filter(|name| !name.is_empty()).all(integer),
    }
}

/// The value of a constant, integers as floats.
pub fn from_constant(constant: &Constant<'_>) -> Option<ArrayD<f64>> {
    let ints = || Some(constant.integers()?.into_iter().map(|x| x as f64).collect());
    let values: Vec<f64> = constant.floats().or_else(ints)?;
    ArrayD::from_shape_vec(IxDyn(&constant.dims), values).ok()
}

/// A node and the values that are there.
#[derive(Clone, Copy)]
struct Inputs<'v, 'a> {
    graph: &'v Graph<'a>,
    node: &'v Node<'a>,
    values: &'v HashMap<&'a str, ArrayD<f64>>,
    /// Whether it computes with integers.
    integers: bool,
    /// What it does otherwise than it says.
    adjusted: Option<&'v Adjusted>,
}

impl Inputs<'_, '_> {
    /// What it ranges over, if not over all.
    fn kept(&self) -> Option<&Kept> {
        self.adjusted?.kept.as_ref()
    }

    /// An input.
    fn get(&self, number: usize) -> Result<&ArrayD<f64>> {
        let value = self.optional(number);
        value.ok_or_else(|| contradiction(self.node.name, &format!("input {number} is missing")))
    }

    /// An input that may be missing.
    fn optional(&self, number: usize) -> Option<&ArrayD<f64>> {
        self.values.get(self.node.input(number)?)
    }

    /// The shapes of all inputs.
    fn shapes(&self) -> Vec<Option<Shape>> {
        let shape = |array: &ArrayD<f64>| array.shape().iter().map(|length| Some(*length)).collect();
        (0..self.node.inputs.len())
            .map(|number| self.optional(number).map(shape))
            .collect()
    }

    /// What is known of integers: all small inputs.
    fn known(&self) -> Known<'_, '_> {
        let mut known = Known::of(self.graph);
        for name in &self.node.inputs {
            if let Some(array) = self
                .values
                .get(name)
                .filter(|array| array.ndim() < 2 && array.len() <= 64)
            {
                let (array, from) = (array.clone(), Vec::new());
                known.computed.insert(
                    name,
                    Computed {
                        array,
                        dtype: 7,
                        from,
                    },
                );
            }
        }
        known
    }

    /// The shape of the first output.
    fn shape(&self) -> Result<Vec<usize>> {
        let shape = infer(&self.known(), self.node, &self.shapes());
        let shape = shape.and_then(|shape| shape.into_iter().collect::<Option<Vec<_>>>());
        shape.ok_or_else(|| self.misfit())
    }

    /// An error about shapes that do not fit.
    fn misfit(&self) -> Error {
        let shapes: Vec<&[usize]> = (0..self.node.inputs.len())
            .filter_map(|i| Some(self.optional(i)?.shape()))
            .collect();
        contradiction(
            self.node.name,
            &format!("inputs of shapes {shapes:?} do not fit {}", self.node.op),
        )
    }
}

fn unsupported(node: &Node<'_>, what: &str) -> Error {
    Error::Unsupported {
        what: format!("to verify the result, {} has to be computed: {what}", node.op),
        at: Some(node.name.to_owned()),
    }
}
