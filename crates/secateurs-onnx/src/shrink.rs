//! [`shrink`], [`shrink_file`] and [`plan`].

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use secateurs::checkpoint::{Existing, save_files};
use secateurs::mask::Amount;

use crate::budget;
use crate::certificate::{Part, certificate};
use crate::cost::Cost;
use crate::couple::{Couplings, couplings_by};
use crate::entries::{Entries, Take};
use crate::error::{Error, Result};
use crate::external::{External, open_files};
use crate::graph::Model;
use crate::input_file::InputFile;
use crate::options::{Options, Target};
use crate::report::Report;
use crate::select::{Candidates, Selection};
use crate::skeleton::Skeleton;
use crate::verify::{Deviations, deviations};
use crate::write::{Written, cut, mask};

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

/// The files that [`shrink_file`] writes.
///
/// ```
/// use std::path::Path;
///
/// use secateurs_onnx::Outputs;
///
/// let mut outputs = Outputs::new(Path::new("small.onnx"));
/// outputs.certificate = Some(Path::new("small.json"));
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Outputs<'a> {
    /// The smaller model. One whose weights are in files of their own, or that would be larger than 2 GB with them, gets a
    /// file of weights beside it, with `.data` at the end of its name.
    pub smaller: &'a Path,
    /// The model in which the same channels are masked and none is removed, to compare the smaller one with.
    pub masked: Option<&'a Path>,
    /// A certificate in JSON: what was cut from which weights, by the rules of which operators, and what was verified.
    pub certificate: Option<&'a Path>,
    /// Whether files that exist are replaced.
    pub existing: Existing,
}

impl<'a> Outputs<'a> {
    /// The smaller model alone, where nothing is yet.
    pub fn new(smaller: &'a Path) -> Self {
        Outputs {
            smaller,
            masked: None,
            certificate: None,
            existing: Existing::Refuse,
        }
    }
}

/// Removes channels from a model that has all of its weights in it.
///
/// # Errors
///
/// - [`Error::Damaged`], [`Error::Inconsistent`] and [`Error::Unsupported`] for a model that cannot be read, or that
///   cannot be run to verify the result;
/// - [`Error::Options`] and [`Error::Budget`] for options that the model does not fit;
/// - [`Error::NothingToRemove`] if every channel is held;
/// - [`Error::NotExact`] if the smaller model does not compute what the masked one does.
pub fn shrink(model: &[u8], options: &Options) -> Result<Smaller> {
    let skeleton = Skeleton::of_bytes(model)?;
    let read = Model::read(&skeleton, &External::default())?;
    let done = Shrunk::of(&read, options, "weights.data", model.len() as u64)?;
    if done.smaller.data.len() > 0 {
        return Err(Error::Unsupported {
            what: "the smaller model is larger than 2 GB, so that its weights have to be in a file of their own; \
                   use `shrink_file`"
                .into(),
            at: None,
        });
    }
    let mut bytes = Vec::new();
    done.smaller.model.for_each_chunk(&mut |chunk| {
        bytes.extend_from_slice(chunk);
        Ok(())
    })?;
    Ok(Smaller {
        bytes,
        report: done.report,
    })
}

/// What [`shrink`] would remove, without removing it: groups, and what holds channels.
///
/// # Errors
///
/// As [`shrink`], except that a model of which nothing can be removed is no error, and nothing is run.
pub fn plan(model: &[u8], options: &Options) -> Result<Report> {
    let skeleton = Skeleton::of_bytes(model)?;
    let read = Model::read(&skeleton, &External::default())?;
    plan_of(&read, options, model.len() as u64)
}

/// What [`shrink_file`] would remove.
///
/// # Errors
///
/// As [`plan`], and [`Error::Io`] for a file that cannot be read.
pub fn plan_file(input: &Path, options: &Options) -> Result<Report> {
    let file = InputFile::open(input, input)?;
    let inputs = Inputs::of(&file)?;
    let read = Model::read(&inputs.skeleton, &External::files(&inputs.files))?;
    let planned = plan_of(&read, options, inputs.bytes());
    inputs.check().and(planned)
}

