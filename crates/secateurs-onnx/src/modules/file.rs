//! [`GraphFile`]: an ONNX model that is written from scratch.

use crate::graph::field::*;
use crate::proto::{bytes_field, varint_field, write_varint};
use crate::tensor::{self, FLOAT, INT64};

/// The version of the format, and that of the operators: both of 2021, which every runtime reads.
const IR_VERSION: u64 = 8;
const OPSET: u64 = 17;

/// Numbers of the fields that only a new model needs.
const MODEL_IR_VERSION: u64 = 1;
const MODEL_PRODUCER: u64 = 2;
const MODEL_PRODUCER_VERSION: u64 = 3;
const MODEL_OPSET: u64 = 8;
const OPSET_VERSION: u64 = 2;
const GRAPH_NAME: u64 = 2;
const ATTRIBUTE_FLOAT: u64 = 2;
const VALUE_NAME: u64 = 1;
const VALUE_TYPE: u64 = 2;
const TYPE_TENSOR: u64 = 1;
const TENSOR_ELEMENT: u64 = 1;
const TENSOR_SHAPE: u64 = 2;
const SHAPE_DIM: u64 = 1;
const DIM_LENGTH: u64 = 1;
const DIM_NAME: u64 = 2;

/// The value of an attribute.
pub enum Attribute {
    Int(i64),
    Ints(Vec<i64>),
    Float(f32),
}

/// A model that is written from scratch.
#[derive(Default)]
pub struct GraphFile {
    nodes: Vec<NewNode>,
    initializers: Vec<u8>,
}

struct NewNode {
    op: &'static str,
    name: String,
    inputs: Vec<String>,
    output: String,
    attributes: Vec<(&'static str, Attribute)>,
}

impl GraphFile {
    /// Appends a node whose output has its name.
    pub fn node(
        &mut self,
        op: &'static str,
        name: &str,
        inputs: &[&str],
        attributes: Vec<(&'static str, Attribute)>,
    ) {
        self.nodes.push(NewNode {
            op,
            name: name.to_owned(),
            inputs: inputs.iter().map(|input| (*input).to_owned()).collect(),
            output: name.to_owned(),
            attributes,
        });
    }

    /// Gives a value that only the last node makes another name.
    pub fn name_output(&mut self, value: &str, name: &str) {
        match self.nodes.last_mut().filter(|node| node.output == value) {
            Some(node) => name.clone_into(&mut node.output),
            None => self.node("Identity", name, &[value], Vec::new()),
        }
    }

    /// Appends an initializer of floats.
    pub fn floats(&mut self, name: &str, dims: &[usize], values: impl Iterator<Item = f32>) {
        self.initializer(name, dims, FLOAT, values.flat_map(f32::to_le_bytes).collect());
    }

    /// Appends an initializer of integers, a vector.
    pub fn ints(&mut self, name: &str, values: &[i64]) {
        let raw = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.initializer(name, &[values.len()], INT64, raw);
    }

    fn initializer(&mut self, name: &str, dims: &[usize], dtype: i64, raw: Vec<u8>) {
        let tensor = tensor::message(name, dims, dtype, &raw);
        bytes_field(&mut self.initializers, GRAPH_INITIALIZER, &tensor);
    }

    /// The model, with the names of its input and its output, and the shapes of one sample of each.
    pub fn finish(self, input: (&str, &[usize]), output: (&str, &[usize])) -> Vec<u8> {
        let mut graph = Vec::new();
        for node in self.nodes {
            bytes_field(&mut graph, GRAPH_NODE, &node.message());
        }
        bytes_field(&mut graph, GRAPH_NAME, b"secateurs");
        graph.extend(self.initializers);
        bytes_field(&mut graph, GRAPH_INPUT, &value(input));
        bytes_field(&mut graph, GRAPH_OUTPUT, &value(output));
        let (mut model, mut opset) = (Vec::new(), Vec::new());
        varint_field(&mut model, MODEL_IR_VERSION, IR_VERSION);
        bytes_field(&mut model, MODEL_PRODUCER, b"secateurs");
        bytes_field(
            &mut model,
            MODEL_PRODUCER_VERSION,
            env!("CARGO_PKG_VERSION").as_bytes(),
        );
        varint_field(&mut opset, OPSET_VERSION, OPSET);
        bytes_field(&mut model, MODEL_OPSET, &opset);
        bytes_field(&mut model, MODEL_GRAPH, &graph);
        model
    }
}

impl NewNode {
    fn message(self) -> Vec<u8> {
        let mut message = Vec::new();
        for input in &self.inputs {
            bytes_field(&mut message, NODE_INPUT, input.as_bytes());
        }
        bytes_field(&mut message, NODE_OUTPUT, self.output.as_bytes());
        bytes_field(&mut message, NODE_NAME, self.name.as_bytes());
        bytes_field(&mut message, NODE_OP, self.op.as_bytes());
        for (name, value) in self.attributes {
            bytes_field(&mut message, NODE_ATTRIBUTE, &attribute(name, value));
        }
        message
    }
}

fn attribute(name: &str, value: Attribute) -> Vec<u8> {
    let mut message = Vec::new();
    bytes_field(&mut message, ATTRIBUTE_NAME, name.as_bytes());
    let kind = match value {
        Attribute::Float(float) => {
            write_varint(&mut message, ATTRIBUTE_FLOAT << 3 | 5);
            message.extend(float.to_le_bytes());
            1
        }
        Attribute::Int(int) => {
            varint_field(&mut message, ATTRIBUTE_INT, int as u64);
            2
        }
        Attribute::Ints(ints) => {
            ints.iter()
                .for_each(|int| varint_field(&mut message, ATTRIBUTE_INTS, *int as u64));
            7
        }
    };
    varint_field(&mut message, ATTRIBUTE_TYPE, kind);
    message
}

/// An input or output: floats, in a batch of any size.
fn value((name, sample): (&str, &[usize])) -> Vec<u8> {
    let (mut shape, mut dim) = (Vec::new(), Vec::new());
    bytes_field(&mut dim, DIM_NAME, b"batch");
    bytes_field(&mut shape, SHAPE_DIM, &dim);
    for length in sample {
        let mut dim = Vec::new();
        varint_field(&mut dim, DIM_LENGTH, *length as u64);
        bytes_field(&mut shape, SHAPE_DIM, &dim);
    }
    let (mut tensor, mut kind, mut value) = (Vec::new(), Vec::new(), Vec::new());
    varint_field(&mut tensor, TENSOR_ELEMENT, FLOAT as u64);
    bytes_field(&mut tensor, TENSOR_SHAPE, &shape);
    bytes_field(&mut kind, TYPE_TENSOR, &tensor);
    bytes_field(&mut value, VALUE_NAME, name.as_bytes());
    bytes_field(&mut value, VALUE_TYPE, &kind);
    value
}
