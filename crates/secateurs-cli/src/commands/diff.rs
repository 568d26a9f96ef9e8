//! `secateurs diff`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use secateurs::checkpoint::{
    Checkpoint, CheckpointDiff, DiffOptions, Difference, Dtype, Figures, TensorDiff,
};
use serde::Serialize;

use super::json;
use crate::args::How;
use crate::failure::Failure;
use crate::progress;
use crate::text::{Align, Table, count, number_of, percent, shape};

/// Show what differs between two checkpoints, tensor by tensor.
///
/// Compared are names, dtypes, shapes, entries (by their bits, so that -0.0 is not +0.0), metadata, and the order of
/// tensors within a file. How tensors are distributed over files makes no difference.
///
/// Of floats, the report also gives the largest and the mean absolute difference, and the cosine of the angle between
/// the two sides. Entries that are infinite or NaN on either side do not count in these figures.
///
/// The exit code is 0 if nothing differs, and 1 if anything does.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct DiffArgs {
    /// A .safetensors file, a folder, or the index of a sharded checkpoint.
    #[arg(value_name = "A", value_hint = ValueHint::AnyPath)]
    pub left: PathBuf,
    /// The other one.
    #[arg(value_name = "B", value_hint = ValueHint::AnyPath)]
    pub right: PathBuf,
    /// Take -0.0 and +0.0 for the same.
    #[arg(long)]
    pub ignore_signed_zero: bool,
}

const EXAMPLES: &str = "\
Examples:
  What pruning changed:
    secateurs diff model.safetensors pruned.safetensors

  Check that packing loses nothing:
    secateurs pack model -o packed && secateurs unpack packed -o back && secateurs diff model back
";

/// Shows what differs, and returns whether anything does.
pub fn run(args: &DiffArgs, how: &How, out: &mut Vec<u8>) -> Result<bool, Failure> {
    let diff = {
        let left = progress::open(&args.left, how)?;
        let options = DiffOptions::default().ignore_signed_zero(args.ignore_signed_zero);
        left.diff_with(&Checkpoint::open(&args.right)?, &options)?
    };
    if how.json {
        json(out, &Report::new(&diff));
    } else {
        write(&diff, [&args.left, &args.right], how, out).expect("memory can be written to");
    }
    Ok(!diff.is_empty())
}

fn write(diff: &CheckpointDiff, sides: [&Path; 2], how: &How, out: &mut Vec<u8>) -> io::Result<()> {
    let [left, right] = sides.map(|side| side.display().to_string());
    if !diff.tensors.is_empty() {
        let mut table = Table::new(&[
            ("tensor", Align::Left),
            ("difference", Align::Left),
            ("largest", Align::Right),
            ("mean", Align::Right),
            ("cosine", Align::Right),
        ]);
        for tensor in &diff.tensors {
            let what = match &tensor.difference {
                Difference::OnlyLeft => format!("only in {left}"),
                Difference::OnlyRight => format!("only in {right}"),
                Difference::Form { left, right } => form(left, right),
                Difference::Entries {
                    differing,
                    entries,
                    first,
                    ..
                } => format!(
                    "{} of {} entries differ ({}), the first at {first}",
                    count(*differing),
                    count(*entries),
                    percent(*differing, *entries)
                ),
                other => format!("{other:?}"),
            };
            let far = match &tensor.difference {
                Difference::Entries { figures, .. } => *figures,
                _ => None,
            };
            table.row(
                [tensor.name.clone(), what]
                    .into_iter()
                    .chain(figures(far))
                    .collect(),
            );
        }
        if diff.figures.is_some() {
            // Tensors that only one side has, or has in another form, cannot be compared entry by entry.
            let compared = |tensor: &TensorDiff| matches!(tensor.difference, Difference::Entries { .. });
            let all = if diff.tensors.iter().all(compared) {
                "all tensors"
            } else {
                "all compared"
            };
            let all = [all.to_owned(), String::new()];
            table.total(all.into_iter().chain(figures(diff.figures)).collect());
        }
        table.write(how.verbose, out)?;
        writeln!(out)?;
    }
    for diff in &diff.metadata {
        let (before, after) = (values(&diff.left, how.verbose), values(&diff.right, how.verbose));
        writeln!(out, "metadata `{}`: {before} → {after}", diff.key)?;
    }
    if let Some((first, second)) = &diff.order {
        writeln!(
            out,
            "order: `{first}` comes before `{second}` in {left}, and after it in {right}"
        )?;
    }
    let same = number_of(diff.same, "tensor");
    match diff.tensors.len() {
        0 => writeln!(out, "{same}, all the same"),
        n => writeln!(
            out,
            "{} of {} differ",
            count(n),
            number_of(n + diff.same, "tensor")
        ),
    }
}

