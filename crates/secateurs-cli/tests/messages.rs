//! What the command says of input that it cannot use as it is, and how it says it.

mod common;

use std::process::Stdio;

use common::{Place, Tensor, file, model, noise, raw, secateurs};
use safetensors::Dtype;

#[test]
fn amounts_are_said_as_typed() {
    let place = Place::new();
    place.single("in", &model());
    for (amount, said) in [
        ("-1", "-1 is negative"),
        ("-0.5", "-0.5 is negative"),
        ("101%", "101% is more than everything"),
        ("1.5", "1.5 is not a fraction"),
        ("much", "is not an amount"),
    ] {
        let error = place.refused(&["prune", "in", "-o", "out", "--amount", amount]);
        assert!(error.contains(said), "{amount}: {error}");
    }
}

#[test]
fn files_of_other_kinds_are_recognised() {
    let place = Place::new();
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
    place.write("pointer.safetensors", pointer);
    place.write("model.gguf", b"GGUF\x03\0\0\0\0\0\0\0\0\0\0\0");
    place.write("one", b"x");
    let odd = r#"{"a.weight":{"dtype":"F4","shape":[3],"data_offsets":[0,2]}}"#;
    place.write("odd", raw(odd, &[0, 0]));
    let mut more = file(&model());
    more.push(0);
    place.write("more", more);
    for (input, said) in [
        ("pointer.safetensors", "git lfs pull"),
        ("model.gguf", "it is a GGUF file"),
        ("one", "has 1 byte,"),
        ("odd", "needs a part of a byte"),
        ("more", "1 byte at the end of the file belongs"),
    ] {
        let error = place.refused(&["inspect", input]);
        assert!(error.contains(said), "{input}: {error}");
    }
}

#[test]
fn an_index_beside_a_model_file_says_which_is_used() {
    let place = Place::new();
    place.sharded("in", &[&model()]);
    place.write("in/model.safetensors", file(&model()));
    let ran = place.run(&["prune", "in", "-o", "out", "-a", "50%"]);
    assert_eq!(ran.code, Some(0));
    assert!(
        ran.err.contains("the index does not list model.safetensors") && ran.err.contains("copied as it is"),
        "{}",
        ran.err
    );
}

/// A gate of bf16, and weights of a type that is not pruned.
fn quantised() -> Vec<u8> {
    let header = r#"{"gate.weight":{"dtype":"BF16","shape":[2,2],"data_offsets":[0,8]},
        "a.weight":{"dtype":"F8_E4M3","shape":[2,2],"data_offsets":[8,12]},
        "b.weight":{"dtype":"F8_E4M3","shape":[2,2],"data_offsets":[12,16]},
        "c.qweight":{"dtype":"I8","shape":[2,2],"data_offsets":[16,20]},
        "ids":{"dtype":"U8","shape":[2],"data_offsets":[20,22]}}"#;
    raw(header, &[1; 22])
}

#[test]
fn types_that_are_not_pruned_are_counted_and_named() {
    let place = Place::new();
    place.write("in", quantised());
    let lines = [
        "2 tensors of dtype F8_E4M3, which cannot be pruned: a.weight, b.weight",
        "1 tensor of dtype I8, which cannot be pruned: c.qweight",
    ];
    let prune = ["prune", "in", "-a", "50%", "--dry-run"];
    for said in [place.done(&prune), place.done(&["inspect", "in"])] {
        assert!(lines.iter().all(|line| said.contains(line)), "{said}");
    }
    let said = place.done(&[&prune[..], &["--json"]].concat());
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["not_prunable"].as_array().unwrap().len(), 3);
    let said: serde_json::Value = serde_json::from_str(&place.done(&["inspect", "in", "--json"])).unwrap();
    assert_eq!(
        said["not_prunable"],
        serde_json::json!(["a.weight", "b.weight", "c.qweight"])
    );
    // A pattern leaves them out, and says so; a name does not.
    let said = place.done(&[&prune[..], &["--include", "*"]].concat());
    assert!(
        said.contains("1 tensor of dtype U8, which cannot be pruned: ids"),
        "{said}"
    );
    assert!(lines.iter().all(|line| said.contains(line)), "{said}");
    let error = place.refused(&[&prune[..], &["--include", "a.weight"]].concat());
    assert!(error.contains("F8_E4M3, which cannot be pruned"), "{error}");
}

