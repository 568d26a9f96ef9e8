//! The arguments of `secateurs prune`.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum, ValueHint};
use secateurs::mask::{Amount, GlobalOptions, Norm};

use crate::args::{ChooseArgs, output};

/// Prune weights of a checkpoint into a new one.
///
/// Without --include, these tensors are pruned: floating-point tensors of two or more dimensions, if the last part of
/// their name starts or ends with `weight`, except embeddings (a part of the name between dots contains `embed` or is
/// `emb`, `shared`, `wte` or `wpe`), norms (a part contains `norm`, or is `ln` or `bn`, alone or followed by digits or
/// an underscore) and `lm_head`.
///
/// The output has the same names, order, types, shapes and metadata as the input, and every byte that is not pruned.
/// Pruned entries are +0.0. Exactly the requested number is pruned: ties are broken by position, tensors in the order
/// of their names.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct PruneArgs {
    /// A .safetensors file, a folder, or the index of a sharded checkpoint.
    #[arg(value_name = "IN", value_hint = ValueHint::AnyPath)]
    pub input: PathBuf,
    /// The checkpoint to write: a file for a file, a folder for a folder. Not needed with --dry-run.
    #[arg(short, long, value_name = "OUT", required_unless_present = "dry_run", value_parser = output(), value_hint = ValueHint::AnyPath)]
    pub output: Option<PathBuf>,
    /// How much to prune: a fraction (0.5), a percentage (50%) or a count (12) of entries, channels or blocks. Zeros
    /// count, and rank lowest: 50% of a weight that is 30% zero prunes another 20%. until:90% prunes until 90% of the entries are zero. Not used with N:M.
    #[arg(short, long, allow_hyphen_values = true, value_parser = amount)]
    pub amount: Option<Amount>,
    /// What a fraction, percentage or count of --amount is of: all entries, or those that are not zero yet. 50% of a
    /// weight that is half zero prunes nothing new with `all`, and half of the rest with `nonzero`.
    #[arg(long, value_enum, default_value = "all")]
    pub of: OfArg,
    /// What is ranked together [default: local]. Not used with N:M.
    #[arg(long, value_enum)]
    pub scope: Option<ScopeArg>,
    /// The score by which units are ranked [default: l1 for unstructured and N:M, ln for channels and blocks].
    #[arg(long, value_enum)]
    pub method: Option<MethodArg>,
    /// The units that are pruned: single entries (unstructured), all but N of every M consecutive entries (2:4), tiles
    /// of the last two dimensions (block:HxW), or whole slices along --dim (channel).
    #[arg(
        long,
        default_value = "unstructured",
        value_name = "unstructured|N:M|block:HxW|channel"
    )]
    pub pattern: Pattern,
    /// The dimension of N:M [default: 1, the input of a linear layer] or of channels [default: 0, its output];
    /// negative from the end.
    #[arg(long, allow_negative_numbers = true)]
    pub dim: Option<isize>,
    /// The norm of --method ln. For channels a number, inf, -inf, fro or nuc; for blocks 2 (mean square) or inf
    /// (largest absolute value) [default: 2].
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub norm: Option<Norm>,
    /// The seed of --method random.
    #[arg(long)]
    pub seed: Option<u64>,
    #[command(flatten)]
    pub choose: ChooseArgs,
    /// Leave out tensors whose dimension --dim is not a multiple of M, instead of refusing them. Needs N:M.
    #[arg(long)]
    pub skip_indivisible: bool,
    /// Prune at most this share of the entries of any tensor (0.9 or 90%). Needs --scope global.
    #[arg(long, value_name = "X", value_parser = cap)]
    pub max_sparsity: Option<f64>,
    /// Rank by |w| / ‖W‖₂ of the tensor instead of |w|. Needs --scope global.
    #[arg(long)]
    pub normalize: bool,
    /// Also write the masks: BOOL tensors named `NAME_mask`, true where kept.
    #[arg(long, value_name = "FILE", value_parser = output(), value_hint = ValueHint::FilePath)]
    pub masks: Option<PathBuf>,
    /// Report what would be pruned, and write nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Replace the outputs if they exist: files, or a folder whose files are all part of the new output.
    #[arg(long)]
    pub force: bool,
}

