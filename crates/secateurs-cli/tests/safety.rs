//! Every bad input, by the command itself: a clear error, exit code 2, nothing lost and nothing left behind.

mod common;

use common::{Place, Tensor, file, model, noise, raw};
use safetensors::Dtype;

const PRUNE: [&str; 6] = ["prune", "in.safetensors", "-o", "out.safetensors", "-a", "0.5"];

/// What the command says of a file of these bytes, whichever way it is looked at.
fn refused(bytes: &[u8]) -> String {
    let place = Place::new();
    place.write("in.safetensors", bytes);
    let error = place.refused(&PRUNE);
    assert_eq!(place.refused(&["inspect", "in.safetensors"]), error);
    assert!(error.contains("in.safetensors"), "{error}");
    error
}

#[test]
fn an_existing_output_needs_force() {
    let place = Place::new();
    place.single("in.safetensors", &model());
    place.write("out.safetensors", "mine");
    place.write("masks", "mine too");
    let error = place.refused(&PRUNE);
    assert!(
        error.contains("error: out.safetensors exists already; nothing was written; --force replaces it"),
        "{error}"
    );
    let error = place.refused(&[
        "prune",
        "in.safetensors",
        "-o",
        "new",
        "-a",
        "0.5",
        "--masks",
        "masks",
    ]);
    assert!(error.contains("masks exists already"), "{error}");
    place.done(&[&PRUNE[..], &["--force"]].concat());
    assert_eq!(place.read("out.safetensors")["fc.weight"].zeros(), 64);

    place.sharded("model", &[&model()]);
    place.write("home/letter", "dear");
    place.refused(&["prune", "model", "-o", "home", "-a", "0.5"]);
    let error = place.refused(&["prune", "model", "-o", "home", "-a", "0.5", "--force"]);
    assert!(
        error.contains("does not contain `letter`, which would be deleted"),
        "{error}"
    );
}

#[test]
fn the_input_is_never_the_output() {
    let place = Place::new();
    place.single("in.safetensors", &model());
    place.sharded("model", &[&model()]);
    for (input, output) in [
        ("in.safetensors", "in.safetensors"),
        ("in.safetensors", "model/../in.safetensors"),
        ("model", "model"),
        ("model/model.safetensors.index.json", "model"),
        ("model", "model/inside"),
        ("model", "."),
    ] {
        let error = place.refused(&["prune", input, "-o", output, "-a", "0.5", "--force"]);
        assert!(error.contains("cannot write"), "{input} {output}: {error}");
    }
    let error = place.refused(&[&PRUNE[..], &["--masks", "in.safetensors", "--force"]].concat());
    assert!(error.contains("it is the input"), "{error}");
    let error = place.refused(&[&PRUNE[..], &["--masks", "out.safetensors"]].concat());
    assert!(
        error.contains("another output of this run has this name"),
        "{error}"
    );
    let error = place.refused(&["prune", "in.safetensors", "-o", "no/out", "-a", "0.5"]);
    assert!(error.contains("does not exist"), "{error}");
}

#[test]
fn no_output_is_or_lies_in_an_input_or_another_output() {
    let place = Place::new();
    place.sharded("model", &[&model()]);
    place.done(&["prune", "model", "-o", "out", "-a", "0.5"]);
    // Not deleted, although --force replaces the folder.
    place.write("home/notes.txt", "mine");
    place.write("home/model.safetensors", file(&model()));
    let prune = ["prune", "model", "-a", "0.5", "--force", "-o"];
    let masks = ["masks", "model", "--force", "-o"];
    let cases = [
        (&masks[..], &["model/config.json"][..], "lies in the input"),
        (&masks, &["model/model.safetensors.index.json"], "it is the input"),
        (&masks, &["model/masks.safetensors"], "lies in the input"),
        (&masks, &["-"], "standard output"),
        (
            &prune,
            &["out", "--masks", "model/masks.safetensors"],
            "lies in the input",
        ),
        (
            &prune,
            &["out", "--masks", "out/masks.safetensors"],
            "lies in the output",
        ),
        (&prune, &["out", "--masks", "./out"], "the output is a file"),
        (
            &prune,
            &["new", "--masks", "./new"],
            "another output of this run has this name",
        ),
        (
            &prune,
            &["home"],
            "does not contain `model.safetensors`, `notes.txt`",
        ),
        (&prune, &["/dev/null"], "is not replaced"),
        (&prune, &["-"], "standard output"),
    ];
    for (base, args, says) in cases {
        let error = place.refused(&[base, args].concat());
        assert!(error.contains(says), "{args:?}: {error}");
    }
    let (apply, masks) = (["apply", "model", "--force", "-o"], ["--masks", "out"]);
    let error = place.refused(&[&apply[..], &["out"], &masks[..]].concat());
    assert!(error.contains("it is the input"), "{error}");
}

