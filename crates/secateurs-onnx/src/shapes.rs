//! Shapes of the outputs of nodes.

use std::collections::HashMap;

use ndarray::ArrayD;

use crate::graph::{Graph, Node};

/// The length of each dimension, where it is fixed.
pub type Shape = Vec<Option<usize>>;

/// What is known of integers that nodes take: constants, and what follows from shapes that are fixed.
pub struct Integers<'g, 'a> {
    pub graph: &'g Graph<'a>,
    /// The values of nodes that only compute with shapes.
    pub computed: HashMap<&'a str, ArrayD<f64>>,
}

impl<'g, 'a> Integers<'g, 'a> {
    /// Those of constants.
    pub fn of(graph: &'g Graph<'a>) -> Self {
        Integers {
            graph,
            computed: HashMap::new(),
        }
    }

    /// The integers of this name, if they are known.
    pub fn get(&self, name: &str) -> Option<Vec<i64>> {
        match self.computed.get(name) {
            Some(array) => Some(array.iter().map(|x| *x as i64).collect()),
            None => self.graph.constants.get(name)?.ints(),
        }
    }
}

/// Operators that work on each entry by itself.
pub const ELEMENTWISE: [&str; 25] = [
    "Relu",
    "LeakyRelu",
    "Sigmoid",
    "Tanh",
    "Clip",
    "HardSwish",
    "HardSigmoid",
    "Elu",
    "Selu",
    "Celu",
    "Softplus",
    "Softsign",
    "Erf",
    "Gelu",
    "Mish",
    "Abs",
    "Neg",
    "Exp",
    "Sqrt",
    "Identity",
    "Dropout",
    "Swish",
    "Sign",
    "Floor",
    "Ceil",
];

