//! [`Cost`]: what a model takes.

use std::collections::HashMap;

use crate::graph::Graph;
use crate::shapes::{Shape, product};

/// What a model takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Entries of all initializers of floats.
    pub parameters: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// Multiply-adds of convolutions and of products with constant matrices for one sample. `None` if the shape of one of
    /// them cannot be told.
    pub macs: Option<u64>,
}

impl Cost {
    /// That of a model of this many bytes.
    pub(crate) fn of(graph: &Graph<'_>, shapes: &HashMap<&str, Shape>, bytes: usize) -> Self {
        let parameters = graph
            .initializers
            .iter()
            .filter_map(|name| graph.constants.get(name));
        let parameters = parameters.filter(|constant| constant.dtype.is_float());
        Cost {
            parameters: parameters.map(|constant| constant.len() as u64).sum(),
            bytes: bytes as u64,
            macs: graph.nodes.iter().map(|node| macs(graph, node, shapes)).sum(),
        }
    }
}

fn macs(graph: &Graph<'_>, node: &crate::graph::Node<'_>, shapes: &HashMap<&str, Shape>) -> Option<u64> {
    let weight = node.input(1).and_then(|name| graph.constants.get(name));
    let Some(weight) = weight.filter(|_| matches!(node.op, "Conv" | "Gemm" | "MatMul")) else {
        return Some(0);
    };
    let mut output = shapes.get(node.outputs.first()?)?.clone();
    // One sample of a batch of any size.
    if let Some(first) = output.first_mut() {
        first.get_or_insert(1);
    }
    let for_each_output = match node.op {
        "Conv" => weight.dims.get(1..)?.iter().product::<usize>(),
        "Gemm" => *weight.dims.get(usize::from(node.int("transB") == Some(1)))?,
        _ => weight.dims[weight.dims.len().checked_sub(2)?],
    };
    Some(product(&output)?.checked_mul(for_each_output)? as u64)
}
