//! `secateurs masks`.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use secateurs::checkpoint::TensorInfo;

use super::{existing, masking};
use crate::args::{ChooseArgs, How, output};
use crate::failure::Failure;
use crate::{glob, progress};

/// Write the masks of a pruned checkpoint, inferred from its zeros.
///
/// The mask of a tensor NAME is a BOOL tensor `NAME_mask` of the same shape, false where the entry is +0.0 or -0.0.
/// Without --include, masks are written for the tensors that `prune` selects by default: weights of two or more
/// dimensions, without embeddings, norms and lm_head.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct MasksArgs {
    /// A .safetensors file, a folder, or the index of a sharded checkpoint.
    #[arg(value_name = "IN", value_hint = ValueHint::AnyPath)]
    pub input: PathBuf,
    /// The file to write.
    #[arg(short, long, value_name = "FILE", value_parser = output(), value_hint = ValueHint::FilePath)]
    pub output: PathBuf,
    #[command(flatten)]
    pub choose: ChooseArgs,
    /// Replace the file if it exists.
    #[arg(long)]
    pub force: bool,
}

const EXAMPLES: &str = "\
Examples:
  The masks of a model that another program pruned:
    secateurs masks pruned.safetensors -o masks.safetensors

  Only those of the attention layers:
    secateurs masks Llama-3-8B-half -o masks.safetensors --include '*self_attn*.weight'
";

pub fn run(args: &MasksArgs, how: &How, out: &mut Vec<u8>) -> Result<(), Failure> {
    let checkpoint = progress::open_unpacked(&args.input, how)?;
    let chosen = glob::choose(&checkpoint, &args.choose, TensorInfo::is_weight)?;
    if chosen.is_empty() {
        return Err(Failure::options(
            "no tensor is selected; without --include, masks are written for floating-point tensors of two or more \
             dimensions, the last part of whose name starts or ends with `weight`, except embeddings, norms and lm_head",
        ));
    }
    let names = chosen.iter().map(|tensor| tensor.name());
    let report = checkpoint.write_masks(names, &args.output, existing(args.force))?;
    masking::write(&report, &args.output, how, out);
    Ok(())
}