/// The shape of the first output of a node, if it can be told.
pub fn infer(known: &Integers<'_, '_>, node: &Node<'_>, inputs: &[Option<Shape>]) -> Option<Shape> {
    // A target without open ends says all.
    if node.op == "Reshape" && inputs.first()?.is_none() {
        let target = known.get(node.input(1)?)?;
        return target
            .iter()
            .map(|length| {
                usize::try_from(*length)
                    .ok()
                    .filter(|length| *length > 0)
                    .map(Some)
            })
            .collect();
    }
    let first = inputs.first()?.clone()?;
    match node.op {
        op if ELEMENTWISE.contains(&op) => Some(first),
        "BatchNormalization"
        | "LayerNormalization"
        | "Softmax"
        | "LogSoftmax"
        | "PRelu"
        | "Cast"
        | "InstanceNormalization"
        | "GroupNormalization" => Some(first),
        "Add" | "Sub" | "Mul" | "Div" | "Pow" => broadcast(&first, inputs.get(1)?.as_ref()?),
        "Conv" => {
            let weight = inputs.get(1)?.as_ref()?;
            let mut shape = vec![*first.first()?, *weight.first()?];
            shape.extend(window(node, first.get(2..)?, weight.get(2..)?)?);
            Some(shape)
        }
        "MaxPool" | "AveragePool" => {
            let kernel: Shape = node
                .ints("kernel_shape")?
                .iter()
                .map(|k| usize::try_from(*k).ok())
                .collect();
            let mut shape = first.get(..2)?.to_vec();
            shape.extend(window(node, first.get(2..)?, &kernel)?);
            Some(shape)
        }
        "GlobalAveragePool" | "GlobalMaxPool" => {
            let pooled = first
                .iter()
                .enumerate()
                .map(|(dim, length)| if dim < 2 { *length } else { Some(1) });
            Some(pooled.collect())
        }
        "Gemm" => {
            let weight = inputs.get(1)?.as_ref()?;
            let rows = if node.int("transA") == Some(1) { 1 } else { 0 };
            let columns = if node.int("transB") == Some(1) { 0 } else { 1 };
            Some(vec![*first.get(rows)?, *weight.get(columns)?])
        }
        "MatMul" => {
            let second = inputs.get(1)?.as_ref()?;
            if first.len() < 2 || second.len() < 2 {
                return None;
            }
            let batch = broadcast(&first[..first.len() - 2], &second[..second.len() - 2])?;
            let ends = [first[first.len() - 2], second[second.len() - 1]];
            Some(batch.into_iter().chain(ends).collect())
        }
        "Flatten" => {
            let axis = axis(node.int("axis").unwrap_or(1), first.len() + 1)?;
            Some(vec![product(&first[..axis]), product(&first[axis..])])
        }
        "Reshape" => reshape(
            &first,
            &known.get(node.input(1)?)?,
            node.int("allowzero") == Some(1),
        ),
        "Transpose" => permutation(node, first.len())?
            .into_iter()
            .map(|dim| first.get(dim).copied())
            .collect(),
        "Concat" => {
            let axis = axis(node.int("axis")?, first.len())?;
            let mut shape = first;
            for other in &inputs[1..] {
                let other = other.as_ref()?;
                shape[axis] = shape[axis]
                    .zip(*other.get(axis)?)
                    .and_then(|(a, b)| a.checked_add(b));
            }
            Some(shape)
        }
        "ReduceMean" => {
            let axes = reduced(known, node, first.len())?;
            let keep = node.int("keepdims") != Some(0);
            let dims = first
                .iter()
                .enumerate()
                .filter_map(|(dim, length)| match axes.contains(&dim) {
                    true if keep => Some(Some(1)),
                    true => None,
                    false => Some(*length),
                });
            Some(dims.collect())
        }
        "Expand" => {
            let target: Shape = known
                .get(node.input(1)?)?
                .iter()
                .map(|length| usize::try_from(*length).ok())
                .collect();
            broadcast(&first, &target)
        }
        "Squeeze" | "Unsqueeze" => {
            let axes = axes(known, node)?;
            let inserts = node.op == "Unsqueeze";
            let rank = first.len() + if inserts { axes.len() } else { 0 };
            let axes = axes
                .into_iter()
                .map(|each| axis(each, rank))
                .collect::<Option<Vec<_>>>()?;
            let mut rest = first.iter();
            match inserts {
                true => (0..rank)
                    .map(|dim| {
                        if axes.contains(&dim) {
                            Some(Some(1))
                        } else {
                            rest.next().copied()
                        }
                    })
                    .collect(),
                false => Some(
                    first
                        .iter()
                        .enumerate()
                        .filter(|(dim, _)| !axes.contains(dim))
                        .map(|(_, d)| *d)
                        .collect(),
                ),
            }
        }
        _ => None,
    }
}

/// The axes of a node, from an attribute or, in newer versions, from an input.
pub fn axes(known: &Integers<'_, '_>, node: &Node<'_>) -> Option<Vec<i64>> {
    match node.ints("axes") {
        Some(axes) => Some(axes.to_vec()),
        None => known.get(node.input(1)?),
    }
}

/// The axes that a reduction removes.
pub fn reduced(known: &Integers<'_, '_>, node: &Node<'_>, rank: usize) -> Option<Vec<usize>> {
    match node.ints("axes").is_none() && node.input(1).is_none() {
        true => Some((0..rank).collect()),
        false => axes(known, node)?
            .into_iter()
            .map(|each| axis(each, rank))
            .collect(),
    }
}

/// A dimension, which may be counted from the end.
pub fn axis(axis: i64, rank: usize) -> Option<usize> {
    let counted = if axis < 0 { axis + rank as i64 } else { axis };
    usize::try_from(counted).ok().filter(|dim| *dim < rank.max(1))
}

/// The order of dimensions of a `Transpose`.
pub fn permutation(node: &Node<'_>, rank: usize) -> Option<Vec<usize>> {
    match node.ints("perm") {
        Some(perm) if perm.len() == rank => perm.iter().map(|dim| axis(*dim, rank)).collect(),
        Some(_) => None,
        None => Some((0..rank).rev().collect()),
    }
}

/// The product, if all are known.
pub fn product(shape: &[Option<usize>]) -> Option<usize> {
    shape
        .iter()
        .try_fold(1_usize, |product, length| product.checked_mul((*length)?))
}

