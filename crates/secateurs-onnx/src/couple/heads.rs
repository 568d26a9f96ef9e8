//! Whole heads of attention: which reshapes divide channels into heads, and which of the parts are heads.

use std::collections::{HashMap, HashSet};

use crate::graph::{Graph, Node};

/// Operators between the projections of attention and its products: they move, scale, turn and normalise.
const BETWEEN: [&str; 36] = [
    "Add",
    "Cast",
    "Clip",
    "Concat",
    "DequantizeLinear",
    "Div",
    "DynamicQuantizeLinear",
    "Elu",
    "Expand",
    "Gather",
    "Identity",
    "LayerNormalization",
    "Max",
    "Mul",
    "Neg",
    "Pow",
    "QuantizeLinear",
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

/// What a `Reshape` divides channels into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heads {
    /// Whether three parts are picked afterwards, which are queries, keys and values: another dimension counts heads, here
    /// or after a further `Reshape`.
    pub of_three: bool,
}

/// Nodes from which a product of two values is reached, neither of them a weight, and no weight is multiplied before.
#[derive(Default)]
pub struct AttentionNodes {
    /// The numbers of `Reshape` nodes: what they divide is divided into heads, unlike what a channel shuffle divides.
    pub reshapes: HashMap<usize, Heads>,
    /// Those of `Expand` nodes that repeat keys or values for each query of a group: a `Reshape` merges the two.
    pub repeats: HashSet<usize>,
}

/// The nodes of all attention of a graph.
pub fn attention_nodes(graph: &Graph<'_>) -> AttentionNodes {
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
    let mut found = AttentionNodes::default();
    let mut readers: HashMap<&str, Vec<&Node<'_>>> = HashMap::new();
    for node in &graph.nodes {
        for name in &node.inputs {
            readers.entry(name).or_default().push(node);
        }
    }
    for (number, node) in graph.nodes.iter().enumerate().rev() {
        let passes = BETWEEN.contains(&node.op) && node.outputs.iter().any(|name| reach.contains(name));
        if !passes && !is_product(node) {
            continue;
        }
        reach.extend(node.inputs.iter().filter(|name| !constant.contains(*name)));
        if passes && node.op == "Reshape" {
            let of_three = node.output().is_some_and(|name| picks_three(name, &readers));
            found.reshapes.insert(number, Heads { of_three });
        }
        let merged = |name: &str| {
            let readers = readers.get(name).map_or(&[][..], |list| list);
            !readers.is_empty() && readers.iter().all(|node| node.op == "Reshape")
        };
        if passes && node.op == "Expand" && node.output().is_some_and(merged) {
            found.repeats.insert(number);
        }
    }
    found
}

/// Whether three parts of a value are picked, by as many nodes or by a `Split`.
fn picks_three(name: &str, readers: &HashMap<&str, Vec<&Node<'_>>>) -> bool {
    let mut names = vec![name];
    let mut seen = HashSet::new();
    while let Some(name) = names.pop() {
        if !seen.insert(name) {
            continue;
        }
        let all = readers.get(name).map_or(&[][..], |list| list);
        let picks = |node: &&&Node<'_>| matches!(node.op, "Gather" | "Slice") && node.input(0) == Some(name);
        let picks = all.iter().filter(picks);
        let splits = all
            .iter()
            .any(|node| node.op == "Split" && node.outputs.len() == 3);
        if picks.count() == 3 || splits {
            return true;
        }
        let moves = |node: &&&Node<'_>| {
            matches!(
                node.op,
                "Transpose"
                    | "Unsqueeze"
                    | "Squeeze"
                    | "Identity"
                    | "Cast"
                    | "QuantizeLinear"
                    | "DequantizeLinear"
            )
        };
        names.extend(all.iter().filter(moves).filter_map(|node| node.output()));
    }
    false
}

/// Of the parts that an axis is divided into, the one that counts heads: the longest but the last, which are the places
/// within a head, and but the three of queries, keys and values.
pub fn dimension_of_heads(lengths: &[usize], heads: Heads) -> Option<usize> {
    let three = (0..lengths.len()).find(|dim| heads.of_three && lengths[*dim] == 3);
    let but_last = 0..lengths.len().checked_sub(1)?;
    but_last
        .filter(|dim| lengths[*dim] > 1 && Some(*dim) != three)
        .max_by_key(|dim| (lengths[*dim], *dim))
}

#[cfg(test)]
mod tests {
    use super::{Heads, dimension_of_heads};

    #[test]
    fn heads_are_told_from_places_and_from_queries_keys_and_values() {
        for (lengths, of_three, dim) in [
            (&[12, 64][..], false, Some(0)),
            (&[3, 64], false, Some(0)),
            (&[3, 12, 64], true, Some(1)),
            (&[12, 3, 64], true, Some(0)),
            (&[3, 2, 64], true, Some(1)),
            (&[3, 3, 64], true, Some(1)),
            (&[3, 768], true, None),
            (&[1, 64], false, None),
            (&[64], false, None),
            (&[], false, None),
        ] {
            assert_eq!(
                dimension_of_heads(lengths, Heads { of_three }),
                dim,
                "{lengths:?}"
            );
        }
    }
}
