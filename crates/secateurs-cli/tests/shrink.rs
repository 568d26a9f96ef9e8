//! `secateurs shrink`.

mod common;

use std::fs;

use common::Place;
use secateurs_onnx::{Options, plan_file};

/// A small residual network, as PyTorch exports it.
const MODEL: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../secateurs-onnx/tests/data/resnet.onnx"
);

fn place() -> Place {
    let place = Place::new();
    fs::copy(MODEL, place.path("model.onnx")).unwrap();
    place
}

#[test]
fn a_model_becomes_smaller_and_is_verified() {
    let place = place();
    let out = place.done(&[
        "shrink",
        "model.onnx",
        "-o",
        "small.onnx",
        "--round-to",
        "1",
        "--masked",
        "masked.onnx",
    ]);
    assert!(out.contains("verified"), "{out}");
    assert!(out.contains("wrote small.onnx: "), "{out}");
    let options = Options::new(0.5).unwrap();
    let channels = |name: &str| plan_file(&place.path(name), &options).unwrap().channels();
    assert_eq!(
        [
            channels("model.onnx"),
            channels("small.onnx"),
            channels("masked.onnx")
        ],
        [53, 29, 53]
    );
    let json = place.done(&[
        "shrink",
        "model.onnx",
        "-o",
        "again.onnx",
        "--round-to",
        "1",
        "--json",
    ]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["channels"], &json["removed"]), (&53.into(), &24.into()));
    assert!(json["deviation"].as_f64().unwrap() <= 1e-12);
    assert_eq!(json["output"], "again.onnx");
    assert_eq!(
        fs::read(place.path("small.onnx")).unwrap(),
        fs::read(place.path("again.onnx")).unwrap()
    );
}

