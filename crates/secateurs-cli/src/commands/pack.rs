//! `secateurs pack`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use secateurs::checkpoint::{PackReport, PackedTensor, Zeros};
use serde::Serialize;

use super::{existing, json, warn_of_weights};
use crate::args::{How, OutputArgs};
use crate::failure::Failure;
use crate::progress;
use crate::text::{Align, Table, bytes, count, number_of, percent, shape};

/// Store pruned tensors as mask bits and the remaining values.
///
/// `unpack` restores the same files byte for byte, and verifies a checksum of every tensor. Only +0.0 is left out,
/// unless --canonical-zeros is given. Tensors that would not become smaller are copied as they are. Each chunk is
/// unpacked again and compared before it is written.
///
/// A packed model is for storage and transport: unpack it before it is loaded. Its files have the names of the
/// original ones, but no program takes them for a model: they are refused as damaged.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct PackArgs {
    /// A .safetensors file, a folder, or the index of a sharded checkpoint.
    #[arg(value_name = "IN", value_hint = ValueHint::AnyPath)]
    pub input: PathBuf,
    #[command(flatten)]
    pub to: OutputArgs,
    /// Replace -0.0 by +0.0 in packed tensors; unpacking restores +0.0.
    #[arg(long)]
    pub canonical_zeros: bool,
}

const EXAMPLES: &str = "\
Examples:
  A pruned model for storage or transport:
    secateurs pack Llama-3-8B-pruned -o Llama-3-8B-packed

  One that was pruned by multiplying with masks, which leaves -0.0:
    secateurs pack model.safetensors -o packed.safetensors --canonical-zeros
";

pub fn run(args: &PackArgs, how: &How, out: &mut Vec<u8>) -> Result<(), Failure> {
    let zeros = if args.canonical_zeros {
        Zeros::Canonical
    } else {
        Zeros::Exact
    };
    let report = progress::open(&args.input, how)?.pack(&args.to.output, existing(args.to.force), zeros)?;
    if how.json {
        json(out, &Report::new(&report, &args.to.output));
    } else {
        write(&report, args, how, out).expect("memory can be written to");
    }
    warn_of_weights(&report.copied);
    Ok(())
}

fn write(report: &PackReport, args: &PackArgs, how: &How, out: &mut Vec<u8>) -> io::Result<()> {
    let mut table = Table::new(&[
        ("tensor", Align::Left),
        ("dtype", Align::Left),
        ("shape", Align::Right),
        ("left out", Align::Right),
        ("bytes", Align::Right),
        ("packed", Align::Right),
        ("", Align::Right),
    ]);
    for tensor in &report.tensors {
        table.row(vec![
            tensor.name.clone(),
            tensor.dtype.to_string(),
            shape(&tensor.shape),
            percent(tensor.absent, tensor.entries),
            bytes(tensor.bytes),
            tensor.packed_bytes.map_or("as is".into(), bytes),
            tensor
                .packed_bytes
                .map_or(String::new(), |packed| share(packed, tensor.bytes)),
        ]);
    }
    let before = report.packed().map(|tensor| tensor.bytes).sum();
    let after = report.packed().filter_map(|tensor| tensor.packed_bytes).sum();
    table.total(vec![
        format!("{} packed", number_of(report.packed().count(), "tensor")),
        String::new(),
        String::new(),
        String::new(),
        bytes(before),
        bytes(after),
        share(after, before),
    ]);
    table.write(how.verbose, out)?;
    let negative: usize = report.tensors.iter().map(|tensor| tensor.negative_zeros).sum();
    if negative > 0 && !args.canonical_zeros {
        let negative = count(negative);
        writeln!(
            out,
            "\n{negative} entries are -0.0, which is stored as a value; --canonical-zeros makes them +0.0"
        )?;
    }
    let (output, share) = (
        args.to.output.display(),
        share(report.bytes_after, report.bytes_before),
    );
    let (before, after) = (bytes(report.bytes_before), bytes(report.bytes_after));
    writeln!(out, "\nwrote {output}: {after}, {share} of {before}")
}

/// A size as a share of another, which a packed file of dense tensors exceeds.
fn share(part: u64, all: u64) -> String {
    if part > all && all > 0 {
        return format!("{:.2}%", 100.0 * part as f64 / all as f64);
    }
    percent(part as usize, all as usize)
}

/// The report as JSON.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(serialize_with = "crate::text::json_path")]
    output: &'a Path,
    bytes_before: u64,
    bytes_after: u64,
    tensors: Vec<Tensor<'a>>,
}

#[derive(Serialize)]
struct Tensor<'a> {
    name: &'a str,
    dtype: String,
    shape: &'a [usize],
    entries: usize,
    absent: usize,
    negative_zeros: usize,
    bytes: u64,
    packed_bytes: Option<u64>,
}

impl<'a> Report<'a> {
    fn new(report: &'a PackReport, output: &'a Path) -> Self {
        Report {
            output,
            bytes_before: report.bytes_before,
            bytes_after: report.bytes_after,
            tensors: report.tensors.iter().map(tensor).collect(),
        }
    }
}

fn tensor(tensor: &PackedTensor) -> Tensor<'_> {
    Tensor {
        name: &tensor.name,
        dtype: tensor.dtype.to_string(),
        shape: &tensor.shape,
        entries: tensor.entries,
        absent: tensor.absent,
        negative_zeros: tensor.negative_zeros,
        bytes: tensor.bytes,
        packed_bytes: tensor.packed_bytes,
    }
}
