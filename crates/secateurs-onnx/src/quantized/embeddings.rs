//! Embeddings whose rows are picked before a node dequantizes them: the table is read as what it stands for.

use std::collections::HashMap;

use super::{Quantization, Source, own, parameters, range};
use crate::graph::Graph;

/// Reads `Gather` nodes with a quantized table, and the `DequantizeLinear` node that alone reads what they pick, which then
/// changes nothing.
pub fn read<'a>(graph: &mut Graph<'a>, readers: &HashMap<&str, usize>) {
    let makers: HashMap<&'a str, &'a str> = graph
        .nodes
        .iter()
        .filter(|node| node.op == "Gather")
        .filter_map(|node| Some((node.output()?, node.input(0)?)))
        .collect();
    for number in 0..graph.nodes.len() {
        let node = &graph.nodes[number];
        let picked = node.input(0).filter(|_| node.op == "DequantizeLinear");
        let Some((picked, table)) = picked.and_then(|name| Some((name, *makers.get(name)?))) else {
            continue;
        };
        let Some(quantization) = table_of(graph, readers, table, number) else {
            continue;
        };
        if readers.get(picked) != Some(&1) {
            continue;
        }
        let constant = graph.constants[table].clone();
        graph.constants.insert(table, constant.quantized(quantization));
        let (axis, parameters) = (0, Vec::new());
        let source = Source {
            entries: table,
            axis,
            parameters,
        };
        graph.quantized.insert(table, source);
        let node = &mut graph.nodes[number];
        node.inputs.truncate(1);
        node.op = "Identity";
    }
}

/// What the entries of a table stand for, if the node of this number dequantizes all of them in the same way.
fn table_of(
    graph: &Graph<'_>,
    readers: &HashMap<&str, usize>,
    table: &str,
    number: usize,
) -> Option<Quantization> {
    let node = &graph.nodes[number];
    range(own(graph, readers, table)?.dtype.number())?;
    let of_all = |name: &str| parameters(graph, name, None);
    Some(Quantization {
        scale: of_all(node.input(1)?)?,
        zero: node.input(2).map_or(Some(vec![0.0]), of_all)?,
        axis: 0,
        read_as: graph.constants.get(node.input(1)?)?.dtype.number(),
        rounded_to: None,
    })
}
