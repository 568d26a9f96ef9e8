//! Where quantized weights go: each has its entries in one initializer, and scales and zero points in others, which are cut
//! along.

use std::collections::{BTreeMap, HashMap};

use super::edit::Edit;
use super::names::Names;
use super::{Changes, NewTensor, cut::without};
use crate::error::Result;
use crate::graph::Graph;
use crate::tensor;

/// Puts the new entries of quantized weights where the file has them.
pub fn place_entries<'a>(graph: &Graph<'a>, changes: &mut Changes<'a>) {
    for (name, source) in &graph.quantized {
        if let Some(new) = changes.tensors.remove(name) {
            changes.tensors.insert(source.entries, new);
        }
    }
}

/// Cuts scales and zero points along with the weights that are cut. `kept` says which indices of the axis of a weight that
/// has them stay.
pub fn cut_parameters<'a>(
    graph: &Graph<'a>,
    kept: impl Fn(&'a str, usize) -> Option<Vec<usize>>,
    (changes, edits): (&mut Changes<'a>, &mut BTreeMap<usize, Edit>),
    names: &mut Names<'_>,
) -> Result<()> {
    if graph.quantized.is_empty() {
        return Ok(());
    }
    let mut weights: Vec<_> = graph.quantized.iter().collect();
    weights.sort_by_key(|(name, _)| **name);
    let mut readers: HashMap<&str, Vec<usize>> = HashMap::new();
    for (number, node) in graph.nodes.iter().enumerate() {
        for name in node.reads() {
            readers.entry(name).or_default().push(number);
        }
    }
    for (name, source) in weights {
        let Some(kept) = kept(name, source.axis) else {
            continue;
        };
        for (number, place) in &source.parameters {
            let Some(parameter) = graph.nodes[*number].input_in_file(*place) else {
                continue;
            };
            let new = without(&graph.constants[parameter], vec![Some(kept.clone())])?;
            let nodes: Vec<usize> = source.parameters.iter().map(|(number, _)| *number).collect();
            let alone = readers[parameter].iter().all(|reader| nodes.contains(reader));
            if alone && graph.initializers.contains(parameter) && !graph.copies.contains_key(parameter) {
                changes.tensors.insert(parameter, new);
                continue;
            }
            // Others read it as it is.
            let fresh = names.fresh(parameter);
            let dtype = graph.constants[parameter].dtype.number();
            let NewTensor { dims, entries } = new;
            changes
                .added
                .push(tensor::message(&fresh, &dims, dtype, &entries.bytes()?));
            edits.entry(*number).or_default().inputs.insert(*place, fresh);
        }
    }
    Ok(())
}
