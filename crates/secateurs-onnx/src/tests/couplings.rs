//! What is coupled, what is held, and what is written.

use super::builder::{Builder, half, residual, shapes};
use crate::external::External;
use crate::graph::Model;
use crate::skeleton::Skeleton;
use crate::{Error, Options, plan, shrink};

#[test]
fn residual_networks_lose_the_same_channels_everywhere() {
    let model = residual().model();
    let smaller = shrink(&model, &half()).unwrap();
    let shapes = shapes(&smaller.bytes);
    assert_eq!(shapes["a.weight"], [4, 3, 3, 3]);
    assert_eq!(
        (&shapes["an.mean"][..], &shapes["b.weight"][..]),
        (&[4][..], &[6, 4, 3, 3][..])
    );
    assert_eq!(
        (&shapes["c.weight"][..], &shapes["c.bias"][..]),
        (&[4, 6, 3, 3][..], &[4][..])
    );
    assert_eq!(
        (&shapes["fc.weight"][..], &shapes["fc.bias"][..]),
        (&[5, 64][..], &[5][..])
    );
    let report = &smaller.report;
    assert_eq!(
        (report.channels(), report.removed(), report.groups.len()),
        (25, 10, 3)
    );
    assert_eq!(report.held()["outputs of the graph"], 5);
    assert!(report.deviation.unwrap() < 1e-12);
    // 3·9·8·64 + 8·9·12·64 + 12·9·8·64 + 128·5, and half of each dimension that is cut.
    assert_eq!(report.before.macs, Some(13_824 + 55_296 + 55_296 + 640));
    assert_eq!(report.after.macs, Some(6_912 + 13_824 + 13_824 + 320));
    // The most is alive at the second norm: its input and output, and what the sum needs later.
    assert_eq!(report.before.activations, Some(4 * 64 * (8 + 12 + 12)));
    assert_eq!(report.after.activations, Some(4 * 64 * (4 + 6 + 6)));
    assert!(
        report
            .to_string()
            .contains("activation bytes            4096 of           8192   50.0 %"),
        "{report}"
    );
}

#[test]
fn costs_that_cannot_be_told_are_unknown() {
    // The second is known, but more than 64 bits hold.
    for (height, width) in [(-1, 8), (1 << 31, 1 << 31)] {
        let mut b = Builder::new();
        b.input("x", &[-1, 3, height, width])
            .conv("x", "a", (3, 8, 1))
            .node("Relu", &["a"], "ar", &[])
            .conv("ar", "y", (8, 4, 1))
            .output("y");
        let report = plan(&b.model(), &half()).unwrap();
        assert_eq!((report.removed(), report.before.macs), (4, None));
        assert_eq!(
            (report.before.activations, report.after.activations),
            (None, None)
        );
        let text = report.to_string();
        assert!(text.contains("activation bytes  unknown"), "{text}");
        assert!(text.contains("multiply-adds     unknown"), "{text}");
    }
}

#[test]
fn the_channels_of_lowest_norm_go_and_counts_are_rounded() {
    let model = residual().model();
    let rounded = Options::new(0.5).unwrap(); // to multiples of 8
    let report = shrink(&model, &rounded).unwrap().report;
    assert_eq!(
        report
            .groups
            .iter()
            .map(|group| group.removed)
            .collect::<Vec<_>>(),
        [0, 4, 0]
    );
    // 10 of 12 would be kept, which are nearer to 8 than to 16.
    let few = plan(&model, &Options::new(0.2).unwrap()).unwrap();
    assert_eq!(few.removed(), 4);
    let none = plan(&model, &Options::new(0).unwrap().round_to(5)).unwrap();
    assert_eq!(none.removed(), 0, "rounding alone removes nothing");
    let one = shrink(&model, &Options::new(1).unwrap().round_to(1)).unwrap();
    assert_eq!(
        one.report
            .groups
            .iter()
            .map(|group| group.removed)
            .collect::<Vec<_>>(),
        [1, 1, 0]
    );
    let all = shrink(&model, &Options::new(1.0).unwrap().round_to(1)).unwrap();
    assert_eq!(
        shapes(&all.bytes)["a.weight"][0],
        1,
        "a group is never removed as a whole"
    );
}

