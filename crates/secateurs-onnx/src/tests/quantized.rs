//! Quantized models.

use std::fs;

use proptest::prelude::*;

use super::builder::{Builder, half, shapes};
use super::random::{random_network, shrink_random, steps};
use crate::external::External;
use crate::graph::Model;
use crate::proto::{bytes_field, varint_field};
use crate::skeleton::Skeleton;
use crate::{Error, Options, Outputs, plan, shrink, shrink_file};

/// Numbers of types.
const UINT8: u64 = 2;
const INT8: u64 = 3;
const INT32: u64 = 6;

impl Builder {
    /// Random integers of a type.
    fn integers(&mut self, name: &str, dims: &[usize], kind: u64) -> &mut Self {
        let raw: Vec<u8> = (0..dims.iter().product::<usize>())
            .flat_map(|_| {
                let x = self.random();
                match kind {
                    UINT8 => vec![(127.0 * x + 128.0) as u8],
                    INT8 => ((127.0 * x) as i8).to_le_bytes().to_vec(),
                    _ => ((9_999.0 * x) as i32).to_le_bytes().to_vec(),
                }
            })
            .collect();
        self.tensor(name, dims, kind, &raw)
    }

    /// Scales of about 0.01.
    fn scales(&mut self, name: &str, dims: &[usize]) -> &mut Self {
        let raw: Vec<u8> = (0..dims.iter().product::<usize>())
            .flat_map(|_| (0.01 + 0.004 * self.random()).to_le_bytes())
            .collect();
        self.tensor(name, dims, 1, &raw)
    }

    /// A scale and a zero point of bytes for all entries of a value, by the names `name.s` and `name.z`.
    fn linear(&mut self, name: &str) -> &mut Self {
        self.scales(&format!("{name}.s"), &[])
            .tensor(&format!("{name}.z"), &[], UINT8, &[120])
    }

    /// A value that is quantized and back.
    fn rounded(&mut self, input: &str, output: &str) -> &mut Self {
        let (s, z, q) = (
            format!("{output}.s"),
            format!("{output}.z"),
            format!("{output}.q"),
        );
        self.linear(output)
            .node("QuantizeLinear", &[input, &s, &z], &q, &[])
            .node("DequantizeLinear", &[&q, &s, &z], output, &[])
    }

    /// A weight of integers that are dequantized, with a scale and a zero point for each index of its first dimension.
    fn dequantized(&mut self, name: &str, dims: &[usize]) -> &mut Self {
        let [q, s, z] = ["q", "s", "z"].map(|part| format!("{name}.{part}"));
        self.integers(&q, dims, INT8)
            .scales(&s, &dims[..1])
            .integers(&z, &dims[..1], INT8);
        self.node("DequantizeLinear", &[&q, &s, &z], name, &[("axis", &[0])])
    }

    /// A weight of floats that are quantized and back when the model runs.
    fn simulated(&mut self, name: &str, dims: &[usize]) -> &mut Self {
        let [w, q, s, z] = ["w", "q", "s", "z"].map(|part| format!("{name}.{part}"));
        let axis: [(&str, &[i64]); 1] = [("axis", &[0])];
        self.weight(&w, dims)
            .scales(&s, &dims[..1])
            .tensor(&z, &dims[..1], INT8, &vec![0; dims[0]]);
        self.node("QuantizeLinear", &[&w, &s, &z], &q, &axis).node(
            "DequantizeLinear",
            &[&q, &s, &z],
            name,
            &axis,
        )
    }

