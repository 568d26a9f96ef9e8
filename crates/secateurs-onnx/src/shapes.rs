//! Shapes of the outputs of nodes.

use std::collections::HashMap;

use ndarray::ArrayD;

use crate::couple::{Labels, equation};
use crate::graph::{Graph, Node};

/// The length of each dimension, where it is fixed.
pub type Shape = Vec<Option<usize>>;

/// A value that was computed from shapes.
#[derive(Clone, Debug)]
pub struct Computed {
    /// Its entries: NaN for what depends on a length that is not fixed.
    pub array: ArrayD<f64>,
    /// The number of its type.
    pub dtype: i64,
    /// Of each entry, the units of the axes that it depends on.
    pub from: Vec<Vec<Labels>>,
}

impl Computed {
    /// The units of all axes that it depends on.
    pub fn labels(&self) -> impl Iterator<Item = &Labels> {
        self.from.iter().flatten()
    }

    /// Whether all entries are known.
    pub fn is_known(&self) -> bool {
        self.array.iter().all(|x| !x.is_nan())
    }
}

/// What is known of integers that nodes take: constants, and what follows from shapes.
pub struct Known<'g, 'a> {
    pub graph: &'g Graph<'a>,
    /// The values of nodes that only compute with shapes.
    pub computed: HashMap<&'a str, Computed>,
}

impl<'g, 'a> Known<'g, 'a> {
    /// Only constants.
    pub fn of(graph: &'g Graph<'a>) -> Self {
        Known {
            graph,
            computed: HashMap::new(),
        }
    }

    /// The integers of this name, if they are known.
    pub fn get(&self, name: &str) -> Option<Vec<i64>> {
        self.partial(name)?.into_iter().collect()
    }

    /// The integers of this name, as far as they are known.
    pub fn partial(&self, name: &str) -> Option<Vec<Option<i64>>> {
        match self.computed.get(name) {
            Some(value) => {
                let known = value.array.iter().map(|x| (!x.is_nan()).then_some(*x as i64));
                Some(known.collect())
            }
            None => {
                let ints = self.graph.constants.get(name)?.ints()?;
                Some(ints.into_iter().map(Some).collect())
            }
        }
    }
}

/// Operators that work on each entry by itself.
pub const ELEMENTWISE: [&str; 30] = [
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
    "QuickGelu",
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
    "Round",
    "Sin",
    "Cos",
    "ThresholdedRelu",
];