const EXAMPLES: &str = "\
Examples:
  Half of the weights, ranked together across all files of a model:
    secateurs prune Llama-3-8B -o Llama-3-8B-half --amount 50% --scope global

  The same, with no tensor above 80%, and each tensor's weights divided by its norm for ranking:
    secateurs prune Llama-3-8B -o Llama-3-8B-half --amount 50% --scope global \\
        --max-sparsity 80% --normalize

  2 of every 4 consecutive inputs kept, the pattern that sparse tensor cores accelerate:
    secateurs prune Llama-3-8B -o Llama-3-8B-24 --pattern 2:4

  A quarter of the output channels of the convolutions, by their L2 norm:
    secateurs prune resnet.safetensors -o slim.safetensors --amount 0.25 \\
        --pattern channel --include '*conv*.weight'

  Tiles of 16 by 16, by their mean square:
    secateurs prune model.safetensors -o blocks.safetensors --amount 0.7 --pattern block:16x16

  Half of what an earlier run left:
    secateurs prune half.safetensors -o quarter.safetensors --amount 50% --of nonzero

  What would be pruned, tensor by tensor:
    secateurs prune model.safetensors --amount 90% --scope global --dry-run
";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OfArg {
    /// All entries; zeros rank lowest.
    All,
    /// The entries that are not zero.
    Nonzero,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ScopeArg {
    /// Each tensor by itself.
    Local,
    /// The entries of all tensors together.
    Global,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum MethodArg {
    /// Entries by absolute value.
    L1,
    /// Channels or blocks by a norm.
    Ln,
    /// Entries or channels at random, from --seed.
    Random,
}

/// The units that are pruned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    Unstructured,
    Groups { keep: usize, of: usize },
    Block { height: usize, width: usize },
    Channel,
}

impl FromStr for Pattern {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let pair = |text: &str, by| -> Option<(usize, usize)> {
            let (a, b) = text.split_once(by)?;
            Some((a.parse().ok()?, b.parse().ok()?))
        };
        match text {
            "unstructured" => return Ok(Pattern::Unstructured),
            "channel" => return Ok(Pattern::Channel),
            _ => {}
        }
        if let Some((height, width)) = text.strip_prefix("block:").and_then(|size| pair(size, 'x')) {
            return Ok(Pattern::Block { height, width });
        }
        let (keep, of) = pair(text, ':').ok_or(
            "a pattern is `unstructured`, `N:M` (2:4 keeps 2 of every 4), `block:HxW` (block:4x4) or `channel`",
        )?;
        Ok(Pattern::Groups { keep, of })
    }
}

/// An amount; what is wrong with it is said as it was typed.
fn amount(text: &str) -> Result<Amount, String> {
    let typed = text.trim();
    if let Some(share) = typed.strip_prefix("until:") {
        let parsed = format!("until {share}").parse();
        return parsed.map_err(|_| {
            format!("{typed} is not a target; write a fraction (until:0.9) or a percentage (until:90%) of all entries")
        });
    }
    let error = match text.parse() {
        Ok(amount) => return Ok(amount),
        Err(error) => error,
    };
    let number = typed.strip_suffix('%').unwrap_or(typed).trim().parse::<f64>();
    Err(match number {
        Ok(number) if number < 0.0 => format!("{typed} is negative; nothing less than 0 can be pruned"),
        Ok(number) if number.is_finite() && typed.ends_with('%') => {
            format!("{typed} is more than everything, which is 100%")
        }
        Ok(_) => error.to_string(),
        Err(_) => format!(
            "{typed} is not an amount; write a fraction (0.5), a percentage (50%), a count (12) or a target (until:90%)"
        ),
    })
}

/// A share as a fraction or a percentage.
fn cap(text: &str) -> Result<f64, String> {
    let (number, unit) = match text.strip_suffix('%') {
        Some(percent) => (percent, 100.0),
        None => (text, 1.0),
    };
    let cap = number.trim().parse::<f64>().map(|number| number / unit);
    let cap = cap.map_err(|_| "it is a share in [0, 1], such as 0.9 or 90%".to_owned())?;
    match GlobalOptions::new().max_sparsity(cap) {
        Ok(_) => Ok(cap),
        Err(error) => Err(error.to_string()),
    }
}
