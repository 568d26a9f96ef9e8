//! `secateurs shrink`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum, ValueHint};
use ndarray::{ArrayD, IxDyn};
use safetensors::{Dtype, SafeTensors};
use secateurs::mask::Amount;
use secateurs_onnx::{
    Error, Importance, Inexact, Options, Outputs, Reduction, Report, Resource, Scope, plan_file, shrink_file,
    weight_names,
};
use serde::Serialize;

use super::{existing, json};
use crate::args::{ChooseArgs, How, output};
use crate::failure::Failure;
use crate::glob;
use crate::text::{self, Align, Table, bytes, count, percent, some_of};

/// Remove whole channels from an ONNX model, which makes it smaller and faster.
///
/// A channel is removed with everything that is coupled to it: the weights that make it and those that read it, the
/// batch norm between, and the channels that are added to it elsewhere. The smaller model computes exactly what the
/// model computes with the same channels masked: before anything is written, both are run on the same inputs in double
/// precision, and a difference above 1e-12 is an error. Channels that cannot be removed exactly are held, and the report
/// says by which operator; see --inexact. Train the smaller model for a while afterwards, as after any pruning.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct ShrinkArgs {
    /// An .onnx file. Files of weights beside it ("external data") are read with it.
    #[arg(value_name = "IN", value_hint = ValueHint::FilePath)]
    pub input: PathBuf,
    /// The model to write.
    #[arg(short, long, value_name = "OUT", value_parser = output(), value_hint = ValueHint::FilePath,
        required_unless_present = "plan")]
    pub output: Option<PathBuf>,
    /// Channels to remove: a fraction (0.5), a percentage (50%) or a count (12) of each group, or of all groups of a
    /// kind with --scope global.
    #[arg(short, long, value_name = "X", default_value = "50%", conflicts_with_all = ["macs", "parameters", "bytes"])]
    pub amount: Amount,
    /// Remove channels until at most this share of the multiply-adds is left, such as 60%.
    #[arg(long, value_name = "SHARE", value_parser = share, conflicts_with_all = ["parameters", "bytes"])]
    pub macs: Option<f64>,
    /// Remove channels until at most this share of the parameters is left.
    #[arg(long, value_name = "SHARE", value_parser = share, conflicts_with = "bytes")]
    pub parameters: Option<f64>,
    /// Remove channels until at most this share of the file is left.
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub bytes: Option<f64>,
    /// Remove channels until the model takes at most this share of its time, measured here for one sample on one thread.
    #[cfg(feature = "runtime")]
    #[arg(long, value_name = "SHARE", value_parser = share,
        conflicts_with_all = ["amount", "macs", "parameters", "bytes", "zeros"])]
    pub latency: Option<f64>,
    /// Remove the channels that are masked already, as `ln_structured` leaves them, and no others. What they
    /// still send, such as a bias, becomes bias of what reads it; where it cannot, as before padding, the channel stays. So
    /// the model computes what it computes as it is, up to the rounding of these biases.
    #[arg(long, conflicts_with_all = ["amount", "macs", "parameters", "bytes", "round_to", "masked"])]
    pub zeros: bool,
    /// Which channels rank against each other.
    #[arg(long, value_enum, default_value_t)]
    pub scope: ScopeArg,
    /// How important a channel is. The least important ones are removed.
    #[arg(long, value_enum, default_value_t, conflicts_with = "scores")]
    pub importance: ImportanceArg,
    /// The order of --importance norm: a number above 0, or inf for the largest absolute value.
    #[arg(long, value_name = "P")]
    pub norm: Option<f64>,
    /// Take importance scores from a .safetensors file: for weights by name, tensors of their shapes.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub scores: Option<PathBuf>,
    /// How the norms of the weights that are coupled in one channel are combined.
    #[arg(long, value_enum, default_value_t)]
    pub reduction: ReductionArg,
    /// With --scope global, rank importances as they are, and not relative to the mean of their group. Groups of small
    /// weights then lose most.
    #[arg(long)]
    pub no_normalize: bool,
    /// The seed of --importance random.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Round what is kept of each group to the nearest multiple of this. Other numbers are often slower, and on
    /// processors with AVX-512, 16 is often faster; 1 rounds nothing.
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub round_to: usize,
    /// Keep at least this number of channels of each group.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub keep_at_least: usize,
    #[command(flatten)]
    pub choose: ChooseArgs,
    /// Remove whole heads of attention, of grouped queries with their keys and values. By default, all heads stay, and each
    /// loses the same places.
    #[arg(long)]
    pub whole_heads: bool,
    /// The same, but of grouped queries remove as many heads of each group, and no keys or values.
    #[arg(long, conflicts_with_all = ["whole_heads", "zeros"])]
    pub query_heads: bool,
    /// Cut channels that operators of this kind look along, too, although it changes what these compute: they then look at
    /// the channels that remain. All else is proven as ever, and the report says how far the result is from the masked
    /// model. By default, such channels stay.
    #[arg(long, value_enum, value_name = "KIND", value_delimiter = ',')]
    pub inexact: Vec<InexactArg>,
    /// Show what is coupled and what would be removed, and write nothing.
    #[arg(long, conflicts_with_all = ["output", "masked", "certificate", "force", "no_verify"])]
    pub plan: bool,
    /// Write the model with the same channels masked and none removed, too, to compare the smaller one with.
    #[arg(long, value_name = "FILE", value_parser = output(), value_hint = ValueHint::FilePath)]
    pub masked: Option<PathBuf>,
    /// Write a certificate, too, in JSON: which channels were cut from which weights, by the rules of which operators, and
    /// what was verified.
    #[arg(long, value_name = "FILE", value_parser = output(), value_hint = ValueHint::FilePath)]
    pub certificate: Option<PathBuf>,
    /// Do not run the models beside each other. Nothing proves then that they compute the same.
    #[arg(long)]
    pub no_verify: bool,
    /// Measure how long both models take: the median time of one sample on one thread. It takes some seconds.
    #[cfg(feature = "runtime")]
    #[arg(long, conflicts_with_all = ["plan", "no_verify"])]
    pub time: bool,
    /// Replace outputs that exist.
    #[arg(long)]
    pub force: bool,
}

