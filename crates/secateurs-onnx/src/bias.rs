//! Constants of channels that are removed: what reads such a channel adds the same at every place, so its bias takes that up.

use std::collections::{BTreeMap, HashSet};

use ndarray::{ArrayD, Axis};

use crate::graph::{Graph, Node};
use crate::reference::from_constant;
use crate::tensor::rounded;

/// A channel that sends a constant to a node whose bias can take that up.
#[derive(Clone, Debug)]
pub struct Constant {
    /// The number of the node.
    pub node: usize,
    /// Which of the channels that it reads.
    pub channel: usize,
    /// The unit of that channel.
    pub unit: u32,
    /// What it sends.
    pub value: f64,
}

/// What nodes, by number, get added to their bias: one number for each output.
pub type Shifts = BTreeMap<usize, Vec<f64>>;

/// How a node takes up constants.
struct Reader<'a> {
    weight: &'a str,
    /// The dimensions of the weight that are its inputs and its outputs.
    inputs: usize,
    outputs: usize,
    /// Its bias, if it has one.
    bias: Option<&'a str>,
}

/// How a node takes up what a dimension of one of its inputs sends; `None` if it cannot, because it looks at what is beyond
/// the edge of the image, too, or because its weights are computed.
fn reader<'a>(graph: &Graph<'a>, node: &Node<'a>, name: &str, dim: usize) -> Option<Reader<'a>> {
    let weight = node.input(1)?;
    let dims = &graph
        .constants
        .get(weight)
        .filter(|weight| weight.dtype.is_float())?
        .dims;
    if node.input(0) != Some(name) || node.input(2) == Some(name) {
        return None;
    }
    let one = |attribute: &str| node.float(attribute).is_none_or(|factor| factor == 1.0);
    let (inputs, outputs) = match node.op {
        "Conv" => {
            let padded = node
                .ints("pads")
                .is_some_and(|pads| pads.iter().any(|pad| *pad != 0));
            let by_itself = node.text("auto_pad").is_some_and(|how| how.starts_with("SAME"));
            let fits = dim == 1 && node.int("group").unwrap_or(1) == 1 && !padded && !by_itself;
            fits.then_some((1, 0))?
        }
        "Gemm" => {
            let fits = dim == 1 && node.int("transA").unwrap_or(0) == 0 && one("alpha") && one("beta");
            fits.then_some(match node.int("transB").unwrap_or(0) {
                0 => (0, 1),
                _ => (1, 0),
            })?
        }
        "MatMul" if dims.len() == 2 => (0, 1),
        _ => return None,
    };
    let length = *dims.get(outputs)?;
    dims.get(inputs)?;
    let bias = match (node.op, node.input(2)) {
        ("MatMul", _) | (_, None) => None,
        (_, Some(bias)) => {
            let constant = graph.constants.get(bias)?;
            let fits = graph.initializers.contains(bias) && constant.dims == [length];
            Some(fits.then_some(bias)?)
        }
    };
    Some(Reader {
        weight,
        inputs,
        outputs,
        bias,
    })
}

/// Whether the bias of a node can take up what a dimension of one of its inputs sends.
pub fn takes_up<'a>(graph: &Graph<'a>, node: &Node<'a>, name: &str, dim: usize, rank: usize) -> bool {
    let last = node.op != "MatMul" || dim + 1 == rank;
    last && reader(graph, node, name, dim).is_some()
}

/// What is added to the biases of the nodes that read channels which are removed.
pub fn shifts(graph: &Graph<'_>, constants: &[Constant], removed: &HashSet<u32>) -> Shifts {
    let mut shifts = Shifts::new();
    for Constant {
        node,
        channel,
        unit,
        value,
    } in constants
    {
        let read = graph.nodes[*node].input(0).unwrap_or_default();
        let reader = reader(graph, &graph.nodes[*node], read, 1);
        let (true, Some(reader)) = (removed.contains(unit), reader) else {
            continue;
        };
        let Some(weight) = from_constant(&graph.constants[reader.weight]) else {
            continue;
        };
        let weight: ArrayD<f64> = weight.index_axis_move(Axis(reader.inputs), *channel);
        // One dimension is gone before it.
        let outputs = reader.outputs - usize::from(reader.outputs > reader.inputs);
        let shift = shifts
            .entry(*node)
            .or_insert_with(|| vec![0.0; weight.shape()[outputs]]);
        for (shift, of_output) in shift.iter_mut().zip(weight.axis_iter(Axis(outputs))) {
            *shift += value * of_output.sum();
        }
    }
    shifts
}

/// The dimension of the output of a node that its bias runs along.
pub fn dimension(node: &Node<'_>, rank: usize) -> usize {
    if node.op == "MatMul" {
        rank.saturating_sub(1)
    } else {
        1
    }
}

/// The bias of a node with its shift, as it is written, for each output, and its name if it had one.
pub struct NewBias<'a> {
    pub name: Option<&'a str>,
    /// The number of its type.
    pub dtype: i64,
    pub values: Vec<f64>,
}

/// The bias of a node that gets this shift.
pub fn new_bias<'a>(graph: &Graph<'a>, node: &Node<'a>, shift: &[f64]) -> Option<NewBias<'a>> {
    let Reader { weight, bias, .. } = reader(graph, node, node.input(0)?, 1)?;
    let before = match bias {
        Some(bias) => from_constant(&graph.constants[bias])?.into_iter().collect(),
        None => vec![0.0; shift.len()],
    };
    let dtype = graph.constants[bias.unwrap_or(weight)].dtype.number();
    let values = before.iter().zip(shift);
    Some(NewBias {
        name: bias,
        dtype,
        values: values
            .map(|(before, shift)| rounded(dtype, before + shift))
            .collect(),
    })
}

/// By how much the bias that is written differs from the exact one, for each output, because it is rounded.
pub fn rounding(graph: &Graph<'_>, node: &Node<'_>, shift: &[f64]) -> Option<Vec<f64>> {
    let new = new_bias(graph, node, shift)?;
    let before: Vec<f64> = match new.name {
        Some(bias) => from_constant(&graph.constants[bias])?.into_iter().collect(),
        None => vec![0.0; shift.len()],
    };
    let exact = before.iter().zip(shift).map(|(before, shift)| before + shift);
    Some(
        new.values
            .iter()
            .zip(exact)
            .map(|(new, exact)| new - exact)
            .collect(),
    )
}