#[test]
fn depthwise_grouped_concatenated_and_gated_channels_are_followed() {
    let mut b = Builder::new();
    b.input("x", &[2, 3, 6, 6])
        .conv("x", "a", (3, 8, 1))
        .node("Relu", &["a"], "ar", &[]);
    b.conv("ar", "d", (8, 8, 8)).norm("d", "dn", 8); // depthwise
    b.conv("dn", "g", (8, 12, 2)).node("HardSwish", &["g"], "gr", &[]); // two groups
    b.node("Concat", &["gr", "dn"], "cat", &[("axis", &[1])]);
    // Squeeze and excitation: sigmoid is not zero at zero, but it only multiplies.
    b.node("GlobalAveragePool", &["cat"], "gap", &[])
        .weight("s1", &[4, 20, 1, 1])
        .node("Conv", &["gap", "s1"], "e1", &[]);
    b.node("Relu", &["e1"], "e2", &[])
        .weight("s2", &[20, 4, 1, 1])
        .node("Conv", &["e2", "s2"], "e3", &[]);
    b.node("Sigmoid", &["e3"], "gate", &[])
        .node("Mul", &["cat", "gate"], "m", &[]);
    b.node(
        "ReduceMean",
        &["m"],
        "mean",
        &[("axes", &[2, 3]), ("keepdims", &[0])],
    );
    b.weight("w", &[20, 3])
        .node("MatMul", &["mean", "w"], "y", &[])
        .output("y");
    let smaller = shrink(&b.model(), &half()).unwrap();
    let shapes = shapes(&smaller.bytes);
    assert_eq!(shapes["d.weight"], [4, 1, 3, 3]);
    assert_eq!(shapes["g.weight"], [6, 2, 3, 3]);
    assert_eq!(
        (&shapes["s1"][..], &shapes["s2"][..], &shapes["w"][..]),
        (&[2, 10, 1, 1][..], &[10, 2, 1, 1][..], &[10, 3][..])
    );
    let skeleton = Skeleton::of_bytes(&smaller.bytes).unwrap();
    let read = Model::read(&skeleton, &External::default()).unwrap();
    let groups: Vec<_> = read
        .graph
        .nodes
        .iter()
        .filter_map(|node| node.int("group"))
        .collect();
    assert_eq!(groups, [1, 4, 2]);
}

#[test]
fn what_is_not_zero_at_zero_or_looks_at_all_channels_is_held() {
    let held = |op: &str, reason: &str| {
        let mut b = Builder::new();
        b.input("x", &[1, 3, 4, 4])
            .conv("x", "a", (3, 8, 1))
            .node(op, &["a"], "s", &[]);
        b.conv("s", "y", (8, 2, 1)).output("y");
        match shrink(&b.model(), &half()) {
            Err(Error::NothingToRemove { reason: got }) => assert!(got.contains(reason), "{got}"),
            other => panic!("{op}: {other:?}"),
        }
    };
    held("Sigmoid", "Sigmoid, which is not zero at zero");
    held("Softplus", "Softplus");
    held("Softmax", "Softmax");
    held("SomethingNew", "SomethingNew");
    // Of matrix products as well.
    for gate in ["Sigmoid", "Relu"] {
        let mut b = Builder::new();
        b.input("x", &[2, 4])
            .weight("a", &[4, 8])
            .weight("b", &[8, 3])
            .node("MatMul", &["x", "a"], "h", &[])
            .node(gate, &["h"], "g", &[])
            .node("MatMul", &["g", "b"], "y", &[])
            .output("y");
        let removed = shrink(&b.model(), &half()).map_or(0, |smaller| smaller.report.removed());
        assert_eq!(removed, if gate == "Relu" { 4 } else { 0 });
    }
}

