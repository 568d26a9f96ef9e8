//! `secateurs prune`.

use std::io::Write;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use secateurs::checkpoint::{CheckpointReport, Scope, TensorInfo};
use secateurs::mask::{
    Amount, L1Unstructured, LnStructured, Norm, PruningMethod, RandomStructured, RandomUnstructured,
};
use serde::Serialize;

use super::{existing, json};
use crate::args::{How, MethodArg, Pattern, PruneArgs, ScopeArg};
use crate::failure::Failure;
use crate::text::{Align, Table, bytes, count, percent, shape};
use crate::{glob, progress};

pub fn run(args: &PruneArgs, how: &How, out: &mut Vec<u8>) -> Result<(), Failure> {
    let method = method(args)?;
    let scope = match args.scope {
        ScopeArg::Local => Scope::Local,
        ScopeArg::Global => Scope::Global,
    };
    let checkpoint = progress::open(&args.input, how)?;
    let chosen = glob::choose(&checkpoint, &args.choose, TensorInfo::is_weight)?;
    if chosen.is_empty() {
        return Err(Failure::options(
            "no tensor is left to prune; without --include, these are the floating-point tensors of two or more \
             dimensions whose name ends in `weight`, without embeddings, norms and lm_head",
        ));
    }
    check_plain(&chosen)?;
    let names = chosen.iter().map(|tensor| tensor.name());
    let mut pruning = checkpoint.prune(names, &*method, scope)?;
    if let Some(masks) = &args.masks {
        pruning = pruning.with_masks(masks);
    }
    let report = match &args.output {
        Some(output) if !args.dry_run => pruning.write(output, existing(args.force))?,
        _ => pruning.measure()?,
    };
    if how.json {
        json(out, &Report::new(&report, args));
    } else {
        let written = checkpoint.shards().iter().map(|shard| shard.bytes()).sum();
        let table = table(&report, args, written, checkpoint.shards().len());
        out.extend(table);
    }
    for file in &report.copied {
        let other = file.extension().is_some_and(|end| {
            ["safetensors", "bin", "pt", "pth", "ckpt", "gguf"]
                .iter()
                .any(|known| end == *known)
        });
        if other {
            let file = file.display();
            eprintln!("warning: {file} may hold weights too; it was copied as it is, not pruned");
        }
    }
    Ok(())
}

/// The method that the options describe, or an error that says which go together.
fn method(args: &PruneArgs) -> Result<Box<dyn PruningMethod>, Failure> {
    let refuse = |text: &str| Err(Failure::options(text));
    let Some(amount) = args.amount else {
        return refuse("--amount is needed: a fraction (0.5), a percentage (50%) or a count (12)");
    };
    let method = args.method.unwrap_or(match args.pattern {
        Pattern::Unstructured => MethodArg::L1,
        Pattern::Channel => MethodArg::Ln,
    });
    if args.dry_run && args.masks.is_some() {
        return refuse("--dry-run writes nothing, so it does not go with --masks");
    }
    if args.norm.is_some() && method != MethodArg::Ln {
        return refuse("--norm goes with --method ln, which ranks channels (--pattern channel)");
    }
    match (args.seed, method) {
        (None, MethodArg::Random) => {
            return refuse("--method random needs --seed, a number, so that the same masks can be had again");
        }
        (Some(_), MethodArg::L1 | MethodArg::Ln) => return refuse("--seed goes with --method random only"),
        _ => {}
    }
    if args.dim.is_some() && args.pattern == Pattern::Unstructured {
        return refuse("--dim goes with --pattern channel; single entries have no dimension");
    }
    if args.scope == ScopeArg::Global && args.pattern != Pattern::Unstructured {
        return refuse("--scope global ranks single entries: it goes with --pattern unstructured only");
    }
    structure(args, method, amount)
}

