//! [`Graph`]: the nodes, constants, inputs and outputs of a model, as slices of its file.

use std::collections::{HashMap, HashSet};

use crate::entries::Entries;
use crate::error::{Error, Result};
use crate::external::External;
use crate::proto::{Field, fields};
use crate::quantized::{self, Integers, Source};
use crate::shared::{Shared, name_uses, names_of_uses};
use crate::skeleton::Skeleton;
use crate::tensor::Constant;

/// A model, read.
pub struct Model<'a> {
    /// The fields of the `ModelProto`.
    pub fields: Vec<Field<'a>>,
    /// Its graph.
    pub graph: Graph<'a>,
    /// The entries that are not in its messages.
    pub parts: &'a [Entries<'a>],
}

/// A graph, read.
pub struct Graph<'a> {
    /// The fields of the `GraphProto`.
    pub fields: Vec<Field<'a>>,
    /// Its nodes, each after those that it depends on.
    pub nodes: Vec<Node<'a>>,
    /// Initializers and the values of `Constant` nodes, by name.
    pub constants: HashMap<&'a str, Constant<'a>>,
    /// The names of initializers, whose values can be rewritten, and of their copies.
    pub initializers: HashSet<&'a str>,
    /// The names of copies of initializers and of arrays in nodes, with the number of the `Identity` or `Constant` node that
    /// makes each.
    pub copies: HashMap<&'a str, usize>,
    /// Weights with several uses, each of which has a name of its own.
    pub shared: Vec<Shared<'a>>,
    /// The names of uses, with those of their weights.
    pub aliases: HashMap<&'a str, &'a str>,
    /// Quantized weights, and where the file has them.
    pub quantized: HashMap<&'a str, Source<'a>>,
    /// The inputs that are not initializers.
    pub inputs: Vec<Input<'a>>,
    /// The names of the outputs.
    pub outputs: Vec<&'a str>,
}

/// An input of a graph that is not an initializer.
pub struct Input<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its shape.
    pub shape: Vec<Option<usize>>,
    /// The number of the type of its entries.
    pub dtype: i64,
}

/// A node.
pub struct Node<'a> {
    /// Its name, or that of its first output.
    pub name: &'a str,
    /// Its operator.
    pub op: &'a str,
    /// What it takes. A missing optional input is empty.
    pub inputs: Vec<&'a str>,
    /// What it gives.
    pub outputs: Vec<&'a str>,
    /// How it computes if the file has it as an operator on integers that stand for numbers, such as `QLinearConv`.
    pub integers: Option<Integers<'a>>,
    attributes: Vec<Attribute<'a>>,
    /// All fields of the message.
    pub fields: Vec<Field<'a>>,
}

/// Operators of ONNX Runtime that are understood.
const CONTRIBUTED: [&str; 18] = [
    "BiasGelu",
    "DequantizeLinear",
    "FastGelu",
    "Gelu",
    "QGemm",
    "QLinearAdd",
    "QLinearAveragePool",
    "QLinearConcat",
    "QLinearGlobalAveragePool",
    "QLinearLeakyRelu",
    "QLinearMul",
    "QLinearSigmoid",
    "QLinearSoftmax",
    "QuantizeLinear",
    "QuickGelu",
    "SimplifiedLayerNormalization",
    "SkipLayerNormalization",
    "SkipSimplifiedLayerNormalization",
];

/// An attribute of a node.
#[derive(Clone)]
struct Attribute<'a> {
    name: &'a str,
    int: Option<i64>,
    float: Option<f32>,
    text: Option<&'a str>,
    ints: Vec<i64>,
    texts: Vec<&'a str>,
    tensor: Option<&'a [u8]>,
    graph: bool,
}