/// The shape of the first output of a node, if it can be told.
pub fn infer(known: &Known<'_, '_>, node: &Node<'_>, inputs: &[Option<Shape>]) -> Option<Shape> {
    // A target without open ends says all.
    if node.op == "Reshape" && inputs.first()?.is_none() {
        let target = known.get(node.input(1)?)?;
        let length = |length: &i64| usize::try_from(*length).ok().filter(|length| *length > 0);
        return target.iter().map(|each| length(each).map(Some)).collect();
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
        | "GroupNormalization"
        | "RMSNormalization"
        | "SimplifiedLayerNormalization"
        | "BiasGelu"
        | "FastGelu"
        | "QuantizeLinear"
        | "DequantizeLinear"
        | "DynamicQuantizeLinear"
        | "RotaryEmbedding" => Some(first),
        "SkipLayerNormalization" | "SkipSimplifiedLayerNormalization" => {
            let skip = inputs.get(1)?.as_ref()?;
            broadcast(&first, skip)
        }
        "Attention" => {
            let value = inputs.get(2)?.as_ref()?;
            match (&first[..], &value[..]) {
                ([batch, heads, length, _], [.., size]) => Some(vec![*batch, *heads, *length, *size]),
                ([batch, length, _], [_, _, Some(width)]) => {
                    let number = |name: &str| usize::try_from(node.int(name)?).ok();
                    let size = width.checked_div(number("kv_num_heads")?)?;
                    let width = size.checked_mul(number("q_num_heads")?)?;
                    Some(vec![*batch, *length, Some(width)])
                }
                _ => None,
            }
        }
        "Add" | "Sub" | "Mul" | "Div" | "Pow" | "Where" | "Min" | "Max" | "Sum" | "Equal" | "Less"
        | "Greater" | "LessOrEqual" | "GreaterOrEqual" | "And" | "Or" | "Mod" => {
            let mut shape = first;
            for other in &inputs[1..] {
                shape = broadcast(&shape, other.as_ref()?)?;
            }
            Some(shape)
        }
        "Not" | "Reciprocal" | "Log" | "IsNaN" | "Trilu" | "CumSum" | "LpNormalization" | "LRN"
        | "ScatterND" | "ScatterElements" => Some(first),
        "Conv" => {
            let weight = inputs.get(1)?.as_ref()?;
            let mut shape = vec![*first.first()?, *weight.first()?];
            shape.extend(window(node, first.get(2..)?, weight.get(2..)?)?);
            Some(shape)
        }
        "MaxPool" | "AveragePool" | "LpPool" => {
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
            &known.partial(node.input(1)?)?,
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
        "ReduceMean" | "ReduceSum" | "ReduceSumSquare" | "ReduceL1" | "ReduceL2" | "ReduceMax"
        | "ReduceMin" | "ReduceProd" => {
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
        "ConstantOfShape" => {
            let lengths = known.partial(node.input(0)?)?.into_iter();
            let length = |length: Option<i64>| length.and_then(|length| usize::try_from(length).ok());
            Some(lengths.map(length).collect())
        }
        "Tile" => {
            let repeats = known.partial(node.input(1)?)?;
            let lengths = first.iter().zip(repeats).map(|(length, times)| {
                let times = times.and_then(|times| usize::try_from(times).ok());
                length
                    .zip(times)
                    .and_then(|(length, times)| length.checked_mul(times))
            });
            Some(lengths.collect())
        }
        "GatherND" => {
            let indices = inputs.get(1)?.as_ref()?;
            let batch = usize::try_from(node.int("batch_dims").unwrap_or(0)).ok()?;
            let picked = (*indices.last()?)?;
            let rest = first.get(batch.checked_add(picked)?..)?;
            Some([&indices[..indices.len() - 1], rest].concat())
        }
        "Expand" => {
            let target = known.partial(node.input(1)?)?;
            let length = |length: Option<i64>| length.and_then(|length| usize::try_from(length).ok());
            broadcast(&first, &target.into_iter().map(length).collect::<Shape>())
        }
        "ConvTranspose" => {
            let weight = inputs.get(1)?.as_ref()?;
            let groups = usize::try_from(node.int("group").unwrap_or(1)).ok()?;
            let mut shape = vec![
                *first.first()?,
                weight.get(1)?.and_then(|own| own.checked_mul(groups)),
            ];
            shape.extend(window_back(node, first.get(2..)?, weight.get(2..)?)?);
            Some(shape)
        }
        "Einsum" => {
            let (letters, out) = equation(node)?;
            let length = |letter: &char| {
                let places = letters.iter().zip(inputs);
                let mut lengths = places.map(|(own, input)| {
                    let dim = own.iter().position(|each| each == letter)?;
                    *input.as_ref()?.get(dim)?
                });
                lengths
                    .find(|length| length.is_some_and(|length| length != 1))
                    .or(Some(Some(1)))?
            };
            inputs
                .iter()
                .all(Option::is_some)
                .then(|| out.iter().map(length).collect())
        }
        "Gather" => {
            let at = axis(node.int("axis").unwrap_or(0), first.len())?;
            let indices = inputs.get(1)?.as_ref()?;
            Some([&first[..at], &indices[..], &first[at + 1..]].concat())
        }
        "Slice" => {
            let mut shape = first.clone();
            for slice in slices(known, node, first.len())? {
                shape[slice.dim] = match first[slice.dim] {
                    Some(length) => Some(slice.indices(length)?.len()),
                    None => None,
                };
            }
            Some(shape)
        }
        "Pad" => {
            let pads = match node.ints("pads") {
                Some(pads) => pads.to_vec(),
                None => known.get(node.input(1)?)?,
            };
            let axes = match node.input(3) {
                Some(name) => known.get(name)?,
                None => (0..first.len() as i64).collect(),
            };
            let mut shape = first.clone();
            (pads.len() == 2 * axes.len()).then_some(())?;
            for (number, each) in axes.iter().enumerate() {
                let dim = axis(*each, first.len())?;
                let both = pads[number].checked_add(pads[number + axes.len()])?;
                shape[dim] = match first[dim] {
                    Some(length) => Some(usize::try_from((length as i64).checked_add(both)?).ok()?),
                    None => None,
                };
            }
            Some(shape)
        }
        "Resize" => resized(known, node, &first),
        "DepthToSpace" => {
            let block = usize::try_from(node.int("blocksize")?).ok()?;
            let [batch, channels, ref space @ ..] = first[..] else {
                return None;
            };
            let channels = channels.and_then(|own| own.checked_div(block.checked_mul(block)?));
            let space = space
                .iter()
                .map(|length| length.and_then(|own| own.checked_mul(block)));
            Some([batch, channels].into_iter().chain(space).collect())
        }
        "Squeeze" if axes(known, node).is_none() => first
            .iter()
            .all(Option::is_some)
            .then(|| first.iter().copied().filter(|d| *d != Some(1)).collect()),
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
pub fn axes(known: &Known<'_, '_>, node: &Node<'_>) -> Option<Vec<i64>> {
    match node.ints("axes") {
        Some(axes) => Some(axes.to_vec()),
        None => known.get(node.input(1)?),
    }
}

/// The axes that a reduction removes.
pub fn reduced(known: &Known<'_, '_>, node: &Node<'_>, rank: usize) -> Option<Vec<usize>> {
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
        Some(perm) => {
            let order: Vec<usize> = perm.iter().map(|dim| axis(*dim, rank)).collect::<Option<_>>()?;
            let all = order.len() == rank && (0..rank).all(|dim| order.contains(&dim));
            all.then_some(order)
        }
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

/// Whether windows reach beyond the edges of the image.
pub fn is_padded(node: &Node<'_>) -> bool {
    let written = node
        .ints("pads")
        .is_some_and(|pads| pads.iter().any(|pad| *pad != 0));
    written || node.text("auto_pad").is_some_and(|how| how.starts_with("SAME"))
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
pub fn reshape(shape: &[Option<usize>], target: &[Option<i64>], allow_zero: bool) -> Option<Shape> {
    let mut out = Vec::with_capacity(target.len());
    for (dim, length) in target.iter().enumerate() {
        out.push(match length {
            None | Some(-1) => None,
            Some(0) if !allow_zero => *shape.get(dim)?,
            Some(length) => Some(usize::try_from(*length).ok()?),
        });
    }
    // What is open follows from the rest, if all is known, or if only the batch is not and stays.
    let open: Vec<usize> = (0..out.len()).filter(|dim| out[*dim].is_none()).collect();
    let batch_is_open = shape.first() == Some(&None);
    match open[..] {
        [open] if !batch_is_open => {
            let others: Shape = (0..out.len())
                .filter(|dim| *dim != open)
                .map(|dim| out[dim])
                .collect();
            out[open] = product(shape)
                .zip(product(&others))
                .and_then(|(all, rest)| all.checked_div(rest));
        }
        // The batch itself, as the entry −1 or an entry that is computed from it.
        [0] if batch_is_open && product(&shape[1..]) == product(&out[1..]) => {}
        [0, open] if batch_is_open => {
            let others: Shape = (1..out.len())
                .filter(|dim| *dim != open)
                .map(|dim| out[dim])
                .collect();
            let rest = product(&shape[1..]).zip(product(&others));
            out[open] = rest.and_then(|(all, rest)| all.checked_div(rest));
        }
        _ => {}
    }
    Some(out)
}

/// A part of one dimension that `Slice` takes.
pub struct Slice {
    pub dim: usize,
    pub start: i64,
    pub end: i64,
    pub step: i64,
}

impl Slice {
    /// The first index and the one behind the last, for steps forward.
    pub fn bounds(&self, length: usize) -> Option<(usize, usize)> {
        let length = length as i64;
        let counted = |index: i64| {
            let index = if index < 0 {
                index.saturating_add(length)
            } else {
                index
            };
            index.clamp(0, length) as usize
        };
        (self.step > 0).then(|| (counted(self.start), counted(self.end)))
    }

    /// The indices, in order.
    pub fn indices(&self, length: usize) -> Option<Vec<usize>> {
        if let Some((begin, end)) = self.bounds(length) {
            return Some((begin..end).step_by(usize::try_from(self.step).ok()?).collect());
        }
        let length = length as i64;
        let counted = |index: i64, lowest: i64| {
            let index = if index < 0 {
                index.saturating_add(length)
            } else {
                index
            };
            index.clamp(lowest, length - 1)
        };
        let (mut at, end) = (counted(self.start, -1), counted(self.end, -1));
        let mut indices = Vec::new();
        while self.step < 0 && at > end {
            indices.push(at as usize);
            at = at.saturating_add(self.step);
        }
        Some(indices)
    }
}

/// What a `Slice` takes, if it is known.
pub fn slices(known: &Known<'_, '_>, node: &Node<'_>, rank: usize) -> Option<Vec<Slice>> {
    let list = |place: usize, name: &str| match node.input(place) {
        Some(input) => known.get(input),
        None => node.ints(name).map(<[i64]>::to_vec),
    };
    let (starts, ends) = (list(1, "starts")?, list(2, "ends")?);
    let given = node.input(3).is_some() || node.ints("axes").is_some();
    let dims = if given {
        list(3, "axes")?
    } else {
        (0..starts.len() as i64).collect()
    };
    let steps = if node.input(4).is_some() {
        list(4, "")?
    } else {
        vec![1; starts.len()]
    };
    let same = ends.len() == starts.len() && dims.len() == starts.len() && steps.len() == starts.len();
    same.then_some(())?;
    let all = (0..starts.len()).map(|entry| {
        let step = Some(steps[entry]).filter(|step| *step != 0)?;
        let dim = axis(dims[entry], rank).filter(|dim| *dim < rank)?;
        Some(Slice {
            dim,
            start: starts[entry],
            end: ends[entry],
            step,
        })
    });
    all.collect()
}

/// The lengths of the parts of a `Split` of an axis.
pub fn split_sizes(known: &Known<'_, '_>, node: &Node<'_>, length: usize) -> Option<Vec<usize>> {
    let parts = node.outputs.len().max(1);
    let given = match (node.ints("split"), node.input(1)) {
        (Some(sizes), _) => Some(sizes.to_vec()),
        (None, Some(name)) => Some(known.get(name)?),
        (None, None) => None,
    };
    let sizes: Vec<usize> = match given {
        Some(sizes) => sizes
            .into_iter()
            .map(usize::try_from)
            .collect::<Result<_, _>>()
            .ok()?,
        None => {
            let size = length.div_ceil(parts);
            (0..parts)
                .map(|part| size.min(length.saturating_sub(part * size)))
                .collect()
        }
    };
    let sum = sizes.iter().try_fold(0_usize, |sum, size| sum.checked_add(*size));
    (sum == Some(length) && sizes.len() == parts).then_some(sizes)
}

/// The shape of the output of a `Resize`.
fn resized(known: &Known<'_, '_>, node: &Node<'_>, shape: &Shape) -> Option<Shape> {
    let axes: Vec<usize> = match node.ints("axes") {
        Some(axes) => axes
            .iter()
            .map(|each| axis(*each, shape.len()))
            .collect::<Option<_>>()?,
        None => (0..shape.len()).collect(),
    };
    let mut out = shape.clone();
    if let Some(sizes) = node
        .input(3)
        .and_then(|name| known.partial(name))
        .filter(|sizes| !sizes.is_empty())
    {
        (sizes.len() == axes.len()
            && node
                .text("keep_aspect_ratio_policy")
                .is_none_or(|policy| policy == "stretch"))
        .then_some(())?;
        for (dim, size) in axes.iter().zip(sizes) {
            out[*dim] = size.and_then(|size| usize::try_from(size).ok());
        }
        return Some(out);
    }
    let factors = known.graph.constants.get(node.input(2)?)?.floats()?;
    (factors.len() == axes.len()).then_some(())?;
    for (dim, factor) in axes.iter().zip(factors) {
        out[*dim] = shape[*dim].map(|length| (length as f64 * factor).floor() as usize);
    }
    Some(out)
}

/// The spatial dimensions of the output of a transposed convolution.
fn window_back(node: &Node<'_>, input: &[Option<usize>], kernel: &[Option<usize>]) -> Option<Shape> {
    let dims = input.len();
    (kernel.len() == dims && node.ints("output_shape").is_none()).then_some(())?;
    let (pads, strides) = (pads(node, dims)?, numbers(node, "strides", dims)?);
    let dilations = numbers(node, "dilations", dims)?;
    let extra = node
        .ints("output_padding")
        .map_or_else(|| vec![0; dims], <[i64]>::to_vec);
    let lengths = (0..dims).map(|dim| {
        let Some(length) = input[dim] else {
            return Some(None);
        };
        let covered = dilations[dim]
            .checked_mul(kernel[dim]?.checked_sub(1)?)?
            .checked_add(1)?;
        let full = strides[dim]
            .checked_mul(length.checked_sub(1)?)?
            .checked_add(covered)?;
        let full = full.checked_add(usize::try_from(*extra.get(dim)?).ok()?)?;
        Some(Some(full.checked_sub(pads[dim].0)?.checked_sub(pads[dim].1)?))
    });
    lengths.collect()
}
