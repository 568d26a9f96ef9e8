//! What can be written on the command line.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub use crate::commands::apply::ApplyArgs;
pub use crate::commands::bake::BakeArgs;
pub use crate::commands::diff::DiffArgs;
pub use crate::commands::masks::MasksArgs;
pub use crate::commands::pack::PackArgs;
pub use crate::commands::prune::args::PruneArgs;
pub use crate::commands::unpack::UnpackArgs;

/// Prunes, inspects and packs safetensors checkpoints of any size.
///
/// A checkpoint is a .safetensors file, or a folder of shards with its index. It is read in chunks, so that memory
/// does not grow with it; nothing partial is ever seen under the name of an output.
///
/// Exit codes: 0 done, 1 `diff` found a difference, 2 anything that could not be done.
#[derive(Debug, Parser)]
#[command(
    name = "secateurs",
    version,
    arg_required_else_help = true,
    max_term_width = 100,
    after_long_help = EXAMPLES
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub how: How,
}

const EXAMPLES: &str = "\
Examples:
  What a model holds:
    secateurs inspect Llama-3-8B

  Half of its weights pruned, ranked together over all files:
    secateurs prune Llama-3-8B -o Llama-3-8B-half --amount 50% --scope global

  The pruned model, packed for keeping, and back again:
    secateurs pack Llama-3-8B-half -o Llama-3-8B-packed
    secateurs unpack Llama-3-8B-packed -o Llama-3-8B-back

  Completions for the shell that is running:
    source <(secateurs completions bash)

`secateurs prune --help` and the like have more.
";

/// How a command works and speaks; what it does is the same.
#[derive(Debug, Args)]
pub struct How {
    /// Write the report as JSON.
    #[arg(long, global = true, display_order = 100)]
    pub json: bool,
    /// Use this many threads; as many as the machine has by default. Results do not depend on it.
    #[arg(long, global = true, value_name = "N", display_order = 100)]
    pub threads: Option<NonZeroUsize>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Prune weights of a checkpoint into a new one.
    Prune(PruneArgs),
    /// Show what the tensors of a checkpoint hold: zeros, patterns, NaNs.
    Inspect(InspectArgs),
    /// Put the masks of a file on a checkpoint.
    Apply(ApplyArgs),
    /// Write the masks of a pruned checkpoint, read off its zeros.
    Masks(MasksArgs),
    /// Show what differs between two checkpoints; exit code 1 if anything does.
    Diff(DiffArgs),
    /// Make plain weights of the `*_orig` and `*_mask` pairs that PyTorch's pruning saves.
    Bake(BakeArgs),
    /// Store pruned tensors as packed mask bits and the values that are kept.
    Pack(PackArgs),
    /// Give back the checkpoint that `pack` packed.
    Unpack(UnpackArgs),
    /// Write a completion script for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// Where output goes.
#[derive(Debug, Args)]
pub struct OutputArgs {
    /// The checkpoint to write: a file for a file, a folder for a folder.
    #[arg(short, long, value_name = "OUT", value_hint = clap::ValueHint::AnyPath)]
    pub output: PathBuf,
    /// Replace the output if it exists.
    #[arg(long)]
    pub force: bool,
}

/// Which tensors are meant.
#[derive(Debug, Default, Args)]
pub struct ChooseArgs {
    /// Take the tensors whose names match; `*` matches dots, too. Can be given more than once.
    #[arg(long, value_name = "GLOB")]
    pub include: Vec<String>,
    /// Leave out the tensors whose names match. Can be given more than once.
    #[arg(long, value_name = "GLOB")]
    pub exclude: Vec<String>,
}

/// Show what the tensors of a checkpoint hold: zeros, patterns, NaNs.
#[derive(Debug, Args)]
#[command(after_long_help = INSPECT_EXAMPLES)]
pub struct InspectArgs {
    /// A .safetensors file, a folder, or the index of a sharded checkpoint.
    #[arg(value_name = "IN", value_hint = clap::ValueHint::AnyPath)]
    pub input: PathBuf,
    #[command(flatten)]
    pub choose: ChooseArgs,
}

const INSPECT_EXAMPLES: &str = "\
Examples:
  All tensors of a model:
    secateurs inspect Llama-3-8B

  The sparsity of the weights of layer 3, for another program:
    secateurs inspect model.safetensors --include 'model.layers.3.*weight' --json
";
