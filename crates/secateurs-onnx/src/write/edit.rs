//! [`Edit`]: a node that is written anew.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::Result;
use crate::graph::Node;
use crate::graph::field::*;
use crate::proto::{bytes_field, fields, float_field, varint_field};

/// `AttributeProto.type` of one float, of one integer, and of a list.
const FLOAT: u64 = 1;
const INT: u64 = 2;
const INTS: u64 = 7;

/// What changes in a node.
#[derive(Default)]
pub struct Edit {
    /// Other names of inputs, by place.
    pub inputs: BTreeMap<usize, String>,
    /// Other integers of attributes, by name.
    pub ints: BTreeMap<&'static str, Vec<i64>>,
    /// Other floats of attributes, by name.
    pub floats: BTreeMap<&'static str, f32>,
    /// Attributes that are left out.
    pub dropped: BTreeSet<&'static str>,
    /// Another name of the first output.
    output: Option<String>,
    /// Nodes that follow: whole messages.
    after: Vec<Vec<u8>>,
}

impl Edit {
    /// Multiplies the first output by a factor, under the name that it had.
    pub fn scale_output(&mut self, node: &Node<'_>, full: String, factor: &str) {
        self.after_output(node, full, factor, b"Mul");
    }

    /// Adds a vector to the first output, under the name that it had.
    pub fn shift_output(&mut self, node: &Node<'_>, full: String, shift: &str) {
        self.after_output(node, full, shift, b"Add");
    }

    fn after_output(&mut self, node: &Node<'_>, full: String, with: &str, op: &[u8]) {
        let mut message = Vec::new();
        bytes_field(&mut message, NODE_INPUT, full.as_bytes());
        bytes_field(&mut message, NODE_INPUT, with.as_bytes());
        bytes_field(&mut message, NODE_OUTPUT, node.outputs[0].as_bytes());
        bytes_field(&mut message, NODE_NAME, full.as_bytes());
        bytes_field(&mut message, NODE_OP, op);
        self.output = Some(full);
        self.after.push(message);
    }

    /// The messages of the node, and of those that follow it.
    pub fn messages(self, node: &Node<'_>) -> Result<Vec<Vec<u8>>> {
        let (mut message, mut input, mut output) = (Vec::new(), 0, 0);
        let (mut inputs, mut ints, mut floats) = (self.inputs, self.ints, self.floats);
        let last = node.fields.iter().rposition(|each| each.number == NODE_INPUT);
        for (position, each) in node.fields.iter().enumerate() {
            match each.number {
                NODE_INPUT => {
                    match inputs.remove(&input) {
                        Some(name) => bytes_field(&mut message, NODE_INPUT, name.as_bytes()),
                        None => message.extend_from_slice(each.raw),
                    }
                    input += 1;
                    // Inputs that the node did not have.
                    while last == Some(position) && !inputs.is_empty() {
                        let name = inputs.remove(&input).unwrap_or_default();
                        bytes_field(&mut message, NODE_INPUT, name.as_bytes());
                        input += 1;
                    }
                }
                NODE_OUTPUT => {
                    match self.output.as_ref().filter(|_| output == 0) {
                        Some(name) => bytes_field(&mut message, NODE_OUTPUT, name.as_bytes()),
                        None => message.extend_from_slice(each.raw),
                    }
                    output += 1;
                }
                NODE_ATTRIBUTE => {
                    let inner = fields(each.bytes().unwrap_or(&[]))?;
                    let name = inner.iter().find(|each| each.number == ATTRIBUTE_NAME);
                    let name = name.and_then(|each| each.text()).unwrap_or("");
                    if self.dropped.contains(name) {
                        continue;
                    }
                    match (ints.remove(name), floats.remove(name)) {
                        (Some(list), _) => bytes_field(&mut message, NODE_ATTRIBUTE, &attribute(name, &list)),
                        (None, Some(x)) => bytes_field(&mut message, NODE_ATTRIBUTE, &float(name, x)),
                        (None, None) => message.extend_from_slice(each.raw),
                    }
                }
                _ => message.extend_from_slice(each.raw),
            }
        }
        for (name, list) in ints {
            bytes_field(&mut message, NODE_ATTRIBUTE, &attribute(name, &list));
        }
        for (name, x) in floats {
            bytes_field(&mut message, NODE_ATTRIBUTE, &float(name, x));
        }
        let mut messages = vec![message];
        messages.extend(self.after);
        Ok(messages)
    }
}

/// An attribute of one float.
fn float(name: &str, x: f32) -> Vec<u8> {
    let mut message = Vec::new();
    bytes_field(&mut message, ATTRIBUTE_NAME, name.as_bytes());
    float_field(&mut message, ATTRIBUTE_FLOAT, x);
    varint_field(&mut message, ATTRIBUTE_TYPE, FLOAT);
    message
}

/// An attribute of one integer, or of a list for the attributes that are lists.
fn attribute(name: &str, ints: &[i64]) -> Vec<u8> {
    let mut message = Vec::new();
    bytes_field(&mut message, ATTRIBUTE_NAME, name.as_bytes());
    match ints {
        [int] if name != "split" => {
            varint_field(&mut message, ATTRIBUTE_INT, *int as u64);
            varint_field(&mut message, ATTRIBUTE_TYPE, INT);
        }
        list => {
            list.iter()
                .for_each(|int| varint_field(&mut message, ATTRIBUTE_INTS, *int as u64));
            varint_field(&mut message, ATTRIBUTE_TYPE, INTS);
        }
    }
    message
}
