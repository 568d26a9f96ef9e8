//! One file for each command.

pub mod inspect;
pub mod prune;

use secateurs::checkpoint::Existing;

/// What `--force` says about an output that exists.
fn existing(force: bool) -> Existing {
    if force {
        Existing::Replace
    } else {
        Existing::Refuse
    }
}

/// Writes a value as JSON, for other programs.
fn json(out: &mut Vec<u8>, value: &impl serde::Serialize) {
    // Text and numbers into memory: neither can fail.
    serde_json::to_writer_pretty(&mut *out, value).expect("text and numbers are JSON");
    out.push(b'\n');
}
