//! `secateurs inspect`.

use std::io::Write;

use secateurs::checkpoint::{ChannelPattern, Checkpoint, GroupPattern, TensorInfo, TensorStats};
use serde::Serialize;

use super::prune::by_dtype;
use super::{json, not_prunable};
use crate::args::{How, InspectArgs};
use crate::failure::Failure;
use crate::text::{Align, Table, bar, bytes, count, number_of, percent, shape};
use crate::{glob, progress};

/// Characters of a bar.
const BAR: usize = 20;

pub fn run(args: &InspectArgs, how: &How, out: &mut Vec<u8>) -> Result<(), Failure> {
    let checkpoint = progress::open(&args.input, how)?;
    let chosen = glob::choose(&checkpoint, &args.choose, |_| true)?;
    let stats = checkpoint.inspect(chosen.iter().map(|tensor| tensor.name()))?;
    let rows: Vec<_> = chosen.into_iter().zip(stats).collect();
    if how.json {
        json(out, &Report::new(&checkpoint, &rows));
    } else {
        write(&checkpoint, &rows, how, out).expect("memory can be written to");
    }
    Ok(())
}

type Row<'a> = (&'a TensorInfo, Option<TensorStats>);

fn write(checkpoint: &Checkpoint, rows: &[Row<'_>], how: &How, out: &mut Vec<u8>) -> std::io::Result<()> {
    let mut table = Table::new(&[
        ("tensor", Align::Left),
        ("dtype", Align::Left),
        ("shape", Align::Right),
        ("zeros", Align::Right),
        ("", Align::Right),
        ("sparsity", Align::Left),
        ("holds", Align::Left),
    ]);
    for (tensor, stats) in rows {
        let mut row = vec![
            tensor.name().to_owned(),
            tensor.dtype().to_string(),
            shape(tensor.shape()),
        ];
        row.extend(match stats {
            Some(stats) => [
                count(stats.zeros),
                percent(stats.zeros, stats.entries),
                bar(stats.sparsity(), BAR),
                holds(stats),
            ],
            None => ["–".into(), String::new(), String::new(), String::new()],
        });
        table.row(row);
    }
    let totals = Totals::of(rows);
    table.total(vec![
        number_of(rows.len(), "tensor"),
        String::new(),
        match totals.entries {
            1 => "1 entry".to_owned(),
            entries => format!("{} entries", count(entries)),
        },
        count(totals.zeros),
        percent(totals.zeros, totals.float_entries),
        if totals.float_entries == 0 {
            String::new()
        } else {
            bar(totals.zeros as f64 / totals.float_entries as f64, BAR)
        },
        if totals.nans == 0 {
            String::new()
        } else {
            format!("{} NaN", count(totals.nans))
        },
    ]);
    table.write(how.verbose, out)?;
    let (files, size) = (
        checkpoint.shards().len(),
        checkpoint.shards().iter().map(|s| s.bytes()).sum(),
    );
    writeln!(out, "\n{} in {}", bytes(size), number_of(files, "file"))?;
    let others = not_prunable(rows.iter().map(|(tensor, _)| *tensor));
    out.extend(by_dtype(&others).bytes());
    if checkpoint.check_unpacked().is_err() {
        writeln!(
            out,
            "This checkpoint is packed, so these are parts of its tensors; `secateurs unpack` restores the tensors."
        )?;
    }
    Ok(())
}

/// What is worth a word: NaNs, patterns, zeros that are negative.
fn holds(stats: &TensorStats) -> String {
    let mut words = Vec::new();
    if stats.nans > 0 {
        words.push(format!("{} NaN", count(stats.nans)));
    }
    words.extend(
        stats
            .groups
            .iter()
            .map(|GroupPattern { keep, of, dim, .. }| format!("{keep}:{of} along dim {dim}")),
    );
    words.extend(stats.channels.iter().map(
        |ChannelPattern {
             dim,
             zero,
             count: all,
             ..
         }| {
            format!(
                "{} of {} channels zero along dim {dim}",
                count(*zero),
                count(*all)
            )
        },
    ));
    if stats.negative_zeros > 0 {
        words.push(format!("{} negative zeros", count(stats.negative_zeros)));
    }
    words.join(", ")
}

#[derive(Default, Serialize)]
struct Totals {
    /// Entries of all tensors.
    entries: usize,
    /// Entries of those that can be pruned.
    float_entries: usize,
    zeros: usize,
    nans: usize,
}

impl Totals {
    fn of(rows: &[Row<'_>]) -> Self {
        let mut totals = Totals::default();
        for (tensor, stats) in rows {
            totals.entries += tensor.entries();
            if let Some(stats) = stats {
                totals.float_entries += stats.entries;
                totals.zeros += stats.zeros;
                totals.nans += stats.nans;
            }
        }
        totals
    }
}

/// The report as JSON.
#[derive(Serialize)]
struct Report<'a> {
    files: Vec<File<'a>>,
    tensors: Vec<Tensor<'a>>,
    /// Names of those that are meant to be weights, but are of a type that cannot be pruned.
    not_prunable: Vec<&'a str>,
    total: Totals,
}

#[derive(Serialize)]
struct File<'a> {
    name: &'a str,
    bytes: u64,
    metadata: &'a std::collections::BTreeMap<String, String>,
}

#[derive(Serialize)]
struct Tensor<'a> {
    name: &'a str,
    dtype: String,
    shape: &'a [usize],
    bytes: u64,
    entries: usize,
    file: &'a str,
    zeros: Option<usize>,
    negative_zeros: Option<usize>,
    nans: Option<usize>,
    groups: Vec<Group>,
    zero_channels: Vec<Channels>,
}

#[derive(Serialize)]
struct Group {
    keep: usize,
    of: usize,
    dim: usize,
}

#[derive(Serialize)]
struct Channels {
    dim: usize,
    zero: usize,
    count: usize,
}

impl<'a> Report<'a> {
    fn new(checkpoint: &'a Checkpoint, rows: &'a [Row<'a>]) -> Self {
        let shards = checkpoint.shards();
        let files = shards.iter().map(|shard| File {
            name: shard.file_name(),
            bytes: shard.bytes(),
            metadata: shard.metadata(),
        });
        let tensors = rows.iter().map(|(tensor, stats)| Tensor {
            name: tensor.name(),
            dtype: tensor.dtype().to_string(),
            shape: tensor.shape(),
            bytes: tensor.bytes(),
            entries: tensor.entries(),
            file: shards[tensor.shard()].file_name(),
            zeros: stats.as_ref().map(|stats| stats.zeros),
            negative_zeros: stats.as_ref().map(|stats| stats.negative_zeros),
            nans: stats.as_ref().map(|stats| stats.nans),
            groups: stats.iter().flat_map(|stats| &stats.groups).map(group).collect(),
            zero_channels: stats
                .iter()
                .flat_map(|stats| &stats.channels)
                .map(channels)
                .collect(),
        });
        Report {
            files: files.collect(),
            tensors: tensors.collect(),
            not_prunable: not_prunable(rows.iter().map(|(tensor, _)| *tensor))
                .into_iter()
                .map(TensorInfo::name)
                .collect(),
            total: Totals::of(rows),
        }
    }
}

fn group(pattern: &GroupPattern) -> Group {
    Group {
        keep: pattern.keep,
        of: pattern.of,
        dim: pattern.dim,
    }
}

fn channels(pattern: &ChannelPattern) -> Channels {
    Channels {
        dim: pattern.dim,
        zero: pattern.zero,
        count: pattern.count,
    }
}
