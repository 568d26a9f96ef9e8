//! Whole heads of attention: which reshapes divide channels into heads, and which of the parts are heads.

use std::collections::HashSet;

use crate::graph::{Graph, Node};

/// Operators between the projections of attention and its products: they move, scale, turn and normalise.
const BETWEEN: [&str; 33] = [
    "Add",
    "Cast",
    "Clip",
    "Concat",
    "Div",
    "Elu",
    "Expand",
    "Gather",
    "Identity",
    "LayerNormalization",
    "Max",
    "Mul",
    "Neg",
    "Pow",
    "RMSNormalization",
    "ReduceL2",
    "ReduceMean",
    "ReduceSum",
    "Reciprocal",
    "Relu",
    "Reshape",
    "RotaryEmbedding",
    "SimplifiedLayerNormalization",
    "Slice",
    "Softmax",
    "Split",
    "Sqrt",
    "Squeeze",
    "Sub",
    "Tile",
    "Transpose",
    "Unsqueeze",
    "Where",
];

/// The numbers of `Reshape` nodes from which a product of two values is reached, neither of them a weight, and no weight is
/// multiplied before: what they divide is divided into heads, unlike what a channel shuffle divides.
pub fn divide_into_heads(graph: &Graph<'_>) -> HashSet<usize> {
    let mut constant: HashSet<&str> = graph.constants.keys().copied().collect();
    for node in &graph.nodes {
        if node
            .inputs
            .iter()
            .all(|name| constant.contains(name) || name.is_empty())
        {
            constant.extend(node.outputs.iter().filter(|name| !name.is_empty()));
        }
    }
    let is_product = |node: &Node<'_>| {
        let values = node.inputs.iter().take(2);
        matches!(node.op, "MatMul" | "Einsum" | "Attention")
            && values.filter(|name| !constant.contains(*name)).count() == 2
    };
    let mut reach: HashSet<&str> = HashSet::new();
    let mut reshapes = HashSet::new();
    for (number, node) in graph.nodes.iter().enumerate().rev() {
        let passes = BETWEEN.contains(&node.op) && node.outputs.iter().any(|name| reach.contains(name));
        if !passes && !is_product(node) {
            continue;
        }
        reach.extend(node.inputs.iter().filter(|name| !constant.contains(*name)));
        if passes && node.op == "Reshape" {
            reshapes.insert(number);
        }
    }
    reshapes
}

/// Of the parts that an axis is divided into, the one that counts heads: the longest but the last, which are the places
/// within a head, and but the three of queries, keys and values.
pub fn dimension_of_heads(lengths: &[usize]) -> Option<usize> {
    let but_last = 0..lengths.len().checked_sub(1)?;
    but_last
        .filter(|dim| lengths[*dim] > 1)
        .max_by_key(|dim| (lengths[*dim] != 3, lengths[*dim], *dim))
}

#[cfg(test)]
mod tests {
    use super::dimension_of_heads;

    #[test]
    fn heads_are_told_from_places_and_from_queries_keys_and_values() {
        for (lengths, dim) in [
            (&[12, 64][..], Some(0)),
            (&[3, 12, 64], Some(1)),
            (&[12, 3, 64], Some(0)),
            (&[3, 2, 64], Some(1)),
            (&[3, 3, 64], Some(1)),
            (&[1, 64], None),
            (&[64], None),
            (&[], None),
        ] {
            assert_eq!(dimension_of_heads(lengths), dim, "{lengths:?}");
        }
    }
}