    /// A convolution of 3×3, quantized in one of four ways, which its output is as well.
    fn quantized_conv(
        &mut self,
        input: &str,
        output: &str,
        (from, to, groups): (usize, usize, usize),
        way: u8,
    ) -> &mut Self {
        let names = ["x", "w", "b", "y"].map(|part| format!("{output}.{part}"));
        let [x, w, b, y] = names.each_ref().map(|name| &**name);
        let dims = [to, from / groups, 3, 3];
        let attributes: [(&str, &[i64]); 2] = [("pads", &[1, 1, 1, 1]), ("group", &[groups as i64])];
        match way % 4 {
            0 | 1 => {
                match way % 4 {
                    0 => self.dequantized(w, &dims),
                    _ => self.simulated(w, &dims),
                };
                let [q, s] = ["q", "s"].map(|part| format!("{b}.{part}"));
                self.integers(&q, &[to], INT32).scales(&s, &[to]);
                self.rounded(input, x)
                    .node("DequantizeLinear", &[&q, &s], b, &[("axis", &[0])])
                    .node("Conv", &[x, w, b], y, &attributes)
                    .rounded(y, output)
            }
            2 => {
                let parts = |name: &str| ["q", "s", "z"].map(|part| format!("{name}.{part}"));
                let ([xq, xs, xz], [yq, ys, yz]) = (parts(x), parts(y));
                let [wq, ws, wz] = parts(w);
                self.linear(x)
                    .linear(y)
                    .integers(&wq, &dims, UINT8)
                    .scales(&ws, &[to]);
                self.integers(&wz, &[to], UINT8).integers(b, &[to], INT32);
                self.node("QuantizeLinear", &[input, &xs, &xz], &xq, &[]);
                let inputs = [&*xq, &xs, &xz, &wq, &ws, &wz, &ys, &yz, b];
                self.node("QLinearConv", &inputs, &yq, &attributes).node(
                    "DequantizeLinear",
                    &[&yq, &ys, &yz],
                    output,
                    &[],
                )
            }
            _ => {
                let parts = ["q", "s", "z", "i", "f", "t"].map(|part| format!("{x}.{part}"));
                let [q, s, z, integers, floats, all] = parts.each_ref().map(|name| &**name);
                let [wq, ws, wz] = ["q", "s", "z"].map(|part| format!("{w}.{part}"));
                self.integers(&wq, &dims, INT8)
                    .scales(&ws, &[])
                    .tensor(&wz, &[], INT8, &[3]);
                self.with_outputs("DynamicQuantizeLinear", &[input], &[q, s, z], &[]);
                self.node("ConvInteger", &[q, &wq, z, &wz], integers, &attributes)
                    .node("Cast", &[integers], floats, &[("to", &[1])])
                    .node("Mul", &[s, &ws], all, &[])
                    .node("Mul", &[floats, all], output, &[])
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 100 } else { 1000 }))]

    #[test]
    fn random_quantized_networks_are_shrunk_exactly(steps in steps(), seed in any::<u64>(), share in 0.1..0.9) {
        let model = random_network(&steps, seed, |b, from, to, widths, way| { b.quantized_conv(from, to, widths, way); });
        shrink_random(&model, share)?;
    }
}

/// Two convolutions whose weights have zero points of their own, and a scale in common.
fn two() -> Builder {
    let mut b = Builder::new();
    b.input("x", &[1, 3, 6, 6]).scales("scales", &[6]);
    for (input, output, dims) in [("x", "a", [6, 3, 3, 3]), ("a", "b", [6, 6, 3, 3])] {
        let [q, z, w] = ["q", "z", "w"].map(|part| format!("{output}.{part}"));
        b.integers(&q, &dims, INT8).integers(&z, &[6], INT8);
        b.node("DequantizeLinear", &[&q, "scales", &z], &w, &[("axis", &[0])])
            .node("Conv", &[input, &w], output, &[]);
    }
    b.quantized_conv("b", "y", (6, 2, 1), 2).output("y");
    b
}

/// The integers of an initializer.
fn integers(model: &[u8], name: &str) -> Vec<i64> {
    let skeleton = Skeleton::of_bytes(model).unwrap();
    let read = Model::read(&skeleton, &External::default()).unwrap();
    read.graph.constants[name].integers().unwrap()
}

