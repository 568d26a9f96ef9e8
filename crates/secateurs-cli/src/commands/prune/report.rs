//! The report of pruning, as a table and as JSON.

use std::io::Write;
use std::path::Path;

use secateurs::checkpoint::{CheckpointReport, TensorInfo, Unit};
use serde::Serialize;

use super::skipped::Skipped;
use crate::args::How;
use crate::text::{Align, Table, bytes, count, number_of, path, percent, shape};

/// The output, how many bytes it has and in how many files; `None` where nothing was written.
pub type Written<'a> = Option<(&'a Path, u64, usize)>;

/// Writes the report as a table.
pub fn table(
    report: &CheckpointReport,
    written: Written<'_>,
    masks: Option<&Path>,
    how: &How,
    out: &mut Vec<u8>,
) {
    // Shares are of entries, also where whole channels or blocks are counted.
    let (of, pruned) = match report.unit {
        Unit::Channels => ("channels", "entries pruned"),
        Unit::Blocks => ("blocks", "entries pruned"),
        _ => ("entries", "pruned"),
    };
    let mut table = Table::new(&[
        ("tensor", Align::Left),
        ("dtype", Align::Left),
        ("shape", Align::Right),
        ("requested", Align::Right),
        ("achieved", Align::Right),
        (of, Align::Right),
        (pruned, Align::Right),
        ("zeros now", Align::Right),
    ]);
    for tensor in &report.tensors {
        table.row(vec![
            tensor.name.clone(),
            tensor.dtype.to_string(),
            shape(&tensor.shape),
            tensor.requested.map_or("–".into(), count),
            count(tensor.achieved),
            count(tensor.units),
            percent(tensor.pruned, tensor.entries),
            percent(tensor.zeros, tensor.entries),
        ]);
    }
    table.total(vec![
        number_of(report.tensors.len(), "tensor"),
        String::new(),
        String::new(),
        count(report.requested),
        count(report.achieved()),
        count(report.units()),
        percent(report.pruned(), report.entries()),
        percent(report.zeros(), report.entries()),
    ]);
    let (newly, pruned) = (report.newly_pruned(), report.pruned());
    let before = match pruned - newly.min(pruned) {
        0 => String::new(),
        zero => format!(
            "\n{} of the {} pruned entries were zero before; {} are newly pruned\n",
            count(zero),
            count(pruned),
            count(newly)
        ),
    };
    let end = match written {
        Some((output, size, files)) => format!(
            "\nwrote {} ({} in {})\n",
            path(output),
            bytes(size),
            number_of(files, "file")
        ),
        None => "\nnothing was written\n".into(),
    };
    let masks = masks.map_or(String::new(), |masks| format!("wrote {} (masks)\n", path(masks)));
    table
        .write(how.verbose, out)
        .and_then(|()| out.write_all((before + &end + &masks).as_bytes()))
        .expect("memory can be written to");
}

/// The report as JSON.
#[derive(Serialize)]
pub struct Report<'a> {
    output: Option<String>,
    masks: Option<String>,
    unit: String,
    requested: usize,
    achieved: usize,
    units: usize,
    pruned: usize,
    newly_pruned: usize,
    zeros: usize,
    entries: usize,
    tensors: Vec<Tensor<'a>>,
    /// Of a type that cannot be pruned.
    not_prunable: Vec<Other<'a>>,
    /// Not divided by groups.
    indivisible: Vec<Other<'a>>,
}

#[derive(Serialize)]
struct Other<'a> {
    name: &'a str,
    dtype: String,
}

fn others<'a>(tensors: &[&'a TensorInfo]) -> Vec<Other<'a>> {
    let other = |tensor: &&'a TensorInfo| Other {
        name: tensor.name(),
        dtype: tensor.dtype().to_string(),
    };
    tensors.iter().map(other).collect()
}

#[derive(Serialize)]
struct Tensor<'a> {
    name: &'a str,
    dtype: String,
    shape: &'a [usize],
    requested: Option<usize>,
    achieved: usize,
    units: usize,
    pruned: usize,
    newly_pruned: usize,
    zeros: usize,
    entries: usize,
}

impl<'a> Report<'a> {
    pub fn new(
        report: &'a CheckpointReport,
        written: Written<'a>,
        masks: Option<&Path>,
        skipped: &Skipped<'a>,
    ) -> Self {
        let tensors = report.tensors.iter().map(|tensor| Tensor {
            name: &tensor.name,
            dtype: tensor.dtype.to_string(),
            shape: &tensor.shape,
            requested: tensor.requested,
            achieved: tensor.achieved,
            units: tensor.units,
            pruned: tensor.pruned,
            newly_pruned: tensor.newly_pruned,
            zeros: tensor.zeros,
            entries: tensor.entries,
        });
        Report {
            output: written.map(|(output, ..)| output.display().to_string()),
            masks: masks.map(|masks| masks.display().to_string()),
            unit: report.unit.to_string(),
            requested: report.requested,
            achieved: report.achieved(),
            units: report.units(),
            pruned: report.pruned(),
            newly_pruned: report.newly_pruned(),
            zeros: report.zeros(),
            entries: report.entries(),
            tensors: tensors.collect(),
            not_prunable: others(&skipped.dtype),
            indivisible: others(&skipped.indivisible),
        }
    }
}
