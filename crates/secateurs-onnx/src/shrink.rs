//! [`shrink`], [`shrink_file`] and [`plan`].

use std::fs;
use std::io::Write;
use std::path::Path;

use crate::cost::Cost;
use crate::couple::couplings;
use crate::cut::cut;
use crate::error::{Error, Result};
use crate::graph::Model;
use crate::report::Report;
use crate::select::{Options, select};
use crate::verify::deviation;

/// What the masked and the smaller model may differ by in f64, relative to the largest output.
const TOLERANCE: f64 = 1e-12;

/// A smaller model.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Smaller {
    /// The file.
    pub bytes: Vec<u8>,
    /// What was removed.
    pub report: Report,
}

/// Removes channels from a model.
///
/// # Errors
///
/// - [`Error::Damaged`], [`Error::Inconsistent`] and [`Error::Unsupported`] for a model that cannot be read, or that
///   cannot be run to verify the result;
/// - [`Error::NothingToRemove`] if every channel is held;
/// - [`Error::NotExact`] if the smaller model does not compute what the masked one does.
pub fn shrink(model: &[u8], options: &Options) -> Result<Smaller> {
    let read = Model::read(model)?;
    let couplings = couplings(&read.graph);
    let selection = select(&read.graph, &couplings, options)?;
    let before = Cost::of(&read.graph, &couplings.shapes, model.len());
    let mut report = Report {
        before,
        after: before,
        groups: selection.groups,
        deviation: None,
    };
    if selection.removed.is_empty() {
        let reasons: Vec<&str> = report.held().into_keys().collect();
        return Err(Error::NothingToRemove {
            pinned: report.held().values().sum(),
            reasons: if reasons.is_empty() {
                "the amount".into()
            } else {
                reasons.join(", ")
            },
        });
    }
    let bytes = cut(&read, &couplings, &selection.removed)?;
    let smaller = Model::read(&bytes)?;
    report.after = Cost::of(
        &smaller.graph,
        &crate::couple::couplings(&smaller.graph).shapes,
        bytes.len(),
    );
    if options.verify {
        let deviation = deviation(&read.graph, &couplings, &selection.removed, &smaller.graph)?;
        // NaN is a deviation, too.
        if deviation.is_nan() || deviation > TOLERANCE {
            return Err(Error::NotExact {
                deviation,
                tolerance: TOLERANCE,
            });
        }
        report.deviation = Some(deviation);
    }
    Ok(Smaller { bytes, report })
}

/// What [`shrink`] would remove, without removing it: groups, and what holds channels.
///
/// # Errors
///
/// As [`shrink`], except that a model of which nothing can be removed is no error, and nothing is run.
pub fn plan(model: &[u8], options: &Options) -> Result<Report> {
    let read = Model::read(model)?;
    let couplings = couplings(&read.graph);
    let selection = select(&read.graph, &couplings, options)?;
    let cost = Cost::of(&read.graph, &couplings.shapes, model.len());
    Ok(Report {
        before: cost,
        after: cost,
        groups: selection.groups,
        deviation: None,
    })
}

/// Removes channels from the model in a file, and writes the smaller one beside its name, to be renamed when it is
/// complete. An output that exists is replaced only if `replace` says so, and never the input.
///
/// # Errors
///
/// As [`shrink`]; [`Error::Exists`], and [`Error::Io`].
pub fn shrink_file(input: &Path, output: &Path, options: &Options, replace: bool) -> Result<Report> {
    let io = |action, path: &Path| {
        let path = path.to_owned();
        move |error| Error::Io { action, path, error }
    };
    let model = fs::read(input).map_err(io("read", input))?;
    let same = match (fs::canonicalize(input), fs::canonicalize(output)) {
        (Ok(input), Ok(output)) => input == output,
        _ => false,
    };
    let regular = fs::symlink_metadata(output).map(|meta| meta.is_file());
    if same || regular.as_ref().is_ok_and(|regular| !regular || !replace) {
        let path = output.to_owned();
        return Err(Error::Exists { path });
    }
    let smaller = shrink(&model, options)?;
    let folder = match output.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut staged = tempfile::NamedTempFile::new_in(folder).map_err(io("write", output))?;
    staged.write_all(&smaller.bytes).map_err(io("write", output))?;
    let permissions = fs::metadata(input).map_err(io("read", input))?.permissions();
    staged
        .as_file()
        .set_permissions(permissions)
        .map_err(io("write", output))?;
    staged.as_file().sync_all().map_err(io("write", output))?;
    let persisted = match replace {
        true => staged.persist(output),
        false => staged.persist_noclobber(output),
    };
    persisted.map_err(|error| io("write", output)(error.error))?;
    Ok(smaller.report)
}
