//! One file for each command.

pub mod apply;
pub mod bake;
pub mod diff;
pub mod inspect;
pub mod man;
mod masking;
pub mod masks;
pub mod pack;
pub mod prune;
pub mod shrink;
pub mod unpack;

use std::path::PathBuf;

use secateurs::checkpoint::{Existing, TensorInfo};

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

/// The tensors that are floats, or weights by their names and shapes, but of a type that cannot be pruned.
fn not_prunable<'a>(tensors: impl Iterator<Item = &'a TensorInfo>) -> Vec<&'a TensorInfo> {
    let is_meant = |tensor: &&TensorInfo| {
        let is_small_float = matches!(&tensor.dtype().to_string()[..2], "F4" | "F6" | "F8");
        let last = tensor.name().rsplit('.').next().unwrap_or_default();
        !tensor.is_float() && tensor.shape().len() >= 2 && (is_small_float || last.contains("weight"))
    };
    let all = tensors.filter(is_meant);
    all.filter(|tensor| !tensor.name().ends_with("_mask")).collect()
}

/// Warns of copied files that may hold weights.
pub fn warn_of_weights(copied: &[PathBuf]) {
    for file in copied {
        let known = ["safetensors", "bin", "pt", "pth", "ckpt", "gguf"];
        let end = file.extension();
        if end.is_some_and(|end| known.iter().any(|known| end == *known)) {
            let file = crate::text::path(file);
            eprintln!("warning: {file} may hold weights too; it was copied as it is");
        }
    }
}
