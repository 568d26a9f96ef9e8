//! [`Cost`]: what a model takes.

use std::collections::{HashMap, HashSet};

use crate::couple::{couplings, equation};
use crate::error::Result;
use crate::graph::{Graph, Model, Node};
use crate::shapes::Shape;
use crate::write::Written;

/// What a model takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cost {
    /// Entries of all initializers of floats, and of all quantized weights.
    pub parameters: u64,
    /// Bytes of the model and of its weights.
    pub bytes: u64,
    /// Multiply-adds of convolutions and matrix products for one sample. `None` if the shape of one of them cannot be
    /// told, or the number is too large.
    pub macs: Option<u64>,
    /// Bytes of the values that are alive together at most, at 4 bytes an entry, for one sample and without weights.
    /// `None` if the shape of one of them cannot be told, or the number is too large.
    pub activations: Option<u64>,
}

impl Cost {
    /// That of a model that was written, and read again.
    pub(crate) fn of_written(model: &Model<'_>, written: &Written<'_>) -> Result<Self> {
        let shapes = couplings(&model.graph).shapes;
        Ok(Self::of(&model.graph, &shapes, written.len()?))
    }

    /// That of a model of this many bytes.
    pub(crate) fn of(graph: &Graph<'_>, shapes: &HashMap<&str, Shape>, bytes: u64) -> Self {
        // What is computed from others is in no file.
        let computed = |name: &&&str| {
            let maker = graph.copies.get(**name).map(|number| graph.nodes[*number].op);
            maker.is_some_and(|op| !matches!(op, "Constant" | "Identity"))
        };
        // Floats that become integers only when the model runs are there as what these stand for, too.
        let sources: HashSet<&str> = graph
            .quantized
            .iter()
            .filter(|(name, source)| **name != source.entries)
            .map(|(_, source)| source.entries)
            .collect();
        let parameters = graph
            .initializers
            .iter()
            .filter(|name| {
                !computed(name) && !graph.aliases.contains_key(**name) && !sources.contains(**name)
            })
            .filter_map(|name| graph.constants.get(name));
        let parameters = parameters.filter(|constant| constant.is_float());
        Cost {
            parameters: parameters.map(|constant| constant.len() as u64).sum(),
            bytes,
            macs: graph
                .nodes
                .iter()
                .try_fold(0_u64, |all, node| all.checked_add(macs(node, shapes)?)),
            activations: activations(graph, shapes),
        }
    }
}

/// The length of each dimension of a value; of a batch of any size, one sample.
fn lengths(name: &str, shapes: &HashMap<&str, Shape>) -> Option<Vec<usize>> {
    let mut shape = shapes.get(name)?.clone();
    if let Some(first) = shape.first_mut() {
        first.get_or_insert(1);
    }
    shape.into_iter().collect()
}

/// Numbers that are multiplied, unless that is more than a `u64` holds: shapes are what a file says.
fn count(lengths: &[usize]) -> Option<u64> {
    lengths
        .iter()
        .try_fold(1_u64, |all, length| all.checked_mul(*length as u64))
}

fn macs(node: &Node<'_>, shapes: &HashMap<&str, Shape>) -> Option<u64> {
    let input = |place: usize| lengths(node.input(place)?, shapes);
    let output = || lengths(node.outputs.first()?, shapes);
    let both = |values: &[usize], each: &[usize]| count(values)?.checked_mul(count(each)?);
    match node.op {
        "Conv" => both(&output()?, input(1)?.get(1..)?),
        "ConvTranspose" => both(&input(0)?, input(1)?.get(1..)?),
        "Gemm" => {
            let axis = usize::from(node.int("transB") == Some(1));
            both(&output()?, &[*input(1)?.get(axis)?])
        }
        "MatMul" => both(&output()?, &[*input(0)?.last()?]),
        "Einsum" => {
            let (letters, _) = equation(node)?;
            let mut all = HashMap::new();
            for (place, letters) in letters.iter().enumerate() {
                all.extend(letters.iter().copied().zip(input(place)?));
            }
            count(&all.into_values().collect::<Vec<_>>())
        }
        "Attention" => {
            let (output, key) = (output()?, input(1)?);
            let value = input(2)?;
            let heads = |name: &str| node.int(name).map_or(1, |heads| heads.max(1) as u64);
            // Products of queries and keys, and of scores and values, for each query.
            match (&output[..], &key[..], &value[..]) {
                ([_, heads, length, _], [_, _, others, size], [.., of_value]) => {
                    count(&[*heads, *length, *others, size.checked_add(*of_value)?])
                }
                ([_, length, width], [_, others, of_keys], _) => {
                    let size = *of_keys as u64 / heads("kv_num_heads");
                    let of_queries = size.checked_mul(heads("q_num_heads"))?;
                    count(&[*length, *others])?.checked_mul(of_queries.checked_add(*width as u64)?)
                }
                _ => None,
            }
        }
        "LSTM" | "GRU" | "RNN" => {
            let each = count(&input(1)?)?.checked_add(count(&input(2)?)?)?;
            count(input(0)?.get(..2)?)?.checked_mul(each)
        }
        _ => Some(0),
    }
}

/// The most bytes that are alive together: of each node its inputs, its outputs, and what later nodes still need.
fn activations(graph: &Graph<'_>, shapes: &HashMap<&str, Shape>) -> Option<u64> {
    let bytes = |name: &str| -> Option<u64> { count(&lengths(name, shapes)?)?.checked_mul(4) };
    let mut last: HashMap<&str, usize> = HashMap::new();
    for (number, node) in graph.nodes.iter().enumerate() {
        last.extend(node.inputs.iter().map(|name| (*name, number)));
    }
    last.extend(graph.outputs.iter().map(|name| (*name, usize::MAX)));
    let is_value = |name: &&str| !name.is_empty() && !graph.constants.contains_key(name);
    let mut alive = 0_u64;
    for input in &graph.inputs {
        alive = alive.checked_add(bytes(input.name)?)?;
    }
    let mut most = alive;
    for (number, node) in graph.nodes.iter().enumerate() {
        let used = |name: &&str| is_value(name) && last.contains_key(name);
        for name in node.outputs.iter().copied().filter(used) {
            alive = alive.checked_add(bytes(name)?)?;
        }
        most = most.max(alive);
        let mut ended: Vec<&str> = node.inputs.iter().copied().filter(is_value).collect();
        ended.sort_unstable();
        ended.dedup();
        for name in ended.into_iter().filter(|name| last[name] == number) {
            alive = alive.saturating_sub(bytes(name)?);
        }
    }
    Some(most)
}