#[test]
fn an_inexact_cut_is_a_choice_whose_deviation_is_reported() {
    let place = Place::new();
    fs::copy(MODEL.replace("resnet", "vit"), place.path("model.onnx")).unwrap();
    let command = ["shrink", "model.onnx", "--round-to", "1"];
    let with = |args: &[&str]| place.done(&[&command[..], args].concat());
    let out = with(&["-o", "exact.onnx"]);
    assert!(
        out.contains("channels by LayerNormalization") && !out.contains("accepted"),
        "{out}"
    );
    let out = with(&["-o", "small.onnx", "--inexact", "layer-norm"]);
    assert!(
        !out.contains("by LayerNormalization") && out.contains("accepted"),
        "{out}"
    );
    let json = with(&["-o", "again.onnx", "--inexact", "layer-norm,maximum", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!(json["deviation"].as_f64().unwrap() <= 1e-12);
    assert!(json["accepted_deviation"].as_f64().unwrap() > 1e-6);
    assert!(json["inexact"]["layer norms"].as_u64().unwrap() > 0);
}

#[test]
fn whole_heads_are_removed_on_request() {
    let place = Place::new();
    fs::copy(MODEL.replace("resnet", "llama"), place.path("model.onnx")).unwrap();
    let held = |args: &[&str]| -> Vec<String> {
        let json = place.done(
            &[
                &["shrink", "model.onnx", "--plan", "--json", "--round-to", "1"],
                args,
            ]
            .concat(),
        );
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        json["held"].as_object().unwrap().keys().cloned().collect()
    };
    // Places of heads are held by rotary positions that are computed; heads are not.
    assert!(held(&[]).len() > held(&["--whole-heads"]).len());
    assert!(held(&["--query-heads"]).contains(&"the choice to keep keys and values".to_owned()));
    let both = place.refused(&["shrink", "model.onnx", "--plan", "--query-heads", "--whole-heads"]);
    assert!(both.contains("cannot be used with"), "{both}");
}

#[test]
fn a_quantized_model_is_shrunk_by_the_same_command() {
    let place = Place::new();
    let model = MODEL.replace("resnet.onnx", "quantized/resnet_pairs.onnx");
    fs::copy(model, place.path("model.onnx")).unwrap();
    let command = [
        "shrink",
        "model.onnx",
        "-o",
        "small.onnx",
        "--masked",
        "masked.onnx",
        "--round-to",
        "1",
    ];
    place.done(&command);
    // What is masked there is what is removed.
    place.done(&["shrink", "masked.onnx", "-o", "again.onnx", "--zeros"]);
    let read = |name: &str| fs::read(place.path(name)).unwrap();
    assert_eq!(read("small.onnx"), read("again.onnx"));
}

#[test]
fn a_plan_writes_nothing_and_says_what_is_coupled() {
    let place = place();
    let before = fs::read_dir(place.path(".")).unwrap().count();
    let out = place.done(&[
        "shrink",
        "model.onnx",
        "--plan",
        "--macs",
        "60%",
        "--round-to",
        "1",
    ]);
    assert!(out.contains("weights that are cut together"), "{out}");
    assert!(out.contains("nothing was written"), "{out}");
    assert!(
        out.contains("held") && out.contains("outputs of the graph"),
        "{out}"
    );
    assert_eq!(fs::read_dir(place.path(".")).unwrap().count(), before);
}

#[test]
fn outputs_that_exist_and_inputs_stay() {
    let place = place();
    let model = fs::read(MODEL).unwrap();
    fs::write(place.path("there.onnx"), b"mine").unwrap();
    let refused =
        |args: &[&str]| place.refused(&[&["shrink", "model.onnx", "--round-to", "1"], args].concat());
    assert!(refused(&["-o", "there.onnx"]).contains("--force replaces it"));
    assert!(refused(&["-o", "small.onnx", "--masked", "there.onnx"]).contains("exists already"));
    for output in ["model.onnx", "./model.onnx"] {
        refused(&["-o", output, "--force"]);
        refused(&["-o", "small.onnx", "--masked", output, "--force"]);
    }
    refused(&["-o", "same.onnx", "--masked", "./same.onnx"]);
    refused(&["-o", "nowhere/small.onnx"]);
    assert_eq!(fs::read(place.path("there.onnx")).unwrap(), b"mine");
    assert_eq!(fs::read(place.path("model.onnx")).unwrap(), model);
    assert!(!place.path("small.onnx").exists() && !place.path("same.onnx").exists());
    place.done(&[
        "shrink",
        "model.onnx",
        "--round-to",
        "1",
        "-o",
        "there.onnx",
        "--force",
    ]);
    assert!(fs::read(place.path("there.onnx")).unwrap().len() < model.len());
}

#[test]
fn bad_options_and_models_are_refused() {
    let place = place();
    let refused = |args: &[&str]| place.refused(&[&["shrink"], args].concat());
    fs::write(place.path("text.onnx"), "this is not a model").unwrap();
    fs::write(place.path("half.onnx"), &fs::read(MODEL).unwrap()[..5000]).unwrap();
    for model in ["text.onnx", "half.onnx"] {
        assert!(refused(&[model, "-o", "out.onnx"]).contains("not an ONNX model, or a damaged one"));
    }
    assert!(refused(&["missing.onnx", "-o", "out.onnx"]).contains("cannot read missing.onnx"));
    assert!(refused(&["model.onnx", "-o", "out.onnx", "--macs", "1%"]).contains("the budget cannot be met"));
    assert!(refused(&["model.onnx", "-o", "out.onnx", "--macs", "150%"]).contains("such as 60% or 0.6"));
    assert!(refused(&["model.onnx", "-o", "out.onnx", "--amount", "0"]).contains("nothing can be removed"));
    let norm = |args: &[&str]| refused(&[&["model.onnx", "-o", "out.onnx"], args].concat());
    assert!(norm(&["--importance", "norm"]).contains("needs the order of the norm: --norm"));
    assert!(norm(&["--norm", "3"]).contains("--norm is the order of --importance norm"));
    assert!(norm(&["--importance", "norm", "--norm", "0"]).contains("0 is not a valid order"));
    assert!(norm(&["--no-normalize"]).contains("needs --scope global"));
    let glob = refused(&["model.onnx", "-o", "out.onnx", "--include", "nothing*"]);
    assert!(glob.contains("matches no tensor"), "{glob}");
    let scores = refused(&["model.onnx", "-o", "out.onnx", "--scores", "text.onnx"]);
    assert!(scores.contains("--scores text.onnx"), "{scores}");
    assert!(refused(&["model.onnx"]).contains("--output"));
    assert!(!place.path("out.onnx").exists());
}

#[test]
fn groups_are_chosen_by_the_names_of_their_weights() {
    let place = place();
    let removed = |args: &[&str]| {
        let command = ["shrink", "model.onnx", "--plan", "--json", "--round-to", "1"];
        let json = place.done(&[&command[..], args].concat());
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        json["removed"].as_u64().unwrap()
    };
    assert_eq!(removed(&[]), 24);
    // The last layer reads the channels of the second stage.
    assert_eq!(removed(&["--include", "3.2.weight"]), 8);
    assert_eq!(removed(&["--exclude", "3.2.*"]), 24 - 8);
    assert_eq!(removed(&["--exclude", "*"]), 0);
}

#[test]
fn a_certificate_is_written_with_the_model_or_not_at_all() {
    let place = place();
    let small = ["shrink", "model.onnx", "--round-to", "1", "-o", "small.onnx"];
    fs::write(place.path("there.json"), "mine").unwrap();
    place.refused(&[&small[..], &["--certificate", "there.json"]].concat());
    assert!(!place.path("small.onnx").exists());
    assert_eq!(fs::read(place.path("there.json")).unwrap(), b"mine");
    place.refused(&[&small[..], &["--certificate", "./small.onnx"]].concat());
    place.refused(&["shrink", "model.onnx", "--plan", "--certificate", "plan.json"]);
    place.done(&[&small[..], &["--certificate", "small.json"]].concat());
    let read = |name: &str| -> serde_json::Value {
        serde_json::from_slice(&fs::read(place.path(name)).unwrap()).unwrap()
    };
    assert!(read("small.json")["verified"]["deviation"].as_f64().unwrap() <= 1e-12);
    let ran = place.run(
        &[
            &small[..],
            &["--certificate", "small.json", "--no-verify", "--force"],
        ]
        .concat(),
    );
    assert_eq!(ran.code, Some(0));
    assert!(ran.err.contains("warning: not verified"), "{}", ran.err);
    assert!(read("small.json")["verified"].is_null());
}