/// Removes channels from the model in a file. Outputs appear whole or not at all, and no input is ever replaced.
///
/// # Errors
///
/// As [`shrink`]; [`Error::Io`] for a file that cannot be read, [`Error::Outside`] for weights that the model says are
/// elsewhere than in its folder, and [`Error::Prune`] for an output that cannot be written.
pub fn shrink_file(input: &Path, outputs: &Outputs<'_>, options: &Options) -> Result<Report> {
    let file = InputFile::open(input, input)?;
    let inputs = Inputs::of(&file)?;
    let read = Model::read(&inputs.skeleton, &External::files(&inputs.files))?;
    let beside = |path: &Path| {
        let mut name = path.file_name().unwrap_or_default().to_os_string();
        name.push(".data");
        path.with_file_name(name)
    };
    let location = |path: &Path| file_name(&beside(path));
    let done = Shrunk::of(&read, options, &location(outputs.smaller), inputs.bytes());
    // What could not be read is the reason of whatever else went wrong.
    inputs.check()?;
    let done = done?;
    let mut written = vec![(outputs.smaller, done.smaller)];
    if let Some(path) = outputs.masked {
        written.push((
            path,
            mask(&read, &done.couplings, &done.selection.removed, &location(path))?,
        ));
    }
    let mut new: Vec<(PathBuf, Contents<'_, '_>)> = Vec::new();
    for (path, written) in &written {
        new.push((path.to_path_buf(), Contents::Model(&written.model)));
        if written.data.len() > 0 {
            new.push((beside(path), Contents::Weights(written.data.pieces())));
        }
    }
    if let Some(path) = outputs.certificate {
        let parts = |(name, contents): (&Path, &Contents<'_, '_>)| {
            Part::of(file_name(name), |take| {
                contents.for_each_chunk(&mut |chunk| {
                    take(chunk);
                    Ok(())
                })
            })
        };
        let written: Vec<Part> = new
            .iter()
            .map(|(path, contents)| parts((path, contents)))
            .collect::<Result<_>>()?;
        let text = certificate(
            (&inputs.parts()?, &written),
            &read.graph,
            (&done.couplings, &done.selection.removed),
            (options, &done.report),
            TOLERANCE,
        )?;
        new.push((path.to_path_buf(), Contents::Text(text)));
    }
    let paths: Vec<&Path> = new.iter().map(|(path, _)| &**path).collect();
    save_files(&paths, &inputs.paths(), outputs.existing, |number, file| {
        let mut take = |chunk: &[u8]| Ok(file.append(chunk)?);
        new[number].1.for_each_chunk(&mut take)?;
        inputs.check()
    })?;
    Ok(done.report)
}

/// What a new file holds.
enum Contents<'w, 'a> {
    Model(&'w Skeleton<'a>),
    Weights(&'w [Entries<'a>]),
    Text(Vec<u8>),
}

impl Contents<'_, '_> {
    /// Gives all bytes, in order.
    fn for_each_chunk(&self, take: &mut Take<'_>) -> Result<()> {
        match self {
            Contents::Model(model) => model.for_each_chunk(take),
            Contents::Weights(pieces) => pieces.iter().try_for_each(|piece| piece.for_each_chunk(take)),
            Contents::Text(text) => take(text),
        }
    }
}

/// The name of a file, without its folder.
fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// The names of the weights of the model in a file: all initializers of floats, in the order of the file.
///
/// # Errors
///
/// As [`plan_file`].
pub fn weight_names(input: &Path) -> Result<Vec<String>> {
    let file = InputFile::open(input, input)?;
    let inputs = Inputs::of(&file)?;
    let read = Model::read(&inputs.skeleton, &External::files(&inputs.files))?;
    Ok(read.graph.weight_names().map(str::to_owned).collect())
}

/// The file of a model, and the files of weights that it names.
struct Inputs<'a> {
    model: &'a InputFile,
    skeleton: Skeleton<'a>,
    files: Vec<(String, InputFile)>,
}

impl<'a> Inputs<'a> {
    fn of(model: &'a InputFile) -> Result<Self> {
        let skeleton = Skeleton::of_file(model)?;
        let files = open_files(model.path(), &skeleton.bytes)?;
        Ok(Inputs {
            model,
            skeleton,
            files,
        })
    }

    fn all(&self) -> impl Iterator<Item = &InputFile> {
        [self.model]
            .into_iter()
            .chain(self.files.iter().map(|(_, file)| file))
    }

    fn paths(&self) -> Vec<&Path> {
        self.all().map(InputFile::path).collect()
    }

    /// What they are, for a certificate.
    fn parts(&self) -> Result<Vec<Part>> {
        let part = |file: &InputFile| Part::of(file_name(file.path()), |take| file.for_each_chunk(take));
        self.all().map(part).collect()
    }

    fn bytes(&self) -> u64 {
        self.all().map(InputFile::len).sum()
    }

    /// An error if something could not be read, or has changed since it was.
    fn check(&self) -> Result<()> {
        self.all().try_for_each(InputFile::check)
    }
}

/// A model that was shrunk.
struct Shrunk<'a> {
    couplings: Couplings<'a>,
    selection: Selection,
    smaller: Written<'a>,
    report: Report,
}

