//! Small versions of common architectures, as PyTorch's two exporters write them (`scripts/tiny_models.py`): what can be
//! removed of each, and that the smaller model computes the same.

use std::collections::BTreeMap;
use std::fs;

use std::path::Path;
use std::sync::Arc;

use ndarray::ArrayD;
use secateurs::checkpoint::Existing;
use secateurs_onnx::{
    Error, Importance, Options, Outputs, Reduction, Report, Resource, Scope, plan, plan_file, shrink,
    shrink_file, weight_names,
};

/// The models, by name.
fn models() -> BTreeMap<String, Vec<u8>> {
    models_in("tests/data")
}

fn models_in(folder: &str) -> BTreeMap<String, Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|end| end == "onnx"));
    files
        .map(|path| {
            (
                path.file_stem().unwrap().to_string_lossy().into_owned(),
                fs::read(&path).unwrap(),
            )
        })
        .collect()
}

/// Of each model: channels of all groups, those removed by half, and those held. Both exporters mean the same network.
const EXPECTED: [(&str, [usize; 3]); 48] = [
    ("bert", [178, 48, 82]),
    ("bert_new", [178, 48, 82]),
    ("contributed", [48, 16, 16]),
    ("convnext", [45, 16, 13]),
    ("convnext_new", [45, 16, 13]),
    ("densenet", [25, 10, 5]),
    ("densenet_new", [25, 10, 5]),
    ("einsum", [21, 8, 5]),
    ("einsum_new", [21, 8, 5]),
    ("fused_new", [56, 18, 20]),
    ("googlenet", [33, 14, 5]),
    ("googlenet_new", [33, 14, 5]),
    ("groupnorm", [21, 8, 5]),
    ("groupnorm_new", [21, 8, 5]),
    ("gru", [59, 28, 3]),
    ("gru_new", [35, 16, 3]),
    ("layernorm", [17, 0, 17]),
    ("layernorm_new", [17, 0, 17]),
    ("llama", [108, 36, 36]),
    ("llama_new", [94, 37, 20]),
    ("lp_pool", [12, 4, 4]),
    ("lstm", [35, 16, 3]),
    ("lstm_new", [35, 16, 3]),
    ("mixer", [93, 24, 45]),
    ("mixer_new", [93, 24, 45]),
    ("mobilenet", [37, 16, 5]),
    ("mobilenet_new", [37, 16, 5]),
    ("resnet", [53, 24, 5]),
    ("resnet_new", [53, 24, 5]),
    ("resnext", [29, 12, 5]),
    ("resnext_new", [29, 12, 5]),
    ("rnn", [59, 28, 3]),
    ("rnn_new", [35, 16, 3]),
    ("rotary", [14, 5, 4]),
    ("segmentation", [22, 10, 2]),
    ("segmentation_new", [22, 10, 2]),
    ("shufflenet", [21, 8, 5]),
    ("shufflenet_new", [21, 8, 5]),
    ("superresolution", [15, 6, 3]),
    ("superresolution_new", [15, 6, 3]),
    ("swin", [69, 24, 21]),
    ("swin_new", [69, 24, 21]),
    ("unet", [42, 20, 2]),
    ("unet_new", [42, 20, 2]),
    ("vgg", [49, 22, 5]),
    ("vgg_new", [49, 22, 5]),
    ("vit", [101, 40, 21]),
    ("vit_new", [101, 40, 21]),
];

#[test]
fn half_of_the_channels_of_each_architecture_are_removed_exactly() {
    let half = Options::new(0.5).unwrap().round_to(1);
    let mut table = BTreeMap::new();
    for (name, model) in models() {
        let report = match shrink(&model, &half) {
            Ok(smaller) => {
                assert!(smaller.report.deviation.unwrap() <= 1e-12, "{name}");
                assert!(smaller.bytes.len() < model.len(), "{name}");
                smaller.report
            }
            Err(Error::NothingToRemove { .. }) => plan(&model, &half).unwrap(),
            Err(error) => panic!("{name}: {error}"),
        };
        let held = report.held().values().sum();
        table.insert(name, [report.channels(), report.removed(), held]);
    }
    let expected: BTreeMap<String, _> = EXPECTED
        .iter()
        .map(|(name, counts)| ((*name).to_owned(), *counts))
        .collect();
    assert_eq!(table, expected);
}