/// Numbers of the fields of the messages.
pub mod field {
    pub const MODEL_GRAPH: u64 = 7;
    pub const GRAPH_NODE: u64 = 1;
    pub const GRAPH_INITIALIZER: u64 = 5;
    pub const GRAPH_INPUT: u64 = 11;
    pub const GRAPH_OUTPUT: u64 = 12;
    pub const GRAPH_VALUE_INFO: u64 = 13;
    pub const NODE_INPUT: u64 = 1;
    pub const NODE_OUTPUT: u64 = 2;
    pub const NODE_NAME: u64 = 3;
    pub const NODE_OP: u64 = 4;
    pub const NODE_ATTRIBUTE: u64 = 5;
    pub const NODE_DOMAIN: u64 = 7;
    pub const ATTRIBUTE_NAME: u64 = 1;
    pub const ATTRIBUTE_FLOAT: u64 = 2;
    pub const ATTRIBUTE_INT: u64 = 3;
    pub const ATTRIBUTE_INTS: u64 = 8;
    pub const ATTRIBUTE_TYPE: u64 = 20;
}

impl<'a> Model<'a> {
    /// Reads a model.
    pub fn read(skeleton: &'a Skeleton<'a>, external: &External<'a>) -> Result<Self> {
        let fields = fields(&skeleton.bytes)?;
        let graph = fields.iter().find(|each| each.number == field::MODEL_GRAPH);
        let graph = graph.and_then(Field::bytes).ok_or(Error::Damaged {
            reason: "there is no graph",
            offset: 0,
        })?;
        let graph = Graph::read(graph, skeleton, external)?;
        let parts = &skeleton.parts;
        Ok(Model { fields, graph, parts })
    }
}

impl<'a> Graph<'a> {
    fn read(message: &'a [u8], skeleton: &'a Skeleton<'a>, external: &External<'a>) -> Result<Self> {
        let parts = &skeleton.parts;
        let fields = fields(message)?;
        let mut graph = Graph {
            nodes: Vec::new(),
            constants: HashMap::new(),
            initializers: HashSet::new(),
            copies: HashMap::new(),
            shared: Vec::new(),
            aliases: HashMap::new(),
            quantized: HashMap::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            fields,
        };
        for each in &graph.fields {
            let Some(bytes) = each.bytes() else { continue };
            match each.number {
                field::GRAPH_NODE => graph.nodes.push(Node::read(bytes)?),
                field::GRAPH_INITIALIZER => {
                    let constant = Constant::read(bytes, parts, external)?;
                    let name = constant.name;
                    graph.initializers.insert(name);
                    if graph.constants.insert(name, constant).is_some() {
                        return Err(contradiction(name, "there are two initializers of this name"));
                    }
                }
                field::GRAPH_INPUT => graph.inputs.push(value_info(bytes)?),
                field::GRAPH_OUTPUT => graph.outputs.push(value_info(bytes)?.name),
                15 => {
                    return Err(Error::Unsupported {
                        what: "the model has sparse initializers".into(),
                        at: None,
                    });
                }
                _ => {}
            }
        }
        let inputs: HashSet<&str> = graph.inputs.iter().map(|input| input.name).collect();
        let initializers = &graph.initializers;
        graph.inputs.retain(|input| !initializers.contains(input.name));
        for (number, node) in graph.nodes.iter().enumerate() {
            // Exporters write equal weights once, and give the others to `Identity` nodes: each is a weight of its own.
            if let ("Identity", [input], [output]) = (node.op, &node.inputs[..], &node.outputs[..])
                && graph.initializers.contains(input)
            {
                let copy = graph.constants[input].clone().named(output);
                graph.constants.insert(output, copy);
                graph.initializers.insert(output);
                graph.copies.insert(output, number);
            }
            if let ("Constant", Some(message), [output]) = (node.op, node.tensor("value"), &node.outputs[..])
            {
                let constant = Constant::read(message, &[], external)?;
                if constant.dtype.is_float() && !constant.dims.is_empty() {
                    graph.initializers.insert(output);
                    graph.copies.insert(output, number);
                }
                graph.constants.insert(output, constant.named(output));
            }
        }
        crate::fold::fold(&mut graph);
        graph.check_order()?;
        quantized::read(&mut graph);
        let names = skeleton.names.get_or_init(|| {
            let names = names_of_uses(&graph, &inputs).into_iter();
            names.map(|(name, uses)| (name.to_owned(), uses)).collect()
        });
        name_uses(&mut graph, names);
        Ok(graph)
    }

