//! Small models, built here: what is coupled, what is held, and that smaller models compute the same.

mod quantized;
mod shared;

use std::collections::HashMap;

use proptest::prelude::*;

use crate::couple::couplings;
use crate::external::External;
use crate::graph::Model;
use crate::proto::{bytes_field, varint_field};
use crate::skeleton::Skeleton;
use crate::{Error, Options, plan, shrink};

/// A graph under construction.
#[derive(Default)]
struct Builder {
    graph: Vec<u8>,
    state: u64,
}

impl Builder {
    fn new() -> Self {
        let mut builder = Builder::default();
        bytes_field(&mut builder.graph, 2, b"test");
        builder
    }

    fn random(&mut self) -> f32 {
        self.state = self
            .state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.state >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    fn value(name: &str, shape: &[i64]) -> Vec<u8> {
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

    fn input(&mut self, name: &str, shape: &[i64]) -> &mut Self {
        bytes_field(&mut self.graph, 11, &Self::value(name, shape));
        self
    }

    fn output(&mut self, name: &str) -> &mut Self {
        bytes_field(&mut self.graph, 12, &Self::value(name, &[]));
        self
    }

    fn tensor(&mut self, name: &str, dims: &[usize], kind: u64, raw: &[u8]) -> &mut Self {
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
    fn weight(&mut self, name: &str, dims: &[usize]) -> &mut Self {
        let raw: Vec<u8> = (0..dims.iter().product::<usize>())
            .flat_map(|_| self.random().to_le_bytes())
            .collect();
        self.tensor(name, dims, 1, &raw)
    }

    fn ints(&mut self, name: &str, list: &[i64]) -> &mut Self {
        let raw: Vec<u8> = list.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.tensor(name, &[list.len()], 7, &raw)
    }

    fn node(&mut self, op: &str, inputs: &[&str], output: &str, ints: &[(&str, &[i64])]) -> &mut Self {
        self.with_outputs(op, inputs, &[output], ints)
    }

    /// A node with several outputs.
    fn with_outputs(
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
    fn conv(&mut self, input: &str, output: &str, (from, to, groups): (usize, usize, usize)) -> &mut Self {
        let (weight, bias) = (format!("{output}.weight"), format!("{output}.bias"));
        self.weight(&weight, &[to, from / groups, 3, 3])
            .weight(&bias, &[to]);
        let attributes: [(&str, &[i64]); 2] = [("pads", &[1, 1, 1, 1]), ("group", &[groups as i64])];
        self.node("Conv", &[input, &weight, &bias], output, &attributes)
    }

    /// Batch norm with random statistics.
    fn norm(&mut self, input: &str, output: &str, channels: usize) -> &mut Self {
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

    fn model(&self) -> Vec<u8> {
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

fn half() -> Options {
    Options::new(0.5).unwrap().round_to(1)
}

/// The shapes of initializers.
fn shapes(model: &[u8]) -> HashMap<String, Vec<usize>> {
    let skeleton = Skeleton::of_bytes(model).unwrap();
    let model = Model::read(&skeleton, &External::default()).unwrap();
    let constants = model.graph.constants.iter();
    constants
        .map(|(name, constant)| ((*name).to_owned(), constant.dims.clone()))
        .collect()
}

/// A residual block, pools, and a classifier.
fn residual() -> Builder {
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
}

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
    assert_eq!(
        read.graph.constants["target"].ints().unwrap(),
        [2, 8, 16],
        "others may use it"
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

    /// Random chains and joins of random layers: the smaller model computes what the masked one does.
    #[test]
    fn random_networks_are_shrunk_exactly(steps in steps(), seed in any::<u64>(), share in 0.1..0.9) {
        let model = random_network(&steps, seed, |b, from, to, widths, _| { b.conv(from, to, widths); });
        shrink_random(&model, share)?;
    }
}

/// What a layer is, how wide, and what it reads.
type Step = (u8, usize, u8);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    proptest::collection::vec((0..7_u8, 1..4_usize, any::<u8>()), 1..7)
}

/// A network of these layers, whose convolutions are added by `conv`, which is given a number to choose by.
fn random_network(
    steps: &[Step],
    seed: u64,
    conv: impl Fn(&mut Builder, &str, &str, (usize, usize, usize), u8),
) -> Vec<u8> {
    let mut b = Builder::new();
    b.state = seed;
    b.input("x", &[2, 3, 5, 5]);
    let mut values = vec![("x".to_owned(), 3_usize)];
    for (number, (kind, width, which)) in steps.iter().copied().enumerate() {
        let (from, channels) = values[which as usize % values.len()].clone();
        let to = format!("v{number}");
        let out = match kind {
            0 | 1 => {
                conv(&mut b, &from, &to, (channels, 4 * width, 1), which);
                4 * width
            }
            2 => {
                conv(&mut b, &from, &to, (channels, channels, channels), which);
                channels
            }
            3 => {
                b.norm(&from, &to, channels);
                channels
            }
            4 => {
                b.node(["Relu", "Sigmoid", "Tanh"][width - 1], &[&from], &to, &[]);
                channels
            }
            5 => {
                let (other, more) = values[which as usize / 2 % values.len()].clone();
                b.node("Concat", &[&from, &other], &to, &[("axis", &[1])]);
                channels + more
            }
            _ => {
                let same: Vec<_> = values
                    .iter()
                    .filter(|value| value.1 == channels)
                    .cloned()
                    .collect();
                let other = same[which as usize % same.len()].0.clone();
                b.node(["Add", "Mul", "Sub"][width - 1], &[&from, &other], &to, &[]);
                channels
            }
        };
        values.push((to, out));
    }
    let (last, channels) = values.last().unwrap().clone();
    conv(&mut b, &last, "head", (channels, 2, 1), seed as u8);
    b.node("GlobalAveragePool", &["head"], "y", &[]).output("y");
    b.model()
}

/// Removes a share of the channels of a network, which is verified, unless all are held.
fn shrink_random(model: &[u8], share: f64) -> Result<(), TestCaseError> {
    match shrink(model, &Options::new(share).unwrap().round_to(1)) {
        Ok(smaller) => prop_assert!(smaller.report.removed() > 0),
        Err(Error::NothingToRemove { .. }) => {}
        Err(error) => prop_assert!(false, "{}", error),
    }
    Ok(())
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