#[test]
fn groups_that_do_not_divide_can_be_skipped() {
    let place = Place::new();
    let tensors = [
        Tensor::new("a.weight", Dtype::F32, &[4, 8], noise),
        Tensor::new("b.weight", Dtype::F32, &[4, 6], noise),
    ];
    place.single("in", &tensors);
    let prune = ["prune", "in", "-o", "out", "--pattern", "2:4"];
    place.refused(&prune);
    let said = place.done(&[&prune[..], &["--skip-indivisible"]].concat());
    assert!(
        said.contains("skipped 1 tensor that groups do not divide: b.weight"),
        "{said}"
    );
    let out = place.read("out");
    assert_eq!((out["a.weight"].zeros(), out["b.weight"].zeros()), (16, 0));
    let error = place.refused(&["prune", "in", "-o", "out2", "-a", "1", "--skip-indivisible"]);
    assert!(error.contains("needs --pattern N:M"), "{error}");
}

#[test]
fn control_characters_are_never_printed() {
    let place = Place::new();
    let header = r#"{"\u001b]0;owned\u0007.weight":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]}}"#;
    place.write("in", raw(header, &[0; 8]));
    place.single("model", &model());
    let evil = "\u{1b}[31m";
    for args in [
        &["inspect", "in"][..],
        &["inspect", "in", "--json"],
        &["prune", "in", "-o", evil, "-a", "1"],
        &["diff", "in", "model"],
        &["diff", "in", evil],
        &["inspect", "no\u{1b}"],
        &["inspect", "in", "--include", "no\u{9b}"],
    ] {
        let ran = place.run(args);
        let all = ran.out + &ran.err;
        assert!(
            !all.chars().any(|c| c.is_control() && c != '\n'),
            "{args:?}: {all:?}"
        );
    }
    assert!(
        place
            .run(&["inspect", "in"])
            .out
            .contains("\\u001b]0;owned\\u0007.weight")
    );
}

