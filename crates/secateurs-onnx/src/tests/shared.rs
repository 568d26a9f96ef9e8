//! Weights with several uses: which stay shared, and which are cut by themselves.

use std::collections::{BTreeMap, HashMap};
use std::fs;

use ndarray::{ArrayD, IxDyn};
use proptest::prelude::*;

use super::builder::{Builder, half};
use crate::couple::couplings;
use crate::external::External;
use crate::graph::{Model, field};
use crate::proto::{bytes_field, varint_field};
use crate::skeleton::Skeleton;
use crate::{Importance, Options, Outputs, Smaller, plan, reference, shrink, shrink_file};

/// The shapes of initializers in the file.
fn written(model: &[u8]) -> BTreeMap<String, Vec<usize>> {
    let skeleton = Skeleton::of_bytes(model).unwrap();
    let model = Model::read(&skeleton, &External::default()).unwrap();
    let tensors = model
        .graph
        .fields
        .iter()
        .filter(|each| each.number == field::GRAPH_INITIALIZER);
    let names = tensors.map(|each| crate::tensor::Constant::name(each.bytes().unwrap()).unwrap());
    names
        .map(|name| (name.to_owned(), model.graph.constants[name].dims.clone()))
        .collect()
}

/// A vector filled with one number.
fn filled(b: &mut Builder, name: &str, length: usize, value: f32) {
    let raw: Vec<u8> = (0..length).flat_map(|_| value.to_le_bytes()).collect();
    b.tensor(name, &[length], 1, &raw);
}

/// Two layers of 8 channels whose biases and batch norms are one set of vectors.
fn layers_with_equal_vectors(bias: Option<f32>) -> Vec<u8> {
    let mut b = Builder::new();
    b.input("x", &[2, 3, 4, 4]);
    for (name, dims) in [
        ("first", [8, 3, 1, 1]),
        ("second", [8, 8, 1, 1]),
        ("third", [2, 8, 1, 1]),
    ] {
        b.weight(name, &dims);
    }
    match bias {
        Some(value) => filled(&mut b, "bias", 8, value),
        None => drop(b.weight("bias", &[8])),
    }
    filled(&mut b, "zeros", 8, 0.0);
    filled(&mut b, "ones", 8, 1.0);
    for (from, weight, to) in [("x", "first", "a"), ("ar", "second", "b")] {
        let (normed, out) = (format!("{to}n"), format!("{to}r"));
        b.node("Conv", &[from, weight, "bias"], to, &[]);
        b.node(
            "BatchNormalization",
            &[to, "ones", "zeros", "zeros", "ones"],
            &normed,
            &[],
        );
        b.node("Relu", &[&normed], &out, &[]);
    }
    b.node("Conv", &["br", "third"], "y", &[]).output("y");
    b.model()
}

#[test]
fn layers_that_have_vectors_in_common_are_not_coupled() {
    for bias in [None, Some(0.5)] {
        let model = layers_with_equal_vectors(bias);
        let Smaller { bytes, report } = shrink(&model, &half()).unwrap();
        let groups: Vec<usize> = report.groups.iter().map(|group| group.channels).collect();
        assert_eq!((groups, report.removed()), (vec![8, 8, 2], 8));
        assert!(report.deviation.unwrap() <= 1e-12);
        // Vectors of one number are equal again, whichever channels are removed. The bias of each layer is another one.
        let shapes = written(&bytes);
        let biases: Vec<_> = shapes
            .iter()
            .filter(|(name, _)| name.starts_with("bias"))
            .collect();
        assert_eq!(biases.len(), if bias.is_none() { 2 } else { 1 }, "{shapes:?}");
        assert!(biases.iter().all(|(_, shape)| **shape == [4]));
        assert_eq!((&shapes["ones"], &shapes["zeros"]), (&vec![4], &vec![4]));
        assert_eq!(shapes.len(), 5 + biases.len());
        // Weights have the names that they have in the file.
        for group in &report.groups[..2] {
            assert!(
                group.parameters.contains(&"bias".into()),
                "{:?}",
                group.parameters
            );
            assert!(
                group
                    .parameters
                    .iter()
                    .all(|name| written(&model).contains_key(name))
            );
        }
    }
    // Only one of the layers is cut, so the other one still needs the vectors as they were.
    let model = layers_with_equal_vectors(None);
    let options = half().only(|weights| weights.iter().any(|name| name == "first"));
    let shapes = written(&shrink(&model, &options).unwrap().bytes);
    assert_eq!(
        (&shapes["bias"], &shapes["ones"], &shapes["zeros"]),
        (&vec![8], &vec![8], &vec![8])
    );
    assert_eq!(shapes.values().filter(|shape| ***shape == [4]).count(), 3);
}

