//! Writes the smaller model: initializers without what is removed, and everything that follows from it.

use std::collections::{HashMap, HashSet};

use crate::couple::{Couplings, Follow, Labels};
use crate::error::{Error, Result};
use crate::graph::field::ATTRIBUTE_INT;
use crate::graph::{Graph, Model, Node, contradiction, field};
use crate::proto::{bytes_field, fields, length_delimited, varint_field};
use crate::tensor::{self, Constant};

/// The bytes of the model without these units.
pub fn cut(model: &Model<'_>, couplings: &Couplings<'_>, removed: &HashSet<u32>) -> Result<Vec<u8>> {
    let graph = &model.graph;
    let kept = |labels: &Labels| -> Vec<usize> {
        let stays = |index: &usize| !removed.contains(&couplings.units.root(labels[*index]));
        (0..labels.len()).filter(stays).collect()
    };
    let mut smaller = HashMap::new();
    for (name, axes) in &couplings.parameters {
        let constant = &graph.constants[name];
        let kept: Vec<Option<Vec<usize>>> = axes.iter().map(|labels| labels.as_ref().map(kept)).collect();
        let changes = kept
            .iter()
            .zip(&constant.dims)
            .any(|(kept, dim)| kept.as_ref().is_some_and(|kept| kept.len() < *dim));
        if changes {
            smaller.insert(*name, without(constant, &kept)?);
        }
    }
    let Followed { nodes, mut added } = follow(graph, couplings, &kept)?;
    // A copy that is cut, or that is made of what is cut, becomes an initializer of its own.
    let mut copies: Vec<(&str, usize)> = graph
        .copies
        .iter()
        .map(|(name, number)| (*name, *number))
        .collect();
    copies.sort_by_key(|(_, number)| *number);
    let (mut own, mut dropped) = (HashSet::new(), HashSet::new());
    for (name, number) in copies {
        let source = graph.nodes[number].inputs[0];
        match smaller.get(name) {
            Some(tensor) => added.push(tensor.clone()),
            None if smaller.contains_key(source) || own.contains(source) => {
                added.push(without(&graph.constants[name], &[])?);
            }
            None => continue,
        }
        own.insert(name);
        dropped.insert(number);
    }

    let mut body = Vec::new();
    for (number, each) in Numbered::of(graph) {
        let bytes = each.bytes().unwrap_or(&[]);
        match each.number {
            field::GRAPH_NODE if number.is_some_and(|number| dropped.contains(&number)) => {}
            field::GRAPH_NODE => match number.and_then(|number| nodes.get(&number)) {
                Some(node) => bytes_field(&mut body, field::GRAPH_NODE, node),
                None => body.extend_from_slice(each.raw),
            },
            field::GRAPH_INITIALIZER => match smaller.get(Constant::read(bytes)?.name) {
                Some(tensor) => bytes_field(&mut body, field::GRAPH_INITIALIZER, tensor),
                None => body.extend_from_slice(each.raw),
            },
            // Shapes of values between nodes are hints, of which some would be wrong now.
            field::GRAPH_VALUE_INFO => {}
            field::GRAPH_INPUT if names_any(bytes, &smaller)? => {
                return Err(Error::Unsupported {
                    what: "an initializer that is to be cut is listed as an input of the graph, too".into(),
                    at: None,
                });
            }
            _ => body.extend_from_slice(each.raw),
        }
    }
    for tensor in &added {
        bytes_field(&mut body, field::GRAPH_INITIALIZER, tensor);
    }
    let mut out = Vec::with_capacity(body.len() + 1024);
    for each in &model.fields {
        if each.number == field::MODEL_GRAPH {
            length_delimited(&mut out, field::MODEL_GRAPH, body.len());
            out.extend_from_slice(&body);
        } else {
            out.extend_from_slice(each.raw);
        }
    }
    Ok(out)
}

/// The fields of a graph, those of nodes with their numbers.
struct Numbered;

impl Numbered {
    fn of<'g, 'a>(
        graph: &'g Graph<'a>,
    ) -> impl Iterator<Item = (Option<usize>, &'g crate::proto::Field<'a>)> {
        let mut next = 0;
        graph.fields.iter().map(move |each| {
            let number = (each.number == field::GRAPH_NODE && each.bytes().is_some()).then(|| {
                next += 1;
                next - 1
            });
            (number, each)
        })
    }
}

fn names_any(input: &[u8], smaller: &HashMap<&str, Vec<u8>>) -> Result<bool> {
    let name = fields(input)?
        .iter()
        .find(|each| each.number == 1)
        .and_then(|each| each.text());
    Ok(name.is_some_and(|name| smaller.contains_key(name)))
}

