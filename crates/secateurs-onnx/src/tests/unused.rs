//! What nothing reads any more is left out, and nothing else.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::builder::{Builder, half, shapes};
use crate::external::External;
use crate::graph::Model;
use crate::skeleton::Skeleton;
use crate::{Error, shrink};

/// Names of initializers and of outputs of nodes that nothing reads.
fn unread(model: &[u8]) -> BTreeSet<String> {
    let skeleton = Skeleton::of_bytes(model).unwrap();
    let read = Model::read(&skeleton, &External::default()).unwrap();
    let graph = &read.graph;
    let mut names: BTreeSet<String> = shapes(model).into_keys().collect();
    names.extend(
        graph
            .nodes
            .iter()
            .filter_map(|node| node.output())
            .map(str::to_owned),
    );
    let mut read: BTreeSet<&str> = graph.outputs.iter().copied().collect();
    for node in &graph.nodes {
        read.extend(node.reads());
        read.extend((0..32).filter_map(|place| node.input_in_file(place)));
    }
    read.extend(graph.aliases.values());
    names.retain(|name| !read.contains(&**name));
    names
}

#[test]
fn smaller_models_have_nothing_that_is_not_read_but_what_was_not_read_before() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let mut tried = 0;
    for folder in [folder.join("quantized"), folder] {
        for file in fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_none_or(|end| end != "onnx") {
                continue;
            }
            let model = fs::read(&path).unwrap();
            match shrink(&model, &half().verify(false)) {
                Ok(smaller) => {
                    let (before, after) = (unread(&model), unread(&smaller.bytes));
                    let new: Vec<&String> = after.difference(&before).collect();
                    assert!(new.is_empty(), "{}: {new:?}", path.display());
                    tried += 1;
                }
                Err(Error::NothingToRemove { .. }) => {}
                Err(error) => panic!("{}: {error}", path.display()),
            }
        }
    }
    assert!(tried > 50, "{tried}");
}

#[test]
fn what_was_not_read_before_and_defaults_of_inputs_stay() {
    let mut b = Builder::new();
    b.input("x", &[1, 3, 4, 4])
        .conv("x", "a", (3, 8, 1))
        .weight("never", &[5])
        .ints("target", &[8, 16])
        .ints("default", &[8, 16])
        .input("default", &[2])
        .node("Relu", &["x"], "idle", &[])
        .node("Reshape", &["a", "target"], "r", &[])
        .node("Reshape", &["a", "default"], "s", &[])
        .weight("w", &[2, 8])
        .node("MatMul", &["w", "r"], "y", &[])
        .output("y");
    b.node("MatMul", &["w", "s"], "z", &[]).output("z");
    let before = shapes(&b.model());
    let smaller = shrink(&b.model(), &half()).unwrap();
    let after = shapes(&smaller.bytes);
    assert!(after.contains_key("never") && after.contains_key("default"));
    assert!(before.contains_key("target") && !after.contains_key("target"));
    assert!(unread(&smaller.bytes).contains("idle"));
}
