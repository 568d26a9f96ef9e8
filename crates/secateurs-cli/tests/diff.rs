//! `secateurs diff`: what differs, and the exit code that says whether anything does.

mod common;

use common::{Place, Tensor, model};
use safetensors::Dtype;

/// Runs `diff`, which has to exit with this code.
fn diff(place: &Place, code: i32, args: &[&str]) -> String {
    let ran = place.run(&[&["diff"], args].concat());
    assert_eq!((ran.code, &ran.err[..]), (Some(code), ""), "{}", ran.out);
    ran.out
}

#[test]
fn other_shards_make_no_difference() {
    let place = Place::new();
    let all = model();
    place.single("in", &all);
    place.sharded("model", &[&all[4..], &all[..2], &all[2..4]]);
    assert_eq!(diff(&place, 0, &["in", "model"]), "6 tensors, all the same\n");
    let report: serde_json::Value =
        serde_json::from_str(&diff(&place, 0, &["model", "in", "--json"])).unwrap();
    let same = serde_json::json!({
        "differ": false, "same": 6, "tensors": [], "metadata": [], "order": null,
        "figures": { "largest": 0.0, "mean": 0.0, "cosine": 1.0 }
    });
    assert_eq!(report, same);
}

#[test]
fn what_pruning_changed() {
    let place = Place::new();
    place.single("in", &model());
    place.done(&[
        "prune",
        "in",
        "-o",
        "pruned",
        "-a",
        "0.5",
        "--include",
        "fc.weight",
    ]);
    let said = diff(&place, 1, &["in", "pruned"]);
    assert!(
        said.contains("64 of 128 entries differ (50.00%), the first at") && said.contains("all tensors "),
        "{said}"
    );
    assert!(said.ends_with("1 of 6 tensors differ\n"), "{said}");
}

#[test]
fn tensors_forms_metadata_and_order() {
    let place = Place::new();
    let mut all = model();
    place.single("in", &all);
    all[2].shape = vec![16, 8];
    all[0] = Tensor::new("new", Dtype::F16, &[1], |_| 1.0);
    all.swap(1, 5);
    let bytes = common::file(&all);
    let text = String::from_utf8_lossy(&bytes[8..]).into_owned();
    let header = &text[..text.find("}}").unwrap() + 2];
    let changed = header.replace("\"format\":\"pt\"", "\"format\":\"np\",\"by\":\"us\"");
    place.write("other", common::raw(&changed, &bytes[8 + header.len()..]));
    let said = diff(&place, 1, &["in", "other"]);
    for line in [
        "embed.weight  only in in",
        "fc.weight     shape 8×16 → 16×8",
        "new           only in other",
        "metadata `by`: absent → \"us\"",
        "metadata `format`: \"pt\" → \"np\"",
        "order: `fc.bias` comes before `fc.weight` in in, and after it in other",
        "3 of 7 tensors differ",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    let report: serde_json::Value =
        serde_json::from_str(&diff(&place, 1, &["in", "other", "--json"])).unwrap();
    assert_eq!(report["differ"], true);
    let tensors = serde_json::json!([
        { "name": "embed.weight", "difference": "only_left" },
        { "name": "fc.weight", "difference": "form",
          "left": { "dtype": "F32", "shape": [8, 16] }, "right": { "dtype": "F32", "shape": [16, 8] } },
        { "name": "new", "difference": "only_right" },
    ]);
    assert_eq!(report["tensors"], tensors);
    assert_eq!(report["order"][0], "fc.bias");
}

#[test]
fn negative_zero_is_not_zero_and_nan_is_itself() {
    let place = Place::new();
    let write = |name: &str, value: f64| {
        let values = move |i: usize| [f64::NAN, value][i];
        place.single(name, &[Tensor::new("a", Dtype::F32, &[2], values)]);
    };
    write("zero", 0.0);
    write("negative", -0.0);
    diff(&place, 0, &["zero", "zero"]);
    let report: serde_json::Value =
        serde_json::from_str(&diff(&place, 1, &["zero", "negative", "--json"])).unwrap();
    let tensors = serde_json::json!([
        { "name": "a", "difference": "entries", "differing": 1, "entries": 2, "first": 1,
          "figures": { "largest": 0.0, "mean": 0.0, "cosine": null } },
    ]);
    assert_eq!(report["tensors"], tensors);
    diff(&place, 0, &["zero", "negative", "--ignore-signed-zero"]);
}

#[test]
fn what_cannot_be_read_is_an_error_and_no_difference() {
    let place = Place::new();
    place.single("in", &model());
    place.write("cut", &common::file(&model())[..500]);
    place.write("model.bin", "PK");
    for args in [["in", "no"], ["no", "in"], ["in", "cut"], ["in", "model.bin"]] {
        place.refused(&[&["diff"], &args[..]].concat());
    }
}

#[test]
fn figures_are_those_worked_out_by_hand() {
    let place = Place::new();
    // Of [3, 4, 0, 0] and [3, 0, 0, −4]: differences 0, 4, 0, 4; dot product 9, norms 5 and 5.
    let of = |values: [f64; 4]| move |i: usize| values[i];
    for dtype in [Dtype::F32, Dtype::BF16] {
        let tensor = |values| Tensor::new("w.weight", dtype, &[2, 2], of(values));
        place.single("a", &[tensor([3.0, 4.0, 0.0, 0.0])]);
        place.single("b", &[tensor([3.0, 0.0, 0.0, -4.0])]);
        let report: serde_json::Value =
            serde_json::from_str(&diff(&place, 1, &["a", "b", "--json"])).unwrap();
        for figures in [&report["figures"], &report["tensors"][0]["figures"]] {
            assert_eq!(figures["largest"], 4.0);
            assert_eq!(figures["mean"], 2.0);
            let cosine = figures["cosine"].as_f64().unwrap();
            assert!((cosine - 9.0 / 25.0).abs() < 1e-12, "{cosine}");
        }
        std::fs::remove_file(place.path("a")).unwrap();
        std::fs::remove_file(place.path("b")).unwrap();
    }
}