#[test]
fn scores_for_a_shared_weight_are_those_of_all_its_uses() {
    let model = layers_with_equal_vectors(None);
    let scores = ArrayD::from_shape_fn(IxDyn(&[8]), |at| at[0] as f32);
    let given = BTreeMap::from([("bias".to_owned(), scores.clone())]);
    let by_name = shrink(&model, &half().importance(Importance::Scores(given.into()))).unwrap();
    let function = Importance::function(move |name, _| (name == "bias").then(|| scores.clone()));
    let by_function = shrink(&model, &half().importance(function)).unwrap();
    assert_eq!(by_name.bytes, by_function.bytes);
    // Both layers lose the same channels, so that they still have all vectors in common.
    assert_eq!(by_name.report.removed(), 8);
    assert_eq!(written(&by_name.bytes).len(), 6);
}

/// logits = relu(norm(E[ids]) a) b Eᵀ, with an embedding E of 40 rows and 32 columns.
fn language_model(held: bool) -> Vec<u8> {
    let mut b = Builder::new();
    b.input("ids", &[2, 3]);
    b.weight("E", &[40, 32])
        .weight("a", &[32, 16])
        .weight("b", &[16, 32])
        .weight("scale", &[32]);
    b.node("Cast", &["ids"], "indices", &[("to", &[7])]);
    b.node("Gather", &["E", "indices"], "e", &[]);
    let norm = if held { "Softmax" } else { "Relu" };
    b.node(norm, &["e"], "n", &[]);
    b.node("MatMul", &["n", "a"], "h", &[])
        .node("Relu", &["h"], "hr", &[]);
    b.node("MatMul", &["hr", "b"], "o", &[]);
    b.node("Transpose", &["E"], "Et", &[("perm", &[1, 0])]);
    b.node("MatMul", &["o", "Et"], "logits", &[]).output("logits");
    b.model()
}

#[test]
fn an_embedding_that_is_the_output_layer_stays_shared() {
    let Smaller { bytes, report } = shrink(&language_model(false), &half()).unwrap();
    assert!(report.deviation.unwrap() <= 1e-12);
    let shapes = written(&bytes);
    assert_eq!(
        (&shapes["E"], &shapes["a"], &shapes["b"]),
        (&vec![40, 16], &vec![16, 8], &vec![8, 16])
    );
    assert_eq!(shapes.len(), 4);
    assert_eq!(report.after.parameters, 40 * 16 + 2 * 16 * 8 + 32);
}

#[test]
fn where_one_use_is_held_the_other_one_is_cloned() {
    let Smaller { bytes, report } = shrink(&language_model(true), &half()).unwrap();
    assert!(report.deviation.unwrap() <= 1e-12);
    let shapes = written(&bytes);
    assert_eq!((&shapes["E"], &shapes["E_2"]), (&vec![40, 32], &vec![40, 16]));
    assert_eq!((&shapes["a"], &shapes["b"]), (&vec![32, 8], &vec![8, 16]));
}

/// relu(x W) and relu(y W), or that of a copy of W, each with an output layer of its own.
fn branches(copy: bool) -> Vec<u8> {
    let mut b = Builder::new();
    b.input("x", &[2, 24])
        .input("y", &[2, 24])
        .weight("W", &[24, 16])
        .weight("u", &[16, 2])
        .weight("v", &[16, 2]);
    b.node("Identity", &["W"], "copy", &[]);
    for (from, weight, to, out) in [
        ("x", "W", "p", "u"),
        ("y", if copy { "copy" } else { "W" }, "q", "v"),
    ] {
        let (relu, output) = (format!("{to}r"), format!("{to}o"));
        b.node("MatMul", &[from, weight], to, &[])
            .node("Relu", &[to], &relu, &[]);
        b.node("MatMul", &[&relu, out], &output, &[]).output(&output);
    }
    b.model()
}

