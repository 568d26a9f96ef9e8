//! `secateurs prune`: what it does, what it says, and which options go together.

mod common;

use common::{Place, Tensor, model, noise};
use safetensors::Dtype;

fn place() -> Place {
    let place = Place::new();
    place.single("model.safetensors", &model());
    place
}

/// Prunes the model and returns the zeros of its two weights; nothing else changes.
fn zeros(args: &[&str]) -> [usize; 2] {
    let place = place();
    let mut all = vec!["prune", "model.safetensors", "-o", "out.safetensors"];
    all.extend(args);
    place.done(&all);
    let out = place.read("out.safetensors");
    for tensor in model() {
        let after = &out[&tensor.name];
        assert_eq!((&after.shape, after.dtype), (&tensor.shape, tensor.dtype));
        if !["fc.weight", "out.weight"].contains(&&tensor.name[..]) {
            assert_eq!(after, &tensor);
        }
    }
    [out["fc.weight"].zeros(), out["out.weight"].zeros()]
}

#[test]
fn every_pattern_prunes_what_it_says() {
    assert_eq!(zeros(&["--amount", "0.5"]), [64, 16]);
    assert_eq!(zeros(&["-a", "50%"]), [64, 16]);
    assert_eq!(zeros(&["-a", "3"]), [3, 3]);
    let global = zeros(&["-a", "80", "--scope", "global"]);
    assert_eq!(global.iter().sum::<usize>(), 80);
    assert!(global[1] > 16, "the small ones fall first: {global:?}");
    let capped = zeros(&["-a", "80", "--scope", "global", "--max-sparsity", "50%"]);
    assert_eq!(capped, [64, 16]);
    let normalized = zeros(&["-a", "80", "--scope", "global", "--normalize"]);
    assert_eq!(normalized.iter().sum::<usize>(), 80);
    assert_ne!(normalized, global);
    assert_eq!(zeros(&["--pattern", "2:4"]), [64, 16]);
    assert_eq!(zeros(&["--pattern", "1:4", "--dim", "0"]), [96, 24]);
    assert_eq!(zeros(&["--pattern", "channel", "-a", "1"]), [16, 8]);
    assert_eq!(zeros(&["--pattern", "channel", "-a", "1", "--dim", "-1"]), [8, 4]);
    assert_eq!(
        zeros(&["--pattern", "channel", "-a", "1", "--norm", "-inf"]),
        [16, 8]
    );
    assert_eq!(zeros(&["--pattern", "block:2x4", "-a", "1"]), [8, 8]);
    assert_eq!(
        zeros(&["--pattern", "block:2x4", "-a", "0.5", "--norm", "inf"]),
        [64, 16]
    );
    let chance = ["--method", "random", "--seed", "7", "-a", "0.25"];
    assert_eq!(zeros(&chance), [32, 8]);
    let mut channels = chance.to_vec();
    channels.extend(["--pattern", "channel"]);
    assert_eq!(zeros(&channels), [32, 8]);
}

#[test]
fn threads_change_nothing() {
    let place = Place::new();
    let large = [
        Tensor::new("a.weight", Dtype::F32, &[400, 1000], |i| noise(i % 9000)),
        Tensor::new("b.weight", Dtype::BF16, &[400, 1000], |i| noise(i % 9000)),
    ];
    place.single("model.safetensors", &large);
    for threads in ["1", "2", "7"] {
        place.done(&[
            "prune",
            "model.safetensors",
            "-o",
            threads,
            "-a",
            "0.3",
            "--scope",
            "global",
            "--threads",
            threads,
        ]);
        assert_eq!(place.read(threads), place.read("1"));
    }
    let zeros: usize = place.read("1").values().map(Tensor::zeros).sum();
    assert_eq!(zeros, 240_000);
}

