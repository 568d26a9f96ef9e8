//! The report of masks that were applied, baked in or inferred, as a table and as JSON.

use std::io::Write;
use std::path::Path;

use secateurs::checkpoint::MaskingReport;
use serde::Serialize;

use super::json;
use crate::args::How;
use crate::text::{Align, Table, count, number_of, percent, shape};

/// Writes the report of what was written to `output`, in the requested form.
pub fn write(report: &MaskingReport, output: &Path, how: &How, out: &mut Vec<u8>) {
    if how.json {
        json(out, &Report::new(report, output));
    } else {
        table(report, output, how, out);
    }
}

fn table(report: &MaskingReport, output: &Path, how: &How, out: &mut Vec<u8>) {
    let mut table = Table::new(&[
        ("tensor", Align::Left),
        ("dtype", Align::Left),
        ("shape", Align::Right),
        ("entries", Align::Right),
        ("masked", Align::Right),
        ("", Align::Right),
        ("zeros now", Align::Right),
    ]);
    for tensor in &report.tensors {
        table.row(vec![
            tensor.name.clone(),
            tensor.dtype.to_string(),
            shape(&tensor.shape),
            count(tensor.entries),
            count(tensor.masked),
            percent(tensor.masked, tensor.entries),
            percent(tensor.zeros, tensor.entries),
        ]);
    }
    table.total(vec![
        number_of(report.tensors.len(), "tensor"),
        String::new(),
        String::new(),
        count(report.entries()),
        count(report.masked()),
        percent(report.masked(), report.entries()),
        percent(report.zeros(), report.entries()),
    ]);
    table
        .write(how.verbose, out)
        .and_then(|()| writeln!(out, "\nwrote {}", output.display()))
        .expect("memory can be written to");
}

#[derive(Serialize)]
struct Report<'a> {
    #[serde(serialize_with = "crate::text::json_path")]
    output: &'a Path,
    masked: usize,
    zeros: usize,
    entries: usize,
    tensors: Vec<Tensor<'a>>,
}

#[derive(Serialize)]
struct Tensor<'a> {
    name: &'a str,
    dtype: String,
    shape: &'a [usize],
    masked: usize,
    zeros: usize,
    entries: usize,
}

impl<'a> Report<'a> {
    fn new(report: &'a MaskingReport, output: &'a Path) -> Self {
        let tensors = report.tensors.iter().map(|tensor| Tensor {
            name: &tensor.name,
            dtype: tensor.dtype.to_string(),
            shape: &tensor.shape,
            masked: tensor.masked,
            zeros: tensor.zeros,
            entries: tensor.entries,
        });
        Report {
            output,
            masked: report.masked(),
            zeros: report.zeros(),
            entries: report.entries(),
            tensors: tensors.collect(),
        }
    }
}