#[test]
fn a_layer_of_two_branches_stays_one() {
    for copy in [false, true] {
        let Smaller { bytes, report } = shrink(&branches(copy), &half()).unwrap();
        assert!(report.deviation.unwrap() <= 1e-12);
        let shapes = written(&bytes);
        assert_eq!(
            (shapes.len(), &shapes["W"], &shapes["v"]),
            (3, &vec![24, 8], &vec![8, 2])
        );
        // Nothing uses the copy any more.
        let skeleton = Skeleton::of_bytes(&bytes).unwrap();
        let read = Model::read(&skeleton, &External::default()).unwrap();
        let copies = read.graph.nodes.iter().filter(|node| node.op == "Identity");
        assert_eq!(copies.count(), 0);
    }
}

#[test]
fn slices_of_one_weight_leave_it_one() {
    // Rows 0 to 7 make an output, the others a hidden layer.
    let mut b = Builder::new();
    b.input("x", &[2, 10])
        .weight("W", &[24, 10])
        .weight("v", &[16, 3]);
    for (to, start, end) in [("held", 0, 8), ("free", 8, 24)] {
        let name = |part: &str| format!("{to}{part}");
        b.ints(&name("start"), &[start])
            .ints(&name("end"), &[end])
            .ints(&name("axis"), &[0]);
        let inputs = ["W", &name("start"), &name("end"), &name("axis")];
        b.node("Slice", &inputs, &name("W"), &[]);
        b.node("Transpose", &[&name("W")], &name("T"), &[("perm", &[1, 0])]);
        b.node("MatMul", &["x", &name("T")], to, &[]);
    }
    b.node("Relu", &["free"], "r", &[])
        .node("MatMul", &["r", "v"], "y", &[])
        .output("y")
        .output("held");
    let Smaller { bytes, report } = shrink(&b.model(), &half()).unwrap();
    assert!(report.deviation.unwrap() <= 1e-12);
    let shapes = written(&bytes);
    assert_eq!((&shapes["W"], &shapes["v"]), (&vec![16, 10], &vec![8, 3]));
    assert!(!shapes.keys().any(|name| name.starts_with("W_")));
}

#[test]
fn scalars_and_shapes_in_common_tie_nothing() {
    let mut b = Builder::new();
    b.input("x", &[2, 4])
        .weight("a", &[4, 8])
        .weight("b", &[8, 8])
        .weight("c", &[8, 3]);
    b.tensor("half", &[], 1, &0.5_f32.to_le_bytes())
        .tensor("one", &[1], 1, &1.5_f32.to_le_bytes());
    b.ints("shape", &[2, 8]);
    for (from, weight, to) in [("x", "a", "p"), ("ps", "b", "q")] {
        let name = |part: &str| format!("{to}{part}");
        b.node("MatMul", &[from, weight], to, &[])
            .node("Reshape", &[to, "shape"], &name("r"), &[]);
        b.node("Mul", &[&name("r"), "half"], &name("h"), &[]).node(
            "Mul",
            &[&name("h"), "one"],
            &name("s"),
            &[],
        );
    }
    b.node("MatMul", &["qs", "c"], "y", &[]).output("y");
    let Smaller { bytes, report } = shrink(&b.model(), &half()).unwrap();
    assert_eq!(report.removed(), 8);
    let shapes = written(&bytes);
    assert_eq!(
        (&shapes["a"], &shapes["b"], &shapes["c"]),
        (&vec![4, 4], &vec![4, 4], &vec![4, 3])
    );
    assert_eq!((shapes["half"].len(), &shapes["one"]), (0, &vec![1]));
}

#[test]
fn arrays_in_nodes_are_cloned_as_initializers_are() {
    for layers in [1, 2] {
        let mut b = Builder::new();
        b.input("x", &[2, 4])
            .weight("a", &[4, 8])
            .weight("b", &[8, 8])
            .weight("c", &[8, 3]);
        let (mut tensor, mut attribute, mut node) = (Vec::new(), Vec::new(), Vec::new());
        varint_field(&mut tensor, 1, 8);
        varint_field(&mut tensor, 2, 1);
        let raw: Vec<u8> = (0..8).flat_map(|_| b.random().to_le_bytes()).collect();
        bytes_field(&mut tensor, 9, &raw);
        bytes_field(&mut attribute, 1, b"value");
        bytes_field(&mut attribute, 5, &tensor);
        bytes_field(&mut node, 2, b"bias");
        bytes_field(&mut node, 4, b"Constant");
        bytes_field(&mut node, 5, &attribute);
        bytes_field(&mut b.graph, 1, &node);
        b.node("MatMul", &["x", "a"], "p", &[])
            .node("Add", &["p", "bias"], "ps", &[]);
        b.node("MatMul", &["ps", "b"], "q", &[])
            .node("Add", &["q", "bias"], "qs", &[]);
        b.node("MatMul", &["qs", "c"], "y", &[]).output("y");
        let options = half().only(move |weights| layers == 2 || weights.iter().any(|name| name == "a"));
        let Smaller { bytes, report } = shrink(&b.model(), &options).unwrap();
        assert_eq!(
            (report.removed(), report.deviation.unwrap() <= 1e-12),
            (4 * layers, true)
        );
        let skeleton = Skeleton::of_bytes(&bytes).unwrap();
        let read = Model::read(&skeleton, &External::default()).unwrap();
        let nodes = read.graph.nodes.iter().filter(|node| node.op == "Constant");
        // The node stays where a layer is as it was.
        assert_eq!((nodes.count(), written(&bytes).len()), (2 - layers, 3 + layers));
    }
}