/// A `TensorProto` with only these indices of each dimension.
fn without(constant: &Constant<'_>, kept: &[Option<Vec<usize>>]) -> Result<Vec<u8>> {
    let size = constant.dtype.size();
    let (Some(raw), Some(size)) = (constant.raw(), size) else {
        return Err(contradiction(constant.name, "its entries cannot be cut"));
    };
    let (mut data, mut dims) = (raw.into_owned(), constant.dims.clone());
    for (dim, kept) in kept.iter().enumerate() {
        let Some(kept) = kept.as_ref().filter(|kept| kept.len() < dims[dim]) else {
            continue;
        };
        let inner = dims[dim + 1..].iter().product::<usize>() * size;
        let mut smaller = Vec::with_capacity(data.len() / dims[dim].max(1) * kept.len());
        for outer in data.chunks((dims[dim] * inner).max(1)) {
            for index in kept {
                smaller.extend_from_slice(&outer[index * inner..][..inner]);
            }
        }
        (data, dims[dim]) = (smaller, kept.len());
    }
    Ok(tensor_like(constant, &dims, &data, None))
}

/// A `TensorProto` with another shape and other entries, all else as in this one.
fn tensor_like(constant: &Constant<'_>, dims: &[usize], raw: &[u8], name: Option<&str>) -> Vec<u8> {
    use tensor::field::*;
    let mut message = Vec::with_capacity(raw.len() + 64);
    dims.iter()
        .for_each(|dim| varint_field(&mut message, DIMS, *dim as u64));
    for each in &constant.fields {
        match each.number {
            DIMS | FLOAT_DATA | INT32_DATA | INT64_DATA | DOUBLE_DATA | RAW_DATA => {}
            NAME => bytes_field(&mut message, NAME, name.unwrap_or(constant.name).as_bytes()),
            _ => message.extend_from_slice(each.raw),
        }
    }
    bytes_field(&mut message, RAW_DATA, raw);
    message
}

/// Nodes that are written anew, by number, and initializers that they need.
struct Followed {
    nodes: HashMap<usize, Vec<u8>>,
    added: Vec<Vec<u8>>,
}

/// What follows the cuts: groups of depthwise convolutions, targets of reshapes.
fn follow(
    graph: &Graph<'_>,
    couplings: &Couplings<'_>,
    kept: &impl Fn(&Labels) -> Vec<usize>,
) -> Result<Followed> {
    let mut targets: HashMap<usize, Vec<i64>> = HashMap::new();
    let mut followed = Followed {
        nodes: HashMap::new(),
        added: Vec::new(),
    };
    for each in &couplings.follows {
        match each {
            Follow::Groups { node, labels } => {
                let groups = kept(labels).len();
                if groups < labels.len() {
                    let message = with_groups(&graph.nodes[*node], groups)?;
                    followed.nodes.insert(*node, message);
                }
            }
            Follow::Target { node, dim, labels } => {
                let length = kept(labels).len();
                if length < labels.len() {
                    let constant = graph.nodes[*node]
                        .input(1)
                        .and_then(|name| graph.constants.get(name));
                    let target = constant.and_then(Constant::ints);
                    let target =
                        target.ok_or_else(|| contradiction(graph.nodes[*node].name, "it has no target"))?;
                    targets.entry(*node).or_insert(target)[*dim] = length as i64;
                }
            }
        }
    }
    let mut nodes: Vec<_> = targets.into_iter().collect();
    nodes.sort();
    for (number, target) in nodes {
        let node = &graph.nodes[number];
        let constant = &graph.constants[node.inputs[1]];
        let mut name = format!("{}_cut", node.name);
        while graph.constants.contains_key(&*name) {
            name.push('_');
        }
        let raw: Vec<u8> = target.iter().flat_map(|length| length.to_le_bytes()).collect();
        let mut message = tensor_like(constant, &[target.len()], &raw, Some(&name));
        if !constant
            .fields
            .iter()
            .any(|each| each.number == tensor::field::NAME)
        {
            bytes_field(&mut message, tensor::field::NAME, name.as_bytes());
        }
        followed.added.push(message);
        followed.nodes.insert(number, with_input(node, 1, &name));
    }
    Ok(followed)
}

/// A node with another number of groups.
fn with_groups(node: &Node<'_>, groups: usize) -> Result<Vec<u8>> {
    let mut message = Vec::new();
    for each in &node.fields {
        let attribute = each.bytes().filter(|_| each.number == field::NODE_ATTRIBUTE);
        let inner = attribute.map(fields).transpose()?.unwrap_or_default();
        let is_group = |inner: &crate::proto::Field<'_>| {
            inner.number == field::ATTRIBUTE_NAME && inner.text() == Some("group")
        };
        if !inner.iter().any(is_group) {
            message.extend_from_slice(each.raw);
            continue;
        }
        let mut attribute = Vec::new();
        for each in &inner {
            match each.number {
                ATTRIBUTE_INT => varint_field(&mut attribute, ATTRIBUTE_INT, groups as u64),
                _ => attribute.extend_from_slice(each.raw),
            }
        }
        bytes_field(&mut message, field::NODE_ATTRIBUTE, &attribute);
    }
    Ok(message)
}

/// A node with another input at this place.
fn with_input(node: &Node<'_>, place: usize, name: &str) -> Vec<u8> {
    let (mut message, mut input) = (Vec::new(), 0);
    for each in &node.fields {
        if each.number == field::NODE_INPUT {
            input += 1;
            if input == place + 1 {
                bytes_field(&mut message, field::NODE_INPUT, name.as_bytes());
                continue;
            }
        }
        message.extend_from_slice(each.raw);
    }
    message
}
