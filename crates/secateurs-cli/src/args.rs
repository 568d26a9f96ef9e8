//! What can be written on the command line.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use secateurs::mask::{Amount, Norm};

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
    max_term_width = 100
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub how: How,
}

/// How a command works and speaks; what it does is the same.
#[derive(Debug, Args)]
pub struct How {
    /// Write the report as JSON.
    #[arg(long, global = true)]
    pub json: bool,
    /// Use this many threads; as many as the machine has by default. Results do not depend on it.
    #[arg(long, global = true, value_name = "N")]
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

/// Where output goes.
#[derive(Debug, Args)]
pub struct OutputArgs {
    /// The checkpoint to write: a file for a file, a folder for a folder.
    #[arg(short, long, value_name = "OUT")]
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

/// Prune weights of a checkpoint into a new one.
///
/// Without --include, the floating-point tensors of two or more dimensions are pruned whose name ends in `weight`,
/// without embeddings (a part of the name between dots contains `embed` or is `emb`, `shared`, `wte`, `wpe`), norms
/// (a part contains `norm`, or is `ln` or `bn` with digits or an underscore behind it) and `lm_head`.
///
/// The output has the same names, order, types, shapes and metadata, and every byte that is not pruned. Pruned
/// entries are +0.0. Exactly as many fall as were asked for; of equals, those of the first tensor by name.
#[derive(Debug, Args)]
#[command(after_long_help = PRUNE_EXAMPLES)]
pub struct PruneArgs {
    /// A .safetensors file, a folder, or the index of a sharded checkpoint.
    pub input: PathBuf,
    /// The checkpoint to write: a file for a file, a folder for a folder. Not needed with --dry-run.
    #[arg(short, long, value_name = "OUT", required_unless_present = "dry_run")]
    pub output: Option<PathBuf>,
    /// How much to prune: a fraction (0.5), a percentage (50%) or a count (12) of entries or channels.
    #[arg(short, long)]
    pub amount: Option<Amount>,
    /// What is ranked together.
    #[arg(long, value_enum, default_value_t = ScopeArg::Local)]
    pub scope: ScopeArg,
    /// What ranks it [default: l1 for entries, ln for channels].
    #[arg(long, value_enum)]
    pub method: Option<MethodArg>,
    /// What may fall: unstructured (single entries) or channel (whole slices along --dim).
    #[arg(long, default_value = "unstructured")]
    pub pattern: Pattern,
    /// The dimension of --pattern channel; negative from the end [default: 0].
    #[arg(long, allow_negative_numbers = true)]
    pub dim: Option<isize>,
    /// The norm of --method ln: a number, inf, -inf, fro or nuc [default: 2].
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub norm: Option<Norm>,
    /// The seed of --method random.
    #[arg(long)]
    pub seed: Option<u64>,
    #[command(flatten)]
    pub choose: ChooseArgs,
    /// Also write the masks: BOOL tensors named `NAME_mask`, true where kept.
    #[arg(long, value_name = "FILE")]
    pub masks: Option<PathBuf>,
    /// Find out what would fall, and write nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Replace the output if it exists.
    #[arg(long)]
    pub force: bool,
}

const PRUNE_EXAMPLES: &str = "\
Examples:
  Half of the weights, ranked together over all files of a model:
    secateurs prune Llama-3-8B -o Llama-3-8B-half --amount 50% --scope global

  A quarter of the output channels of the convolutions, by their L2 norm:
    secateurs prune resnet.safetensors -o slim.safetensors --amount 0.25 \\
        --pattern channel --include '*conv*.weight'

  What would fall, tensor by tensor:
    secateurs prune model.safetensors --amount 90% --scope global --dry-run
";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ScopeArg {
    /// The units of each tensor for themselves.
    Local,
    /// The entries of all tensors together.
    Global,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum MethodArg {
    /// Entries by absolute value.
    L1,
    /// Channels by a norm.
    Ln,
    /// By chance, from --seed.
    Random,
}

/// What may fall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    Unstructured,
    Channel,
}

impl std::str::FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "unstructured" => Ok(Pattern::Unstructured),
            "channel" => Ok(Pattern::Channel),
            _ => Err("a pattern is `unstructured` or `channel`".into()),
        }
    }
}

/// Show what the tensors of a checkpoint hold: zeros, patterns, NaNs.
#[derive(Debug, Args)]
#[command(after_long_help = INSPECT_EXAMPLES)]
pub struct InspectArgs {
    /// A .safetensors file, a folder, or the index of a sharded checkpoint.
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