#[test]
fn long_names_are_shown() {
    let place = Place::new();
    let name = format!("{}.weight", "x".repeat(70_000));
    place.single(
        "in",
        &[Tensor::new(&name, Dtype::F32, &[2, 2], noise), model()[1].clone()],
    );
    for args in [&["inspect", "in"][..], &["prune", "in", "-o", "out", "-a", "50%"]] {
        assert!(place.done(args).contains(&name));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn paths_that_are_not_utf_8_can_be_reported() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let place = Place::new();
    place.single("in", &model());
    for command in ["prune", "pack", "masks"] {
        let mut bytes = command.as_bytes().to_vec();
        bytes.push(0xff);
        let mut run = secateurs();
        run.args([command, "in", "--json", "-o"])
            .arg(OsStr::from_bytes(&bytes))
            .current_dir(place.path(""));
        if command == "prune" {
            run.args(["-a", "50%"]);
        }
        let output = run.output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(report["output"].as_str().unwrap().starts_with(command));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn standard_output_that_cannot_be_written_to_is_an_error() {
    let place = Place::new();
    place.single("in", &model());
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let ran = secateurs()
        .args(["inspect", "in"])
        .current_dir(place.path(""))
        .stdout(full)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert_eq!(ran.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&ran.stderr).contains("cannot write to standard output"));
}

#[test]
fn without_threads_the_work_is_done_by_one() {
    let place = Place::new();
    place.single("in", &[Tensor::new("a.weight", Dtype::F32, &[1024, 1024], noise)]);
    place.done(&["prune", "in", "-o", "out", "-a", "50%", "--threads", "4"]);
    // No stack is so large, so no thread starts.
    let ran = secateurs()
        .args(["prune", "in", "-o", "alone", "-a", "50%", "--threads", "4"])
        .env("RUST_MIN_STACK", (1_u64 << 46).to_string())
        .current_dir(place.path(""))
        .output()
        .unwrap();
    assert_eq!(ran.status.code(), Some(0), "{ran:?}");
    assert_eq!(place.read("out"), place.read("alone"));
}

#[test]
fn long_help_shows_what_is_documented() {
    let place = Place::new();
    for (command, says) in [
        ("prune", "ties are broken by position"),
        ("inspect", "zeros, sparsity patterns"),
        ("diff", "-0.0 is not +0.0"),
        ("pack", "for storage and transport"),
        ("unpack", "checksum of every tensor"),
    ] {
        let help = place.done(&[command, "--help"]);
        let words: Vec<&str> = help.split_whitespace().collect();
        assert!(words.join(" ").contains(says), "{help}");
        assert!(help.contains("Examples:"), "{help}");
        // The short one is short.
        assert!(place.done(&[command, "-h"]).len() < help.len());
    }
    let list = place.done(&["--help"]);
    assert!(
        list.contains("Prune weights of a checkpoint into a new one"),
        "{list}"
    );
}

#[test]
fn quiet_prints_nothing_and_reports_name_every_output() {
    let place = Place::new();
    place.single("in", &model());
    let said = place.done(&[
        "prune", "in", "-o", "out", "-a", "50%", "--quiet", "--masks", "masks",
    ]);
    assert_eq!(said, "");
    assert_eq!(place.names(), ["in", "masks", "out"]);
    let ran = place.run(&["diff", "in", "out", "--quiet"]);
    assert_eq!((ran.code, &ran.out[..], &ran.err[..]), (Some(1), "", ""));
    let error = place.refused(&["prune", "in", "-o", "out", "-a", "50%", "--quiet"]);
    assert!(error.contains("--force"), "{error}");
    let again = [
        "prune", "in", "-o", "out", "-a", "50%", "--force", "--masks", "masks",
    ];
    let said = place.done(&again);
    assert!(
        said.contains("wrote out (") && said.contains("wrote masks (masks)"),
        "{said}"
    );
    let said = place.done(&[&again[..], &["--json"]].concat());
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        (&said["output"], &said["masks"]),
        (&"out".into(), &"masks".into())
    );
}

#[test]
fn long_reports_are_a_summary_unless_all_is_wanted() {
    let place = Place::new();
    let weight = |i: usize| Tensor::new(&format!("layer.{i:03}.weight"), Dtype::F32, &[2, 2], noise);
    let tensors: Vec<_> = (0..300).map(weight).collect();
    place.single("in", &tensors);
    for command in [
        &["inspect", "in"][..],
        &["prune", "in", "-a", "50%", "-o", "pruned"],
        &["diff", "in", "pruned"],
        &["masks", "pruned", "-o", "masks"],
        &["apply", "in", "--masks", "masks", "-o", "applied"],
        &["pack", "pruned", "-o", "packed"],
    ] {
        let said = place
            .run(&[command, &["--force"][..usize::from(command.contains(&"-o"))]].concat())
            .out;
        assert!(said.lines().count() < 30, "{said}");
        assert!(
            said.contains("… and 280 more rows; --verbose shows them"),
            "{said}"
        );
        let said = place
            .run(
                &[
                    command,
                    &["--verbose", "--force"][..1 + usize::from(command.contains(&"-o"))],
                ]
                .concat(),
            )
            .out;
        assert!(
            said.lines().count() > 300 && said.contains("layer.299.weight"),
            "{command:?}"
        );
    }
}
