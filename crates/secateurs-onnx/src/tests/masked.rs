//! Channels that are masked already, and the constants that they send.

use proptest::prelude::*;

use super::builder::{Builder, shapes};
use crate::proto::bytes_field;
use crate::{Error, Options, shrink};

#[test]
fn a_masked_channel_goes_where_its_bias_is_not_read() {
    // Channels 0 to 3 of 8 have weights of zero; their biases are -1, 1, 0 and -2.
    let removed = |op: &str| {
        let mut b = Builder::new();
        let raw: Vec<u8> = (0..8 * 27)
            .flat_map(|at| if at < 4 * 27 { 0.0_f32 } else { b.random() }.to_le_bytes())
            .collect();
        let biases = [-1.0_f32, 1.0, 0.0, -2.0, 0.3, -0.2, 0.1, 0.4];
        let biases: Vec<u8> = biases.iter().flat_map(|x| x.to_le_bytes()).collect();
        b.input("x", &[1, 3, 4, 4])
            .tensor("w", &[8, 3, 3, 3], 1, &raw)
            .tensor("b", &[8], 1, &biases)
            .node("Conv", &["x", "w", "b"], "a", &[("pads", &[1, 1, 1, 1])])
            .node(op, &["a"], "s", &[]);
        b.node("MaxPool", &["s"], "p", &[("kernel_shape", &[2, 2])]);
        b.conv("p", "y", (8, 2, 1)).output("y");
        match shrink(&b.model(), &Options::masked()) {
            Ok(smaller) => {
                assert!(smaller.report.deviation.unwrap() <= 1e-12);
                let held = smaller.report.held();
                (
                    smaller.report.removed(),
                    held.get("a bias or shift that no other bias can take up")
                        .copied(),
                )
            }
            Err(Error::NothingToRemove { .. }) => (0, None),
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(removed("Relu"), (3, Some(1)));
    assert_eq!(removed("Identity"), (1, Some(3)));
    assert_eq!(removed("Sigmoid"), (0, None));
}

/// A network with masked channels that send constants: the rows of these weights are zero, their biases are not.
fn with_constants(padded: bool, names: &[(&str, &[usize])], seed: u64) -> Vec<u8> {
    let mut b = Builder::new();
    b.state = seed;
    let pads: &[i64] = if padded { &[1, 1, 1, 1] } else { &[0, 0, 0, 0] };
    b.input("x", &[-1, 3, 9, 9]);
    for (name, dims) in [("a", [8, 3, 3, 3]), ("b", [6, 8, 3, 3]), ("c", [4, 6, 1, 1])] {
        b.weight(&format!("{name}.weight"), &dims);
    }
    b.weight("a.bias", &[8])
        .weight("c.bias", &[4])
        .weight("g.bias", &[7]);
    b.weight("g.weight", &[4, 7]).weight("m.weight", &[7, 5]);
    b.node("Conv", &["x", "a.weight", "a.bias"], "a", &[])
        .norm("a", "an", 8)
        .node("Sigmoid", &["an"], "as", &[])
        .node("Conv", &["as", "b.weight"], "b", &[("pads", pads)])
        .norm("b", "bn", 6)
        .node("Relu", &["bn"], "br", &[])
        .node("AveragePool", &["br"], "bp", &[("kernel_shape", &[2, 2])])
        .node("Conv", &["bp", "c.weight", "c.bias"], "c", &[])
        .node(
            "ReduceMean",
            &["c"],
            "cp",
            &[("axes", &[-1, 2]), ("keepdims", &[0])],
        )
        .node("Gemm", &["cp", "g.weight", "g.bias"], "g", &[])
        .node("Tanh", &["g"], "gt", &[])
        .node("MatMul", &["gt", "m.weight"], "m", &[])
        .output("m");
    // Rows become zero, wherever the weight has its outputs.
    let model = b.model();
    masked(&model, names)
}

/// The model with these outputs of weights set to zero.
fn masked(model: &[u8], names: &[(&str, &[usize])]) -> Vec<u8> {
    let mut model = model.to_vec();
    let all = shapes(&model);
    for (name, rows) in names {
        let dims = &all[*name];
        let (outputs, inner): (usize, usize) = match *name {
            "g.weight" | "m.weight" => (dims[1], 1),
            _ => (dims[0], dims[1..].iter().product()),
        };
        let len: usize = dims.iter().product();
        let start = raw_of(&model, name);
        for entry in 0..len {
            let output = if inner == 1 {
                entry % outputs
            } else {
                entry / inner
            };
            if rows.contains(&output) {
                model[start + 4 * entry..][..4].fill(0);
            }
        }
    }
    model
}

/// Where the entries of an initializer begin in a model of this builder, which writes its name just before them.
fn raw_of(model: &[u8], name: &str) -> usize {
    let mut key = Vec::new();
    bytes_field(&mut key, 8, name.as_bytes());
    let at = model.windows(key.len()).position(|window| window == key).unwrap() + key.len();
    // The tag and the length of the entries.
    let length = model[at + 1..].iter().position(|byte| byte & 0x80 == 0).unwrap() + 1;
    at + 1 + length
}

#[test]
fn constants_of_masked_channels_become_bias() {
    let all: [(&str, &[usize]); 4] = [
        ("a.weight", &[1, 4, 5]),
        ("b.weight", &[0, 3]),
        ("c.weight", &[2]),
        ("g.weight", &[1, 6]),
    ];
    let smaller = shrink(&with_constants(false, &all, 3), &Options::masked()).unwrap();
    let report = &smaller.report;
    assert!(report.deviation.unwrap() <= 1e-12, "{report}");
    // One channel of `b` has a negative shift, and sends nothing behind the activation.
    assert_eq!(report.removed(), 8);
    assert_eq!(report.folded, 7, "{report}");
    let of = shapes(&smaller.bytes);
    assert_eq!(
        (&of["a.weight"][..1], &of["b.weight"][..2]),
        (&[5][..], &[4, 5][..])
    );
    assert_eq!((&of["c.weight"][..2], &of["c.bias"][..]), (&[3, 4][..], &[3][..]));
    assert_eq!(
        (&of["g.weight"][..], &of["m.weight"][..]),
        (&[3, 5][..], &[5, 5][..])
    );
    // New biases for the convolution and the product that had none.
    let added = of
        .iter()
        .filter(|(name, dims)| name.contains("_cut") && dims.len() == 1);
    assert_eq!(added.count(), 2);
    assert!(report.to_string().contains("became bias of what reads them"));

    // Before padding, a constant is not the same everywhere.
    let smaller = shrink(&with_constants(true, &all, 3), &Options::masked()).unwrap();
    assert!(smaller.report.deviation.unwrap() <= 1e-12);
    assert_eq!(smaller.report.removed(), 5);
    assert_eq!(
        smaller.report.held()["a bias or shift that no other bias can take up"],
        3
    );
}

#[test]
fn constants_become_bias_of_the_group_that_reads_them() {
    for (groups, padded) in [(1, false), (2, false), (4, false), (2, true)] {
        let pads: &[i64] = if padded { &[1, 1, 1, 1] } else { &[0, 0, 0, 0] };
        let mut b = Builder::new();
        b.input("x", &[-1, 3, 9, 9])
            .weight("a.weight", &[8, 3, 3, 3])
            .weight("a.bias", &[8])
            .weight("b.weight", &[12, 8 / groups, 3, 3])
            .weight("b.bias", &[12])
            .node("Conv", &["x", "a.weight", "a.bias"], "a", &[])
            .node("Sigmoid", &["a"], "as", &[])
            .node(
                "Conv",
                &["as", "b.weight", "b.bias"],
                "b",
                &[("pads", pads), ("group", &[groups as i64])],
            )
            .node("GlobalAveragePool", &["b"], "y", &[])
            .output("y");
        // The same place of each group, so that it can go.
        let rows: Vec<usize> = (0..groups).map(|group| group * (8 / groups) + 1).collect();
        let model = masked(&b.model(), &[("a.weight", &rows)]);
        match shrink(&model, &Options::masked()) {
            Ok(smaller) => {
                assert!(!padded);
                assert!(smaller.report.deviation.unwrap() <= 1e-12, "{}", smaller.report);
                assert_eq!(shapes(&smaller.bytes)["b.weight"], [12, 8 / groups - 1, 3, 3]);
                assert_eq!(smaller.report.folded, 1);
            }
            Err(error) => assert!(padded, "{error}"),
        }
    }
}

#[test]
fn a_sigmoid_of_a_masked_channel_becomes_bias_of_a_product() {
    let mut b = Builder::new();
    b.input("x", &[2, 4])
        .weight("g.weight", &[4, 8])
        .weight("m.weight", &[8, 3])
        .node("MatMul", &["x", "g.weight"], "h", &[])
        .node("Sigmoid", &["h"], "s", &[])
        .node("MatMul", &["s", "m.weight"], "y", &[])
        .output("y");
    let model = masked(&b.model(), &[("g.weight", &[2, 5])]);
    let report = shrink(&model, &Options::masked()).unwrap().report;
    assert_eq!((report.removed(), report.folded), (2, 2));
    assert!(report.deviation.unwrap() <= 1e-12);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_model_without_its_masked_channels_computes_what_it_computed(
        padded in any::<bool>(),
        seed in any::<u64>(),
        rows in proptest::collection::vec(proptest::collection::vec(0..4_usize, 0..3), 4),
    ) {
        let names = ["a.weight", "b.weight", "c.weight", "g.weight"];
        let all: Vec<(&str, &[usize])> = names.iter().zip(&rows).map(|(name, rows)| (*name, &rows[..])).collect();
        let wanted = rows.iter().any(|rows| !rows.is_empty());
        match shrink(&with_constants(padded, &all, seed), &Options::masked()) {
            Ok(smaller) => {
                prop_assert!(smaller.report.deviation.unwrap() <= 1e-12);
                prop_assert!(wanted);
            }
            Err(Error::NothingToRemove { .. }) => prop_assert!(padded || !wanted),
            Err(error) => panic!("{error}"),
        }
    }
}