#[test]
fn scales_and_zero_points_are_cut_and_a_masked_entry_is_its_zero_point() {
    let folder = tempfile::tempdir().unwrap();
    let [model, small, masked] = ["model", "small", "masked"].map(|name| folder.path().join(name));
    fs::write(&model, two().model()).unwrap();
    let mut outputs = Outputs::new(&small);
    outputs.masked = Some(&masked);
    let report = shrink_file(&model, &outputs, &half()).unwrap();
    assert_eq!((report.removed(), report.deviation), (6, Some(0.0)));
    let [model, small, masked] = [model, small, masked].map(|path| fs::read(path).unwrap());
    let shapes = shapes(&small);
    assert_eq!(
        (&shapes["a.q"][..], &shapes["a.z"][..]),
        (&[3, 3, 3, 3][..], &[3][..])
    );
    assert_eq!(
        (&shapes["b.q"][..], &shapes["b.z"][..]),
        (&[3, 3, 3, 3][..], &[3][..])
    );
    assert_eq!(
        (&shapes["y.w.q"][..], &shapes["y.w.z"][..]),
        (&[2, 3, 3, 3][..], &[2][..])
    );
    // Different scales are left of the ones that both had.
    assert!(!shapes.contains_key("scales") || shapes["scales"] == [6]);
    let cut = shapes
        .iter()
        .filter(|(name, dims)| name.starts_with("scales_") && **dims == [3]);
    assert_eq!(cut.count(), 2);

    let (before, zero, after) = (
        integers(&model, "b.q"),
        integers(&model, "b.z"),
        integers(&masked, "b.q"),
    );
    let (mut rows, mut columns) = ([true; 6], [true; 6]);
    let is_zero = |row: usize, column: usize| {
        let entries = &after[(row * 6 + column) * 9..][..9];
        entries.iter().all(|entry| *entry == zero[row])
    };
    for row in 0..6 {
        rows[row] = (0..6).all(|column| is_zero(row, column));
        columns[row] = (0..6).all(|other| is_zero(other, row));
    }
    assert_eq!(rows.iter().filter(|zero| **zero).count(), 3);
    assert_eq!(columns.iter().filter(|zero| **zero).count(), 3);
    for (place, (before, after)) in before.iter().zip(&after).enumerate() {
        let (row, column) = (place / 54, place / 9 % 6);
        assert!(rows[row] || columns[column] || before == after);
    }
    // Zero points are what they were.
    assert_eq!(integers(&masked, "b.z"), zero);
}

#[test]
fn operators_on_integers_are_what_they_are_on_numbers() {
    let mut b = Builder::new();
    b.input("input", &[1, 3, 6, 6]);
    for name in ["x", "a", "l", "p", "s", "m", "g", "y", "z"] {
        b.linear(name);
    }
    let scaled = |name: &str| [name.to_owned(), format!("{name}.s"), format!("{name}.z")];
    let with = |values: &[&str], output: &str| -> Vec<String> {
        let inputs = values.iter().flat_map(|name| scaled(name));
        inputs.chain(scaled(output).into_iter().skip(1)).collect()
    };
    b.node("QuantizeLinear", &["input", "x.s", "x.z"], "x", &[]);
    b.integers("w", &[8, 3, 3, 3], INT8)
        .scales("w.s", &[8])
        .tensor("w.z", &[8], INT8, &[0; 8]);
    b.integers("v", &[8, 5], UINT8)
        .scales("v.s", &[5])
        .integers("v.z", &[5], UINT8);
    let pool: [(&str, &[i64]); 2] = [("kernel_shape", &[2, 2]), ("pads", &[1, 1, 0, 0])];
    let softmax: [(&str, &[i64]); 2] = [("opset", &[13]), ("axis", &[-1])];
    for (op, values, output, attributes) in [
        ("QLinearConv", &["x", "w"][..], "a", &[][..]),
        ("QLinearLeakyRelu", &["a"], "l", &[]),
        ("QLinearAveragePool", &["l"], "p", &pool),
        ("QLinearSigmoid", &["p"], "s", &[]),
        ("QLinearMul", &["p", "s"], "m", &[]),
        ("QLinearGlobalAveragePool", &["m"], "g", &[]),
    ] {
        let inputs = with(values, output);
        b.node(
            op,
            &inputs.iter().map(String::as_str).collect::<Vec<_>>(),
            output,
            attributes,
        );
    }
    b.node("Flatten", &["g"], "f", &[]).node(
        "QLinearMatMul",
        &["f", "g.s", "g.z", "v", "v.s", "v.z", "y.s", "y.z"],
        "y",
        &[],
    );
    b.node(
        "QLinearSoftmax",
        &["y", "y.s", "y.z", "z.s", "z.z"],
        "z",
        &softmax,
    )
    .node("DequantizeLinear", &["z", "z.s", "z.z"], "out", &[])
    .output("out");
    let smaller = shrink(&b.model(), &half()).unwrap();
    assert_eq!(
        (smaller.report.removed(), smaller.report.deviation),
        (4, Some(0.0))
    );
    assert_eq!(smaller.report.held()["Softmax"], 5);
    let shapes = shapes(&smaller.bytes);
    assert_eq!((&shapes["w.s"][..], &shapes["v"][..]), (&[4][..], &[4, 5][..]));
    // Three channels of images of 4×4, and a product of eight by five.
    assert_eq!(smaller.report.before.macs, Some(8 * 16 * 27 + 8 * 5));
}