/// Which channels rank against each other.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum ScopeArg {
    /// Those of each group of coupled channels.
    #[default]
    Group,
    /// Those of all groups that the same operator makes, each relative to the mean of its group.
    Global,
}

/// How important a channel is.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum ImportanceArg {
    /// The sum of absolute values over all weights of the channel.
    L1,
    /// The Euclidean norm over all weights of the channel.
    #[default]
    L2,
    /// The norm of order --norm over all weights of the channel.
    Norm,
    /// The absolute scale of its batch norm; groups without batch norm are left alone.
    BatchNorm,
    /// Random, from --seed.
    Random,
}

/// How norms are combined.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum ReductionArg {
    /// One norm over all coupled weights.
    #[default]
    Sum,
    /// The mean of the norms of each weight.
    Mean,
    /// The largest norm.
    Max,
}

/// Operators that range over channels.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum InexactArg {
    /// Layer norms, as in transformers: mean and variance of the channels that remain.
    LayerNorm,
    /// Maxima and minima over channels: those of the channels that remain.
    Maximum,
}

const EXAMPLES: &str = "\
Examples:
  Half of the channels of each group:
    secateurs shrink resnet50.onnx -o small.onnx --amount 50%

  At most 60 % of the multiply-adds, in numbers of channels that suit the processor:
    secateurs shrink vit.onnx -o small.onnx --macs 60% --round-to 8

  What is coupled to what, and what holds channels:
    secateurs shrink resnet50.onnx --plan

  What is masked already, such as by torch.nn.utils.prune.ln_structured:
    secateurs shrink masked.onnx -o small.onnx --zeros

  A transformer, its layer norms over the channels that remain (not exact; train it afterwards):
    secateurs shrink vit.onnx -o small.onnx --inexact layer-norm

  Beside the model in which the same channels are masked:
    secateurs shrink resnet50.onnx -o small.onnx --masked masked.onnx
";

/// A share, as a fraction or a percentage.
fn share(text: &str) -> Result<f64, String> {
    let number = match text.strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().map(|percent| percent / 100.0),
        None => text.parse(),
    };
    let share = number.ok().filter(|share| *share > 0.0 && *share <= 1.0);
    share.ok_or_else(|| "write a share of what the model takes now, such as 60% or 0.6".into())
}

pub fn run(args: &ShrinkArgs, how: &How, out: &mut Vec<u8>) -> Result<(), Failure> {
    let options = options(args)?;
    let report = match &args.output {
        Some(output) if !args.plan => {
            let mut outputs = Outputs::new(output);
            outputs.masked = args.masked.as_deref();
            outputs.certificate = args.certificate.as_deref();
            outputs.existing = existing(args.force);
            shrink_file(&args.input, &outputs, &options)?
        }
        _ => plan_file(&args.input, &options)?,
    };
    if args.no_verify {
        eprintln!("warning: not verified; nothing shows that the smaller model computes the same");
    }
    if how.json {
        json(out, &Json::of(&report, args.output.as_deref()));
        return Ok(());
    }
    if args.plan || how.verbose {
        groups(&report, how.verbose, out);
    }
    let written = match &args.output {
        Some(output) => format!("wrote {}: {}", text::path(output), summary(&report)),
        None => format!("nothing was written; the model would become {}", summary(&report)),
    };
    let report = report.to_string();
    out.extend_from_slice(format!("{}\n\n{written}\n", report.trim_end()).as_bytes());
    Ok(())
}