#[test]
fn truncated_files() {
    let whole = file(&model());
    for (len, says) in [
        (0, "too few for a safetensors header"),
        (7, "too few for a safetensors header"),
        (100, "the file has only 92 after"),
        (whole.len() - 1, "the data is truncated"),
    ] {
        let error = refused(&whole[..len]);
        assert!(error.contains(says), "{len}: {error}");
    }
    let mut long = whole;
    long.extend(b"more");
    assert!(refused(&long).contains("4 bytes at the end of the file belong to no tensor"));
}

#[test]
fn headers_that_lie() {
    let entry = |dtype: &str, shape: &str, offsets: &str| {
        format!(r#"{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}"#)
    };
    let two = |a: String, b: String| raw(&format!(r#"{{"a.weight":{a},"b.weight":{b}}}"#), &[0; 64]);
    let mut endless = file(&model());
    endless[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    let cases = [
        (endless, "at most 100000000 are allowed"),
        (raw("what?", &[0; 8]), "the header is not a safetensors header"),
        (
            raw(
                &format!(r#"{{"a.weight":{}}}"#, entry("F32", "[2,8]", "[0,60]")),
                &[0; 60],
            ),
            "needs 64 bytes, but has 60",
        ),
        (
            raw(
                &format!(
                    r#"{{"a.weight":{}}}"#,
                    entry("F32", "[4294967296,4294967296,4294967296]", "[0,64]")
                ),
                &[0; 64],
            ),
            "more bytes than any file has",
        ),
        (
            raw(
                &format!(r#"{{"a.weight":{}}}"#, entry("F99", "[2,8]", "[0,64]")),
                &[0; 64],
            ),
            "F99",
        ),
        (
            two(entry("F32", "[2,4]", "[0,32]"), entry("F32", "[2,4]", "[16,48]")),
            "`a.weight` and `b.weight` overlap",
        ),
        (
            two(entry("F32", "[2,4]", "[0,32]"), entry("F32", "[2,3]", "[40,64]")),
            "belong to no tensor",
        ),
        (
            two(entry("F32", "[2,4]", "[0,32]"), entry("F32", "[2,4]", "[64,32]")),
            "begin at byte 64 and to end at byte 32",
        ),
        (
            raw(
                &format!(
                    r#"{{"a.weight":{},"a.weight":{}}}"#,
                    entry("F32", "[2,4]", "[0,32]"),
                    entry("F32", "[2,4]", "[32,64]")
                ),
                &[0; 64],
            ),
            "tensor `a.weight` is listed twice",
        ),
    ];
    for (bytes, says) in cases {
        let error = refused(&bytes);
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn shards_that_do_not_fit_their_index() {
    let model = model();
    let (one, two) = (
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
    );
    let refused = |change: &dyn Fn(&Place)| {
        let place = Place::new();
        place.sharded("model", &[&model[..3], &model[3..]]);
        change(&place);
        let error = place.refused(&["prune", "model", "-o", "out", "-a", "0.5"]);
        assert_eq!(place.refused(&["inspect", "model"]), error);
        error
    };
    let edit = |from: &str, to: &str| {
        refused(&|place| {
            let index = place.path("model/model.safetensors.index.json");
            let text = std::fs::read_to_string(&index).unwrap();
            assert!(text.contains(from));
            std::fs::write(index, text.replace(from, to)).unwrap();
        })
    };
    let error = refused(&|place| std::fs::remove_file(place.path("model").join(two)).unwrap());
    assert!(error.contains(&format!("shard `{two}` is missing")), "{error}");
    let error = edit(&format!("\"ids\":\"{two}\""), &format!("\"ids\":\"{one}\""));
    assert!(
        error.contains(&format!("places `ids` in `{one}`, but it is in `{two}`")),
        "{error}"
    );
    let error = edit(two, "../../etc/passwd");
    assert!(error.contains("which is not a file name"), "{error}");
    let error = edit("\"ids\"", "\"jds\"");
    assert!(error.contains("`jds`") || error.contains("`ids`"), "{error}");
    let error = edit("weight_map", "weight_mop");
    assert!(error.contains("not the index of a sharded checkpoint"), "{error}");
    let error = refused(&|place| place.single(&format!("model/{two}"), &model[2..]));
    assert!(error.contains("tensor `fc.weight` is listed twice"), "{error}");
    let error = refused(&|place| {
        std::fs::remove_file(place.path("model/model.safetensors.index.json")).unwrap();
    });
    assert!(
        error.contains("several safetensors files and no index"),
        "{error}"
    );
}

#[test]
fn nans_are_named() {
    let place = Place::new();
    let mut model = model();
    model[5] = Tensor::new("out.weight", Dtype::BF16, &[4, 8], |i| {
        if i == 19 { f64::NAN } else { noise(i) }
    });
    place.single("in.safetensors", &model);
    let amount = ["-a", "0.5"];
    let cases: [&[&str]; 6] = [
        &amount,
        &["-a", "0.5", "--scope", "global"],
        &[
            "-a",
            "0.5",
            "--scope",
            "global",
            "--normalize",
            "--max-sparsity",
            "0.9",
        ],
        &["--pattern", "2:4"],
        &["-a", "0.5", "--pattern", "channel"],
        &["-a", "0.5", "--pattern", "block:2x2"],
    ];
    for args in cases {
        let args = [&PRUNE[..4], args].concat();
        let error = place.refused(&args);
        assert!(
            error.contains("cannot rank NaN: in `out.weight` entry 19"),
            "{error}"
        );
    }
    // Whoever does not rank it does not care.
    place.done(&[&PRUNE[..], &["--exclude", "out*"]].concat());
}

#[test]
fn files_of_pytorch_say_what_to_do() {
    let place = Place::new();
    for name in ["model.bin", "model.pt", "model.safetensors"] {
        place.write(name, b"PK\x03\x04 and so on");
        let error = place.refused(&["prune", name, "-o", "out", "-a", "0.5"]);
        assert!(error.contains("safetensors.torch.save_file"), "{error}");
    }
    place.write("folder/pytorch_model.bin", b"PK\x03\x04 and so on");
    let error = place.refused(&["prune", "folder", "-o", "out", "-a", "0.5"]);
    assert!(error.contains("save them as safetensors first"), "{error}");
    let error = place.refused(&["prune", "nowhere", "-o", "out", "-a", "0.5"]);
    assert!(error.contains("nowhere"), "{error}");
}

#[test]
fn weights_that_pytorch_masks_have_to_be_baked_first() {
    let place = Place::new();
    let tensors = [
        Tensor::new("fc.weight_mask", Dtype::F32, &[4, 4], |i| (i % 2) as f64),
        Tensor::new("fc.weight_orig", Dtype::F32, &[4, 4], noise),
        Tensor::new("out.weight", Dtype::F32, &[4, 4], noise),
    ];
    place.single("in.safetensors", &tensors);
    for globs in [[].as_slice(), &["--include", "*"], &["--include", "fc*"]] {
        let error = place.refused(&[&PRUNE[..], globs].concat());
        assert!(
            error.contains("`fc.weight_orig`") && error.contains("secateurs bake"),
            "{error}"
        );
    }
    // Not where they are left out, nor where a name only looks like one.
    place.done(&[&PRUNE[..], &["--exclude", "fc*"]].concat());
    place.single("plain.safetensors", &tensors[1..]);
    place.done(&[
        "prune",
        "plain.safetensors",
        "-o",
        "out",
        "-a",
        "0.5",
        "--include",
        "fc*",
    ]);
}

/// A checkpoint of zeros that takes a while to prune, and nearly no place on the disk.
#[cfg(unix)]
fn large(place: &Place, name: &str) -> u64 {
    let entry = r#"{"a.weight":{"dtype":"F32","shape":[4096,4096],"data_offsets":[0,67108864]}}"#;
    place.write(name, raw(entry, &[]));
    let file = std::fs::OpenOptions::new()
        .write(true)
        .open(place.path(name))
        .unwrap();
    let len = file.metadata().unwrap().len() + 67_108_864;
    file.set_len(len).unwrap();
    len
}

#[cfg(unix)]
#[test]
fn a_killed_run_leaves_nothing_under_the_name_of_its_output() {
    use std::time::{Duration, Instant};

    let place = Place::new();
    let len = large(&place, "in.safetensors");
    place.write("out.safetensors", "the old one");
    let args = [&PRUNE[..], &["--force"]].concat();
    let mut run = common::secateurs()
        .args(&args)
        .current_dir(place.path(""))
        .spawn()
        .unwrap();
    let begun = Instant::now();
    let partial = loop {
        let partial = place
            .names()
            .into_iter()
            .find(|name| name.ends_with(".secateurs-partial"));
        // Without its lock, a folder this young may be that of a run that lives, and would be left alone.
        if let Some(partial) = partial
            && place.path(&partial).join("lock").exists()
        {
            break partial;
        }
        assert!(begun.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(1));
    };
    run.kill().unwrap(); // SIGKILL
    assert!(
        run.wait().unwrap().code().is_none(),
        "it was over before it was killed"
    );
    // The old output is there, the input is whole, and what was half done is under a name of its own.
    assert_eq!(place.names(), [&partial[..], "in.safetensors", "out.safetensors"]);
    assert_eq!(
        std::fs::read(place.path("out.safetensors")).unwrap(),
        b"the old one"
    );
    assert_eq!(
        std::fs::metadata(place.path("in.safetensors")).unwrap().len(),
        len
    );
    // The next run knows it.
    place.done(&args);
    assert_eq!(place.names(), ["in.safetensors", "out.safetensors"]);
    assert_eq!(
        std::fs::metadata(place.path("out.safetensors")).unwrap().len(),
        len
    );
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_removes_what_is_staged() {
    use std::os::unix::process::ExitStatusExt;
    use std::time::{Duration, Instant};

    let place = Place::new();
    large(&place, "in.safetensors");
    place.write("out.safetensors", "the old one");
    for (signal, number) in [("-INT", 2), ("-TERM", 15)] {
        let mut run = common::secateurs()
            .args([&PRUNE[..], &["--force", "--masks", "masks"]].concat())
            .current_dir(place.path(""))
            .spawn()
            .unwrap();
        let begun = Instant::now();
        let staged = |name: &String| name.ends_with(".secateurs-partial");
        while place.names().iter().filter(|name| staged(name)).count() < 2 {
            assert!(begun.elapsed() < Duration::from_secs(60));
            std::thread::sleep(Duration::from_millis(1));
        }
        let id = run.id().to_string();
        let sent = std::process::Command::new("kill")
            .args([signal, &id])
            .status()
            .unwrap();
        assert!(sent.success());
        assert_eq!(run.wait().unwrap().signal(), Some(number));
        assert_eq!(place.names(), ["in.safetensors", "out.safetensors"]);
        assert_eq!(
            std::fs::read(place.path("out.safetensors")).unwrap(),
            b"the old one"
        );
    }
}

/// A disk that takes no more, as far as a process can tell: files may not grow beyond a limit.
#[cfg(unix)]
#[test]
fn a_full_disk_loses_nothing() {
    let place = Place::new();
    let large: Vec<_> = ["a.weight", "b.weight"]
        .map(|name| Tensor::new(name, Dtype::F32, &[100, 1000], noise))
        .into();
    place.single("in.safetensors", &large);
    place.sharded("model", &[&large[..1], &large[1..]]);
    place.write("out.safetensors", "the old one");
    let before = place.files();
    for (input, output) in [
        ("in.safetensors", "out.safetensors"),
        ("in.safetensors", "new"),
        ("model", "folder"),
    ] {
        // Without the trap the system would end the process, rather than tell it.
        let script = r#"trap "" XFSZ; ulimit -f 64; exec "$0" prune "$1" -o "$2" -a 0.5 --force"#;
        let ran = std::process::Command::new("sh")
            .args(["-c", script, env!("CARGO_BIN_EXE_secateurs"), input, output])
            .current_dir(place.path(""))
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(ran.status.code(), Some(2), "{error}");
        assert!(
            error.starts_with("error: ") && error.contains("too large"),
            "{error}"
        );
        assert_eq!(place.files(), before);
    }
}
