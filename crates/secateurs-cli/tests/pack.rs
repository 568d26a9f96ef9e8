//! `secateurs pack` and `unpack`: small, and back again to the last bit.

mod common;

use common::{Place, Tensor, noise};
use safetensors::Dtype;

/// A pruned model, of which some of each type is zero.
fn pruned() -> Vec<Tensor> {
    let sparse = |i: usize| if i.is_multiple_of(10) { noise(i) } else { 0.0 };
    vec![
        Tensor::new("fc.weight", Dtype::F32, &[16, 512], sparse),
        Tensor::new("conv.weight", Dtype::BF16, &[32, 16, 3, 3], sparse),
        Tensor::new("half.weight", Dtype::F16, &[100, 30], sparse),
        Tensor::new("in_proj_weight", Dtype::F64, &[40, 20], sparse),
        Tensor::new("dense.weight", Dtype::F32, &[30, 30], noise),
        Tensor::new("fc.bias", Dtype::F32, &[16], |_| 0.0),
        Tensor::new("ids", Dtype::U8, &[4], |_| 0.0),
    ]
}

#[test]
fn every_byte_comes_back() {
    let place = Place::new();
    let all = pruned();
    place.single("in", &all);
    place.sharded("model", &[&all[3..], &all[..3]]);
    for input in ["in", "model"] {
        let [packed, back] = ["packed", "back"].map(|name| format!("{input}-{name}"));
        let said = place.done(&["pack", input, "-o", &packed]);
        assert!(
            said.contains("4 tensors packed") && said.contains("as is"),
            "{said}"
        );
        let said = place.done(&["unpack", &packed, "-o", &back, "--threads", "1"]);
        assert!(said.contains("4 tensors unpacked"), "{said}");
        let files = place.files();
        for (path, bytes) in &files {
            let name = path.strip_prefix(place.path("")).unwrap().to_str().unwrap();
            if let Some(rest) = name.strip_prefix(&back[..]) {
                assert_eq!(bytes, &files[&place.path(&format!("{input}{rest}"))], "{name}");
            }
        }
        assert_eq!(place.run(&["diff", input, &back]).code, Some(0));
        place.done(&["inspect", &packed]);
    }
    // Nothing else takes a packed file for a model.
    let packed = std::fs::read(place.path("in-packed")).unwrap();
    assert!(safetensors::SafeTensors::deserialize(&packed).is_err());
    place.write("inner", &packed[8..]);
    let parts = place.read("inner");
    assert_eq!(parts["fc.bitmask"].shape, [16 * 64]);
    assert_eq!(parts["conv.bitmask"].shape, [32 * 16 * 9 / 8]);
    assert!(!parts.contains_key("fc.weight") && parts.contains_key("in_proj_weight.compressed"));
    assert_eq!(parts["fc.bias"], all[5]);
}

