//! [`Report`]: what was removed, and what it saves.

use std::collections::BTreeMap;
use std::fmt;

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
    /// Of the channels that were removed, those that operators range over which now range over the others, by
    /// [`Options::inexact`](crate::Options::inexact): their number, by kind of operator.
    pub inexact: BTreeMap<String, usize>,
    /// The largest difference between the outputs of the plain masked model and the smaller one, relative to the largest
    /// output, which the user accepted by [`Options::inexact`](crate::Options::inexact). `None` if the cut is exact, or if
    /// the models were not run.
    pub accepted_deviation: Option<f64>,
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
        let Some(accepted) = self.accepted_deviation else {
            return Ok(());
        };
        let kinds: Vec<&str> = self.inexact.keys().map(String::as_str).collect();
        let kinds = kinds.join(", ");
        write!(
            f,
            ",\n{:18}where {kinds} range over the channels that remain\n\
             accepted          outputs differ from the plain masked model's by {accepted:.1e} at most, relative",
            ""
        )
    }
}
