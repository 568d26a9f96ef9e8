//! Constants of channels that are removed: what reads such a channel adds the same at every place, so its bias takes that up.

use std::collections::{BTreeMap, HashSet};

use ndarray::{Array2, Axis, Ix2};

use crate::graph::{Graph, Node};
use crate::reference::from_constant;
use crate::shapes::is_padded;
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
    /// The dimension of the weight that is its outputs: of the first two, of which the other is its inputs.
    outputs: usize,
    /// Its bias, if it has one.
    bias: Option<&'a str>,
    /// The number of groups, each of which reads channels of its own.
    groups: usize,
}

/// How a node takes up what a dimension of one of its inputs sends; `None` if it cannot, because it looks at what is beyond
/// the edge of the image, too, or because its weights are computed.
fn reader<'a>(graph: &Graph<'a>, node: &Node<'a>, name: &str, dim: usize) -> Option<Reader<'a>> {
    let weight = node.input(1)?;
    let dims = &graph
        .constants
        .get(weight)
        .filter(|weight| weight.dtype.is_float() && weight.quantization.is_none())?
        .dims;
    if node.input(0) != Some(name) || node.input(2) == Some(name) {
        return None;
    }
    let one = |attribute: &str| node.float(attribute).is_none_or(|factor| factor == 1.0);
    let outputs = match node.op {
        "Conv" => {
            let fits = dim == 1 && !is_padded(node);
            fits.then_some(0)?
        }
        "Gemm" => {
            let fits = dim == 1 && node.int("transA").unwrap_or(0) == 0 && one("alpha") && one("beta");
            fits.then_some(match node.int("transB").unwrap_or(0) {
                0 => 1,
                _ => 0,
            })?
        }
        "MatMul" if dims.len() == 2 => 1,
        _ => return None,
    };
    let length = *dims.get(outputs)?;
    dims.get(1)?;
    let groups = usize::try_from(node.int("group").unwrap_or(1)).ok()?;
    (groups > 0 && length.is_multiple_of(groups)).then_some(())?;
    let bias = match (node.op, node.input(2)) {
        ("MatMul", _) | (_, None) => None,
        (_, Some(bias)) => {
            let constant = graph.constants.get(bias)?;
            let fits = graph.initializers.contains(bias) && constant.quantization.is_none();
            let fits = fits && constant.dims == [length];
            Some(fits.then_some(bias)?)
        }
    };
    Some(Reader {
        weight,
        outputs,
        bias,
        groups,
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
    // A node's constants follow each other, so that its weight is read once.
    for of_node in constants.chunk_by(|a, b| a.node == b.node) {
        let node = &graph.nodes[of_node[0].node];
        let reader = node.input(0).and_then(|read| reader(graph, node, read, 1));
        let sums = reader.and_then(|reader| Some((kernel_sums(graph, &reader)?, reader.groups)));
        let removed = of_node.iter().filter(|constant| removed.contains(&constant.unit));
        let (Some((sums, groups)), Some(_)) = (sums, removed.clone().next()) else {
            continue;
        };
        let (outputs, inputs) = (sums.nrows() / groups, sums.ncols());
        let mut shift = vec![0.0; sums.nrows()];
        for Constant { channel, value, .. } in removed {
            // The outputs of the group that reads it.
            let Some(group) = channel.checked_div(inputs).filter(|group| *group < groups) else {
                continue;
            };
            let column = sums.column(channel % inputs);
            let of_group = group * outputs..(group + 1) * outputs;
            of_group.for_each(|output| shift[output] += value * column[output]);
        }
        shifts.insert(of_node[0].node, shift);
    }
    shifts
}

/// Of each output and each input of a weight, the sum over its kernel: what an input of ones makes of the output.
fn kernel_sums(graph: &Graph<'_>, reader: &Reader<'_>) -> Option<Array2<f64>> {
    let mut weight = from_constant(&graph.constants[reader.weight])?;
    while weight.ndim() > 2 {
        weight = weight.sum_axis(Axis(2));
    }
    let sums = weight.into_dimensionality::<Ix2>().ok()?;
    Some(if reader.outputs == 0 {
        sums
    } else {
        sums.reversed_axes()
    })
}

/// The dimension of the output of a node that its bias runs along.
pub fn dimension(node: &Node<'_>, rank: usize) -> usize {
    if node.op == "MatMul" {
        rank.saturating_sub(1)
    } else {
        1
    }
}

/// The bias of a node that gets a shift, for each output.
pub struct NewBias<'a> {
    /// Its name, if the node had one.
    pub name: Option<&'a str>,
    /// The number of its type.
    pub dtype: i64,
    exact: Vec<f64>,
}

impl<'a> NewBias<'a> {
    /// That of a node that gets this shift.
    pub fn of(graph: &Graph<'a>, node: &Node<'a>, shift: &[f64]) -> Option<Self> {
        let Reader { weight, bias, .. } = reader(graph, node, node.input(0)?, 1)?;
        let before = match bias {
            Some(bias) => from_constant(&graph.constants[bias])?.into_iter().collect(),
            None => vec![0.0; shift.len()],
        };
        let exact = before.iter().zip(shift).map(|(before, shift)| before + shift);
        Some(NewBias {
            name: bias,
            dtype: graph.constants[bias.unwrap_or(weight)].dtype.number(),
            exact: exact.collect(),
        })
    }

    /// As it is written.
    pub fn values(&self) -> Vec<f64> {
        self.exact.iter().map(|x| rounded(self.dtype, *x)).collect()
    }

    /// By how much what is written differs from what is exact.
    pub fn rounding(&self) -> Vec<f64> {
        self.exact.iter().map(|x| rounded(self.dtype, *x) - x).collect()
    }
}