/// The shape of two arrays that are combined entry by entry.
fn broadcast(a: &[Option<usize>], b: &[Option<usize>]) -> Option<Shape> {
    let rank = a.len().max(b.len());
    let at = |shape: &[Option<usize>], dim: usize| match (dim + shape.len()).checked_sub(rank) {
        Some(dim) => shape[dim],
        None => Some(1),
    };
    let dims = (0..rank).map(|dim| match (at(a, dim), at(b, dim)) {
        (Some(1), other) | (other, Some(1)) => Some(other),
        (Some(a), Some(b)) if a == b => Some(Some(a)),
        (None, other) | (other, None) => Some(other),
        _ => None,
    });
    dims.collect()
}

/// Padding before and after each spatial dimension; `None` for automatic padding.
pub fn pads(node: &Node<'_>, dims: usize) -> Option<Vec<(usize, usize)>> {
    if !matches!(node.text("auto_pad"), None | Some("NOTSET")) {
        return None;
    }
    let Some(pads) = node.ints("pads") else {
        return Some(vec![(0, 0); dims]);
    };
    let at = |index: usize| usize::try_from(*pads.get(index)?).ok();
    (0..dims).map(|dim| Some((at(dim)?, at(dims + dim)?))).collect()
}

/// A list of positive numbers, one for each spatial dimension; 1 if it is missing.
pub fn numbers(node: &Node<'_>, name: &str, dims: usize) -> Option<Vec<usize>> {
    match node.ints(name) {
        None => Some(vec![1; dims]),
        Some(list) if list.len() == dims => {
            let list = list
                .iter()
                .map(|each| usize::try_from(*each).ok().filter(|each| *each > 0));
            list.collect()
        }
        Some(_) => None,
    }
}

/// The spatial dimensions of the output of a window that slides.
fn window(node: &Node<'_>, input: &[Option<usize>], kernel: &[Option<usize>]) -> Option<Shape> {
    let dims = input.len();
    if kernel.len() != dims {
        return None;
    }
    let (pads, strides) = (pads(node, dims)?, numbers(node, "strides", dims)?);
    let dilations = numbers(node, "dilations", dims)?;
    let ceil = node.int("ceil_mode") == Some(1);
    let lengths = (0..dims).map(|dim| {
        let Some(length) = input[dim] else {
            return Some(None);
        };
        let covered = dilations[dim]
            .checked_mul(kernel[dim]?.checked_sub(1)?)?
            .checked_add(1)?;
        let room = (length.checked_add(pads[dim].0)?.checked_add(pads[dim].1)?).checked_sub(covered)?;
        let mut steps = match ceil {
            true => room.div_ceil(strides[dim]),
            false => room / strides[dim],
        };
        // A last window that begins in the padding behind the input does not count.
        if ceil && steps.checked_mul(strides[dim])? >= length + pads[dim].0 {
            steps -= 1;
        }
        Some(Some(steps.checked_add(1)?))
    });
    lengths.collect()
}

/// The shape of the output of a `Reshape` to this target.
pub fn reshape(shape: &[Option<usize>], target: &[i64], allow_zero: bool) -> Option<Shape> {
    let mut out = Vec::with_capacity(target.len());
    for (dim, length) in target.iter().enumerate() {
        out.push(match length {
            -1 => None,
            0 if !allow_zero => *shape.get(dim)?,
            length => Some(usize::try_from(*length).ok()?),
        });
    }
    // What is −1 follows from the rest, if all is known, or if only the batch is not and stays.
    if let Some(open) = target.iter().position(|length| *length == -1) {
        let others: Shape = (0..out.len())
            .filter(|dim| *dim != open)
            .map(|dim| out[dim])
            .collect();
        let batch_stays = shape.first() == Some(&None) && target.first() == Some(&0);
        let known = match batch_stays {
            true => product(&shape[1..]).zip(product(&others[1..])),
            false => product(shape).zip(product(&others)),
        };
        out[open] = known.and_then(|(all, rest)| all.checked_div(rest));
    }
    Some(out)
}