impl<'a> Shrunk<'a> {
    fn of(read: &Model<'a>, options: &Options, location: &str, bytes: u64) -> Result<Self> {
        let couplings = couplings_by(&read.graph, options.choice);
        let before = Cost::of(&read.graph, &couplings.shapes, bytes);
        let (selection, smaller) = selected(read, &couplings, options, location, &before)?;
        let external = External::of(location, smaller.data.pieces().iter());
        let again = Model::read(&smaller.model, &external)?;
        let left = crate::couple::couplings(&again.graph);
        let mut report = Report {
            before,
            after: Cost::of(&again.graph, &left.shapes, smaller.len()?),
            groups: selection.groups.clone(),
            deviation: None,
            inexact: inexact(&couplings, &selection),
            folded: selection.folded,
            accepted_deviation: None,
            runtime: None,
        };
        if selection.removed.is_empty() {
            return Err(nothing(&report, options));
        }
        if options.verify {
            // What is masked already is compared as it is.
            let none = HashSet::new();
            let masked = match options.target {
                Target::Masked => &none,
                _ => &selection.removed,
            };
            let Deviations { deviation, accepted } = deviations(
                &read.graph,
                &couplings,
                masked,
                (&selection.removed, &selection.shifts),
                (&again.graph, &left),
            )?;
            // NaN is a deviation, too.
            if deviation.is_nan() || deviation > TOLERANCE {
                return Err(Error::NotExact {
                    deviation,
                    tolerance: TOLERANCE,
                });
            }
            report.deviation = Some(deviation);
            report.accepted_deviation = accepted;
            #[cfg(feature = "runtime")]
            {
                let masked = mask(read, &couplings, masked, location)?;
                let both = (&masked, &smaller);
                // A sum in another order may be rounded to another integer.
                let exact = report.inexact.is_empty() && !crate::quantized::is_quantized(&read.graph);
                report.runtime = Some(crate::runtime::run(
                    &read.graph,
                    both,
                    location,
                    exact,
                    options.times(),
                )?);
            }
        }
        drop(again);
        Ok(Shrunk {
            selection,
            couplings,
            smaller,
            report,
        })
    }
}

/// How many of the units that are removed operators range over which will range over the others, by kind.
fn inexact(couplings: &Couplings<'_>, selection: &Selection) -> BTreeMap<String, usize> {
    let mut removed: BTreeMap<&str, HashSet<u32>> = BTreeMap::new();
    for over in couplings.over_kept.values() {
        let roots = over.labels.iter().map(|unit| couplings.units.root(*unit));
        let roots = roots.filter(|root| selection.removed.contains(root));
        removed.entry(over.kind).or_default().extend(roots);
    }
    let counts = removed.into_iter().filter(|(_, units)| !units.is_empty());
    counts
        .map(|(kind, units)| (kind.to_owned(), units.len()))
        .collect()
}

/// Why nothing was removed.
fn nothing(report: &Report, options: &Options) -> Error {
    let (held, channels) = (report.held(), report.channels());
    let reason = if channels == 0 {
        "the model has no channels that are understood".into()
    } else if held.values().sum::<usize>() == channels {
        let reasons: Vec<&str> = held.into_keys().collect();
        format!("all {channels} channels are held, by {}", reasons.join(", "))
    } else if matches!(options.target, Target::Masked) {
        "no channel is masked, or what is masked sends what no bias can take up".into()
    } else {
        format!("the amount, rounded, leaves all {channels} channels")
    };
    Error::NothingToRemove { reason }
}

/// The units that reach the target, and the model without them.
fn selected<'a>(
    read: &Model<'a>,
    couplings: &Couplings<'a>,
    options: &Options,
    location: &str,
    before: &Cost,
) -> Result<(Selection, Written<'a>)> {
    let candidates = Candidates::of(&read.graph, couplings, options)?;
    let with = |amount: Amount| -> Result<(Selection, Written<'a>)> {
        let selection = candidates.select(couplings, options, amount)?;
        let smaller = cut(read, couplings, &selection.removed, &selection.shifts, location)?;
        Ok((selection, smaller))
    };
    match options.target {
        Target::Amount(amount) => with(amount),
        Target::Masked if options.choice.query_heads => Err(Error::Options {
            reason: "a masked query head still sends the mean of all values, so query heads alone cannot be removed as they \
                     are masked; give an amount or a budget"
                .into(),
        }),
        Target::Masked => {
            let selection = candidates.masked(&read.graph, couplings);
            let smaller = cut(read, couplings, &selection.removed, &selection.shifts, location)?;
            Ok((selection, smaller))
        }
        Target::Budget(resource, budget) => {
            budget::within((resource, budget), read, couplings, before, location, with)
        }
    }
}

fn plan_of(read: &Model<'_>, options: &Options, bytes: u64) -> Result<Report> {
    let couplings = couplings_by(&read.graph, options.choice);
    let before = Cost::of(&read.graph, &couplings.shapes, bytes);
    let (selection, smaller) = selected(read, &couplings, options, "weights.data", &before)?;
    let external = External::of("weights.data", smaller.data.pieces().iter());
    let again = Model::read(&smaller.model, &external)?;
    Ok(Report {
        before,
        after: Cost::of_written(&again, &smaller)?,
        inexact: inexact(&couplings, &selection),
        folded: selection.folded,
        groups: selection.groups,
        deviation: None,
        accepted_deviation: None,
        runtime: None,
    })
}
