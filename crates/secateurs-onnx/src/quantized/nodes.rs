//! Operators that compute with integers which stand for numbers: each is read as the operator on these numbers, with what
//! says how its inputs and its output stand for them.

use std::collections::HashMap;

use super::{Quantization, Source, note, own, parameters, range};
use crate::graph::{Graph, Node};
use crate::tensor::{Constant, FLOAT, INT32};

/// How a node computes whose inputs are integers that stand for numbers.
#[derive(Clone, Debug)]
pub struct Integers<'a> {
    /// Its inputs in the file, with scales and zero points among them.
    pub file: Vec<&'a str>,
    /// Of each input of the operator, how it is quantized.
    pub inputs: Vec<Linear<'a>>,
    /// How its output is, if it is.
    pub output: Option<Linear<'a>>,
}

/// How an input or the output of a node is quantized.
#[derive(Clone, Copy, Debug, Default)]
pub struct Linear<'a> {
    /// Which input of the node in the file it is.
    pub place: usize,
    /// Its scale; 1 if there is none.
    pub scale: Option<&'a str>,
    /// Its zero point; 0 if there is none.
    pub zero: Option<&'a str>,
}

/// What a quantized operator is on numbers, and which of its inputs are what.
struct Layout {
    op: &'static str,
    /// Of each input, its place, and those of its scale and zero point.
    inputs: Vec<[Option<usize>; 3]>,
    /// The place of a bias, whose scale is the product of those of the first two inputs.
    bias: Option<usize>,
    /// The places of the scale and the zero point of the output.
    output: Option<[usize; 2]>,
}

/// The layout of a node, if it is a quantized operator.
fn layout(node: &Node<'_>) -> Option<Layout> {
    let linear = |place: usize| [Some(place), Some(place + 1), Some(place + 2)];
    let of_integers = |place: usize| [Some(place), None, Some(place + 2)];
    let two = || vec![linear(0), linear(3)];
    let (op, inputs, bias, output) = match node.op {
        "QLinearConv" => ("Conv", two(), Some(8), Some([6, 7])),
        "QLinearMatMul" => ("MatMul", two(), None, Some([6, 7])),
        "QGemm" => ("Gemm", two(), Some(6), node.input(7).map(|_| [7, 8])),
        "QLinearAdd" => ("Add", two(), None, Some([6, 7])),
        "QLinearMul" => ("Mul", two(), None, Some([6, 7])),
        "QLinearGlobalAveragePool" => ("GlobalAveragePool", vec![linear(0)], None, Some([3, 4])),
        "QLinearAveragePool" => ("AveragePool", vec![linear(0)], None, Some([3, 4])),
        "QLinearLeakyRelu" => ("LeakyRelu", vec![linear(0)], None, Some([3, 4])),
        "QLinearSigmoid" => ("Sigmoid", vec![linear(0)], None, Some([3, 4])),
        // Before opset 13 it looked along all axes from this one on.
        "QLinearSoftmax" if node.int("opset").is_some_and(|opset| opset >= 13) => {
            ("Softmax", vec![linear(0)], None, Some([3, 4]))
        }
        "QLinearConcat" => {
            let places = (2..node.inputs.len()).step_by(3);
            ("Concat", places.map(linear).collect(), None, Some([0, 1]))
        }
        "ConvInteger" => ("Conv", vec![of_integers(0), of_integers(1)], None, None),
        "MatMulInteger" => ("MatMul", vec![of_integers(0), of_integers(1)], None, None),
        _ => return None,
    };
    let first = node.int("channels_last").unwrap_or(0) == 0;
    first.then_some(Layout {
        op,
        inputs,
        bias,
        output,
    })
}

/// Reads all nodes of a graph that are such operators. Others stay what they are, and have no rule.
pub fn read<'a>(graph: &mut Graph<'a>, readers: &HashMap<&str, usize>) {
    for number in 0..graph.nodes.len() {
        let Some(layout) = layout(&graph.nodes[number]) else {
            continue;
        };
        let Some((integers, weights)) = integers(graph, readers, &layout, number) else {
            continue;
        };
        for (name, quantization, source) in weights {
            note(graph, name, quantization, source);
        }
        let node = &mut graph.nodes[number];
        node.op = layout.op;
        let names = integers.inputs.iter().map(|linear| integers.file[linear.place]);
        node.inputs = names.collect();
        node.integers = Some(integers);
    }
}

type Weight<'a> = (&'a str, Quantization, Source<'a>);

