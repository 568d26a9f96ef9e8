//! One file for each command.

pub mod apply;
pub mod bake;
pub mod diff;
pub mod inspect;
mod masking;
pub mod masks;
pub mod pack;
pub mod prune;
pub mod unpack;

use std::path::PathBuf;

use secateurs::checkpoint::Existing;

/// What `--force` means for an output that exists.
fn existing(force: bool) -> Existing {
    if force {
        Existing::Replace
    } else {
        Existing::Refuse
    }
}

/// Writes a value as JSON.
fn json(out: &mut Vec<u8>, value: &impl serde::Serialize) {
    // Text and numbers into memory: neither can fail.
    serde_json::to_writer_pretty(&mut *out, value).expect("text and numbers are JSON");
    out.push(b'\n');
}

/// Warns of copied files that may hold weights.
pub fn warn_of_weights(copied: &[PathBuf]) {
    for file in copied {
        let known = ["safetensors", "bin", "pt", "pth", "ckpt", "gguf"];
        let end = file.extension();
        if end.is_some_and(|end| known.iter().any(|known| end == *known)) {
            let file = file.display();
            eprintln!("warning: {file} may hold weights too; it was copied as it is");
        }
    }
}
