//! The command line.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::builder::{PathBufValueParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};

pub use crate::commands::apply::ApplyArgs;
pub use crate::commands::bake::BakeArgs;
pub use crate::commands::diff::DiffArgs;
pub use crate::commands::masks::MasksArgs;
pub use crate::commands::pack::PackArgs;
pub use crate::commands::prune::args::PruneArgs;
pub use crate::commands::shrink::ShrinkArgs;
pub use crate::commands::unpack::UnpackArgs;

/// Prunes, inspects and packs safetensors checkpoints of any size, and removes channels from ONNX models.
///
/// A checkpoint is a .safetensors file, or a folder of shards with an index. It is read in chunks, so memory does not
/// grow with its size. A model of which whole channels are removed is an .onnx file. An output gets its name when it is complete, and inputs are never written to.
///
/// Exit codes: 0 success, 1 `diff` found a difference, 2 error.
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
  The tensors of a model and their zeros:
    secateurs inspect Llama-3-8B

  Half of its weights pruned, ranked together across all files:
    secateurs prune Llama-3-8B -o Llama-3-8B-half --amount 50% --scope global

  The pruned model packed for storage, and unpacked again:
    secateurs pack Llama-3-8B-half -o Llama-3-8B-packed
    secateurs unpack Llama-3-8B-packed -o Llama-3-8B-back

  Half of the channels of an ONNX model removed, which makes it smaller and faster:
    secateurs shrink resnet50.onnx -o small.onnx --amount 50%

  Completions for bash:
    source <(secateurs completions bash)

  A man page of a subcommand:
    secateurs man prune > secateurs-prune.1

Each subcommand has examples of its own: `secateurs prune --help`.
";

/// Options of every command, which do not change what it does.
#[derive(Debug, Args)]
pub struct How {
    /// Write the report as JSON.
    #[arg(long, global = true, display_order = 100)]
    pub json: bool,
    /// Print no report and no progress. Warnings and errors remain, and the exit code.
    #[arg(long, short, global = true, conflicts_with = "json", display_order = 100)]
    pub quiet: bool,
    /// List every tensor in a report, however many there are.
    #[arg(long, short, global = true, conflicts_with = "quiet", display_order = 100)]
    pub verbose: bool,
    /// Number of threads [default: one for each processor]. Results do not depend on it.
    #[arg(long, global = true, value_name = "N", value_parser = threads, display_order = 100)]
    pub threads: Option<NonZeroUsize>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    // Their help is that of their arguments, long and short.
    Prune(PruneArgs),
    Inspect(InspectArgs),
    Apply(ApplyArgs),
    Masks(MasksArgs),
    Diff(DiffArgs),
    Bake(BakeArgs),
    Pack(PackArgs),
    Unpack(UnpackArgs),
    Shrink(ShrinkArgs),
    /// Write a completion script for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Write a man page: of the command, or of one subcommand.
    Man {
        /// The subcommand.
        #[arg(value_name = "SUBCOMMAND")]
        of: Option<String>,
    },
}

/// The output.
#[derive(Debug, Args)]
pub struct OutputArgs {
    /// The checkpoint to write: a file for a file, a folder for a folder.
    #[arg(short, long, value_name = "OUT", value_parser = output(), value_hint = clap::ValueHint::AnyPath)]
    pub output: PathBuf,
    /// Replace the output if it exists: a file, or a folder whose files are all part of the new output.
    #[arg(long)]
    pub force: bool,
}

/// A number of threads.
fn threads(text: &str) -> Result<NonZeroUsize, &'static str> {
    text.parse().map_err(|_| "write a whole number, 1 or more")
}

/// A path that can be written to.
pub fn output() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path| match path.as_os_str().as_encoded_bytes() {
        b"-" => {
            Err("standard output cannot be written to by position; name a file (./- for one of this name)")
        }
        _ => Ok(path),
    })
}

/// Which tensors are selected.
#[derive(Debug, Default, Args)]
pub struct ChooseArgs {
    /// Select the tensors whose names match this pattern; `*` matches dots, too. Can be given more than once.
    #[arg(long, value_name = "GLOB")]
    pub include: Vec<String>,
    /// Leave out the tensors whose names match this pattern. Can be given more than once.
    #[arg(long, value_name = "GLOB")]
    pub exclude: Vec<String>,
}

/// Show the tensors of a checkpoint: zeros, sparsity patterns, NaNs.
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

  The sparsity of the weights of layer 3, as JSON:
    secateurs inspect model.safetensors --include 'model.layers.3.*weight' --json
";

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::Cli;

    /// The commands among the examples of a help text: lines that begin with the name of the command.
    fn examples(help: &str) -> Vec<String> {
        let joined = help.replace("\\\n", " ");
        let lines = joined.lines().flat_map(|line| line.split(" && "));
        let commands = lines.map(|line| line.split(" > ").next().unwrap_or(line).trim());
        commands
            .filter(|line| line.starts_with("secateurs "))
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn every_example_of_the_help_can_be_run() {
        let cli = Cli::command();
        let helps = [&cli].into_iter().chain(cli.get_subcommands());
        let helps = helps.filter_map(|command| Some((command, command.get_after_long_help()?.to_string())));
        let mut commands = 0;
        for (command, help) in helps {
            // Longer lines are wrapped, and cannot be pasted.
            assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
            let examples = examples(&help);
            assert!(!examples.is_empty(), "{} has no examples", command.get_name());
            for example in examples {
                let words = example.split_whitespace().map(|word| word.trim_matches('\''));
                if let Err(error) = Cli::try_parse_from(words) {
                    panic!("{example}\n{error}");
                }
                commands += 1;
            }
        }
        assert!(commands >= 20, "only {commands} examples were found");
    }
}
