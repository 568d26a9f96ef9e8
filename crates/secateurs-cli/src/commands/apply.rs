//! `secateurs apply`.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::{existing, masking, warn_of_weights};
use crate::args::{How, OutputArgs};
use crate::failure::Failure;
use crate::progress;

/// Apply the masks of a file to a checkpoint.
///
/// A mask is a tensor `NAME_mask` of 0 and 1, as `prune --masks` and `masks` write them, of dtype BOOL, U8 or a float.
/// It belongs to the tensor NAME of the checkpoint and has its shape. Where a mask is 0 the output is +0.0;
/// everything else is copied byte for byte.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct ApplyArgs {
    /// A .safetensors file, a folder, or the index of a sharded checkpoint.
    #[arg(value_name = "IN", value_hint = ValueHint::AnyPath)]
    pub input: PathBuf,
    /// The file of masks.
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::AnyPath)]
    pub masks: PathBuf,
    #[command(flatten)]
    pub to: OutputArgs,
}

const EXAMPLES: &str = "\
Examples:
  Prune one checkpoint, and apply the same masks to another that was trained further:
    secateurs prune step-1000.safetensors -o pruned.safetensors --amount 80% \\
      --masks masks.safetensors
    secateurs apply step-2000.safetensors --masks masks.safetensors -o step-2000-pruned.safetensors
";

pub fn run(args: &ApplyArgs, how: &How, out: &mut Vec<u8>) -> Result<(), Failure> {
    let report = {
        let checkpoint = progress::open_unpacked(&args.input, how)?;
        let masks = secateurs::checkpoint::Checkpoint::open(&args.masks)?;
        checkpoint.apply_masks(&masks, &args.to.output, existing(args.to.force))?
    };
    masking::write(&report, &args.to.output, how, out);
    warn_of_weights(&report.copied); // now that the progress bar is gone
    Ok(())
}
