//! `secateurs unpack`.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use serde::Serialize;

use super::{existing, json, warn_of_weights};
use crate::args::{How, OutputArgs};
use crate::failure::Failure;
use crate::progress;
use crate::text::{bytes, number_of};

/// Restore the checkpoint that `pack` packed: the same files, byte for byte.
///
/// The checksum of every tensor is verified before the output gets its name; a tensor that does not match is named.
/// (Files that secateurs packed before version 2 of the format have none; bit counts and lengths are checked.)
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct UnpackArgs {
    /// A packed .safetensors file, a folder, or the index of a sharded checkpoint.
    #[arg(value_name = "IN", value_hint = ValueHint::AnyPath)]
    pub input: PathBuf,
    #[command(flatten)]
    pub to: OutputArgs,
}

const EXAMPLES: &str = "\
Examples:
  A packed model, to be loaded by any program:
    secateurs unpack Llama-3-8B-packed -o Llama-3-8B-pruned
";

pub fn run(args: &UnpackArgs, how: &How, out: &mut Vec<u8>) -> Result<(), Failure> {
    let output = &args.to.output;
    let report = progress::open(&args.input, how)?.unpack(output, existing(args.to.force))?;
    if how.json {
        let report = Report {
            output,
            bytes_before: report.bytes_before,
            bytes_after: report.bytes_after,
            tensors: &report.tensors,
        };
        json(out, &report);
    } else {
        let tensors = number_of(report.tensors.len(), "tensor");
        let (before, after) = (bytes(report.bytes_before), bytes(report.bytes_after));
        let output = output.display();
        writeln!(
            out,
            "{tensors} unpacked\n\nwrote {output}: {after}, from {before} packed"
        )
        .expect("memory can be written to");
    }
    warn_of_weights(&report.copied);
    Ok(())
}

/// The report as JSON.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(serialize_with = "crate::text::json_path")]
    output: &'a Path,
    bytes_before: u64,
    bytes_after: u64,
    tensors: &'a [String],
}