    /// The name that the user knows a weight by.
    pub fn original(&self, name: &'a str) -> &'a str {
        let quantized = || self.quantized.get(name).map(|source| source.entries);
        self.aliases.get(name).copied().or_else(quantized).unwrap_or(name)
    }

    /// The names of all initializers of floats and of quantized weights, in the order of the file.
    pub fn weight_names(&self) -> impl Iterator<Item = &'a str> {
        let quantized: HashSet<&str> = self.quantized.values().map(|source| source.entries).collect();
        let tensors = self
            .fields
            .iter()
            .filter(|each| each.number == field::GRAPH_INITIALIZER);
        let names = tensors.filter_map(|each| Constant::name(each.bytes()?).ok());
        names.filter(move |name| {
            let constant = self.constants.get(name);
            quantized.contains(name) || constant.is_some_and(|constant| constant.dtype.is_float())
        })
    }

    /// Checks that each node takes only what is there before it, and gives what is new.
    fn check_order(&self) -> Result<()> {
        let mut known: HashSet<&str> = self.inputs.iter().map(|input| input.name).collect();
        known.extend(
            self.initializers
                .iter()
                .filter(|name| !self.copies.contains_key(*name)),
        );
        for node in &self.nodes {
            for input in node.inputs.iter().filter(|input| !input.is_empty()) {
                if !known.contains(input) {
                    let reason = format!("its input `{input}` is not computed before it");
                    return Err(contradiction(node.name, &reason));
                }
            }
            for output in node.outputs.iter().filter(|output| !output.is_empty()) {
                if !known.insert(output) {
                    return Err(contradiction(node.name, &format!("`{output}` exists already")));
                }
            }
        }
        match self.outputs.iter().find(|output| !known.contains(*output)) {
            Some(output) => Err(contradiction(output, "this output is not computed")),
            None => Ok(()),
        }
    }
}

impl<'a> Node<'a> {
    fn read(message: &'a [u8]) -> Result<Self> {
        let fields = fields(message)?;
        let (mut name, mut op, mut domain) = ("", "", "");
        let (mut inputs, mut outputs, mut attributes) = (Vec::new(), Vec::new(), Vec::new());
        for each in &fields {
            match each.number {
                field::NODE_INPUT => inputs.push(text(each)?),
                field::NODE_OUTPUT => outputs.push(text(each)?),
                field::NODE_NAME => name = text(each)?,
                field::NODE_OP => op = text(each)?,
                field::NODE_DOMAIN => domain = text(each)?,
                field::NODE_ATTRIBUTE => attributes.push(Attribute::read(each.bytes().unwrap_or(&[]))?),
                _ => {}
            }
        }
        if name.is_empty() {
            name = outputs.first().copied().unwrap_or(op);
        }
        // Operators of other domains may have any meaning, but for some that are known.
        let known = domain == "com.microsoft" && CONTRIBUTED.contains(&op);
        if !known && !matches!(domain, "" | "ai.onnx") {
            op = "";
        }
        if attributes.iter().any(|attribute| attribute.graph) {
            return Err(Error::Unsupported {
                what: "the model has control flow".into(),
                at: Some(name.to_owned()),
            });
        }
        Ok(Node {
            name,
            op,
            inputs,
            outputs,
            integers: None,
            attributes,
            fields,
        })
    }

    /// All that it reads, in any order.
    pub fn reads(&self) -> impl Iterator<Item = &'a str> + '_ {
        let parameters = self.integers.iter().flat_map(|integers| integers.parameters());
        self.inputs.iter().copied().chain(parameters)
    }

    /// Which input of the node in the file an input is.
    pub fn place_in_file(&self, place: usize) -> usize {
        let linear = self
            .integers
            .as_ref()
            .and_then(|integers| integers.inputs.get(place));
        linear.map_or(place, |linear| linear.place)
    }