#[test]
fn reshapes_with_written_lengths_follow() {
    let mut b = Builder::new();
    b.input("x", &[2, 3, 4, 4])
        .conv("x", "a", (3, 8, 1))
        .ints("target", &[2, 8, 16])
        .ints("other", &[0, -1]);
    b.node("Reshape", &["a", "target"], "r", &[])
        .node("Transpose", &["r"], "t", &[("perm", &[0, 2, 1])]);
    b.weight("w", &[8, 6])
        .weight("b", &[6])
        .node("MatMul", &["t", "w"], "m", &[])
        .node("Add", &["m", "b"], "h", &[]);
    b.node("Relu", &["h"], "hr", &[])
        .weight("v", &[6, 2])
        .node("MatMul", &["hr", "v"], "o", &[]);
    b.node("Reshape", &["o", "other"], "y", &[]).output("y");
    let smaller = shrink(&b.model(), &half()).unwrap();
    let shapes = shapes(&smaller.bytes);
    assert_eq!(
        (&shapes["a.weight"][..1], &shapes["w"][..], &shapes["b"][..]),
        (&[4][..], &[4, 3][..], &[3][..])
    );
    let skeleton = Skeleton::of_bytes(&smaller.bytes).unwrap();
    let read = Model::read(&skeleton, &External::default()).unwrap();
    assert!(
        !read.graph.constants.contains_key("target"),
        "what nothing reads any more is left out"
    );
    assert_eq!(read.graph.constants["r_cut0"].ints().unwrap(), [2, 4, 16]);
}

#[test]
fn copies_of_a_weight_are_cut_by_themselves() {
    let mut b = Builder::new();
    b.input("x", &[1, 3, 4, 4])
        .weight("bias", &[8])
        .node("Identity", &["bias"], "copy", &[]);
    b.weight("v", &[8, 3, 1, 1])
        .node("Conv", &["x", "v", "bias"], "a", &[])
        .node("Relu", &["a"], "ar", &[]);
    b.weight("w", &[8, 8, 1, 1])
        .node("Conv", &["ar", "w", "copy"], "y", &[])
        .output("y");
    let smaller = shrink(&b.model(), &half()).unwrap();
    let shapes = shapes(&smaller.bytes);
    // The copy is that of all eight still.
    assert_eq!((&shapes["bias_1"][..], &shapes["copy"][..]), (&[4][..], &[8][..]));
    assert_eq!(shapes["w"], [8, 4, 1, 1]);
}

#[test]
fn everything_else_is_copied_byte_for_byte() {
    let model = residual().model();
    let smaller = shrink(&model, &half()).unwrap().bytes;
    let unknown = b"kept as it is";
    assert!(smaller.windows(unknown.len()).any(|bytes| bytes == unknown));
    // Fields of the model in their order, of which only the graph is another.
    let fields = |bytes| -> Vec<(u64, Vec<u8>)> {
        let fields = crate::proto::fields(bytes).unwrap();
        fields
            .iter()
            .filter(|field| field.number != 7)
            .map(|field| (field.number, field.raw.to_vec()))
            .collect()
    };
    assert_eq!(fields(&model), fields(&smaller));
    let nothing = Options::new(0).unwrap();
    assert!(matches!(
        shrink(&model, &nothing),
        Err(Error::NothingToRemove { .. })
    ));
    assert_eq!(plan(&model, &nothing).unwrap().removed(), 0);
}

