//! `secateurs bake`.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::{existing, masking, warn_of_weights};
use crate::args::{How, OutputArgs};
use crate::failure::Failure;
use crate::progress;

/// Turn the `*_orig` and `*_mask` pairs of PyTorch's pruning into plain weights.
///
/// Each pair NAME_orig and NAME_mask becomes one tensor NAME, in the place of the original: +0.0 where the mask is 0,
/// the original's bytes where it is 1. This is what `torch.nn.utils.prune.remove` does before saving. A NAME_mask
/// without a NAME_orig, such as an attention mask, is copied.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct BakeArgs {
    /// A .safetensors file, a folder, or the index of a sharded checkpoint.
    #[arg(value_name = "IN", value_hint = ValueHint::AnyPath)]
    pub input: PathBuf,
    #[command(flatten)]
    pub to: OutputArgs,
}

const EXAMPLES: &str = "\
Examples:
  Plain weights from a state dict that was saved while PyTorch was pruning:
    secateurs bake state.safetensors -o model.safetensors
";

pub fn run(args: &BakeArgs, how: &How, out: &mut Vec<u8>) -> Result<(), Failure> {
    let report = progress::open_unpacked(&args.input, how)?.bake(&args.to.output, existing(args.to.force))?;
    masking::write(&report, &args.to.output, how, out);
    warn_of_weights(&report.copied);
    Ok(())
}
