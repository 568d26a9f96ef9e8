//! Writes models: the fields of the file that was read, with some tensors and nodes in the place of others.

mod beside;
mod cut;
mod edit;
mod external;
mod mask;
mod names;
mod quantized;
mod shared;
mod unused;

use std::collections::{BTreeSet, HashMap, HashSet};

pub use cut::cut;
pub use external::NewData;
pub use mask::mask;

use crate::entries::Entries;
use crate::error::{Error, Result};
use crate::graph::{Graph, Model, field};
use crate::proto::{bytes_field, fields, length_delimited, varint_field};
use crate::skeleton::{Skeleton, part_field};
use crate::tensor::{self, Constant};

/// A model that was written, and the pieces of the file that holds its weights, if it has one.
pub struct Written<'a> {
    pub model: Skeleton<'a>,
    pub data: NewData<'a>,
}

impl Written<'_> {
    /// Number of bytes of both files.
    pub fn len(&self) -> Result<u64> {
        Ok(self.model.len()? + self.data.len() as u64)
    }
}

/// Where the entries of tensors go that are written anew.
struct Places<'a> {
    /// Entries that are in the model.
    parts: Vec<Entries<'a>>,
    /// Those that are beside it.
    data: NewData<'a>,
}

/// What differs from the model that was read.
#[derive(Default)]
struct Changes<'a> {
    /// Initializers with another shape or other entries.
    tensors: HashMap<&'a str, NewTensor<'a>>,
    /// Nodes that are written anew, by number.
    nodes: HashMap<usize, Vec<Vec<u8>>>,
    /// Nodes that are left out.
    dropped: HashSet<usize>,
    /// Initializers that are left out.
    unused: BTreeSet<String>,
    /// Initializers that are added: whole messages.
    added: Vec<Vec<u8>>,
}

/// The shape and the entries of a tensor that is written anew.
struct NewTensor<'a> {
    dims: Vec<usize>,
    entries: Entries<'a>,
}