#[test]
fn integers_of_other_types_and_in_nodes_are_weights() {
    const INT16: u64 = 5;
    let mut b = Builder::new();
    let entries: Vec<u8> = (0..8 * 27_i32)
        .flat_map(|at| ((at * 331 % 4_001 - 2_000) as i16).to_le_bytes())
        .collect();
    b.input("x", &[1, 3, 6, 6])
        .tensor("w.q", &[8, 3, 3, 3], INT16, &entries)
        .scales("s", &[8]);
    b.node("DequantizeLinear", &["w.q", "s"], "w", &[("axis", &[0])])
        .node("Conv", &["x", "w"], "a", &[]);
    // Entries in a `Constant` node.
    let (mut tensor, mut attribute, mut node) = (Vec::new(), Vec::new(), Vec::new());
    [2, 8, 3, 3]
        .into_iter()
        .for_each(|dim| varint_field(&mut tensor, 1, dim));
    varint_field(&mut tensor, 2, INT8);
    bytes_field(
        &mut tensor,
        9,
        &(0..144).map(|at| (at * 37 % 251) as u8).collect::<Vec<u8>>(),
    );
    bytes_field(&mut attribute, 1, b"value");
    bytes_field(&mut attribute, 5, &tensor);
    bytes_field(&mut node, 2, b"v.q");
    bytes_field(&mut node, 4, b"Constant");
    bytes_field(&mut node, 5, &attribute);
    bytes_field(&mut b.graph, 1, &node);
    b.scales("t", &[])
        .node("DequantizeLinear", &["v.q", "t"], "v", &[])
        .node("Conv", &["a", "v"], "y", &[])
        .output("y");
    let smaller = shrink(&b.model(), &half()).unwrap();
    assert_eq!(smaller.report.removed(), 4);
    assert!(smaller.report.deviation.unwrap() <= 1e-12);
    let shapes = shapes(&smaller.bytes);
    assert_eq!(
        (&shapes["w.q"][..], &shapes["v.q"][..]),
        (&[4, 3, 3, 3][..], &[2, 4, 3, 3][..])
    );
}

#[test]
fn a_range_that_depends_on_a_constant_holds_its_channels() {
    let with = |op: &str| {
        let mut b = Builder::new();
        b.input("x", &[1, 3, 6, 6])
            .conv("x", "a", (3, 8, 1))
            .node(op, &["a"], "s", &[]);
        b.quantized_conv("s", "y", (8, 2, 1), 3).output("y");
        shrink(&b.model(), &half())
    };
    assert_eq!(with("Relu").unwrap().report.removed(), 4);
    let error = with("Sigmoid").unwrap_err().to_string();
    assert!(error.contains("Sigmoid, which is not zero at zero"), "{error}");
}

#[test]
fn weights_that_are_quantized_in_other_ways_are_held() {
    let with = |build: &dyn Fn(&mut Builder)| {
        let mut b = Builder::new();
        b.input("x", &[1, 3, 6, 6]).integers("w.q", &[8, 3, 3, 3], INT8);
        build(&mut b);
        b.node("Conv", &["x", "w"], "a", &[])
            .conv("a", "y", (8, 2, 1))
            .output("y");
        match shrink(&b.model(), &half()) {
            Err(Error::NothingToRemove { .. }) => 0,
            other => other.unwrap().report.removed(),
        }
    };
    let axis: [(&str, &[i64]); 1] = [("axis", &[0])];
    let scales = |b: &mut Builder, dims: &[usize]| {
        b.scales("s", dims);
    };
    assert_eq!(
        with(&|b| {
            scales(b, &[8]);
            b.node("DequantizeLinear", &["w.q", "s"], "w", &axis);
        }),
        4
    );
    // In blocks, by two nodes, and by a scale of a shape that does not fit.
    assert_eq!(
        with(&|b| {
            scales(b, &[8, 3, 1, 3]);
            b.node(
                "DequantizeLinear",
                &["w.q", "s"],
                "w",
                &[("axis", &[2]), ("block_size", &[3])],
            );
        }),
        0
    );
    assert_eq!(
        with(&|b| {
            scales(b, &[8]);
            b.node("DequantizeLinear", &["w.q", "s"], "w", &axis)
                .node("DequantizeLinear", &["w.q", "s"], "other", &axis)
                .output("other");
        }),
        0
    );
    let mut b = Builder::new();
    b.input("x", &[1, 3, 6, 6])
        .integers("w.q", &[8, 3, 3, 3], INT8)
        .scales("s", &[7]);
    b.node("DequantizeLinear", &["w.q", "s"], "w", &axis)
        .node("Conv", &["x", "w"], "y", &[])
        .output("y");
    assert!(shrink(&b.model(), &half()).is_err());
}

