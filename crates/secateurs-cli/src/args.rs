//! What can be written on the command line.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub use crate::commands::prune::args::PruneArgs;

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
    /// Write a completion script for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
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