/// y = relu(x a + bias) b, where two entries of the bias are set to something else, and the sum is scaled by exp(s).
fn computed_weights() -> Vec<u8> {
    let mut builder = Builder::new();
    builder.input("x", &[3, 4]);
    builder
        .weight("a", &[4, 8])
        .weight("b", &[8, 2])
        .weight("bias", &[8])
        .weight("s", &[8]);
    let indices: Vec<u8> = [2_i64, 5].iter().flat_map(|x| x.to_le_bytes()).collect();
    builder
        .tensor("indices", &[2, 1], 7, &indices)
        .weight("updates", &[2]);
    builder.node("ScatterND", &["bias", "indices", "updates"], "set", &[]);
    builder.node("MatMul", &["x", "a"], "xa", &[]);
    builder
        .node("Add", &["xa", "set"], "h", &[])
        .node("Exp", &["s"], "exp", &[]);
    builder
        .node("Mul", &["h", "exp"], "scaled", &[])
        .node("Relu", &["scaled"], "r", &[]);
    builder.node("MatMul", &["r", "b"], "y", &[]).output("y");
    builder.model()
}

#[test]
fn weights_that_are_computed_from_weights_are_cut() {
    let smaller = shrink(&computed_weights(), &Options::new(0.5).unwrap().round_to(1)).unwrap();
    assert_eq!(smaller.report.removed(), 4);
    assert!(smaller.report.deviation.unwrap() <= 1e-12);
    let skeleton = Skeleton::of_bytes(&smaller.bytes).unwrap();
    let model = Model::read(&skeleton, &External::default()).unwrap();
    assert_eq!(model.graph.constants["set"].dims, [4]);
    assert_eq!(model.graph.constants["exp"].dims, [4]);
    let computes = |node: &crate::graph::Node<'_>| matches!(node.op, "ScatterND" | "Exp");
    assert!(!model.graph.nodes.iter().any(computes));
    // What was computed counts as it was written.
    assert_eq!(smaller.report.before.parameters, 4 * 8 + 8 * 2 + 8 + 8 + 2);
}

#[test]
fn indices_that_are_picked_are_followed() {
    // Channels in another order and some of them twice, one by itself, and all places of an image at once.
    let with = |indices: &[i64], dims: &[usize], rest: &dyn Fn(&mut Builder)| {
        let mut b = Builder::new();
        let raw: Vec<u8> = indices.iter().flat_map(|x| x.to_le_bytes()).collect();
        b.input("x", &[1, 3, 2, 2])
            .tensor("i", dims, 7, &raw)
            .conv("x", "a", (3, 4, 1));
        rest(&mut b);
        shrink(&b.output("y").model(), &half()).unwrap()
    };
    let axis: [(&str, &[i64]); 1] = [("axis", &[1])];
    let twice = with(&[3, -4, 2, 1, 1, 0], &[6], &|b| {
        b.node("Gather", &["a", "i"], "g", &axis)
            .weight("w", &[5, 6, 1, 1])
            .node("Conv", &["g", "w"], "y", &[]);
    });
    assert_eq!(twice.report.removed(), 2);
    assert_eq!(twice.report.deviation, Some(0.0));
    assert_eq!(shapes(&twice.bytes)["a.weight"][0], 2);
    let one = with(&[2], &[], &|b| {
        b.node("Gather", &["a", "i"], "g", &axis)
            .node("Gather", &["a", "i"], "same", &axis)
            .node("Add", &["g", "same"], "s", &[])
            .weight("w", &[5, 4, 1, 1])
            .node("Conv", &["a", "w"], "c", &[])
            .node("Add", &["c", "s"], "y", &[]);
    });
    assert_eq!(one.report.removed(), 2);
    assert_eq!(one.report.held()["Gather"], 1);
    assert!(one.report.deviation.unwrap() <= 1e-12);
    // Places first, channels last, as a transposition is written at times.
    let table: Vec<i64> = (0..16).map(|place| place % 4 * 4 + place / 4).collect();
    let flat = with(&table, &[4, 4], &|b| {
        b.ints("all", &[16])
            .node("Reshape", &["a", "all"], "f", &[])
            .node("Gather", &["f", "i"], "g", &[])
            .weight("w", &[4, 3])
            .node("MatMul", &["g", "w"], "y", &[]);
    });
    assert_eq!(flat.report.removed(), 2);
    assert!(flat.report.deviation.unwrap() <= 1e-12);
    assert_eq!(shapes(&flat.bytes)["w"], [2, 3]);
}
