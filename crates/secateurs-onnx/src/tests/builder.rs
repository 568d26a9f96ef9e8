//! [`Builder`]: small models, node by node.

use std::collections::HashMap;

use crate::Options;
use crate::external::External;
use crate::graph::Model;
use crate::proto::{bytes_field, varint_field};
use crate::skeleton::Skeleton;

/// A graph under construction.
#[derive(Default)]
pub struct Builder {
    /// The fields of the `GraphProto`.
    pub graph: Vec<u8>,
    /// The state of its random numbers.
    pub state: u64,
}

impl Builder {
    pub fn new() -> Self {
        let mut builder = Builder::default();
        bytes_field(&mut builder.graph, 2, b"test");
        builder
    }

    pub fn random(&mut self) -> f32 {
        self.state = self
            .state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.state >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    pub fn value(name: &str, shape: &[i64]) -> Vec<u8> {
        let (mut shapes, mut tensor, mut kind, mut value) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for length in shape {
            let mut dim = Vec::new();
            match length {
                -1 => bytes_field(&mut dim, 2, b"batch"),
                length => varint_field(&mut dim, 1, *length as u64),
            }
            bytes_field(&mut shapes, 1, &dim);
        }
        varint_field(&mut tensor, 1, 1);
        bytes_field(&mut tensor, 2, &shapes);
        bytes_field(&mut kind, 1, &tensor);
        bytes_field(&mut value, 1, name.as_bytes());
        bytes_field(&mut value, 2, &kind);
        value
    }

    pub fn input(&mut self, name: &str, shape: &[i64]) -> &mut Self {
        bytes_field(&mut self.graph, 11, &Self::value(name, shape));
        self
    }

    pub fn output(&mut self, name: &str) -> &mut Self {
        bytes_field(&mut self.graph, 12, &Self::value(name, &[]));
        self
    }

    pub fn tensor(&mut self, name: &str, dims: &[usize], kind: u64, raw: &[u8]) -> &mut Self {
        let mut tensor = Vec::new();
        dims.iter()
            .for_each(|dim| varint_field(&mut tensor, 1, *dim as u64));
        varint_field(&mut tensor, 2, kind);
        bytes_field(&mut tensor, 8, name.as_bytes());
        bytes_field(&mut tensor, 9, raw);
        bytes_field(&mut self.graph, 5, &tensor);
        self
    }

    /// A weight of random numbers.
    pub fn weight(&mut self, name: &str, dims: &[usize]) -> &mut Self {
        let raw: Vec<u8> = (0..dims.iter().product::<usize>())
            .flat_map(|_| self.random().to_le_bytes())
            .collect();
        self.tensor(name, dims, 1, &raw)
    }

    pub fn ints(&mut self, name: &str, list: &[i64]) -> &mut Self {
        let raw: Vec<u8> = list.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.tensor(name, &[list.len()], 7, &raw)
    }

    pub fn node(&mut self, op: &str, inputs: &[&str], output: &str, ints: &[(&str, &[i64])]) -> &mut Self {
        self.with_outputs(op, inputs, &[output], ints)
    }

    /// A node with several outputs.
    pub fn with_outputs(
        &mut self,
        op: &str,
        inputs: &[&str],
        outputs: &[&str],
        ints: &[(&str, &[i64])],
    ) -> &mut Self {
        let mut node = Vec::new();
        inputs
            .iter()
            .for_each(|input| bytes_field(&mut node, 1, input.as_bytes()));
        outputs
            .iter()
            .for_each(|output| bytes_field(&mut node, 2, output.as_bytes()));
        bytes_field(&mut node, 4, op.as_bytes());
        for (name, list) in ints {
            let mut attribute = Vec::new();
            bytes_field(&mut attribute, 1, name.as_bytes());
            match list {
                [one] if !matches!(*name, "axes" | "kernel_shape" | "perm") => {
                    varint_field(&mut attribute, 3, *one as u64)
                }
                list => list
                    .iter()
                    .for_each(|x| varint_field(&mut attribute, 8, *x as u64)),
            }
            bytes_field(&mut node, 5, &attribute);
        }
        bytes_field(&mut self.graph, 1, &node);
        self
    }

    /// A convolution of 3×3 with bias and padding, and its weights.
    pub fn conv(
        &mut self,
        input: &str,
        output: &str,
        (from, to, groups): (usize, usize, usize),
    ) -> &mut Self {
        let (weight, bias) = (format!("{output}.weight"), format!("{output}.bias"));
        self.weight(&weight, &[to, from / groups, 3, 3])
            .weight(&bias, &[to]);
        let attributes: [(&str, &[i64]); 2] = [("pads", &[1, 1, 1, 1]), ("group", &[groups as i64])];
        self.node("Conv", &[input, &weight, &bias], output, &attributes)
    }

    /// Batch norm with random statistics.
    pub fn norm(&mut self, input: &str, output: &str, channels: usize) -> &mut Self {
        let names = ["scale", "shift", "mean"].map(|part| format!("{output}.{part}"));
        names.iter().for_each(|name| {
            self.weight(name, &[channels]);
        });
        let variance = format!("{output}.variance");
        let raw: Vec<u8> = (0..channels)
            .flat_map(|_| (1.5 + self.random()).to_le_bytes())
            .collect();
        self.tensor(&variance, &[channels], 1, &raw);
        self.node(
            "BatchNormalization",
            &[input, &names[0], &names[1], &names[2], &variance],
            output,
            &[],
        )
    }

    pub fn model(&self) -> Vec<u8> {
        let mut model = Vec::new();
        varint_field(&mut model, 1, 8);
        bytes_field(&mut model, 7, &self.graph);
        // A field that nobody knows.
        bytes_field(&mut model, 4321, b"kept as it is");
        let mut version = Vec::new();
        varint_field(&mut version, 2, 17);
        bytes_field(&mut model, 8, &version);
        model
    }
}

pub fn half() -> Options {
    Options::new(0.5).unwrap().round_to(1)
}

/// The shapes of initializers.
pub fn shapes(model: &[u8]) -> HashMap<String, Vec<usize>> {
    let skeleton = Skeleton::of_bytes(model).unwrap();
    let model = Model::read(&skeleton, &External::default()).unwrap();
    let constants = model.graph.constants.iter();
    constants
        .map(|(name, constant)| ((*name).to_owned(), constant.dims.clone()))
        .collect()
}

/// A residual block, pools, and a classifier.
pub fn residual() -> Builder {
    let mut b = Builder::new();
    b.input("x", &[-1, 3, 8, 8])
        .conv("x", "a", (3, 8, 1))
        .norm("a", "an", 8)
        .node("Relu", &["an"], "ar", &[]);
    b.conv("ar", "b", (8, 12, 1))
        .norm("b", "bn", 12)
        .node("Relu", &["bn"], "br", &[]);
    b.conv("br", "c", (12, 8, 1))
        .node("Add", &["ar", "c"], "sum", &[])
        .node("Relu", &["sum"], "s", &[]);
    b.node(
        "MaxPool",
        &["s"],
        "p",
        &[("kernel_shape", &[2, 2]), ("strides", &[2, 2])],
    );
    b.node("Flatten", &["p"], "f", &[])
        .weight("fc.weight", &[5, 128])
        .weight("fc.bias", &[5]);
    b.node("Gemm", &["f", "fc.weight", "fc.bias"], "y", &[("transB", &[1])])
        .output("y");
    b
}
