//! Everything that reads checkpoints, on files of any bytes: headers, indexes, masks, pairs and packed tensors.
//!
//! With an even first byte the rest is one file. With an odd one it is a sharded checkpoint: an index and two shards,
//! `a.safetensors` and `b.safetensors`, with the bytes `|||` between them.
//!
//! Under `cargo +nightly fuzz run readers` this is a fuzz target. Built plainly, on any compiler, it reads the files that
//! it is given, so that an input can be replayed: `cargo run --manifest-path fuzz/Cargo.toml INPUT…`.
#![cfg_attr(fuzzing, no_main)]

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;

use secateurs::checkpoint::{Checkpoint, Existing, TensorInfo, Zeros};

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| run(data));

#[cfg(not(fuzzing))]
fn main() {
    for input in std::env::args_os().skip(1) {
        run(&fs::read(&input).expect("an input to replay"));
    }
}

fn run(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else {
        return;
    };
    let place = tempfile::tempdir().expect("a folder for what is read");
    let write = |name: &str, bytes: &[u8]| {
        fs::write(place.path().join(name), bytes).expect("a file to be read");
    };
    if kind.is_multiple_of(2) {
        write("a.safetensors", bytes);
        read(&place.path().join("a.safetensors"), place.path());
        return;
    }
    let folder = place.path().join("in");
    fs::create_dir(&folder).expect("a folder to be read");
    let names = ["model.safetensors.index.json", "a.safetensors", "b.safetensors"];
    let mut rest = bytes;
    for name in names {
        let end = rest.windows(3).position(|window| window == b"|||");
        let (part, after) = match end {
            Some(end) => (&rest[..end], &rest[end + 3..]),
            None => (rest, &[][..]),
        };
        write(&format!("in/{name}"), part);
        rest = after;
    }
    read(&folder, place.path());
}

/// Reads a checkpoint in every way that there is; errors are welcome, panics are not.
fn read(input: &Path, place: &Path) {
    let Ok(checkpoint) = Checkpoint::open(input) else {
        return;
    };
    let checkpoint = checkpoint.with_threads(NonZeroUsize::MIN);
    let names = || checkpoint.tensors().iter().map(TensorInfo::name);
    let out = |name: &str| place.join(name);
    let _ = checkpoint.inspect(names());
    let _ = checkpoint.diff(&checkpoint);
    let _ = checkpoint.unpack(out("unpacked"), Existing::Refuse);
    let _ = checkpoint.bake(out("baked"), Existing::Refuse);
    let _ = checkpoint.apply_masks(&checkpoint, out("applied"), Existing::Refuse);
    let _ = checkpoint.write_masks(names(), out("masks"), Existing::Refuse);
    // What can be packed comes back.
    if checkpoint
        .pack(out("packed"), Existing::Refuse, Zeros::Exact)
        .is_ok()
    {
        let packed = Checkpoint::open(out("packed")).expect("what was packed can be opened");
        packed
            .unpack(out("back"), Existing::Refuse)
            .expect("and unpacked");
        let back = Checkpoint::open(out("back")).expect("and opened");
        assert!(checkpoint.diff(&back).expect("and compared").is_empty());
    }
}