#[test]
fn what_is_an_output_too_stays_as_it_is() {
    for second in ["bias", "other"] {
        let mut b = Builder::new();
        b.input("x", &[2, 4])
            .weight("a", &[4, 8])
            .weight("b", &[8, 8])
            .weight("c", &[8, 3]);
        b.weight("bias", &[8]).weight("other", &[8]);
        b.node("MatMul", &["x", "a"], "p", &[])
            .node("Add", &["p", "bias"], "ps", &[]);
        b.node("MatMul", &["ps", "b"], "q", &[])
            .node("Add", &["q", second], "qs", &[]);
        b.node("MatMul", &["qs", "c"], "y", &[])
            .output("y")
            .output("bias");
        let Smaller { bytes, report } = shrink(&b.model(), &half()).unwrap();
        assert_eq!((report.removed(), report.deviation.unwrap() <= 1e-12), (8, true));
        let shapes = written(&bytes);
        assert_eq!((&shapes["bias"], &shapes["bias_1"]), (&vec![8], &vec![4]));
    }
}

#[test]
fn weights_that_an_input_may_replace_are_refused() {
    let mut b = Builder::new();
    b.input("x", &[2, 4])
        .input("bias", &[8])
        .weight("a", &[4, 8])
        .weight("b", &[8, 8])
        .weight("bias", &[8]);
    b.node("MatMul", &["x", "a"], "p", &[])
        .node("Add", &["p", "bias"], "ps", &[]);
    b.node("MatMul", &["ps", "b"], "q", &[])
        .node("Add", &["q", "bias"], "qs", &[]);
    b.weight("c", &[8, 3])
        .node("MatMul", &["qs", "c"], "y", &[])
        .output("y");
    let error = plan(&b.model(), &half()).unwrap_err().to_string();
    assert!(error.contains("an input of the graph"), "{error}");
}