    /// An input of the node in the file, unless it is missing.
    pub fn input_in_file(&self, place: usize) -> Option<&'a str> {
        let inputs = self
            .integers
            .as_ref()
            .map_or(&self.inputs, |integers| &integers.file);
        inputs.get(place).copied().filter(|input| !input.is_empty())
    }

    /// Another operator with these inputs, and with the same attributes.
    pub fn with(&self, op: &'a str, inputs: &[&'a str]) -> Self {
        Node {
            name: self.name,
            op,
            inputs: inputs.to_vec(),
            outputs: Vec::new(),
            integers: None,
            attributes: self.attributes.clone(),
            fields: Vec::new(),
        }
    }

    fn attribute(&self, name: &str) -> Option<&Attribute<'a>> {
        self.attributes.iter().find(|attribute| attribute.name == name)
    }

    /// An integer attribute.
    pub fn int(&self, name: &str) -> Option<i64> {
        self.attribute(name)?.int
    }

    /// A float attribute.
    pub fn float(&self, name: &str) -> Option<f32> {
        self.attribute(name)?.float
    }

    /// A text attribute.
    pub fn text(&self, name: &str) -> Option<&'a str> {
        self.attribute(name)?.text
    }

    /// An attribute that is a list of texts.
    pub fn texts(&self, name: &str) -> &[&'a str] {
        self.attribute(name).map_or(&[], |attribute| &attribute.texts)
    }

    /// An attribute that is a list of integers.
    pub fn ints(&self, name: &str) -> Option<&[i64]> {
        self.attribute(name).map(|attribute| &attribute.ints[..])
    }

    /// An attribute that is a tensor: its message.
    pub fn tensor(&self, name: &str) -> Option<&'a [u8]> {
        self.attribute(name)?.tensor
    }

    /// The first output, unless it is missing.
    pub fn output(&self) -> Option<&'a str> {
        self.outputs.first().copied().filter(|output| !output.is_empty())
    }

    /// An input, unless it is missing.
    pub fn input(&self, number: usize) -> Option<&'a str> {
        self.inputs.get(number).copied().filter(|input| !input.is_empty())
    }
}

impl<'a> Attribute<'a> {
    fn read(message: &'a [u8]) -> Result<Self> {
        let mut attribute = Attribute {
            name: "",
            int: None,
            float: None,
            text: None,
            ints: Vec::new(),
            texts: Vec::new(),
            tensor: None,
            graph: false,
        };
        for each in fields(message)? {
            match each.number {
                1 => attribute.name = text(&each)?,
                2 => attribute.float = each.float(),
                3 => attribute.int = each.int(),
                4 => attribute.text = each.text(),
                5 => attribute.tensor = each.bytes(),
                6 | 11 => attribute.graph = true,
                8 => each.ints(&mut attribute.ints)?,
                9 => attribute.texts.push(text(&each)?),
                _ => {}
            }
        }
        Ok(attribute)
    }
}

/// What a `ValueInfoProto` says.
fn value_info(message: &[u8]) -> Result<Input<'_>> {
    let mut input = Input {
        name: "",
        shape: Vec::new(),
        dtype: 0,
    };
    for each in fields(message)? {
        match each.number {
            1 => input.name = text(&each)?,
            2 => {
                // TypeProto.tensor_type, with its elem_type and its shape.dim
                for tensor in inner(each.bytes().unwrap_or(&[]), 1)? {
                    let dtype = fields(tensor)?
                        .iter()
                        .find(|each| each.number == 1)
                        .and_then(Field::int);
                    input.dtype = dtype.unwrap_or(0);
                    for dims in inner(tensor, 2)? {
                        for dim in inner(dims, 1)? {
                            let length = fields(dim)?
                                .iter()
                                .find(|each| each.number == 1)
                                .and_then(Field::int);
                            let length = length.and_then(|length| usize::try_from(length).ok());
                            input.shape.push(length.filter(|dim| *dim > 0));
                        }
                    }
                }
            }
            _ => {}
        }
    }
    Ok(input)
}

/// The messages in the fields of this number.
fn inner(message: &[u8], number: u64) -> Result<Vec<&[u8]>> {
    let messages = fields(message)?.into_iter().filter(|each| each.number == number);
    Ok(messages.filter_map(|each| each.bytes()).collect())
}

fn text<'a>(field: &Field<'a>) -> Result<&'a str> {
    field.text().ok_or(Error::Damaged {
        reason: "a name is not text",
        offset: 0,
    })
}

pub fn contradiction(at: &str, reason: &str) -> Error {
    Error::Inconsistent {
        at: at.to_owned(),
        reason: reason.to_owned(),
    }
}