#[test]
fn any_share_of_a_root_mean_square_norm_is_exact() {
    // Of 24 channels, so that factors and scales are rounded.
    let model = model("fused_new");
    let mut numbers = std::collections::BTreeSet::new();
    for amount in [0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.9] {
        let report = shrink(&model, &unrounded(amount)).unwrap().report;
        assert!(report.deviation.unwrap() <= 1e-12, "{amount}");
        numbers.insert(report.removed());
    }
    assert_eq!(numbers.len(), 7);
}

fn model(name: &str) -> Vec<u8> {
    models().remove(name).unwrap()
}

fn unrounded(amount: f64) -> Options {
    Options::new(amount).unwrap().round_to(1)
}

#[test]
fn budgets_are_met_by_the_smallest_amount() {
    let model = model("resnet");
    let cost = |report: &Report, resource| match resource {
        Resource::Parameters => report.after.parameters as f64 / report.before.parameters as f64,
        Resource::MultiplyAdds => report.after.macs.unwrap() as f64 / report.before.macs.unwrap() as f64,
        _ => report.after.bytes as f64 / report.before.bytes as f64,
    };
    for resource in [Resource::Parameters, Resource::MultiplyAdds, Resource::Bytes] {
        let options = Options::budget(resource, 0.7).unwrap().round_to(1);
        let share = cost(&shrink(&model, &options).unwrap().report, resource);
        assert!(share <= 0.7 && share > 0.5, "{resource:?}: {share}");
    }
    let error = shrink(&model, &Options::budget(Resource::Parameters, 0.0001).unwrap()).unwrap_err();
    assert!(
        matches!(error, Error::Budget { least, .. } if least > 0.01),
        "{error}"
    );
    for share in [0.0, -1.0, 1.5, f64::NAN] {
        assert!(matches!(
            Options::budget(Resource::Bytes, share),
            Err(Error::Options { .. })
        ));
    }
}

#[test]
fn every_importance_scope_and_reduction_gives_an_exact_model() {
    let model = model("resnet");
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/resnet.onnx"));
    let removed_with = |options: Options| {
        let smaller = shrink(&model, &options).unwrap();
        assert!(smaller.report.deviation.unwrap() <= 1e-12);
        (smaller.report.removed(), smaller.bytes)
    };
    let importances = [
        Importance::L1,
        Importance::L2,
        Importance::Norm(3.0),
        Importance::Norm(f64::INFINITY),
        Importance::Random(7),
    ];
    let mut different = std::collections::HashSet::new();
    for importance in importances {
        for reduction in [Reduction::Sum, Reduction::Mean, Reduction::Max] {
            let options = unrounded(0.5).importance(importance.clone()).reduction(reduction);
            different.insert(removed_with(options).1);
        }
    }
    assert!(different.len() > 3);
    // Norms of the same order, by other ways.
    let with = |importance| removed_with(unrounded(0.5).importance(importance)).1;
    assert_eq!(with(Importance::Norm(2.0)), with(Importance::L2));
    assert_eq!(
        with(Importance::function(|_, weight| Some(weight.to_owned()))),
        with(Importance::L1)
    );
    let failing = Importance::try_function(|name, _| match name.contains("bias") {
        true => Ok(None),
        false => Err("out of scores".into()),
    });
    let error = shrink(&model, &unrounded(0.5).importance(failing)).unwrap_err();
    assert!(
        matches!(&error, Error::Scores { weight, .. } if !weight.contains("bias")),
        "{error}"
    );
    assert!(
        error.to_string().ends_with("cannot be computed: out of scores"),
        "{error}"
    );
    for order in [0.0, -1.0, f64::NAN] {
        let wrong = plan(&model, &unrounded(0.5).importance(Importance::Norm(order))).unwrap_err();
        assert!(wrong.to_string().contains("not a valid order"), "{wrong}");
    }
    // All of a kind together: as many as half of them, wherever they are.
    let (together, relative) = removed_with(unrounded(0.5).scope(Scope::Global));
    assert!((20..=24).contains(&together), "{together}");
    let (_, absolute) = removed_with(unrounded(0.5).scope(Scope::Global).normalize(false));
    assert_ne!(relative, absolute);
    // Scores that name one weight: only its group has an importance.
    let shape: Vec<usize> = vec![8, 3, 3, 3];
    let scores = ArrayD::from_shape_fn(shape.clone(), |at| (8 - at[0]) as f32);
    let given = |scores: ArrayD<f32>, name: &str| {
        Importance::Scores(Arc::new(BTreeMap::from([(name.to_owned(), scores)])))
    };
    let mut names = weight_names(path).unwrap().into_iter();
    let with = |name: &str| plan(&model, &unrounded(0.5).importance(given(scores.clone(), name)));
    // The first convolution is the one of this shape.
    let name = names.find(|name| with(name).is_ok()).unwrap();
    let report = with(&name).unwrap();
    assert_eq!(report.removed(), 4, "{name}");
    let wrong = plan(&model, &unrounded(0.5).importance(given(scores, "nothing"))).unwrap_err();
    assert!(wrong.to_string().contains("no weight of this name"), "{wrong}");
    let wrong = plan(
        &model,
        &unrounded(0.5).importance(given(ArrayD::zeros(vec![8]), &name)),
    )
    .unwrap_err();
    assert!(wrong.to_string().contains("have shape [8]"), "{wrong}");
    // A function that has scores for the same weight alone, and one whose scores do not fit.
    let of = name.clone();
    let function = Importance::function(move |name, weight| {
        (name == of).then(|| ArrayD::from_shape_fn(weight.raw_dim(), |at| (8 - at[0]) as f32))
    });
    let by_function = plan(&model, &unrounded(0.5).importance(function)).unwrap();
    assert_eq!(by_function.groups, report.groups);
    for scores in [ArrayD::zeros(vec![8]), ArrayD::from_elem(shape, f32::NAN)] {
        let of = name.clone();
        let function = Importance::function(move |name, _| (name == of).then(|| scores.clone()));
        let wrong = plan(&model, &unrounded(0.5).importance(function)).unwrap_err();
        assert!(
            wrong.to_string().contains(&format!("scores for `{name}`")),
            "{wrong}"
        );
    }
}