#[test]
fn what_has_to_take_up_a_factor_is_not_of_integers() {
    // The scale of a norm, and a mean of integers.
    let mut norm = Builder::new();
    norm.input("x", &[2, 4]).weight("w", &[4, 8]).weight("v", &[8, 2]);
    norm.dequantized("scale", &[8])
        .node("MatMul", &["x", "w"], "a", &[])
        .node("RMSNormalization", &["a", "scale"], "n", &[])
        .node("MatMul", &["n", "v"], "y", &[])
        .output("y");
    let mut mean = Builder::new();
    mean.input("x", &[2, 4]).weight("w", &[4, 8]).linear("q");
    mean.node("MatMul", &["x", "w"], "a", &[])
        .node("QuantizeLinear", &["a", "q.s", "q.z"], "q", &[])
        .node("ReduceMean", &["q"], "m", &[("axes", &[1])])
        .node("DequantizeLinear", &["m", "q.s", "q.z"], "y", &[])
        .output("y");
    for (b, reason) in [(norm, "RMSNormalization"), (mean, "ReduceMean")] {
        let error = shrink(&b.model(), &half()).unwrap_err();
        assert!(
            matches!(&error, Error::NothingToRemove { reason: got } if got.contains(reason)),
            "{error}"
        );
    }
}

#[test]
fn a_masked_channel_goes_if_what_it_sends_is_rounded_to_zero() {
    // The first four of eight rows stand for zero; as integers, their biases are negative, positive, too small, and zero.
    let mut b = Builder::new();
    let weights: Vec<u8> = (0..8 * 27)
        .map(|at| if at < 4 * 27 { 5 } else { (at % 90) as u8 })
        .collect();
    let biases: Vec<u8> = [-900_i32, 900, 1, 0, 100, 200, 300, 400]
        .iter()
        .flat_map(|x| x.to_le_bytes())
        .collect();
    let scale = |x: f32| x.to_le_bytes();
    b.input("x", &[1, 3, 6, 6]).linear("x");
    b.tensor("w", &[8, 3, 3, 3], INT8, &weights)
        .tensor("b", &[8], INT32, &biases)
        .tensor("w.z", &[], INT8, &[5]);
    b.tensor("w.s", &[], 1, &scale(0.01))
        .tensor("a.s", &[], 1, &scale(0.02))
        .tensor("a.z", &[], UINT8, &[0]);
    b.node("QuantizeLinear", &["x", "x.s", "x.z"], "xq", &[]);
    b.node(
        "QLinearConv",
        &["xq", "x.s", "x.z", "w", "w.s", "w.z", "a.s", "a.z", "b"],
        "aq",
        &[],
    )
    .node("DequantizeLinear", &["aq", "a.s", "a.z"], "a", &[])
    .conv("a", "y", (8, 2, 1))
    .output("y");
    let smaller = shrink(&b.model(), &Options::masked()).unwrap();
    assert_eq!(smaller.report.removed(), 3);
    assert!(smaller.report.deviation.unwrap() <= 1e-12);
    assert_eq!(integers(&smaller.bytes, "b"), [900, 100, 200, 300, 400]);
    // Biases of integers take up no constants.
    assert_eq!(smaller.report.folded, 0);
}

#[test]
fn nothing_is_said_of_a_model_that_gives_nan() {
    let mut b = Builder::new();
    b.input("x", &[1, 3, 6, 6])
        .conv("x", "a", (3, 8, 1))
        .conv("a", "y", (8, 2, 1));
    b.node("Sub", &["x", "x"], "zero", &[])
        .node("Div", &["zero", "zero"], "n", &[]);
    let model = b.output("y").output("n").model();
    assert_eq!(plan(&model, &half()).unwrap().removed(), 4);
    let error = shrink(&model, &half()).unwrap_err().to_string();
    assert!(error.contains("gives NaN") && error.contains("`n`"), "{error}");
}
