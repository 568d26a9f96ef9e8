//! Whole heads of attention are removed instead of places of each.

use std::fs;

use secateurs_onnx::{Options, Report, shrink};

fn path(name: &str) -> String {
    format!("{}/tests/data/{name}.onnx", env!("CARGO_MANIFEST_DIR"))
}

fn shrunk(name: &str, options: &Options) -> Report {
    let model = fs::read(path(name)).unwrap();
    let smaller = shrink(&model, options).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(smaller.report.deviation.unwrap() <= 1e-12, "{name}");
    smaller.report
}

fn half() -> Options {
    Options::new(0.5).unwrap().round_to(1)
}

/// Units and removed ones of the groups of heads, which are those of two.
fn heads(report: &Report) -> Vec<(usize, usize)> {
    let groups = report
        .groups
        .iter()
        .filter(|group| group.channels == 2 && group.held.is_empty());
    groups.map(|group| (group.channels, group.removed)).collect()
}

#[test]
fn heads_with_all_of_their_projections_are_units() {
    // Fused and separate projections, `Einsum`, windows, grouped keys with rotary positions, and `Attention` by itself.
    for (name, blocks) in [
        ("vit", 2),
        ("vit_new", 2),
        ("bert", 2),
        ("bert_new", 2),
        ("einsum", 1),
        ("einsum_new", 1),
        ("swin", 1),
        ("swin_new", 1),
        ("llama", 2),
        ("llama_new", 2),
        ("fused_new", 1),
        ("rotary", 1),
    ] {
        let report = shrunk(name, &half().whole_heads(true));
        assert_eq!(heads(&report), vec![(2, 1); blocks], "{name}");
    }
}

#[test]
fn grouped_queries_go_with_their_keys_and_values() {
    // Four heads of six places with two groups of keys and values, among weights of 24 channels that all stay.
    let report = shrunk(
        "fused_new",
        &half()
            .whole_heads(true)
            .only(|weights| weights.len() > 6 && weights.len() < 8),
    );
    assert_eq!(report.removed(), 1);
    // Half of: three projections of 24 inputs with their biases, and one back; 24 + 12 + 12 outputs.
    let half = (24 * (24 + 12 + 12) + (24 + 12 + 12) + 24 * 24) / 2;
    assert_eq!(report.before.parameters - report.after.parameters, half);
}

#[test]
fn heads_follow_from_rounding_like_the_channels_that_they_are() {
    // Heads of eight channels round by themselves, heads of four in pairs.
    let rounded = |multiple| heads(&shrunk("vit", &half().round_to(multiple).whole_heads(true)));
    assert_eq!(rounded(8), [(2, 1), (2, 1)]);
    assert_eq!(rounded(16), [(2, 0), (2, 0)]);
}

#[test]
fn models_without_attention_are_cut_as_before() {
    for name in [
        "shufflenet",
        "shufflenet_new",
        "resnext",
        "mixer",
        "densenet",
        "superresolution",
        "lstm",
    ] {
        let with = shrunk(name, &half().whole_heads(true));
        assert_eq!(with, shrunk(name, &half()), "{name}");
    }
}

#[test]
fn query_heads_go_alone_as_many_of_each_group() {
    // Four query heads, two groups of keys and values: one of two queries of each group goes.
    for name in ["llama", "llama_new", "fused_new"] {
        let report = shrunk(name, &half().query_heads(true));
        let held = report.held()["the choice to keep keys and values"];
        assert!(held >= 2, "{name}: {held}");
        let queries = heads(&report);
        assert!(
            !queries.is_empty() && queries.iter().all(|both| *both == (2, 1)),
            "{name}: {queries:?}"
        );
        let whole = shrunk(name, &half().whole_heads(true));
        assert!(report.after.parameters > whole.after.parameters, "{name}");
        // All four heads are there in a model without the choice.
        assert!(report.after.macs < report.before.macs, "{name}");
    }
    // Where each query has keys and values of its own, whole heads go.
    for name in ["vit", "bert_new", "mixer"] {
        let both = half().whole_heads(true);
        assert_eq!(
            shrunk(name, &half().query_heads(true)),
            shrunk(name, &both),
            "{name}"
        );
    }
    // Where the scale of what heads send follows from its range, a head that is gone would change it.
    let dynamic = shrunk("quantized/llama_dynamic", &half().query_heads(true));
    let held = dynamic.held();
    let by_range = held.keys().any(|reason| reason.contains("not zero at zero"));
    assert!(by_range, "{held:?}");
    let model = fs::read(path("llama")).unwrap();
    let error = shrink(&model, &Options::masked().query_heads(true)).unwrap_err();
    assert!(error.to_string().contains("mean of all values"), "{error}");
}
