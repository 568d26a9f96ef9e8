//! What nothing reads any more, once nodes read other things: it is left out.

use std::collections::{BTreeSet, HashMap};

use super::Changes;
use crate::error::Result;
use crate::graph::field::{GRAPH_INPUT, NODE_INPUT, NODE_OUTPUT};
use crate::graph::{Graph, Node};
use crate::proto::{Field, fields};
use crate::tensor::Constant;

/// The number of the field of a `ValueInfoProto` that is its name.
const VALUE_NAME: u64 = 1;

/// The names that a message has in fields of this number, such as the inputs of a node.
fn names(fields: &[Field<'_>], number: u64) -> Vec<String> {
    let names = fields.iter().filter(|each| each.number == number);
    let names = names
        .filter_map(|each| each.text())
        .filter(|name| !name.is_empty());
    names.map(str::to_owned).collect()
}

/// Leaves out nodes and initializers that were read, or that are new, and that nothing reads now. What nothing read before
/// stays.
pub fn leave_out<'a>(graph: &Graph<'a>, changes: &mut Changes<'a>) -> Result<()> {
    let numbers = 0..graph.nodes.len();
    let inputs: Vec<Vec<String>> = numbers
        .map(|number| inputs(&graph.nodes[number], number, changes))
        .collect::<Result<_>>()?;
    let mut reads: HashMap<String, usize> = HashMap::new();
    let mut makers: HashMap<String, usize> = HashMap::new();
    for (number, node) in graph.nodes.iter().enumerate() {
        let before = names(&node.fields, NODE_INPUT).into_iter();
        before.for_each(|name| _ = reads.entry(name).or_insert(0));
        if !changes.dropped.contains(&number) {
            let outputs = names(&node.fields, NODE_OUTPUT).into_iter();
            makers.extend(outputs.map(|name| (name, number)));
        }
    }
    for message in &changes.added {
        reads.entry(Constant::name(message)?.to_owned()).or_insert(0);
    }
    for name in inputs.iter().flatten() {
        *reads.entry(name.clone()).or_insert(0) += 1;
    }
    for name in &graph.outputs {
        *reads.entry((*name).to_owned()).or_insert(0) += 1;
    }
    // An initializer that is an input, too, is a default, without which the input would have to be given.
    for input in graph.fields.iter().filter(|each| each.number == GRAPH_INPUT) {
        for name in names(&fields(input.bytes().unwrap_or(&[]))?, VALUE_NAME) {
            *reads.entry(name).or_insert(0) += 1;
        }
    }
    let none = reads.iter().filter(|(_, reads)| **reads == 0);
    let mut unread: Vec<String> = none.map(|(name, _)| name.clone()).collect();
    let mut unused = BTreeSet::new();
    while let Some(name) = unread.pop() {
        let Some(number) = makers.get(&name).copied() else {
            unused.insert(name);
            continue;
        };
        let outputs = names(&graph.nodes[number].fields, NODE_OUTPUT);
        let is_read = |name: &String| reads.get(name).is_some_and(|reads| *reads > 0);
        if outputs.iter().any(is_read) || !changes.dropped.insert(number) {
            continue;
        }
        for input in &inputs[number] {
            let Some(left) = reads.get_mut(input) else {
                continue;
            };
            *left -= 1;
            if *left == 0 {
                unread.push(input.clone());
            }
        }
    }
    changes.tensors.retain(|name, _| !unused.contains(*name));
    changes
        .added
        .retain(|message| Constant::name(message).is_ok_and(|name| !unused.contains(name)));
    changes.unused = unused;
    Ok(())
}

/// What a node reads now.
fn inputs(node: &Node<'_>, number: usize, changes: &Changes<'_>) -> Result<Vec<String>> {
    match changes.nodes.get(&number) {
        _ if changes.dropped.contains(&number) => Ok(Vec::new()),
        None => Ok(names(&node.fields, NODE_INPUT)),
        Some(messages) => {
            let mut all = Vec::new();
            for message in messages {
                all.extend(names(&fields(message)?, NODE_INPUT));
            }
            Ok(all)
        }
    }
}
