//! Norms over several channels.

use super::builder::{Builder, half, shapes};
use crate::{Options, shrink};

/// y = norm(x a) b with six channels, the norm over their root mean square written out, or as one operator.
fn root_mean_square(written_out: bool, shared: bool) -> Vec<u8> {
    let mut builder = Builder::new();
    builder.input("x", &[3, 4]);
    builder
        .weight("a", &[4, 6])
        .weight("b", &[6, 2])
        .weight("scale", &[6]);
    builder.node("MatMul", &["x", "a"], "h", &[]);
    if written_out {
        builder.node("Mul", &["h", "h"], "squares", &[]);
        builder.node("ReduceMean", &["squares"], "mean", &[("axes", &[1])]);
        builder.weight("epsilon", &[1]);
        builder.node("Abs", &["epsilon"], "positive", &[]);
        builder.node("Add", &["mean", "positive"], "sum", &[]);
        builder.node("Sqrt", &["sum"], "root", &[]);
        builder.node("Div", &["h", "root"], "n", &[]);
        builder.node("Mul", &["n", "scale"], "m", &[]);
    } else {
        builder.node("RMSNormalization", &["h", "scale"], "m", &[]);
    }
    if shared {
        builder.node("Add", &["m", "scale"], "m2", &[]);
    } else {
        builder.node("RMSNormalization", &["m", "scale"], "m2", &[]);
    }
    builder.node("MatMul", &["m2", "b"], "y", &[]).output("y");
    builder.model()
}

#[test]
fn root_mean_squares_of_fewer_channels_are_exact() {
    for written_out in [true, false] {
        for removed in 1..6_usize {
            for shared in [true, false] {
                let options = Options::new(removed as f64 / 6.0).unwrap().round_to(1);
                let model = root_mean_square(written_out, shared);
                let report = shrink(&model, &options).unwrap().report;
                assert_eq!(report.removed(), removed);
                assert!(report.deviation.unwrap() <= 1e-12, "{removed}");
                // Two norms have one scale, which grows; where it is multiplied or added elsewhere, too, it is cloned.
                let scales = if written_out == shared { 1 } else { 2 };
                let kept = 6 - removed;
                // Written out, with an epsilon, and a factor of the mean.
                let parameters = (4 + 2 + scales) * kept + if written_out { 2 } else { 0 };
                assert_eq!(
                    report.after.parameters, parameters as u64,
                    "{written_out}, {shared}"
                );
            }
        }
    }
}

/// A group norm as exporters write it: groups as channels of an instance norm, whose scale and shift are given.
fn written_out(b: &mut Builder, input: &str, output: &str, (channels, groups): (usize, i64), shift: &str) {
    let name = |what: &str| format!("{output}.{what}");
    b.ints(&name("groups"), &[0, groups, -1])
        .ints(&name("back"), &[0, channels as i64, 8, 8])
        .weight(&name("weight"), &[channels, 1, 1])
        .weight(&name("bias"), &[channels, 1, 1])
        .node("Reshape", &[input, &name("groups")], &name("a"), &[])
        .node(
            "InstanceNormalization",
            &[&name("a"), "ones", shift],
            &name("b"),
            &[],
        )
        .node("Reshape", &[&name("b"), &name("back")], &name("c"), &[])
        .node("Mul", &[&name("c"), &name("weight")], &name("d"), &[])
        .node("Add", &[&name("d"), &name("bias")], output, &[]);
}

#[test]
fn whole_groups_of_group_norms_are_removed() {
    let floats = |x: f32| [x; 4].iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
    let model = |shift: &str| {
        let mut b = Builder::new();
        b.input("x", &[-1, 3, 8, 8])
            .tensor("ones", &[4], 1, &floats(1.0))
            .tensor("zeros", &[4], 1, &floats(0.0))
            .tensor("halves", &[4], 1, &floats(0.5))
            .conv("x", "a", (3, 8, 1));
        written_out(&mut b, "a", "an", (8, 4), shift);
        b.node("Relu", &["an"], "ar", &[]).conv("ar", "b", (8, 16, 1));
        written_out(&mut b, "b", "bn", (16, 4), shift);
        b.conv("bn", "c", (16, 2, 1)).output("c");
        b.model()
    };
    // Both norms share scale and shift, and lose another number of groups each.
    let only = Options::new(1).unwrap().round_to(1);
    let all = half();
    for (options, widths) in [(&all, [4, 8]), (&only, [6, 12])] {
        let smaller = shrink(&model("zeros"), options).unwrap();
        assert!(smaller.report.deviation.unwrap() <= 1e-12);
        let shapes = shapes(&smaller.bytes);
        assert_eq!([shapes["a.weight"][0], shapes["b.weight"][0]], widths);
        assert_eq!(shapes["bn.bias"], [widths[1], 1, 1]);
    }
    let first = half().only(|names| names.iter().any(|name| name == "a.weight"));
    let smaller = shrink(&model("zeros"), &first).unwrap();
    let of = shapes(&smaller.bytes);
    assert_eq!(
        [of["a.weight"][0], of["b.weight"][0]],
        [4, 16],
        "they are not tied"
    );
    // Whatever the shift is: it is cut along.
    let smaller = shrink(&model("halves"), &half()).unwrap();
    assert!(smaller.report.deviation.unwrap() <= 1e-12);
    assert_eq!(shapes(&smaller.bytes)["a.weight"][0], 4);
}

#[test]
fn group_normalization_loses_whole_groups() {
    for of_scale in [8, 4] {
        let mut b = Builder::new();
        b.input("x", &[-1, 3, 8, 8])
            .conv("x", "a", (3, 8, 1))
            .weight("scale", &[of_scale])
            .weight("shift", &[of_scale])
            .node(
                "GroupNormalization",
                &["a", "scale", "shift"],
                "an",
                &[("num_groups", &[4])],
            )
            .node("Relu", &["an"], "ar", &[])
            .conv("ar", "c", (8, 2, 1))
            .output("c");
        let smaller = shrink(&b.model(), &half()).unwrap();
        assert!(smaller.report.deviation.unwrap() <= 1e-12);
        let shapes = shapes(&smaller.bytes);
        assert_eq!(shapes["a.weight"], [4, 3, 3, 3]);
        assert_eq!(shapes["scale"], [of_scale / 2]);
    }
    // Numbers of groups that make no sense hold the channels, or are refused.
    for groups in [0, -1, 3, 1 << 40] {
        let mut b = Builder::new();
        b.input("x", &[-1, 3, 8, 8])
            .conv("x", "a", (3, 8, 1))
            .weight("scale", &[8])
            .weight("shift", &[8])
            .node(
                "GroupNormalization",
                &["a", "scale", "shift"],
                "an",
                &[("num_groups", &[groups])],
            )
            .conv("an", "c", (8, 2, 1))
            .output("c");
        assert!(shrink(&b.model(), &half()).is_err(), "{groups}");
    }
}