fn summary(report: &Report) -> String {
    let (before, after) = (report.before.bytes, report.after.bytes);
    format!(
        "{}, {} of {}",
        bytes(after),
        percent(after as usize, before as usize),
        bytes(before)
    )
}

fn options(args: &ShrinkArgs) -> Result<Options, Failure> {
    let budgets = [
        (args.macs, Resource::MultiplyAdds),
        (args.parameters, Resource::Parameters),
        (args.bytes, Resource::Bytes),
        #[cfg(feature = "runtime")]
        (args.latency, Resource::Latency),
    ];
    let budget = budgets
        .into_iter()
        .find_map(|(share, resource)| Some((share?, resource)));
    let options = match budget {
        None if args.zeros => Options::masked(),
        Some((share, resource)) => Options::budget(resource, share)?,
        None => Options::new(args.amount)?,
    };
    if args.norm.is_some() && !matches!(args.importance, ImportanceArg::Norm) {
        return Err(Failure::options("--norm is the order of --importance norm"));
    }
    if args.no_normalize && !matches!(args.scope, ScopeArg::Global) {
        return Err(Failure::options(
            "--no-normalize needs --scope global: in a group, nothing is compared with others",
        ));
    }
    let importance = match (&args.scores, args.importance) {
        (Some(path), _) => Importance::Scores(Arc::new(scores(path)?)),
        (None, ImportanceArg::L1) => Importance::L1,
        (None, ImportanceArg::L2) => Importance::L2,
        (None, ImportanceArg::Norm) => match args.norm {
            Some(order) => Importance::Norm(order),
            None => {
                return Err(Failure::options(
                    "--importance norm needs the order of the norm: --norm",
                ));
            }
        },
        (None, ImportanceArg::BatchNorm) => Importance::BatchNorm,
        (None, ImportanceArg::Random) => Importance::Random(args.seed),
    };
    let mut options = options
        .importance(importance)
        .reduction(match args.reduction {
            ReductionArg::Sum => Reduction::Sum,
            ReductionArg::Mean => Reduction::Mean,
            ReductionArg::Max => Reduction::Max,
        })
        .scope(match args.scope {
            ScopeArg::Group => Scope::Group,
            ScopeArg::Global => Scope::Global,
        })
        .normalize(!args.no_normalize)
        .round_to(if args.zeros { 1 } else { args.round_to })
        .keep_at_least(args.keep_at_least)
        .verify(!args.no_verify);
    options = options
        .whole_heads(args.whole_heads)
        .query_heads(args.query_heads);
    for kind in &args.inexact {
        options = options.inexact(match kind {
            InexactArg::LayerNorm => Inexact::LayerNorm,
            InexactArg::Maximum => Inexact::Maximum,
        });
    }
    #[cfg(feature = "runtime")]
    {
        options = options.time(args.time);
    }
    if !args.choose.include.is_empty() || !args.choose.exclude.is_empty() {
        let names = weight_names(&args.input)?;
        let shown: Vec<&str> = names.iter().map(String::as_str).collect();
        let named = |patterns: &[String], option| -> Result<Vec<String>, Failure> {
            let matched = glob::matches(patterns, option, &shown)?;
            let names = names.iter().zip(matched).filter(|(_, matched)| *matched);
            Ok(names.map(|(name, _)| name.clone()).collect())
        };
        let include = named(&args.choose.include, "--include")?;
        let exclude = named(&args.choose.exclude, "--exclude")?;
        let all = args.choose.include.is_empty();
        options = options.only(move |group| {
            let any = |list: &[String]| group.iter().any(|name| list.contains(name));
            (all || any(&include)) && !any(&exclude)
        });
    }
    Ok(options)
}