#[test]
fn channels_that_are_masked_already_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for name in [
        "resnet",
        "densenet_new",
        "vit",
        "llama",
        "lstm",
        "unet_new",
        "mobilenet",
    ] {
        fs::write(path(name), model(name)).unwrap();
        let (smaller, masked) = (path(&format!("{name}.small")), path(&format!("{name}.masked")));
        let mut outputs = Outputs::new(&smaller);
        outputs.masked = Some(&masked);
        let report = shrink_file(&path(name), &outputs, &unrounded(0.5)).unwrap();
        let again = shrink(&fs::read(&masked).unwrap(), &Options::masked()).unwrap();
        assert_eq!(again.report.removed(), report.removed(), "{name}");
        assert!(again.report.deviation.unwrap() <= 1e-12);
        let nothing = shrink(&model(name), &Options::masked()).unwrap_err();
        assert!(nothing.to_string().contains("no channel is masked"), "{nothing}");
    }
}

#[test]
fn groups_can_be_chosen_and_keep_what_they_must() {
    let model = model("resnet");
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/resnet.onnx"));
    let first = weight_names(path).unwrap().remove(0);
    let options = unrounded(0.5).only(move |weights| weights.contains(&first));
    let report = shrink(&model, &options).unwrap().report;
    assert_eq!(report.groups.iter().filter(|group| group.removed > 0).count(), 1);
    let kept = |options: &Options| {
        let report = shrink(&model, options).unwrap().report;
        let groups = report.groups.iter().filter(|group| group.removed > 0);
        groups.map(|group| group.channels - group.removed).min().unwrap()
    };
    assert_eq!(kept(&unrounded(0.9).keep_at_least(3)), 3);
    assert_eq!(kept(&unrounded(0.5).round_to(4)), 4);
}