/// How a node computes, and the weights among its inputs; `None` if that is not understood.
fn integers<'a>(
    graph: &Graph<'a>,
    readers: &HashMap<&str, usize>,
    layout: &Layout,
    number: usize,
) -> Option<(Integers<'a>, Vec<Weight<'a>>)> {
    let node = &graph.nodes[number];
    let (mut inputs, mut weights) = (Vec::new(), Vec::new());
    for (which, places) in layout.inputs.iter().enumerate() {
        let (linear, weight) = input(graph, readers, (layout.op, number), which, places)?;
        inputs.push(linear);
        weights.extend(weight);
    }
    if let Some((place, name)) = layout.bias.and_then(|place| Some((place, node.input(place)?))) {
        let constant = own(graph, readers, name).filter(|constant| constant.dtype.number() == INT32)?;
        weights.push(bias(graph, node, constant, (name, &inputs))?);
        inputs.push(Linear {
            place,
            ..Linear::default()
        });
    }
    // A weight that is there twice has one quantization.
    let once = (1..weights.len()).all(|later| weights[..later].iter().all(|one| one.0 != weights[later].0));
    let output = match layout.output {
        None => None,
        Some(places) => Some(output(graph, node, places)?),
    };
    let file = node.inputs.clone();
    let integers = Integers { file, inputs, output };
    once.then_some((integers, weights))
}

/// How the input of these places is quantized, and the weight that it is, if it is one.
fn input<'a>(
    graph: &Graph<'a>,
    readers: &HashMap<&str, usize>,
    (op, number): (&str, usize),
    which: usize,
    [place, scale, zero]: &[Option<usize>; 3],
) -> Option<(Linear<'a>, Option<Weight<'a>>)> {
    let node = &graph.nodes[number];
    let named = |place: &Option<usize>| place.and_then(|place| node.input(place));
    let linear = Linear {
        place: (*place)?,
        scale: named(scale),
        zero: named(zero),
    };
    let name = node.input(linear.place)?;
    let Some(constant) = own(graph, readers, name) else {
        // One for all, which may be computed when the model runs where the operator leaves scales to others.
        let of_all = |name: &str| {
            let constant = graph.constants.get(name);
            constant.map_or(linear.scale.is_none(), |constant| constant.len() == 1)
        };
        let fits = linear.scale.is_none_or(of_all) && linear.zero.is_none_or(of_all);
        return (fits && !graph.constants.contains_key(name)).then_some((linear, None));
    };
    range(constant.dtype.number())?;
    let axis = axis_of_weight(op, node, which, constant.dims.len());
    let along = (axis, constant.dims.get(axis).copied());
    let quantization = Quantization::of(graph, (linear.scale, linear.zero), along, constant.dtype.number())?;
    let lists = [(&quantization.scale, scale), (&quantization.zero, zero)].into_iter();
    let places = lists.filter(|(list, _)| list.len() > 1);
    let source = Source {
        entries: name,
        axis,
        parameters: places
            .filter_map(|(_, place)| Some((number, (*place)?)))
            .collect(),
    };
    Some((linear, Some((name, quantization, source))))
}

/// A bias, whose scale is the product of those of the first two inputs.
fn bias<'a>(
    graph: &Graph<'_>,
    node: &Node<'_>,
    constant: &Constant<'_>,
    (name, inputs): (&'a str, &[Linear<'_>]),
) -> Option<Weight<'a>> {
    let length = constant.dims.first().copied();
    let of_input = parameters(graph, inputs.first()?.scale?, None)?;
    let of_weight = parameters(graph, inputs.get(1)?.scale?, length)?;
    let factor = of_input[0] * f64::from(node.float("alpha").unwrap_or(1.0));
    let quantization = Quantization {
        scale: of_weight.into_iter().map(|scale| scale * factor).collect(),
        ..Quantization::of(graph, (None, None), (0, length), constant.dtype.number())?
    };
    Some((name, quantization, Source::without_axis(name)))
}

/// How the output is quantized by the scale and the zero point of these places, which have to be fixed.
fn output<'a>(graph: &Graph<'a>, node: &Node<'a>, [scale, zero]: [usize; 2]) -> Option<Linear<'a>> {
    let (scale, zero) = (node.input(scale)?, node.input(zero)?);
    parameters(graph, scale, None)?;
    parameters(graph, zero, None)?;
    range(graph.constants.get(zero)?.dtype.number())?;
    Some(Linear {
        place: 0,
        scale: Some(scale),
        zero: Some(zero),
    })
}

/// The axis of a weight whose indices may have scales of their own: its outputs.
fn axis_of_weight(op: &str, node: &Node<'_>, which: usize, rank: usize) -> usize {
    let transposed = |name: &str| node.int(name) == Some(1);
    match (op, which) {
        ("Conv", _) => 0,
        ("Gemm", 0) => usize::from(transposed("transA")),
        ("Gemm", _) => usize::from(!transposed("transB")),
        ("MatMul", 0) => rank.saturating_sub(2),
        _ => rank.saturating_sub(1),
    }
}

impl<'a> Integers<'a> {
    /// The names of all scales and zero points.
    pub fn parameters(&self) -> impl Iterator<Item = &'a str> + '_ {
        let all = self.inputs.iter().chain(&self.output);
        all.flat_map(|linear| linear.scale.into_iter().chain(linear.zero))
    }

    /// The number of the type of the output.
    pub fn output_type(&self, graph: &Graph<'_>) -> i64 {
        let zero = self.output.and_then(|linear| graph.constants.get(linear.zero?));
        match zero {
            Some(zero) => zero.dtype.number(),
            None if self.inputs.iter().any(|linear| linear.scale.is_some()) => FLOAT,
            None => INT32,
        }
    }
}
