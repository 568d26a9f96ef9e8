//! Models that are damaged, or that no memory holds.

use proptest::prelude::*;

use super::builder::{Builder, half, residual};
use crate::couple::couplings;
use crate::external::External;
use crate::graph::Model;
use crate::skeleton::Skeleton;
use crate::{Options, plan, shrink};

#[test]
fn weights_without_entries_take_no_memory() {
    for dims in [[0, 1 << 40], [0, 1 << 31], [1 << 40, 0]] {
        let mut b = Builder::new();
        b.input("x", &[-1, 8]).tensor("w", &dims, 1, &[]);
        b.node("MatMul", &["x", "w"], "y", &[]);
        let model = b.output("y").model();
        // Nothing is counted, and above all nothing is allocated.
        assert!(
            plan(&model, &Options::new(0.5).unwrap())
                .unwrap()
                .groups
                .is_empty()
        );
    }
}

#[test]
fn damaged_models_give_errors() {
    let model = residual().model();
    for length in (0..model.len()).step_by(7) {
        assert!(shrink(&model[..length], &half()).is_err(), "{length} bytes");
    }
    let mut cycle = Builder::new();
    cycle
        .input("x", &[1])
        .node("Relu", &["b"], "a", &[])
        .node("Relu", &["a"], "b", &[])
        .output("b");
    let error = shrink(&cycle.model(), &half()).unwrap_err().to_string();
    assert!(error.contains("not computed before it"), "{error}");
    let mut twice = Builder::new();
    twice
        .input("x", &[1])
        .node("Relu", &["x"], "a", &[])
        .node("Relu", &["x"], "a", &[])
        .output("a");
    assert!(shrink(&twice.model(), &half()).is_err());
    let mut short = Builder::new();
    short
        .input("x", &[1, 3, 4, 4])
        .tensor("w", &[8, 3, 1, 1], 1, &[0; 12])
        .node("Conv", &["x", "w"], "y", &[]);
    assert!(
        shrink(&short.output("y").model(), &half())
            .unwrap_err()
            .to_string()
            .contains("as many entries")
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 150 } else { 2000 }))]

    #[test]
    fn flipped_bytes_never_panic(place in 0..10_000_usize, byte in any::<u8>(), second in 0..10_000_usize) {
        let mut model = residual().model();
        let length = model.len();
        model[place % length] = byte;
        model[second % length] ^= 0x55;
        let _ = plan(&model, &half());
        let _ = shrink(&model, &half());
    }
}

#[test]
fn large_graphs_take_linear_time_and_no_stack() {
    let mut b = Builder::new();
    b.input("v0", &[1, 4, 2, 2]).weight("w", &[4, 4, 1, 1]);
    for number in 0..3000 {
        let (from, to) = (format!("v{number}"), format!("v{}", number + 1));
        b.node(
            if number % 3 == 0 { "Conv" } else { "Relu" },
            if number % 3 == 0 {
                vec![&*from, "w"]
            } else {
                vec![&*from]
            }
            .as_slice(),
            &to,
            &[],
        );
    }
    let model = b.output("v3000").model();
    let skeleton = Skeleton::of_bytes(&model).unwrap();
    let read = Model::read(&skeleton, &External::default()).unwrap();
    // The first convolution takes what is held, the last one makes it, and those between share one weight.
    assert_eq!(couplings(&read.graph).parameters.len(), 3);
}

#[test]
fn axes_that_no_memory_holds_are_held() {
    let mut builder = Builder::new();
    builder.input("x", &[1, 3, 1 << 24, 1 << 24]);
    builder.conv("x", "a", (3, 8, 1));
    builder.node("Flatten", &["a"], "b", &[]).output("b");
    let report = plan(&builder.model(), &Options::new(0.5).unwrap()).unwrap();
    assert_eq!(report.held()["Flatten"], 8);
}

#[test]
fn values_that_no_memory_holds_are_refused() {
    let mut builder = Builder::new();
    builder.input("x", &[3, 4]);
    builder
        .weight("a", &[4, 8])
        .weight("b", &[8, 2])
        .ints("shape", &[1 << 41, 1]);
    builder.node("MatMul", &["x", "a"], "h", &[]);
    builder
        .node("ConstantOfShape", &["shape"], "big", &[])
        .node("Relu", &["h"], "r", &[]);
    builder
        .node("MatMul", &["r", "b"], "y", &[])
        .output("y")
        .output("big");
    let half = Options::new(0.5).unwrap().round_to(1);
    assert_eq!(plan(&builder.model(), &half).unwrap().removed(), 4);
    let error = shrink(&builder.model(), &half).unwrap_err();
    assert!(error.to_string().contains("a value of this size"), "{error}");
}

#[test]
fn an_order_that_names_an_axis_twice_is_refused() {
    for order in [[0, 2, 2], [0, 1, 1], [3, 1, 0]] {
        let mut b = Builder::new();
        b.input("x", &[1, 4, 3])
            .weight("w", &[3, 8])
            .weight("v", &[8, 2])
            .node("MatMul", &["x", "w"], "a", &[])
            .node("MatMul", &["a", "v"], "c", &[])
            .node("Transpose", &["c"], "y", &[("perm", &order)])
            .output("y");
        let error = shrink(&b.model(), &half()).unwrap_err().to_string();
        assert!(error.contains("do not fit Transpose"), "{error}");
    }
}

#[test]
fn a_state_of_another_shape_is_refused() {
    for shape in [[0, 2, 4], [1, 1, 4], [1, 2, 3]] {
        let mut b = Builder::new();
        b.input("x", &[5, 2, 3])
            .weight("w", &[1, 16, 3])
            .weight("r", &[1, 16, 4])
            .weight("h", &[1, 2, 4])
            .weight("c", &shape)
            .weight("head", &[4, 2])
            .node(
                "LSTM",
                &["x", "w", "r", "", "", "h", "c"],
                "y",
                &[("hidden_size", &[4])],
            )
            .node("MatMul", &["y", "head"], "z", &[])
            .output("z");
        assert!(shrink(&b.model(), &half()).is_err(), "{shape:?}");
    }
}
