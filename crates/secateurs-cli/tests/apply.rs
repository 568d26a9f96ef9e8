//! `secateurs masks` and `secateurs apply`: masks read off zeros, and put on checkpoints.

mod common;

use common::{Place, Tensor, model, noise};
use safetensors::Dtype;

fn mask(name: &str, shape: &[usize], value: impl Fn(usize) -> f64) -> Tensor {
    Tensor::new(name, Dtype::BOOL, shape, value)
}

#[test]
fn masks_that_prune_writes_give_the_same_checkpoint_again() {
    let place = Place::new();
    place.single("in", &model());
    place.done(&["prune", "in", "-o", "pruned", "-a", "0.5", "--masks", "masks"]);
    let said = place.done(&["apply", "in", "--masks", "masks", "-o", "applied"]);
    assert!(
        said.contains("wrote applied") && said.contains("2 tensors"),
        "{said}"
    );
    let files = place.files();
    assert_eq!(files[&place.path("applied")], files[&place.path("pruned")]);
    // The model has no other zeros, so that masks can be read off them.
    place.done(&["masks", "pruned", "-o", "inferred"]);
    assert_eq!(
        place.files()[&place.path("inferred")],
        files[&place.path("masks")]
    );
}

#[test]
fn zeros_of_either_sign_are_masked() {
    let place = Place::new();
    let value = |i: usize| [0.0, -0.0, 2.0, -3.0][i % 4];
    let weight = Tensor::new("fc.weight", Dtype::BF16, &[2, 4], value);
    let bias = Tensor::new("fc.bias", Dtype::F32, &[2], |_| 0.0);
    place.single("in", &[weight, bias]);
    let report = place.done(&["masks", "in", "-o", "masks", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!((&report["masked"], &report["entries"]), (&4.into(), &8.into()));
    let masks = place.read("masks");
    assert_eq!(masks.len(), 1); // a bias is not what prune would take
    assert_eq!(masks["fc.weight_mask"].bytes, [0, 0, 1, 1, 0, 0, 1, 1]);
    place.done(&["masks", "in", "-o", "all", "--include", "*"]);
    assert_eq!(place.read("all").len(), 2);
}

#[test]
fn a_folder_gives_a_folder() {
    let place = Place::new();
    let all = model();
    place.sharded("model", &[&all[..3], &all[3..]]);
    place.single("masks", &[mask("fc.weight_mask", &[8, 16], |i| (i % 2) as f64)]);
    let report = place.done(&["apply", "model", "-m", "masks", "-o", "out", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["masked"], 64);
    assert_eq!(report["tensors"][0]["name"], "fc.weight");
    for (path, bytes) in place.files() {
        let Ok(inner) = path.strip_prefix(place.path("out")) else {
            continue;
        };
        let before = std::fs::read(place.path("model").join(inner)).unwrap();
        let is_masked = inner.to_str() == Some("model-00001-of-00002.safetensors");
        assert_eq!(bytes == before, !is_masked, "{inner:?}");
    }
    assert_eq!(
        place.read("out/model-00001-of-00002.safetensors")["fc.weight"].zeros(),
        64
    );
}

#[test]
fn masks_that_do_not_fit_are_refused() {
    let place = Place::new();
    place.single("in", &model());
    let refused = |masks: &[Tensor]| {
        place.single("masks", masks);
        place.refused(&["apply", "in", "--masks", "masks", "-o", "out"])
    };
    assert!(refused(&[]).contains("contains no masks"));
    let error = refused(&[mask("nothing_mask", &[2], |_| 1.0)]);
    assert!(
        error.contains("`nothing_mask`") && error.contains("no tensor"),
        "{error}"
    );
    let error = refused(&[mask("fc.weight", &[8, 16], |_| 1.0)]);
    assert!(
        error.contains("`fc.weight`") && error.contains("NAME_mask"),
        "{error}"
    );
    let error = refused(&[mask("fc.weight_mask", &[16, 8], |_| 1.0)]);
    assert!(error.contains("[16, 8]") && error.contains("[8, 16]"), "{error}");
    let error = refused(&[mask(
        "fc.weight_mask",
        &[8, 16],
        |i| if i == 77 { 3.0 } else { 1.0 },
    )]);
    assert!(
        error.contains("fc.weight_mask") && error.contains("77 is 3"),
        "{error}"
    );
    let error = refused(&[mask("ids_mask", &[4], |_| 1.0)]);
    assert!(error.contains("`ids` has dtype U8"), "{error}");
}

#[test]
fn outputs_that_exist_and_inputs_are_safe() {
    let place = Place::new();
    place.single("in", &model());
    place.single("masks", &[mask("fc.weight_mask", &[8, 16], |_| 0.0)]);
    place.write("out", "mine");
    let error = place.refused(&["apply", "in", "-m", "masks", "-o", "out"]);
    assert!(error.contains("--force"), "{error}");
    for output in ["in", "masks"] {
        place.refused(&["apply", "in", "-m", "masks", "-o", output, "--force"]);
        place.refused(&["apply", "in", "-m", "no", "-o", "new"]);
    }
    let error = place.refused(&["masks", "in", "-o", "out"]);
    assert!(error.contains("--force"), "{error}");
    place.refused(&["masks", "in", "-o", "in", "--force"]);
    let error = place.refused(&["masks", "in", "-o", "new", "--exclude", "*"]);
    assert!(error.contains("no tensor is selected"), "{error}");
    let error = place.refused(&["masks", "in", "-o", "new", "--include", "ids"]);
    assert!(error.contains("U8"), "{error}");
    place.done(&["apply", "in", "-m", "masks", "-o", "out", "--force"]);
    assert_eq!(place.read("out")["fc.weight"].zeros(), 128);
    place.done(&["masks", "out", "-o", "masks", "--force"]);
    assert_eq!(place.read("masks")["fc.weight_mask"].zeros(), 128);
}

#[test]
fn nan_and_infinity_under_a_mask_are_positive_zero() {
    let place = Place::new();
    let value = |i: usize| [f64::NAN, f64::NEG_INFINITY, -2.0, noise(i)][i % 4];
    place.single("in", &[Tensor::new("a", Dtype::F32, &[4], value)]);
    place.single(
        "masks",
        &[mask("a_mask", &[4], |i| if i == 3 { 1.0 } else { 0.0 })],
    );
    place.done(&["apply", "in", "-m", "masks", "-o", "out"]);
    let out = &place.read("out")["a"];
    assert_eq!(out.bytes[..12], [0; 12]); // S10
    assert_eq!(out.bytes[12..], place.read("in")["a"].bytes[12..]);
}