#[test]
fn globs_choose() {
    let prune = |place: &Place, globs: &[&str]| {
        let mut args = vec!["prune", "model.safetensors", "--dry-run", "-a", "0.5", "--json"];
        args.extend(globs);
        let report: serde_json::Value = serde_json::from_str(&place.done(&args)).unwrap();
        let tensors = report["tensors"].as_array().unwrap().iter();
        tensors
            .map(|tensor| tensor["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let place = place();
    assert_eq!(prune(&place, &[]), ["fc.weight", "out.weight"]);
    assert_eq!(
        prune(&place, &["--include", "*weight", "--exclude", "out*"]),
        ["embed.weight", "fc.weight", "norm.weight"]
    );
    assert_eq!(
        prune(&place, &["--include", "fc.*", "--include", "norm.*"]),
        ["fc.bias", "fc.weight", "norm.weight"]
    );
    let base = ["prune", "model.safetensors", "-o", "out", "-a", "0.5"];
    for (globs, says) in [
        (["--include", "nothing*"], "it matches no tensor"),
        (["--exclude", "nothing*"], "such as `embed.weight`"),
        (["--include", "a[b"], "--include"),
        (["--exclude", "*"], "no tensor is selected"),
        (
            ["--include", "ids"],
            "tensor `ids` has dtype U8, which cannot be pruned",
        ),
    ] {
        let error = place.refused(&[&base[..], &globs].concat());
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn options_that_do_not_go_together_say_what_does() {
    let place = place();
    let base = ["prune", "model.safetensors", "-o", "out"];
    let cases: &[(&[&str], &str)] = &[
        (&[], "--amount is needed"),
        (&["--pattern", "channel"], "--amount is needed"),
        (&["--pattern", "2:4", "-a", "0.5"], "N:M takes no --amount"),
        (&["--pattern", "2:4", "--scope", "local"], "N:M takes no --scope"),
        (&["--pattern", "2:4", "--method", "ln"], "--method l1 only"),
        (
            &["--pattern", "2:4", "--method", "random", "--seed", "1"],
            "--method l1 only",
        ),
        (&["--pattern", "2:4", "--norm", "2"], "--norm needs --method ln"),
        (&["--pattern", "5:4"], "cannot keep 5 of each 4"),
        (&["--pattern", "0:0"], "cannot keep 0 of each 0"),
        (&["--pattern", "2:5"], "cannot be divided into groups of 5"),
        (&["--pattern", "2:4", "--dim", "2"], "dimension 2 is out of range"),
        (
            &["--pattern", "block:0x4", "-a", "0.5"],
            "at least 1 row and 1 column",
        ),
        (
            &["--pattern", "block:4x4", "-a", "0.5", "--norm", "1"],
            "--norm 2 (mean square)",
        ),
        (
            &["--pattern", "block:4x4", "-a", "0.5", "--method", "l1"],
            "--method ln only",
        ),
        (
            &["--pattern", "block:4x4", "-a", "0.5", "--dim", "1"],
            "--dim needs",
        ),
        (
            &["--pattern", "block:4x4", "-a", "0.5", "--scope", "global"],
            "needs --pattern unstructured",
        ),
        (
            &["--pattern", "channel", "-a", "0.5", "--scope", "global"],
            "needs --pattern unstructured",
        ),
        (
            &["--pattern", "channel", "-a", "0.5", "--method", "l1"],
            "for channels use ln",
        ),
        (
            &["--pattern", "channel", "-a", "0.5", "--max-sparsity", "0.9"],
            "--scope global",
        ),
        (
            &["-a", "0.5", "--max-sparsity", "0.9"],
            "--max-sparsity needs --scope global",
        ),
        (&["-a", "0.5", "--normalize"], "--normalize needs --scope global"),
        (
            &["-a", "0.5", "--scope", "global", "--max-sparsity", "0.4"],
            "cap of 0.4",
        ),
        (
            &[
                "-a",
                "0.5",
                "--scope",
                "global",
                "--normalize",
                "--method",
                "random",
                "--seed",
                "1",
            ],
            "no norm",
        ),
        (
            &["-a", "0.5", "--method", "ln"],
            "for single entries use l1 or random",
        ),
        (&["-a", "0.5", "--method", "random"], "needs --seed"),
        (&["-a", "0.5", "--seed", "1"], "--seed needs --method random"),
        (&["-a", "0.5", "--dim", "0"], "--dim needs"),
        (&["-a", "0.5", "--norm", "2"], "--norm needs --method ln"),
        (
            &["-a", "0.5", "--dry-run", "--masks", "m"],
            "--dry-run writes nothing",
        ),
        (
            &["-a", "1000"],
            "tensor `fc.weight`: 1000 units were requested, but only 128 remain",
        ),
        // These are said by the parser of the command line.
        (&["-a", "1.5"], "not a fraction in [0, 1]"),
        (&["-a", "much"], "is not an amount"),
        (
            &["-a", "0.5", "--pattern", "tiles"],
            "a pattern is `unstructured`, `N:M`",
        ),
        (&["-a", "0.5", "--max-sparsity", "2"], "in [0, 1]"),
        (&["-a", "0.5", "--norm", "x"], "is not a norm"),
    ];
    for (args, says) in cases {
        let error = place.refused(&[&base[..], args].concat());
        assert!(error.contains(says), "{args:?}: {error}");
    }
    let error = place.refused(&["prune", "model.safetensors", "-a", "0.5"]);
    assert!(error.contains("--output <OUT>"), "{error}");
}

#[test]
fn reports_say_what_was_requested_and_achieved() {
    let place = place();
    let base = ["prune", "model.safetensors", "--dry-run", "-a"];
    let report = |args: &[&str]| place.done(&[&base[..], args].concat());
    assert_eq!(
        report(&["0.5"]),
        "\
tensor      dtype  shape  requested  achieved  entries  pruned  zeros now
fc.weight   F32     8×16         64        64      128  50.00%     50.00%
out.weight  BF16     4×8         16        16       32  50.00%     50.00%
─────────────────────────────────────────────────────────────────────────
2 tensors                        80        80      160  50.00%     50.00%

nothing was written
"
    );
    assert_eq!(
        report(&["1", "--pattern", "channel"]),
        "\
tensor      dtype  shape  requested  achieved  channels  entries pruned  zeros now
fc.weight   F32     8×16          1         1         8          12.50%     12.50%
out.weight  BF16     4×8          1         1         4          25.00%     25.00%
──────────────────────────────────────────────────────────────────────────────────
2 tensors                         2         2        12          15.00%     15.00%

nothing was written
"
    );
    let json: serde_json::Value =
        serde_json::from_str(&report(&["10", "--scope", "global", "--json"])).unwrap();
    assert_eq!(json["output"], serde_json::Value::Null);
    assert_eq!(json["unit"], "entries");
    for key in ["requested", "achieved", "pruned", "zeros"] {
        assert_eq!(json[key], 10, "{key}");
    }
    assert_eq!(json["tensors"][0]["requested"], serde_json::Value::Null);
    assert_eq!(place.names(), ["model.safetensors"]);
    let wrote = place.done(&["prune", "model.safetensors", "-o", "out", "-a", "0.5"]);
    assert!(wrote.ends_with("\nwrote out (1.33 kB in 1 file)\n"), "{wrote}");
}

#[test]
fn masks_are_written_beside() {
    let place = place();
    place.done(&[
        "prune",
        "model.safetensors",
        "-o",
        "out",
        "-a",
        "0.5",
        "--masks",
        "masks.safetensors",
    ]);
    let (out, masks) = (place.read("out"), place.read("masks.safetensors"));
    assert_eq!(masks.len(), 2);
    for name in ["fc.weight", "out.weight"] {
        let mask = &masks[&format!("{name}_mask")];
        assert_eq!((mask.dtype, &mask.shape), (Dtype::BOOL, &out[name].shape));
        let kept = out[name]
            .values()
            .iter()
            .map(|x| f64::from(*x != 0.0))
            .collect::<Vec<_>>();
        assert_eq!(mask.values(), kept);
    }
}

#[test]
fn a_folder_gives_a_folder() {
    let place = Place::new();
    let model = model();
    place.sharded("model", &[&model[3..], &model[..3]]);
    let said = place.done(&["prune", "model", "-o", "out", "-a", "80", "--scope", "global"]);
    assert!(said.ends_with("in 2 files)\n"), "{said}");
    place.write("model/other.bin", "weights?");
    let ran = place.run(&[
        "prune",
        "model/model.safetensors.index.json",
        "-o",
        "again",
        "-a",
        "80",
        "--scope",
        "global",
    ]);
    assert_eq!(ran.code, Some(0));
    assert!(
        ran.err.starts_with("warning: other.bin may hold weights too"),
        "{}",
        ran.err
    );
    place.single("model.safetensors", &model);
    place.done(&[
        "prune",
        "model.safetensors",
        "-o",
        "one",
        "-a",
        "80",
        "--scope",
        "global",
    ]);
    let mut together = place.read("out/model-00001-of-00002.safetensors");
    together.extend(place.read("out/model-00002-of-00002.safetensors"));
    assert_eq!(together, place.read("one"));
    for same in ["config.json", "model.safetensors.index.json"] {
        let read = |folder: &str| std::fs::read(place.path(folder).join(same)).unwrap();
        assert_eq!(read("model"), read("out"));
    }
}

#[test]
fn inspect_shows_bars_patterns_and_nans() {
    let place = Place::new();
    let tensors = [
        Tensor::new("groups", Dtype::F16, &[4, 8], |i| f64::from(u8::from(i % 4 > 1))),
        Tensor::new("ids", Dtype::U8, &[4], |i| i as f64),
        Tensor::new(
            "odd",
            Dtype::F32,
            &[3, 5],
            |i| if i == 7 { f64::NAN } else { 1.0 },
        ),
        Tensor::new("rows", Dtype::F64, &[5, 3], |i| if i < 6 { -0.0 } else { 2.0 }),
    ];
    place.single("model.safetensors", &tensors);
    assert_eq!(
        place.done(&["inspect", "model.safetensors"]),
        "\
tensor     dtype       shape  zeros          sparsity              holds
groups     F16           4×8     16  50.00%  ██████████··········  2:4 along dim 1, 4 of 8 channels zero along dim 1
ids        U8              4      –
odd        F32           3×5      0   0.00%  ····················  1 NaN
rows       F64           5×3      6  40.00%  ████████············  2 of 5 channels zero along dim 0, 6 negative zeros
─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
4 tensors         66 entries     22  35.48%  ███████▏············  1 NaN

527 B in 1 file
"
    );
    let json = place.done(&["inspect", "model.safetensors", "--json", "--include", "groups"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        json["tensors"][0]["groups"][0],
        serde_json::json!({ "keep": 2, "of": 4, "dim": 1 })
    );
    assert_eq!(json["total"]["zeros"], 16);
}

#[test]
fn help_shows_examples_and_completions_complete() {
    let place = Place::new();
    for args in [
        ["--help"].as_slice(),
        &["prune", "--help"],
        &["inspect", "--help"],
    ] {
        assert!(place.done(args).contains("Examples:\n"), "{args:?}");
    }
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = place.done(&["completions", shell]);
        assert!(script.contains("max-sparsity"), "{shell}");
    }
    assert_eq!(place.run(&[]).code, Some(2));
}

#[test]
fn there_is_a_man_page_of_every_subcommand() {
    let place = Place::new();
    let page = place.done(&["man"]);
    assert!(page.contains(".TH secateurs 1"), "{page}");
    for name in [
        "prune", "inspect", "apply", "masks", "diff", "bake", "pack", "unpack", "shrink",
    ] {
        assert!(page.contains(&format!("secateurs\\-{name}(1)")), "{name}: {page}");
        let own = place.done(&["man", name]);
        assert!(own.contains(&format!(".TH secateurs-{name} 1")), "{own}");
        assert!(own.contains("\\-\\-threads") && own.contains("Examples"), "{own}");
    }
    assert!(
        place
            .refused(&["man", "prunes"])
            .contains("there is no subcommand `prunes`")
    );
}

#[test]
fn amounts_take_zeros_into_account() {
    let place = Place::new();
    let half = |i: usize| if i.is_multiple_of(2) { 0.0 } else { noise(i) };
    let tensors = [
        Tensor::new("a.weight", Dtype::F32, &[10, 20], half),
        Tensor::new("b.weight", Dtype::BF16, &[10, 20], noise),
    ];
    place.single("in", &tensors);
    let zeros = |args: &[&str]| {
        let prune = ["prune", "in", "-o", "out", "--force", "--json"];
        let report = place.done(&[&prune[..], args].concat());
        let report: serde_json::Value = serde_json::from_str(&report).unwrap();
        let out = place.read("out");
        let now = [out["a.weight"].zeros(), out["b.weight"].zeros()];
        assert_eq!(report["newly_pruned"], now[0] + now[1] - 100);
        assert_eq!(report["tensors"][0]["newly_pruned"], now[0] - 100);
        now
    };
    assert_eq!(zeros(&["-a", "50%"]), [100, 100]);
    assert_eq!(zeros(&["-a", "50%", "--of", "nonzero"]), [150, 100]);
    assert_eq!(zeros(&["-a", "10", "--of", "nonzero"]), [110, 10]);
    assert_eq!(zeros(&["-a", "until:90%"]), [180, 180]);
    assert_eq!(zeros(&["-a", "until:90%", "--of", "nonzero"]), [180, 180]);
    let global = zeros(&["-a", "50%", "--of", "nonzero", "--scope", "global"]);
    assert_eq!(global[0] + global[1], 250);
    let said = place.done(&["prune", "in", "-a", "50%", "--dry-run"]);
    assert!(
        said.contains("100 of the 200 pruned entries were zero before; 100 are newly pruned"),
        "{said}"
    );
    for args in [
        &["-a", "50%", "--of", "nonzero", "--pattern", "channel"][..],
        &["-a", "until:50%", "--method", "random", "--seed", "1"],
        &["--of", "nonzero", "--pattern", "2:4"],
    ] {
        let error = place.refused(&[&["prune", "in", "-o", "new"][..], args].concat());
        assert!(error.contains("ranks zeros lowest"), "{error}");
    }
}