/// The cells of how far apart entries are, which are empty where nothing was compared.
fn figures(figures: Option<Figures>) -> [String; 3] {
    figures.map_or_else(Default::default, |far| {
        let cosine = far.cosine.map_or("–".to_owned(), |cosine| format!("{cosine:.6}"));
        [short(far.largest), short(far.mean), cosine]
    })
}

/// A number with four significant digits, in the shorter of the two notations.
fn short(x: f64) -> String {
    if x == 0.0 || (1e-3..1e6).contains(&x) {
        let digits = if x == 0.0 {
            0
        } else {
            (3 - x.log10().floor() as i32).max(0)
        };
        format!("{x:.0$}", digits as usize)
    } else {
        format!("{x:.3e}")
    }
}

/// What of dtype and shape differs.
fn form((dtype, dims): &(Dtype, Vec<usize>), (other, others): &(Dtype, Vec<usize>)) -> String {
    let mut changes = Vec::new();
    if dtype != other {
        changes.push(format!("dtype {dtype} → {other}"));
    }
    if dims != others {
        changes.push(format!("shape {} → {}", shape(dims), shape(others)));
    }
    changes.join(", ")
}

/// The values of a key of the metadata: of a long one only the beginning, unless all is wanted.
fn values(values: &[String], all: bool) -> String {
    const LONGEST: usize = 60;
    let value = |value: &String| match value.char_indices().nth(LONGEST) {
        Some((end, _)) if !all => format!("{:?}…", &value[..end]),
        _ => format!("{value:?}"),
    };
    match values {
        [] => "absent".to_owned(),
        values => values.iter().map(value).collect::<Vec<_>>().join(" and "),
    }
}

/// The report as JSON.
#[derive(Serialize)]
struct Report<'a> {
    differ: bool,
    same: usize,
    tensors: Vec<Tensor<'a>>,
    metadata: Vec<Metadata<'a>>,
    order: Option<[&'a str; 2]>,
    /// Of all tensors that are floats of one dtype and shape on both sides.
    figures: Option<Distance>,
}

/// How far apart the entries are.
#[derive(Serialize)]
struct Distance {
    largest: f64,
    mean: f64,
    cosine: Option<f64>,
}

impl From<Figures> for Distance {
    fn from(figures: Figures) -> Self {
        Distance {
            largest: figures.largest,
            mean: figures.mean,
            cosine: figures.cosine,
        }
    }
}

#[derive(Serialize)]
struct Tensor<'a> {
    name: &'a str,
    #[serde(flatten)]
    what: What<'a>,
}

#[derive(Serialize)]
#[serde(tag = "difference", rename_all = "snake_case")]
enum What<'a> {
    OnlyLeft,
    OnlyRight,
    Form {
        left: Form<'a>,
        right: Form<'a>,
    },
    Entries {
        differing: usize,
        entries: usize,
        first: usize,
        figures: Option<Distance>,
    },
    Other,
}

#[derive(Serialize)]
struct Form<'a> {
    dtype: String,
    shape: &'a [usize],
}

#[derive(Serialize)]
struct Metadata<'a> {
    key: &'a str,
    left: &'a [String],
    right: &'a [String],
}

impl<'a> Report<'a> {
    fn new(diff: &'a CheckpointDiff) -> Self {
        let form = |(dtype, shape): &'a (Dtype, Vec<usize>)| Form {
            dtype: dtype.to_string(),
            shape,
        };
        let tensors = diff.tensors.iter().map(|tensor| Tensor {
            name: &tensor.name,
            what: match &tensor.difference {
                Difference::OnlyLeft => What::OnlyLeft,
                Difference::OnlyRight => What::OnlyRight,
                Difference::Form { left, right } => What::Form {
                    left: form(left),
                    right: form(right),
                },
                &Difference::Entries {
                    differing,
                    entries,
                    first,
                    figures,
                    ..
                } => What::Entries {
                    differing,
                    entries,
                    first,
                    figures: figures.map(Distance::from),
                },
                _ => What::Other,
            },
        });
        let metadata = diff.metadata.iter().map(|diff| Metadata {
            key: &diff.key,
            left: &diff.left,
            right: &diff.right,
        });
        Report {
            differ: !diff.is_empty(),
            same: diff.same,
            tensors: tensors.collect(),
            metadata: metadata.collect(),
            figures: diff.figures.map(Distance::from),
            order: diff
                .order
                .as_ref()
                .map(|(first, second)| [&first[..], &second[..]]),
        }
    }
}