#[test]
fn weights_in_files_of_their_own_are_read_and_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (inside, beside) = external(&model("vgg"), "weights.bin");
    fs::write(path("model.onnx"), inside).unwrap();
    fs::write(path("weights.bin"), &beside).unwrap();
    let (small, masked) = (path("small.onnx"), path("masked.onnx"));
    let mut outputs = Outputs::new(&small);
    outputs.masked = Some(&masked);
    let report = shrink_file(&path("model.onnx"), &outputs, &unrounded(0.5)).unwrap();
    assert_eq!(report.removed(), 22);
    assert!(report.deviation.unwrap() <= 1e-12);
    // What was written is a model with weights beside it again.
    assert!(fs::metadata(path("small.onnx.data")).unwrap().len() < beside.len() as u64 / 2);
    assert_eq!(plan_file(&small, &unrounded(0.5)).unwrap().channels(), 49 - 22);
    assert_eq!(plan_file(&masked, &unrounded(0.5)).unwrap().channels(), 49);
    // Nothing is replaced that exists, and never an input.
    for existing in [Existing::Refuse, Existing::Replace] {
        let input = path("model.onnx");
        let mut outputs = Outputs::new(&input);
        outputs.existing = existing;
        assert!(matches!(
            shrink_file(&input, &outputs, &unrounded(0.5)),
            Err(Error::Prune(_))
        ));
    }
    assert!(matches!(
        shrink_file(&path("model.onnx"), &outputs, &unrounded(0.5)),
        Err(Error::Prune(_))
    ));
    assert_eq!(fs::read(path("weights.bin")).unwrap(), beside);
    // Weights that are missing, too short, or elsewhere.
    fs::write(path("weights.bin"), &beside[..beside.len() / 2]).unwrap();
    let error = plan_file(&path("model.onnx"), &unrounded(0.5)).unwrap_err();
    assert!(error.to_string().contains("beyond the end"), "{error}");
    fs::remove_file(path("weights.bin")).unwrap();
    assert!(matches!(
        plan_file(&path("model.onnx"), &unrounded(0.5)),
        Err(Error::Io { .. })
    ));
    for outside in ["../weights.bin", "/etc/hostname"] {
        fs::write(path("model.onnx"), external(&model("vgg"), outside).0).unwrap();
        let error = plan_file(&path("model.onnx"), &unrounded(0.5)).unwrap_err();
        assert!(matches!(error, Error::Outside { .. }), "{error}");
    }
}

/// The model with the entries of its initializers in a file of this name, and that file.
fn external(model: &[u8], location: &str) -> (Vec<u8>, Vec<u8>) {
    let mut beside = Vec::new();
    let graph_of = |graph: &[u8], beside: &mut Vec<u8>| {
        let mut out = Vec::new();
        for (number, raw, bytes) in fields(graph) {
            match number {
                5 => message(&mut out, 5, &tensor(bytes, location, beside)),
                _ => out.extend_from_slice(raw),
            }
        }
        out
    };
    let mut out = Vec::new();
    for (number, raw, bytes) in fields(model) {
        match number {
            7 => message(&mut out, 7, &graph_of(bytes, &mut beside)),
            _ => out.extend_from_slice(raw),
        }
    }
    (out, beside)
}

fn tensor(bytes: &[u8], location: &str, beside: &mut Vec<u8>) -> Vec<u8> {
    let mut out = Vec::new();
    for (number, raw, bytes) in fields(bytes) {
        if number != 9 {
            out.extend_from_slice(raw);
            continue;
        }
        let places = [
            ("location", location.to_owned()),
            ("offset", beside.len().to_string()),
            ("length", bytes.len().to_string()),
        ];
        for (key, value) in places {
            let mut entry = Vec::new();
            message(&mut entry, 1, key.as_bytes());
            message(&mut entry, 2, value.as_bytes());
            message(&mut out, 13, &entry);
        }
        out.extend([14 << 3, 1]);
        beside.extend_from_slice(bytes);
    }
    out
}

/// The fields of a message: number, all bytes, and the value if it has a length.
fn fields(mut message: &[u8]) -> Vec<(u64, &[u8], &[u8])> {
    let mut all = Vec::new();
    while !message.is_empty() {
        let mut at = 0;
        let mut varint = || {
            let mut value = 0;
            for shift in (0..).step_by(7) {
                let byte = message[at];
                at += 1;
                value |= u64::from(byte & 127) << shift;
                if byte < 128 {
                    break;
                }
            }
            (value, at)
        };
        let (tag, _) = varint();
        let (begin, end) = match tag & 7 {
            0 => (0, varint().1),
            1 => (0, varint_end(at, 8)),
            5 => (0, varint_end(at, 4)),
            _ => {
                let (length, begin) = varint();
                (begin, begin + length as usize)
            }
        };
        let value = if begin > 0 { &message[begin..end] } else { &[] };
        all.push((tag >> 3, &message[..end], value));
        message = &message[end..];
    }
    all
}