/// A model with these changes, its weights in a file of this name if they were in one, or if it is too large without.
fn write<'a>(model: &Model<'a>, mut changes: Changes<'a>, location: &str) -> Result<Written<'a>> {
    let graph = &model.graph;
    let mut places = Places {
        parts: model.parts.to_vec(),
        data: NewData::new(location),
    };
    let mut body = Vec::new();
    let mut number = 0;
    for each in &graph.fields {
        let bytes = each.bytes().unwrap_or(&[]);
        match each.number {
            field::GRAPH_NODE if each.bytes().is_some() => {
                match changes.nodes.get(&number) {
                    _ if changes.dropped.contains(&number) => {}
                    Some(nodes) => nodes
                        .iter()
                        .for_each(|node| bytes_field(&mut body, field::GRAPH_NODE, node)),
                    None => body.extend_from_slice(each.raw),
                }
                number += 1;
            }
            field::GRAPH_INITIALIZER if changes.unused.contains(Constant::name(bytes)?) => {}
            field::GRAPH_INITIALIZER => {
                let name = Constant::name(bytes)?;
                let constant = &graph.constants[name];
                match changes.tensors.remove(name) {
                    Some(new) => {
                        let message = tensor_like(constant, &new.dims, new.entries, &mut places);
                        bytes_field(&mut body, field::GRAPH_INITIALIZER, &message);
                    }
                    None if constant.is_external => {
                        let entries = constant.raw().unwrap_or(Entries::Memory(&[]));
                        let message = tensor_like(constant, &constant.dims, entries, &mut places);
                        bytes_field(&mut body, field::GRAPH_INITIALIZER, &message);
                    }
                    None => body.extend_from_slice(each.raw),
                }
            }
            // Shapes of values between nodes are hints, of which some would be wrong now.
            field::GRAPH_VALUE_INFO => {}
            field::GRAPH_INPUT if names_any(bytes, &changes.tensors)? => {
                return Err(Error::Unsupported {
                    what: "an initializer that is to be cut is listed as an input of the graph, too".into(),
                    at: None,
                });
            }
            _ => body.extend_from_slice(each.raw),
        }
    }
    for message in changes.added {
        bytes_field(&mut body, field::GRAPH_INITIALIZER, &message);
    }
    // What is left are copies, and uses of shared weights.
    let mut copies: Vec<(&str, NewTensor<'_>)> = changes.tensors.into_iter().collect();
    copies.sort_by_key(|(name, _)| (graph.copies.get(name).copied(), *name));
    for (name, new) in copies {
        let message = tensor_like(&graph.constants[name], &new.dims, new.entries, &mut places);
        bytes_field(&mut body, field::GRAPH_INITIALIZER, &message);
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
    let written = Written {
        model: Skeleton {
            bytes: out,
            parts: places.parts,
            ..Skeleton::default()
        },
        data: places.data,
    };
    beside::beside(written, beside::MOST)
}

/// A copy that is changed, or that is made of what is changed, becomes an initializer of its own, and the node that made it is
/// left out.
fn own_copies<'a>(graph: &Graph<'a>, changes: &mut Changes<'a>) -> Result<()> {
    let mut copies: Vec<(&str, usize)> = graph
        .copies
        .iter()
        .map(|(name, number)| (*name, *number))
        .collect();
    copies.sort_by_key(|(_, number)| *number);
    for (name, number) in copies {
        if changes.dropped.contains(&number) {
            continue;
        }
        let mut sources = graph.nodes[number].inputs.iter();
        if changes.tensors.contains_key(name) {
            changes.dropped.insert(number);
        } else if sources.any(|source| changes.tensors.contains_key(source)) {
            changes
                .tensors
                .insert(name, NewTensor::of(&graph.constants[name])?);
            changes.dropped.insert(number);
        }
    }
    Ok(())
}

fn names_any(input: &[u8], tensors: &HashMap<&str, NewTensor<'_>>) -> Result<bool> {
    let name = fields(input)?
        .iter()
        .find(|each| each.number == 1)
        .and_then(|each| each.text());
    Ok(name.is_some_and(|name| tensors.contains_key(name)))
}

impl<'a> NewTensor<'a> {
    /// The tensor as it is.
    fn of(constant: &Constant<'a>) -> Result<Self> {
        match (constant.raw(), constant.dtype.size()) {
            (Some(entries), Some(_)) => Ok(NewTensor {
                dims: constant.dims.clone(),
                entries,
            }),
            _ => Err(crate::graph::contradiction(
                constant.name,
                "its entries cannot be cut",
            )),
        }
    }
}

/// A `TensorProto` with another shape and other entries, all else as in this one.
fn tensor_like<'a>(
    constant: &Constant<'a>,
    dims: &[usize],
    entries: Entries<'a>,
    places: &mut Places<'a>,
) -> Vec<u8> {
    use tensor::field::*;
    let mut message = Vec::new();
    dims.iter()
        .for_each(|dim| varint_field(&mut message, DIMS, *dim as u64));
    for each in &constant.fields {
        match each.number {
            DIMS | FLOAT_DATA | INT32_DATA | INT64_DATA | DOUBLE_DATA | RAW_DATA | NAME | EXTERNAL_DATA => {}
            _ => message.extend_from_slice(each.raw),
        }
    }
    bytes_field(&mut message, NAME, constant.name.as_bytes());
    match constant.is_external {
        true => places.data.add(entries, &mut message),
        false => {
            part_field(&mut message, places.parts.len());
            places.parts.push(entries);
        }
    }
    message
}

/// A `TensorProto` of these numbers, which have to be of a type that [`tensor::encode`] knows.
fn new_tensor(name: &str, dims: &[usize], dtype: i64, values: &[f64]) -> Result<Vec<u8>> {
    let raw = tensor::encode(dtype, values);
    let raw =
        raw.ok_or_else(|| crate::graph::contradiction(name, "numbers of this type cannot be written"))?;
    Ok(tensor::message(name, dims, dtype, &raw))
}
