//! Cuts that are not exact, by the user's choice: layer norms then range over the channels that remain, and nothing else
//! differs.

use std::fs;

use secateurs_onnx::{Inexact, Options, Outputs, plan, shrink, shrink_file};

fn model(name: &str) -> Vec<u8> {
    fs::read(format!("{}/tests/data/{name}.onnx", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn half() -> Options {
    Options::new(0.5).unwrap().round_to(1)
}

#[test]
fn streams_of_layer_norms_are_cut_by_choice_alone_and_proven_but_for_the_norms() {
    for name in [
        "vit",
        "vit_new",
        "bert",
        "bert_new",
        "convnext",
        "mixer_new",
        "swin",
        "layernorm",
    ] {
        let model = model(name);
        let chosen = shrink(&model, &half().inexact(Inexact::LayerNorm))
            .unwrap()
            .report;
        let exact = plan(&model, &half()).unwrap();
        assert!(chosen.removed() > exact.removed(), "{name}");
        assert!(
            !chosen.held().contains_key("LayerNormalization"),
            "{name}: {:?}",
            chosen.held()
        );
        assert!(chosen.inexact["layer norms"] > 0, "{name}");
        // All but the norms is exact, and the norms make a difference.
        assert!(chosen.deviation.unwrap() <= 1e-12, "{name}");
        assert!(chosen.accepted_deviation.unwrap() > 1e-6, "{name}");
        assert!(
            exact.inexact.is_empty() && exact.accepted_deviation.is_none(),
            "{name}"
        );
        let text = chosen.to_string();
        assert!(
            text.contains("accepted          outputs differ from the plain masked model's by"),
            "{text}"
        );
        let planned = plan(&model, &half().inexact(Inexact::LayerNorm)).unwrap();
        assert_eq!(planned.inexact, chosen.inexact, "{name}");
    }
}

#[test]
fn a_choice_that_no_removed_channel_needs_leaves_the_cut_exact() {
    for name in ["resnet", "llama"] {
        let smaller = shrink(&model(name), &half().inexact(Inexact::LayerNorm)).unwrap();
        assert_eq!(smaller.report.accepted_deviation, None, "{name}");
        assert_eq!(
            smaller.bytes,
            shrink(&model(name), &half()).unwrap().bytes,
            "{name}"
        );
    }
}

#[test]
fn what_was_masked_so_is_removed_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("vit"), model("vit")).unwrap();
    let (small, masked) = (path("small"), path("masked"));
    let mut outputs = Outputs::new(&small);
    outputs.masked = Some(&masked);
    let options = half().inexact(Inexact::LayerNorm);
    let report = shrink_file(&path("vit"), &outputs, &options).unwrap();
    let again = shrink(
        &fs::read(path("masked")).unwrap(),
        &Options::masked().inexact(Inexact::LayerNorm),
    )
    .unwrap();
    assert_eq!(again.report.removed(), report.removed());
    assert!(again.report.deviation.unwrap() <= 1e-12);
    assert_eq!(again.report.accepted_deviation, report.accepted_deviation);
    // A norm whose scale is not masked sends something of a channel that is.
    let none = shrink(&model("vit"), &Options::masked().inexact(Inexact::LayerNorm));
    assert!(none.unwrap_err().to_string().contains("no channel is masked"));
}
