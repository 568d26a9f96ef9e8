//! Embeddings whose rows are picked before nodes dequantize them: the table is read as what it stands for.

use std::collections::HashMap;

use super::{Quantization, Source, note, own, range};
use crate::graph::Graph;

/// Operators that only move what was picked.
const MOVES: [&str; 6] = [
    "Flatten",
    "Identity",
    "Reshape",
    "Squeeze",
    "Transpose",
    "Unsqueeze",
];

/// Reads `Gather` nodes with a quantized table, and the `DequantizeLinear` nodes that read what they pick, which then change
/// nothing.
pub fn read<'a>(graph: &mut Graph<'a>, readers: &HashMap<&str, usize>) {
    for number in 0..graph.nodes.len() {
        let node = &graph.nodes[number];
        let Some(table) = node.input(0).filter(|_| node.op == "Gather") else {
            continue;
        };
        let Some((quantization, dequantize)) = table_of(graph, readers, table, number) else {
            continue;
        };
        note(graph, table, quantization, Source::without_axis(table));
        for number in dequantize {
            let node = &mut graph.nodes[number];
            node.inputs.truncate(1);
            node.op = "Identity";
        }
    }
}

/// What the entries of the table of a `Gather` stand for, and the nodes that dequantize what is picked: all in the same way.
fn table_of(
    graph: &Graph<'_>,
    readers: &HashMap<&str, usize>,
    table: &str,
    number: usize,
) -> Option<(Quantization, Vec<usize>)> {
    range(own(graph, readers, table)?.dtype.number())?;
    let (mut values, mut dequantize) = (vec![graph.nodes[number].output()?], Vec::new());
    let mut read: HashMap<&str, usize> = HashMap::new();
    // Nodes are in order, so that each value is there before what reads it.
    for (number, node) in graph.nodes.iter().enumerate().skip(number) {
        let Some(value) = node.input(0).filter(|name| values.contains(name)) else {
            continue;
        };
        *read.entry(value).or_insert(0) += 1;
        match node.op {
            "DequantizeLinear" => dequantize.push(number),
            op if MOVES.contains(&op) => values.push(node.output()?),
            _ => return None,
        }
    }
    // Nothing else reads them, in another place or as an output of the graph.
    let all = values.iter().all(|value| read.get(value) == readers.get(value));
    let node = &graph.nodes[*dequantize.first()?];
    let same = |number: &usize| graph.nodes[*number].inputs[1..] == node.inputs[1..];
    let (scale, zero) = (node.input(1)?, node.input(2));
    let read_as = graph.constants.get(scale)?.dtype.number();
    let quantization = Quantization::of(graph, (Some(scale), zero), (0, None), read_as)?;
    (all && dequantize.iter().all(same)).then_some((quantization, dequantize))
}
