//! A checkpoint may have more shards than a process may have open files.
#![cfg(unix)]

mod common;

use std::process::Command;

use common::{Place, Tensor};
use safetensors::Dtype;

const SHARDS: usize = 150;

/// Runs the command in a shell that allows 64 open files.
fn run(place: &Place, code: i32, args: &str) {
    let command = format!("ulimit -n 64 && exec {} {args}", env!("CARGO_BIN_EXE_secateurs"));
    let ran = Command::new("sh")
        .args(["-c", &command])
        .current_dir(place.path("."))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert_eq!((ran.status.code(), &*said), (Some(code), ""), "{args}");
}

#[test]
fn no_command_needs_a_file_descriptor_for_each_shard() {
    let place = Place::new();
    let tensors: Vec<_> = (0..SHARDS)
        .map(|number| {
            let weight = format!("layer.{number}.weight");
            Tensor::new(&weight, Dtype::F32, &[8, 8], |i| (i * 37 % 64) as f64 - 31.5)
        })
        .collect();
    let shards: Vec<_> = tensors.iter().map(std::slice::from_ref).collect();
    place.sharded("model", &shards);
    run(&place, 0, "inspect model");
    run(
        &place,
        0,
        "prune model -o pruned -a 50% --scope global --masks masks.safetensors",
    );
    run(&place, 1, "diff model pruned");
    run(&place, 0, "apply model --masks masks.safetensors -o applied");
    run(&place, 0, "diff pruned applied");
    run(&place, 0, "masks pruned -o inferred.safetensors");
    run(&place, 0, "pack pruned -o packed");
    run(&place, 0, "unpack packed -o back");
    run(&place, 0, "diff pruned back");

    // What PyTorch saves of pruned weights, in as many files.
    let pairs: Vec<_> = (0..SHARDS)
        .map(|number| {
            [("orig", 1.5), ("mask", 1.0)].map(|(suffix, value)| {
                let name = format!("layer.{number}.weight_{suffix}");
                Tensor::new(&name, Dtype::F32, &[8, 8], |i| {
                    value * f64::from(u8::from(i % 3 > 0 || value > 1.0))
                })
            })
        })
        .collect();
    let shards: Vec<_> = pairs.iter().map(|pair| &pair[..]).collect();
    place.sharded("pytorch", &shards);
    run(&place, 0, "bake pytorch -o baked");
}

#[test]
fn outputs_of_read_only_inputs_are_written_and_read_only() {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    let place = Place::new();
    let shards: Vec<_> = (0..60)
        .map(|number| {
            [Tensor::new(
                &format!("layer.{number}.weight"),
                Dtype::F32,
                &[8, 8],
                |i| i as f64 + 1.0,
            )]
        })
        .collect();
    place.sharded(
        "model",
        &shards.iter().map(|shard| &shard[..]).collect::<Vec<_>>(),
    );
    let shard = "model-00007-of-00060.safetensors";
    let mode = |folder: &str| {
        let metadata = fs::metadata(place.path(&format!("{folder}/{shard}"))).unwrap();
        metadata.permissions().mode() & 0o777
    };
    fs::set_permissions(
        place.path(&format!("model/{shard}")),
        Permissions::from_mode(0o400),
    )
    .unwrap();
    run(&place, 0, "prune model -o pruned -a 50% --scope global");
    assert_eq!((mode("model"), mode("pruned")), (0o400, 0o400));
}