/// Reads importance scores.
fn scores(path: &Path) -> Result<BTreeMap<String, ArrayD<f32>>, Failure> {
    let failed =
        |what: &dyn std::fmt::Display| Failure::options(format!("--scores {}: {what}", text::path(path)));
    let file = std::fs::read(path).map_err(|error| failed(&error))?;
    let tensors = SafeTensors::deserialize(&file).map_err(|error| failed(&error))?;
    let read = tensors.iter().map(|(name, tensor)| {
        let data = tensor.data();
        let values: Vec<f32> = match tensor.dtype() {
            Dtype::F32 => data
                .as_chunks()
                .0
                .iter()
                .map(|x| f32::from_le_bytes(*x))
                .collect(),
            Dtype::F64 => data
                .as_chunks()
                .0
                .iter()
                .map(|x| f64::from_le_bytes(*x) as f32)
                .collect(),
            Dtype::F16 => data
                .as_chunks()
                .0
                .iter()
                .map(|x| half::f16::from_le_bytes(*x).to_f32())
                .collect(),
            Dtype::BF16 => data
                .as_chunks()
                .0
                .iter()
                .map(|x| half::bf16::from_le_bytes(*x).to_f32())
                .collect(),
            other => return Err(failed(&format!("`{name}` is of type {other}; scores are floats"))),
        };
        let array = ArrayD::from_shape_vec(IxDyn(tensor.shape()), values);
        Ok((name.to_owned(), array.map_err(|error| failed(&error))?))
    });
    read.collect()
}

/// The table of groups.
fn groups(report: &Report, all: bool, out: &mut Vec<u8>) {
    let mut table = Table::new(&[
        ("channels of", Align::Left),
        ("channels", Align::Right),
        ("held", Align::Right),
        ("removed", Align::Right),
        ("weights that are cut together", Align::Left),
    ]);
    for group in &report.groups {
        table.row(vec![
            group.kind.clone(),
            count(group.channels),
            count(group.held.values().sum()),
            count(group.removed),
            some_of(group.parameters.iter().map(String::as_str)),
        ]);
    }
    table.write(all, out).expect("memory can be written to");
    out.push(b'\n');
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Prune(error) => Failure::Library(error),
            error => Failure::Options(error.to_string()),
        }
    }
}

/// The report as JSON.
#[derive(Serialize)]
struct Json<'a> {
    #[serde(serialize_with = "optional_path")]
    output: Option<&'a Path>,
    before: Cost,
    after: Cost,
    channels: usize,
    removed: usize,
    held: BTreeMap<&'a str, usize>,
    deviation: Option<f64>,
    folded: usize,
    inexact: &'a BTreeMap<String, usize>,
    accepted_deviation: Option<f64>,
    runtime: Option<Runtime<'a>>,
    groups: Vec<Group<'a>>,
}

#[derive(Serialize)]
struct Cost {
    parameters: u64,
    bytes: u64,
    macs: Option<u64>,
    activation_bytes: Option<u64>,
}

/// What a runtime found in f32, or why it cannot run the models.
#[derive(Default, Serialize)]
struct Runtime<'a> {
    unable: Option<&'a str>,
    deviation: Option<f64>,
    latency: Option<Latency>,
}

/// Medians of runs with one sample on one thread.
#[derive(Serialize)]
struct Latency {
    before_seconds: f64,
    after_seconds: f64,
    runs: usize,
}

impl<'a> Runtime<'a> {
    fn of(found: &'a secateurs_onnx::Runtime) -> Option<Self> {
        match found {
            secateurs_onnx::Runtime::Ran { deviation, latency } => Some(Runtime {
                deviation: *deviation,
                latency: latency.map(|latency| Latency {
                    before_seconds: latency.before.as_secs_f64(),
                    after_seconds: latency.after.as_secs_f64(),
                    runs: latency.runs,
                }),
                ..Runtime::default()
            }),
            secateurs_onnx::Runtime::Unable { reason } => Some(Runtime {
                unable: Some(reason),
                ..Runtime::default()
            }),
            _ => None,
        }
    }
}

#[derive(Serialize)]
struct Group<'a> {
    kind: &'a str,
    parameters: &'a [String],
    channels: usize,
    removed: usize,
    held: &'a BTreeMap<String, usize>,
}

fn optional_path<S: serde::Serializer>(path: &Option<&Path>, serializer: S) -> Result<S::Ok, S::Error> {
    match path {
        Some(path) => text::json_path(path, serializer),
        None => serializer.serialize_none(),
    }
}

impl<'a> Json<'a> {
    fn of(report: &'a Report, output: Option<&'a Path>) -> Self {
        let cost = |cost: &secateurs_onnx::Cost| Cost {
            parameters: cost.parameters,
            bytes: cost.bytes,
            macs: cost.macs,
            activation_bytes: cost.activations,
        };
        let groups = report.groups.iter().map(|group| Group {
            kind: &group.kind,
            parameters: &group.parameters,
            channels: group.channels,
            removed: group.removed,
            held: &group.held,
        });
        Json {
            output,
            before: cost(&report.before),
            after: cost(&report.after),
            channels: report.channels(),
            removed: report.removed(),
            held: report.held(),
            deviation: report.deviation,
            folded: report.folded,
            inexact: &report.inexact,
            accepted_deviation: report.accepted_deviation,
            runtime: report.runtime.as_ref().and_then(Runtime::of),
            groups: groups.collect(),
        }
    }
}
