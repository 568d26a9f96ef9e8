//! `secateurs bake`: PyTorch's pairs become plain weights.

mod common;

use common::{Place, Tensor, noise};
use safetensors::Dtype;

/// A state as PyTorch saves it: masks have the type of their weights.
fn state() -> Vec<Tensor> {
    let kept = |i: usize| f64::from(u8::from(!i.is_multiple_of(3)));
    vec![
        Tensor::new("0.bias", Dtype::F32, &[4], noise),
        Tensor::new("0.weight_mask", Dtype::F32, &[4, 6], kept),
        Tensor::new("0.weight_orig", Dtype::F32, &[4, 6], |i| -noise(i)),
        Tensor::new("1.weight_mask", Dtype::BOOL, &[3, 3], kept),
        Tensor::new("1.weight_orig", Dtype::BF16, &[3, 3], noise),
        Tensor::new("attn.causal_mask", Dtype::BOOL, &[3], |_| 1.0),
    ]
}

fn check(tensors: &std::collections::BTreeMap<String, Tensor>) {
    let state = state();
    for (name, original) in [("0.weight", &state[2]), ("1.weight", &state[4])] {
        let (baked, size) = (&tensors[name], original.dtype.bitsize() / 8);
        assert_eq!((baked.dtype, &baked.shape), (original.dtype, &original.shape));
        let entries = baked.bytes.chunks(size).zip(original.bytes.chunks(size));
        for (i, (after, before)) in entries.enumerate() {
            let expected = if i.is_multiple_of(3) {
                &[0; 4][..size]
            } else {
                before
            };
            assert_eq!(after, expected, "{name} [{i}]"); // S10
        }
    }
}

#[test]
fn pairs_become_weights() {
    let place = Place::new();
    place.single("in", &state());
    let said = place.done(&["bake", "in", "-o", "out"]);
    assert!(said.contains("0.weight") && said.contains("wrote out"), "{said}");
    let out = place.read("out");
    check(&out);
    let names: Vec<_> = out.keys().collect();
    assert_eq!(names, ["0.bias", "0.weight", "1.weight", "attn.causal_mask"]);
    assert_eq!(out["0.bias"], state()[0]);
    // What is baked can be pruned.
    let error = place.refused(&["prune", "in", "-o", "pruned", "-a", "0.5"]);
    assert!(error.contains("secateurs bake"), "{error}");
    place.done(&["prune", "out", "-o", "pruned", "-a", "0.5"]);
}

#[test]
fn pairs_in_different_shards_become_weights_too() {
    let place = Place::new();
    let all = state();
    place.sharded("model", &[&all[3..], &all[..2], &all[2..3]]);
    let report = place.done(&["bake", "model", "-o", "out", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!((&report["masked"], &report["entries"]), (&11.into(), &33.into()));
    let mut out = place.read("out/model-00001-of-00003.safetensors");
    out.extend(place.read("out/model-00002-of-00003.safetensors"));
    out.extend(place.read("out/model-00003-of-00003.safetensors"));
    check(&out);
    place.done(&["inspect", "out"]); // the index is true
    assert!(place.path("out/config.json").exists());
}

#[test]
fn pairs_that_are_none_are_refused() {
    let place = Place::new();
    let refused = |change: &dyn Fn(&mut Vec<Tensor>)| {
        let mut all = state();
        change(&mut all);
        place.single("in", &all);
        place.refused(&["bake", "in", "-o", "out"])
    };
    let error = refused(&|all| all.truncate(1));
    assert!(error.contains("nothing to bake"), "{error}");
    let error = refused(&|all| drop(all.remove(1)));
    assert!(
        error.contains("`0.weight_orig`") && error.contains("`0.weight_mask`"),
        "{error}"
    );
    let error = refused(&|all| all[0].name = "0.weight".into());
    assert!(
        error.contains("`0.weight`") && error.contains("already"),
        "{error}"
    );
    let error = refused(&|all| all[1].shape = vec![6, 4]);
    assert!(error.contains("[6, 4]") && error.contains("[4, 6]"), "{error}");
    let error = refused(&|all| all[1].bytes[3] = 0x3f);
    assert!(
        error.contains("0.weight_mask") && error.contains("index 0"),
        "{error}"
    );
    let error = refused(&|all| all[1].dtype = Dtype::I32);
    assert!(
        error.contains("`0.weight_mask` cannot be applied as a mask"),
        "{error}"
    );
    let error = refused(&|all| (all[2].dtype, all[2].shape) = (Dtype::I32, vec![4, 6]));
    assert!(error.contains("I32"), "{error}");
    place.single("in", &state());
    place.refused(&["bake", "in", "-o", "in", "--force"]);
    place.write("out", "mine");
    let error = place.refused(&["bake", "in", "-o", "out"]);
    assert!(error.contains("--force"), "{error}");
    place.done(&["bake", "in", "-o", "out", "--force"]);
}
