//! [`Report`]: what was removed, and what it saves.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::cost::Cost;
use crate::select::GroupReport;

/// What was removed, and what it saves.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Report {
    /// What the model took.
    pub before: Cost,
    /// What the smaller model takes; the same for a plan.
    pub after: Cost,
    /// Groups of channels that can only be removed together with what is coupled to them, in the order of the model.
    pub groups: Vec<GroupReport>,
    /// The largest difference between the outputs of the masked and the smaller model in f64, relative to the largest
    /// output. `None` if they were not run.
    ///
    /// Operators over whose channels the user accepted a cut, by [`Options::inexact`], range over the channels that remain
    /// in both.
    ///
    /// [`Options::inexact`]: crate::Options::inexact
    pub deviation: Option<f64>,
    /// Of the channels that were removed, those whose constants biases take up.
    pub folded: usize,
    /// Of the channels that were removed, those that operators range over which now range over the others, by
    /// [`Options::inexact`](crate::Options::inexact): their number, by kind of operator.
    pub inexact: BTreeMap<String, usize>,
    /// The largest difference between the outputs of the plain masked model and the smaller one, relative to the largest
    /// output, which the user accepted by [`Options::inexact`](crate::Options::inexact). `None` if the cut is exact, or if
    /// the models were not run.
    pub accepted_deviation: Option<f64>,
    /// What a runtime found in f32. `None` without verification, or without the feature `runtime`.
    pub runtime: Option<Runtime>,
}

/// What a runtime found that ran the masked and the smaller model in f32.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Runtime {
    /// It ran both.
    Ran {
        /// The largest difference between their outputs, relative to the largest output. `None` after an inexact cut, which
        /// a runtime cannot tell from a wrong one, and for quantized models, in which sums of another order may be rounded to
        /// other integers.
        deviation: Option<f64>,
        /// How long they take, if that was wanted.
        latency: Option<Latency>,
    },
    /// It cannot run them.
    Unable {
        /// Why.
        reason: String,
    },
}

/// How long a model takes for one sample on one thread: medians of runs that were measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Latency {
    /// The masked model, which is as large as the model was.
    pub before: Duration,
    /// The smaller model.
    pub after: Duration,
    /// Runs of each.
    pub runs: usize,
}

impl Report {
    /// Channels of all groups.
    pub fn channels(&self) -> usize {
        self.groups.iter().map(|group| group.channels).sum()
    }

    /// Channels that were removed.
    pub fn removed(&self) -> usize {
        self.groups.iter().map(|group| group.removed).sum()
    }

    /// Channels that have to stay, by reason.
    pub fn held(&self) -> BTreeMap<&str, usize> {
        let mut held = BTreeMap::new();
        for (reason, count) in self.groups.iter().flat_map(|group| &group.held) {
            *held.entry(reason.as_str()).or_insert(0) += count;
        }
        held
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |f: &mut fmt::Formatter<'_>, name: &str, after: u64, before: u64| {
            let percent = 100.0 * after as f64 / before.max(1) as f64;
            writeln!(f, "{name:18}{after:>14} of {before:>14}  {percent:5.1} %")
        };
        let (channels, removed) = (self.channels() as u64, self.removed() as u64);
        line(f, "channels", channels - removed, channels)?;
        line(f, "parameters", self.after.parameters, self.before.parameters)?;
        line(f, "bytes", self.after.bytes, self.before.bytes)?;
        match (self.after.macs, self.before.macs) {
            (Some(after), Some(before)) => line(f, "multiply-adds", after, before)?,
            _ => writeln!(
                f,
                "multiply-adds     unknown, as the shape of a layer's output is not known, or too large"
            )?,
        }
        match (self.after.activations, self.before.activations) {
            (Some(after), Some(before)) => line(f, "activation bytes", after, before)?,
            _ => writeln!(
                f,
                "activation bytes  unknown, as the shape of a value is not known, or too large"
            )?,
        }
        for (reason, count) in self.held() {
            writeln!(f, "held              {count:>14} channels by {reason}")?;
        }
        if self.folded > 0 {
            writeln!(
                f,
                "folded            {:>14} channels removed whose constants became bias of what reads them",
                self.folded
            )?;
        }
        for (kind, count) in &self.inexact {
            writeln!(
                f,
                "inexact           {count:>14} channels removed that {kind} range over"
            )?;
        }
        let Some(deviation) = self.deviation else {
            return Ok(());
        };
        write!(
            f,
            "verified          outputs differ from the masked model's by {deviation:.1e} at most, relative"
        )?;
        if let Some(accepted) = self.accepted_deviation {
            let kinds: Vec<&str> = self.inexact.keys().map(String::as_str).collect();
            let kinds = kinds.join(", ");
            write!(
                f,
                ",\n{:18}where {kinds} range over the channels that remain\n\
                 accepted          outputs differ from the plain masked model's by {accepted:.1e} at most, relative",
                ""
            )?;
        }
        match &self.runtime {
            Some(Runtime::Ran {
                deviation: None,
                latency: None,
            })
            | None => Ok(()),
            Some(runtime) => write!(f, "\n{runtime}"),
        }
    }
}

impl fmt::Display for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (deviation, latency) = match self {
            Runtime::Unable { reason } => {
                return write!(f, "not run in f32    the runtime cannot run the model: {reason}");
            }
            Runtime::Ran { deviation, latency } => (deviation, latency),
        };
        if let Some(deviation) = deviation {
            write!(
                f,
                "verified in f32   by a runtime: they differ by {deviation:.1e}"
            )?;
        }
        if let Some(Latency { before, after, runs }) = latency {
            let ms = |time: &Duration| 1e3 * time.as_secs_f64();
            let (before, after) = (ms(before), ms(after));
            let percent = 100.0 * after / before;
            write!(
                f,
                "{}latency (ms)      {after:>14.3} of {before:>14.3}  {percent:5.1} %  \
                 median of {runs} runs, one sample, one thread",
                if deviation.is_some() { "\n" } else { "" }
            )?;
        }
        Ok(())
    }
}