fn structure(args: &PruneArgs, method: MethodArg, amount: Amount) -> Result<Box<dyn PruningMethod>, Failure> {
    let mut rng = ChaCha8Rng::seed_from_u64(args.seed.unwrap_or_default());
    let dim = args.dim.unwrap_or(0);
    Ok(match (args.pattern, method) {
        (Pattern::Unstructured, MethodArg::L1) => Box::new(L1Unstructured::new(amount)?),
        (Pattern::Unstructured, MethodArg::Random) => Box::new(RandomUnstructured::new(amount, &mut rng)?),
        (Pattern::Channel, MethodArg::Ln) => {
            Box::new(LnStructured::new(amount, args.norm.unwrap_or(Norm::L2), dim)?)
        }
        (Pattern::Channel, MethodArg::Random) => Box::new(RandomStructured::new(amount, dim, &mut rng)?),
        (Pattern::Unstructured, MethodArg::Ln) => {
            return Err(Failure::options(
                "--method ln ranks channels: it goes with --pattern channel; single entries go by l1 or random",
            ));
        }
        (Pattern::Channel, MethodArg::L1) => {
            return Err(Failure::options(
                "--method l1 ranks single entries; channels go by ln (with --norm 1 for the sum of absolute values) \
                 or random",
            ));
        }
    })
}

/// Weights that PyTorch prunes are two tensors, neither of which is the weight.
fn check_plain(chosen: &[&TensorInfo]) -> Result<(), Failure> {
    match chosen.iter().find(|tensor| tensor.name().ends_with("_orig")) {
        Some(tensor) => Err(Failure::options(format!(
            "`{}` is the original of a weight that PyTorch's pruning masks, not a weight itself; make plain weights \
             of such pairs first: secateurs bake IN -o OUT",
            tensor.name()
        ))),
        None => Ok(()),
    }
}

fn table(report: &CheckpointReport, args: &PruneArgs, written: u64, files: usize) -> Vec<u8> {
    let mut table = Table::new(&[
        ("tensor", Align::Left),
        ("dtype", Align::Left),
        ("shape", Align::Right),
        ("asked", Align::Right),
        ("pruned", Align::Right),
        ("", Align::Right),
        ("zeros now", Align::Right),
    ]);
    for tensor in &report.tensors {
        table.row(vec![
            tensor.name.clone(),
            tensor.dtype.to_string(),
            shape(&tensor.shape),
            tensor.asked.map_or("–".into(), count),
            count(tensor.pruned),
            percent(tensor.pruned, tensor.entries),
            percent(tensor.zeros, tensor.entries),
        ]);
    }
    let number = report.tensors.len();
    table.total(vec![
        format!("{number} tensor{}", if number == 1 { "" } else { "s" }),
        String::new(),
        count(report.entries()),
        count(report.asked),
        count(report.pruned()),
        percent(report.pruned(), report.entries()),
        percent(report.zeros(), report.entries()),
    ]);
    let mut out = Vec::new();
    let end = match &args.output {
        Some(output) if !args.dry_run => format!(
            "\nwrote {} ({} in {files} file{})\n",
            output.display(),
            bytes(written),
            if files == 1 { "" } else { "s" }
        ),
        _ => "\nnothing was written\n".into(),
    };
    table
        .write(&mut out)
        .and_then(|()| out.write_all(end.as_bytes()))
        .expect("memory can be written to");
    out
}

/// The report, for other programs.
#[derive(Serialize)]
struct Report<'a> {
    output: Option<&'a std::path::Path>,
    asked: usize,
    pruned: usize,
    zeros: usize,
    entries: usize,
    tensors: Vec<Tensor<'a>>,
}

#[derive(Serialize)]
struct Tensor<'a> {
    name: &'a str,
    dtype: String,
    shape: &'a [usize],
    asked: Option<usize>,
    pruned: usize,
    zeros: usize,
    entries: usize,
}

impl<'a> Report<'a> {
    fn new(report: &'a CheckpointReport, args: &'a PruneArgs) -> Self {
        let tensors = report.tensors.iter().map(|tensor| Tensor {
            name: &tensor.name,
            dtype: tensor.dtype.to_string(),
            shape: &tensor.shape,
            asked: tensor.asked,
            pruned: tensor.pruned,
            zeros: tensor.zeros,
            entries: tensor.entries,
        });
        Report {
            output: args.output.as_deref().filter(|_| !args.dry_run),
            asked: report.asked,
            pruned: report.pruned(),
            zeros: report.zeros(),
            entries: report.entries(),
            tensors: tensors.collect(),
        }
    }
}
