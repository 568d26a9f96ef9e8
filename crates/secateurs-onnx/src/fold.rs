//! Weights that are computed from weights before they are used, such as a bias of which a part is set to zero: each is read
//! as a weight of its own, which is written in the place of the computation where it is cut.

use std::collections::{HashMap, HashSet};

use ndarray::ArrayD;

use crate::graph::Graph;
use crate::reference::{self, from_constant};
use crate::tensor::rounded;

/// Operators through which indices cannot be followed, but whose values are known if those of their inputs are.
const TARGETS: [&str; 4] = ["ScatterND", "Exp", "Cos", "Sin"];

/// Operators that make what these take.
const BEFORE: [&str; 7] = ["Clip", "Expand", "Max", "Min", "Mul", "Reshape", "Unsqueeze"];

/// Most entries of what is computed: more than biases, scales and tables have.
const MOST: usize = 1 << 16;

/// Adds these weights to a graph.
pub fn fold(graph: &mut Graph<'_>) {
    if !graph.nodes.iter().any(|node| TARGETS.contains(&node.op)) {
        return;
    }
    // The value that each node makes of constants alone, its type, and the constant that it is written like.
    let mut values: HashMap<&str, ArrayD<f64>> = HashMap::new();
    let mut like: HashMap<&str, &str> = HashMap::new();
    let mut makers: HashMap<&str, usize> = HashMap::new();
    for (number, node) in graph.nodes.iter().enumerate() {
        let known = TARGETS.contains(&node.op) || BEFORE.contains(&node.op);
        if node
            .output()
            .is_none_or(|name| graph.constants.contains_key(name))
        {
            continue;
        }
        let (true, [output], Some(first)) = (known, &node.outputs[..], node.input(0)) else {
            continue;
        };
        let Some(source) = like.get(first).copied().or_else(|| {
            let constant = graph.constants.get(first)?;
            constant.dtype.is_float().then_some(first)
        }) else {
            continue;
        };
        let mut inputs = HashMap::new();
        for name in node.inputs.iter().copied().filter(|name| !name.is_empty()) {
            let constant = graph.constants.get(name).filter(|own| own.len() <= MOST);
            let value = values.get(name).cloned();
            if let Some(value) = value.or_else(|| from_constant(constant?)) {
                inputs.insert(name, value);
            }
        }
        let all = node
            .inputs
            .iter()
            .all(|name| name.is_empty() || inputs.contains_key(name));
        let shapes: Vec<_> = node
            .inputs
            .iter()
            .map(|name| {
                inputs
                    .get(name)
                    .map(|array| array.shape().iter().map(|length| Some(*length)).collect())
            })
            .collect();
        let known = crate::shapes::Known::of(graph);
        let small =
            crate::shapes::infer(&known, node, &shapes).and_then(|shape| crate::shapes::product(&shape));
        if !all || small.is_none_or(|entries| entries == 0 || entries > MOST) {
            continue;
        }
        let Some(mut value) = reference::node(graph, node, &inputs) else {
            continue;
        };
        let dtype = graph.constants[source].dtype.number();
        value.mapv_inplace(|x| rounded(dtype, x));
        values.insert(output, value);
        like.insert(output, source);
        makers.insert(output, number);
    }
    // What leads to these operators alone.
    let targets = makers
        .iter()
        .filter(|(_, number)| TARGETS.contains(&graph.nodes[**number].op));
    let mut names: Vec<&str> = targets.map(|(name, _)| *name).collect();
    let mut needed: HashSet<&str> = HashSet::new();
    while let Some(name) = names.pop() {
        if let Some(number) = makers.get(name).filter(|_| needed.insert(name)) {
            names.extend(
                graph.nodes[*number]
                    .inputs
                    .iter()
                    .filter(|name| makers.contains_key(*name)),
            );
        }
    }
    for name in needed {
        let constant = graph.constants[like[name]].made(name, &values[name]);
        if !constant.dims.is_empty() {
            graph.initializers.insert(name);
            graph.copies.insert(name, makers[name]);
        }
        graph.constants.insert(name, constant);
    }
}
