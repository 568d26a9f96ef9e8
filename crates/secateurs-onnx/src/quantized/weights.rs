//! Weights that a node dequantizes, before others read them: each is read as the weight that it stands for.

use std::collections::HashMap;

use super::{Quantization, axis_of_scales, note, own, range};
use crate::graph::Graph;
use crate::tensor::UINT8;

/// Where the file has a quantized weight.
#[derive(Clone, Debug)]
pub struct Source<'a> {
    /// The initializer that has its entries.
    pub entries: &'a str,
    /// The axis whose indices have scales or zero points of their own.
    pub axis: usize,
    /// Those scales and zero points: the numbers of nodes, and which of their inputs in the file.
    pub parameters: Vec<(usize, usize)>,
}

impl<'a> Source<'a> {
    /// Where one scale and one zero point are for all entries of an initializer.
    pub fn without_axis(entries: &'a str) -> Self {
        let (axis, parameters) = (0, Vec::new());
        Source {
            entries,
            axis,
            parameters,
        }
    }
}

/// Reads the outputs of `DequantizeLinear` nodes that are weights.
pub fn read<'a>(graph: &mut Graph<'a>, readers: &HashMap<&str, usize>) {
    let makers: HashMap<&'a str, usize> = graph
        .nodes
        .iter()
        .enumerate()
        .filter(|(_, node)| node.op == "QuantizeLinear")
        .filter_map(|(number, node)| Some((node.output()?, number)))
        .collect();
    for number in 0..graph.nodes.len() {
        if graph.nodes[number].op != "DequantizeLinear" {
            continue;
        }
        let Some((name, quantization, source)) = weight(graph, readers, &makers, number) else {
            continue;
        };
        // What is between the two is not read by anything else.
        let node = &graph.nodes[number];
        if let Some(between) = node.input(0).filter(|between| *between != source.entries) {
            let constant = graph.constants[source.entries].clone();
            graph.constants.insert(between, constant.named(between));
        }
        note(graph, name, quantization, source);
    }
}

/// The weight that a `DequantizeLinear` node makes, if it does make one.
fn weight<'a>(
    graph: &Graph<'a>,
    readers: &HashMap<&str, usize>,
    makers: &HashMap<&'a str, usize>,
    number: usize,
) -> Option<(&'a str, Quantization, Source<'a>)> {
    let node = &graph.nodes[number];
    let integers = node.input(0)?;
    let (scale, zero) = (node.input(1)?, node.input(2));
    // Its integers are in the file, or made of floats that are.
    let before = makers.get(integers).copied();
    let before = before.filter(|_| readers.get(integers) == Some(&1));
    let entries = match before {
        None => integers,
        Some(number) => {
            let other = &graph.nodes[number];
            let data = other.input(0)?;
            let rank = graph.constants.get(data)?.dims.len();
            let same = other.input(1) == Some(scale)
                && other.input(2) == zero
                && axis_of_scales(other, rank) == axis_of_scales(node, rank);
            same.then_some(data)?
        }
    };
    let constant = own(graph, readers, entries)?;
    let dtype = constant.dtype.number();
    let of_zero = match zero {
        Some(zero) => graph.constants.get(zero)?.dtype.number(),
        None => UINT8,
    };
    let rounded_to = match before {
        None => range(dtype).map(|_| None)?,
        Some(_) => Some(range(of_zero).filter(|_| constant.dtype.is_float())?),
    };
    let axis = axis_of_scales(node, constant.dims.len())?;
    let along = (axis, constant.dims.get(axis).copied());
    let read_as = graph.constants.get(scale)?.dtype.number();
    let quantization = Quantization {
        rounded_to,
        ..Quantization::of(graph, (Some(scale), zero), along, read_as)?
    };
    let is_new = !graph.constants.contains_key(node.output()?);
    let lists = [&quantization.scale, &quantization.zero].into_iter().zip([1, 2]);
    let places = lists.filter(|(list, _)| list.len() > 1).map(|(_, place)| place);
    let nodes = [Some(number), before];
    let of_nodes = places.flat_map(|place| nodes.into_iter().flatten().map(move |node| (node, place)));
    let source = Source {
        entries,
        axis,
        parameters: of_nodes.collect(),
    };
    is_new.then_some((node.output()?, quantization, source))
}