#[test]
fn a_tenth_of_f32_takes_at_most_14_percent() {
    let place = Place::new();
    let shapes: [&[usize]; 4] = [&[64, 512], &[1000, 64], &[64, 32, 3, 3], &[256, 1000]];
    let tensors: Vec<_> = shapes
        .iter()
        .enumerate()
        .map(|(i, shape)| Tensor::new(&format!("{i}.weight"), Dtype::F32, shape, noise))
        .collect();
    place.single("in", &tensors);
    place.done(&["prune", "in", "-o", "pruned", "-a", "90%"]);
    let report = place.done(&["pack", "pruned", "-o", "packed", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    let mut all = (0.0, 0.0);
    for tensor in report["tensors"].as_array().unwrap() {
        let bytes = tensor["bytes"].as_f64().unwrap();
        let packed = tensor["packed_bytes"].as_f64().unwrap();
        println!(
            "{} {}: {:.2} %",
            tensor["name"],
            tensor["shape"],
            100.0 * packed / bytes
        );
        assert!(packed <= 0.14 * bytes, "{tensor}");
        all = (all.0 + packed, all.1 + bytes);
    }
    println!("all: {:.2} %", 100.0 * all.0 / all.1);
    let lengths = ["packed", "pruned"].map(|name| std::fs::metadata(place.path(name)).unwrap().len());
    assert_eq!(report["bytes_after"], lengths[0]);
    assert!(lengths[0] as f64 <= 0.14 * lengths[1] as f64); // headers included
}

#[test]
fn negative_zeros_are_told_of() {
    let place = Place::new();
    let value = |i: usize| [0.0, -0.0, 5.0, 0.0][i % 4];
    place.single("in", &[Tensor::new("a.weight", Dtype::F32, &[100, 100], value)]);
    let said = place.done(&["pack", "in", "-o", "packed"]);
    assert!(
        said.contains("2,500 entries are -0.0") && said.contains("--canonical-zeros"),
        "{said}"
    );
    place.done(&["unpack", "packed", "-o", "back"]);
    assert_eq!(place.run(&["diff", "in", "back"]).code, Some(0));
    let said = place.done(&["pack", "in", "-o", "canonical", "--canonical-zeros"]);
    assert!(!said.contains("-0.0"), "{said}");
    place.done(&["unpack", "canonical", "-o", "positive"]);
    let report = place.run(&["diff", "in", "positive", "--json"]).out;
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["tensors"][0]["differing"], 2500);
}

#[test]
fn what_is_packed_already_and_what_is_not() {
    let place = Place::new();
    let all = pruned();
    place.single("in", &all);
    place.sharded("model", &[&all[..2], &all[2..]]);
    for input in ["in", "model"] {
        let packed = format!("{input}-packed");
        let error = place.refused(&["unpack", input, "-o", "out"]);
        assert!(error.contains("is not packed"), "{error}");
        place.done(&["pack", input, "-o", &packed]);
        let error = place.refused(&["pack", &packed, "-o", "out"]);
        assert!(error.contains("packed already"), "{error}");
        for command in ["pack", "unpack"] {
            place.refused(&[command, &packed, "-o", &packed, "--force"]);
            place.refused(&[command, "no", "-o", "out"]);
        }
    }
    place.write("out", "mine");
    for (command, input) in [("pack", "in"), ("unpack", "in-packed")] {
        let error = place.refused(&[command, input, "-o", "out"]);
        assert!(error.contains("--force"), "{error}");
        place.done(&[command, input, "-o", "out", "--force"]);
    }
    assert_eq!(place.read("out"), place.read("in"));
}

#[test]
fn damaged_files_are_refused() {
    let place = Place::new();
    place.single("in", &pruned()[..1]);
    place.done(&["pack", "in", "-o", "packed"]);
    let whole = std::fs::read(place.path("packed")).unwrap();
    let refused = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = whole.clone();
        change(&mut bytes);
        place.write("damaged", bytes);
        place.refused(&["unpack", "damaged", "-o", "out"])
    };
    let error = refused(&|bytes| bytes.truncate(bytes.len() - 1));
    assert!(error.contains("truncated"), "{error}");
    // The bitmask is the last of the parts.
    let error = refused(&|bytes| *bytes.last_mut().unwrap() ^= 1);
    assert!(error.contains("bits of its bitmask"), "{error}");
    // A value lies before it: as many as before, of the right type, and not what was packed.
    let error = refused(&|bytes| {
        let at = bytes.len() - 16 * 64 - 3;
        bytes[at] ^= 1;
    });
    assert!(
        error.contains("`fc.weight` does not match its checksum"),
        "{error}"
    );
    // What begins otherwise is not taken for a packed file.
    let error = refused(&|bytes| bytes[3] ^= 1);
    assert!(error.contains("not a safetensors file"), "{error}");
    let edit = |from: &str, to: &str| {
        assert_eq!(from.len(), to.len());
        refused(&|bytes| {
            let at = bytes
                .windows(from.len())
                .position(|text| text == from.as_bytes())
                .unwrap();
            bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        })
    };
    let error = edit("[1024]", "[8,128]".strip_suffix("]").unwrap());
    assert!(error.contains("not valid"), "{error}");
    let error = edit("fc.bitmask", "fc.bitmasq");
    assert!(error.contains("`fc.bitmask` is missing"), "{error}");
    let error = edit("secateurs.header", "secateurs.hinder");
    assert!(error.contains("secateurs.header"), "{error}");
    let error = edit("[16,512]", "[32,256]");
    assert!(error.contains("does not match its checksum"), "{error}");
}

#[test]
fn every_flipped_bit_of_the_data_is_found() {
    let place = Place::new();
    let sparse = |i: usize| if i % 100 == 7 { noise(i) } else { 0.0 };
    let tensors = [
        Tensor::new("fc.weight", Dtype::F32, &[2, 140], sparse),
        Tensor::new("ids", Dtype::U8, &[2], |i| i as f64),
    ];
    place.single("in", &tensors);
    place.done(&["pack", "in", "-o", "packed"]);
    let whole = std::fs::read(place.path("packed")).unwrap();
    let header = u64::from_le_bytes(whole[8..16].try_into().unwrap()) as usize;
    for at in (16 + header) * 8..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[at / 8] ^= 1 << (at % 8);
        place.write("damaged", bytes);
        let error = place.refused(&["unpack", "damaged", "-o", "back"]);
        assert!(
            error.contains("`fc.weight`") || error.contains("`ids`"),
            "{error}"
        );
    }
}

#[test]
fn files_of_version_1_are_unpacked() {
    let place = Place::new();
    let data = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/packed-1");
    let packed = data.join("packed.safetensors");
    place.done(&["unpack", packed.to_str().unwrap(), "-o", "back"]);
    assert_eq!(
        std::fs::read(place.path("back")).unwrap(),
        std::fs::read(data.join("original.safetensors")).unwrap()
    );
}

#[test]
fn packed_weights_are_used_by_no_other_command() {
    let place = Place::new();
    let all = pruned();
    place.sharded("model", &[&all[..2], &all[2..]]);
    place.single(
        "masks",
        &[Tensor::new("fc.weight_mask", Dtype::BOOL, &[16, 512], |_| 1.0)],
    );
    place.done(&["pack", "model", "-o", "packed"]);
    for args in [
        &["prune", "packed", "-o", "out", "-a", "50%"][..],
        &["prune", "packed", "--dry-run", "-a", "50%"],
        &["apply", "packed", "--masks", "masks", "-o", "out"],
        &["masks", "packed", "-o", "out"],
        &["bake", "packed", "-o", "out"],
        &["pack", "packed", "-o", "out"],
    ] {
        let error = place.refused(args);
        assert!(
            error.contains("unpack it first: secateurs unpack"),
            "{args:?}: {error}"
        );
    }
}