fn varint_end(at: usize, length: usize) -> usize {
    at + length
}

fn message(out: &mut Vec<u8>, number: u64, bytes: &[u8]) {
    let mut varint = |mut value: u64| {
        while value > 127 {
            out.push(value as u8 | 128);
            value >>= 7;
        }
        out.push(value as u8);
    };
    varint(number << 3 | 2);
    varint(bytes.len() as u64);
    out.extend_from_slice(bytes);
}

#[test]
fn damaged_models_of_every_architecture_give_errors_or_exact_models() {
    // A few places of each model, the same in every run.
    let mut state = 1_u64;
    let mut next = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as usize % below
    };
    for (name, model) in models().into_iter().chain(models_in("tests/data/quantized")) {
        for _ in 0..8 {
            let mut damaged = model.clone();
            match next(3) {
                0 => damaged.truncate(next(model.len())),
                1 => damaged[next(model.len())] ^= 1 << next(8),
                _ => {
                    let (from, to) = (next(model.len()), next(model.len()));
                    damaged.drain(from.min(to)..from.max(to).min(from.min(to) + 40));
                }
            }
            if let Ok(smaller) = shrink(&damaged, &unrounded(0.5)) {
                assert!(smaller.report.deviation.unwrap() <= 1e-12, "{name}");
            }
        }
    }
}

#[test]
fn a_certificate_says_what_was_cut_and_verified() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (input, small, certificate) = (path("resnet.onnx"), path("small.onnx"), path("small.json"));
    fs::write(&input, model("resnet")).unwrap();
    let mut outputs = Outputs::new(&small);
    outputs.certificate = Some(&certificate);
    let report = shrink_file(&input, &outputs, &unrounded(0.5)).unwrap();
    let read = || -> serde_json::Value { serde_json::from_slice(&fs::read(&certificate).unwrap()).unwrap() };
    let json = read();
    assert_eq!(json["format"], 1);
    assert_eq!(json["options"]["round_to"], "1");
    for (list, path) in [("inputs", &input), ("outputs", &small)] {
        let bytes = fs::read(path).unwrap();
        assert_eq!(json[list][0]["name"], path.file_name().unwrap().to_str().unwrap());
        assert_eq!(json[list][0]["bytes"], bytes.len());
        assert_eq!(json[list][0]["crc32"], format!("{:08x}", crc32fast::hash(&bytes)));
    }
    assert_eq!(json["before"]["parameters"], report.before.parameters);
    assert_eq!(json["after"]["parameters"], report.after.parameters);
    assert_eq!(json["verified"]["deviation"], report.deviation.unwrap());
    assert_eq!(json["verified"]["inputs"][0]["shape"][0], 2, "a batch of two");
    // The rows of each weight that were removed are as many as the report says, and the rules are those of a residual network.
    let cuts = json["cuts"].as_array().unwrap();
    let rows = cuts.iter().filter(|cut| cut["dim"] == 0 && cut["length"] == 8);
    assert!(
        rows.clone().count() > 0
            && rows
                .clone()
                .all(|cut| cut["removed"].as_array().unwrap().len() == 4)
    );
    let operators = |cut: &serde_json::Value| cut["operators"].to_string();
    assert!(
        cuts.iter()
            .any(|cut| operators(cut).contains("\"Conv\"") && operators(cut).contains("\"Add\""))
    );
    // Without verification it says so; and what exists is not replaced unasked.
    let unverified = unrounded(0.5).verify(false);
    assert!(shrink_file(&input, &outputs, &unverified).is_err());
    assert_eq!(read(), json);
    outputs.existing = Existing::Replace;
    shrink_file(&input, &outputs, &unverified).unwrap();
    assert!(read()["verified"].is_null());
    outputs.certificate = Some(&input);
    assert!(
        shrink_file(&input, &outputs, &unverified).is_err(),
        "never an input"
    );
    assert_eq!(fs::read(&input).unwrap(), model("resnet"));
}
