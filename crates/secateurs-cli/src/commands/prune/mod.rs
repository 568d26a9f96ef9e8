//! `secateurs prune`.

pub mod args;
mod method;
mod report;
mod skipped;

use std::path::PathBuf;

use secateurs::checkpoint::{Checkpoint, TensorInfo, is_weight};

use super::{existing, json, warn_of_weights};
use crate::args::{How, PruneArgs};
use crate::failure::Failure;
use crate::{glob, progress};
use method::Request;
use skipped::Skipped;
pub use skipped::by_dtype;

pub fn run(args: &PruneArgs, how: &How, out: &mut Vec<u8>) -> Result<(), Failure> {
    let copied = prune(args, how, out)?;
    warn_of_weights(&copied); // now that the checkpoint is closed, and with it the progress bar
    Ok(())
}

/// Prunes, and returns which other files were copied.
fn prune(args: &PruneArgs, how: &How, out: &mut Vec<u8>) -> Result<Vec<PathBuf>, Failure> {
    let request = Request::from(args)?;
    let checkpoint = progress::open_unpacked(&args.input, how)?;
    let default = |tensor: &TensorInfo| tensor.is_weight() || is_original_weight(&checkpoint, tensor);
    let mut chosen = glob::choose(&checkpoint, &args.choose, default)?;
    let skipped = Skipped::of(&checkpoint, args, &mut chosen);
    if chosen.is_empty() {
        return Err(Failure::options(
            "no tensor is selected; without --include, these are pruned: floating-point tensors of two or more \
             dimensions, the last part of whose name starts or ends with `weight`, except embeddings, norms and lm_head",
        ));
    }
    check_plain(&checkpoint, &chosen)?;
    let names = chosen.iter().map(|tensor| tensor.name());
    let mut pruning = checkpoint
        .prune(names, &*request.method, request.scope)?
        .with_options(request.options)?;
    if args.of == args::OfArg::Nonzero {
        pruning = pruning.of_nonzero()?;
    }
    if let Some(masks) = &args.masks {
        pruning = pruning.with_masks(masks);
    }
    let output = args.output.as_deref().filter(|_| !args.dry_run);
    let report = match output {
        Some(output) => pruning.write(output, existing(args.force))?,
        None => pruning.measure()?,
    };
    let files = checkpoint.shards();
    let size = files.iter().map(|file| file.bytes()).sum();
    let written = output.map(|output| (output, size, files.len()));
    if how.json {
        json(
            out,
            &report::Report::new(&report, written, args.masks.as_deref(), &skipped),
        );
    } else {
        report::table(&report, written, args.masks.as_deref(), how, out);
        out.extend(skipped.describe().bytes());
    }
    Ok(report.copied)
}

/// Whether a tensor is the original of a weight that PyTorch's pruning masks: whoever names no tensors means the
/// weight.
fn is_original_weight(checkpoint: &Checkpoint, tensor: &TensorInfo) -> bool {
    let Some(name) = masked(checkpoint, tensor) else {
        return false;
    };
    tensor.is_float() && tensor.shape().len() >= 2 && is_weight(name)
}

/// The name of the parameter of which a tensor is the original, where its mask is there too.
fn masked<'a>(checkpoint: &Checkpoint, tensor: &'a TensorInfo) -> Option<&'a str> {
    let name = tensor.name().strip_suffix("_orig")?;
    checkpoint.tensor(&format!("{name}_mask")).is_ok().then_some(name)
}

/// Weights that PyTorch prunes are two tensors, neither of which is the weight.
fn check_plain(checkpoint: &Checkpoint, chosen: &[&TensorInfo]) -> Result<(), Failure> {
    match chosen.iter().find(|tensor| masked(checkpoint, tensor).is_some()) {
        Some(tensor) => Err(Failure::options(format!(
            "`{}` is the original of a weight that PyTorch's pruning masks, not a weight itself; turn such pairs \
             into plain weights first: secateurs bake IN -o OUT",
            tensor.name()
        ))),
        None => Ok(()),
    }
}