/// The outputs of a model for inputs that depend on nothing but their shapes.
fn run(model: &[u8]) -> Vec<ArrayD<f64>> {
    let skeleton = Skeleton::of_bytes(model).unwrap();
    let model = Model::read(&skeleton, &External::default()).unwrap();
    let computed = couplings(&model.graph).computed;
    let inputs = model.graph.inputs.iter().map(|input| {
        let dims: Vec<usize> = input.shape.iter().map(|length| length.unwrap()).collect();
        let mut number = 0.0_f64;
        let array = ArrayD::from_shape_simple_fn(dims, || {
            number += 1.0;
            (number * 1.7).sin()
        });
        (input.name, array)
    });
    let inputs = inputs.collect();
    reference::run(&model.graph, &inputs, &computed, &HashMap::new(), &HashMap::new()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 60 } else { 1000 }))]

    /// Random layers whose weights come from few, by copies or not: the smaller model computes what the masked one in its
    /// file does, and what is masked there can be removed again.
    #[test]
    fn random_networks_with_shared_weights_are_shrunk_exactly(
        steps in proptest::collection::vec((0..5_u8, 0..3_usize, any::<u8>()), 2..9),
        seed in any::<u64>(),
        share in 0.1..0.9,
    ) {
        let widths = [4, 6, 9];
        let mut b = Builder::new();
        b.state = seed;
        b.input("x", &[2, 6]);
        let mut values = vec![("x".to_owned(), 1_usize)];
        for (from, rows) in widths.iter().enumerate() {
            for (to, columns) in widths.iter().enumerate() {
                let (name, copy) = (format!("w{from}{to}"), format!("c{from}{to}"));
                b.weight(&name, &[*rows, *columns]).node("Identity", &[&name], &copy, &[]);
            }
            let (name, copy) = (format!("v{from}"), format!("d{from}"));
            b.weight(&name, &[*rows]).node("Identity", &[&name], &copy, &[]);
            filled(&mut b, &format!("f{from}"), *rows, 0.5);
        }
        let sigmoid = steps.iter().any(|(kind, which, _)| (*kind, *which) == (3, 1));
        for (number, (kind, width, which)) in steps.into_iter().enumerate() {
            let (from, channels) = values[values.len() - 1 - which as usize % values.len().min(2)].clone();
            let to = format!("h{number}");
            let out = match kind {
                0 | 1 => {
                    let letter = if which < 200 { "w" } else { "c" };
                    b.node("MatMul", &[&from, &format!("{letter}{channels}{width}")], &to, &[]);
                    width
                }
                2 => {
                    let vector = format!("{}{channels}", ["v", "d", "f"][width]);
                    b.node(if which % 2 == 0 { "Add" } else { "Mul" }, &[&from, &vector], &to, &[]);
                    channels
                }
                3 => {
                    b.node(["Relu", "Sigmoid", "Tanh"][width], &[&from], &to, &[]);
                    channels
                }
                _ => {
                    let other = values.iter().rfind(|(name, own)| *own == channels && *name != from);
                    let other = other.map_or(from.clone(), |(name, _)| name.clone());
                    b.node("Add", &[&from, &other], &to, &[]);
                    channels
                }
            };
            values.push((to, out));
        }
        let (last, channels) = values.last().unwrap().clone();
        b.node("MatMul", &[&last, &format!("w{channels}0")], "y", &[]).output("y");
        let model = b.model();
        let folder = tempfile::tempdir().unwrap();
        let [input, smaller, masked] = ["input", "smaller", "masked"].map(|name| folder.path().join(name));
        fs::write(&input, &model).unwrap();
        let mut outputs = Outputs::new(&smaller);
        outputs.masked = Some(&masked);
        let report = match shrink_file(&input, &outputs, &Options::new(share).unwrap().round_to(1)) {
            Ok(report) => report,
            Err(crate::Error::NothingToRemove { .. }) => return Ok(()),
            Err(error) => return Err(TestCaseError::fail(error.to_string())),
        };
        prop_assert!(report.removed() > 0);
        let (smaller, masked) = (fs::read(&smaller).unwrap(), fs::read(&masked).unwrap());
        for (expected, got) in run(&masked).iter().zip(&run(&smaller)) {
            let largest = expected.iter().fold(1e-300_f64, |max, x| max.max(x.abs()));
            for (a, b) in expected.iter().zip(got) {
                prop_assert!((a - b).abs() <= 1e-12 * largest, "{} and {}", a, b);
            }
        }
        // What a sigmoid makes of a masked channel is held there.
        if !sigmoid {
            let again = shrink(&masked, &Options::masked());
            let again = again.map_err(|error| TestCaseError::fail(error.to_string()))?.report;
            prop_assert!(again.removed() >= report.removed(), "{} of {}", again.removed(), report.removed());
        }
        prop_assert_eq!(crate::plan(&model, &Options::new(share).unwrap().round_to(1)).unwrap().after, report.after);
    }
}

#[test]
fn a_certificate_names_shared_weights_as_the_file_does() {
    let mut b = Builder::new();
    b.input("x", &[-1, 3, 6, 6])
        .weight("v", &[4, 3, 3, 3])
        .weight("w", &[4, 4, 3, 3])
        .weight("head", &[2, 4, 1, 1])
        .weight("bias", &[4])
        .node("Conv", &["x", "v", "bias"], "a", &[])
        .node("Relu", &["a"], "ar", &[])
        .node("Conv", &["ar", "w", "bias"], "b", &[])
        .node("Conv", &["b", "head"], "c", &[])
        .output("c");
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (input, small, certificate) = (path("model.onnx"), path("small.onnx"), path("small.json"));
    fs::write(&input, b.model()).unwrap();
    let mut outputs = Outputs::new(&small);
    outputs.certificate = Some(&certificate);
    shrink_file(&input, &outputs, &half()).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&fs::read(&certificate).unwrap()).unwrap();
    let cuts = json["cuts"].as_array().unwrap();
    let mut named: Vec<&str> = cuts.iter().map(|cut| cut["weight"].as_str().unwrap()).collect();
    named.sort_unstable();
    assert_eq!(named, ["bias", "bias", "head", "v", "w", "w"]);
}
