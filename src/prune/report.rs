//! [`Report`]: what a pruning call did.

use std::fmt;

use crate::mask::Mask;

/// What a pruning call did.
///
/// Units are entries, or channels or blocks for methods that prune those.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Units that were requested. `None` for methods without an amount, such as custom masks and N:M.
    pub requested: Option<usize>,
    /// Units that this call pruned.
    pub pruned: usize,
    /// Entries that are masked after the call, including those masked before it.
    pub masked: usize,
    /// Entries in all.
    pub entries: usize,
    /// The same for each parameter.
    pub parameters: Vec<ParameterReport>,
}

/// What a pruning call did to one parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParameterReport {
    /// Path of the parameter.
    pub path: String,
    /// Entries that are masked now.
    pub masked: usize,
    /// Entries in all.
    pub entries: usize,
}

impl Report {
    pub(crate) fn new<'a>(
        requested: Option<usize>,
        pruned: usize,
        masks: impl IntoIterator<Item = (&'a str, &'a Mask)>,
    ) -> Self {
        let parameters = masks.into_iter().map(|(path, mask)| ParameterReport {
            path: path.to_owned(),
            masked: mask.count_pruned(),
            entries: mask.len(),
        });
        let parameters: Vec<_> = parameters.collect();
        let masked = parameters.iter().map(|parameter| parameter.masked).sum();
        let entries = parameters.iter().map(|parameter| parameter.entries).sum();
        Report {
            requested,
            pruned,
            masked,
            entries,
            parameters,
        }
    }

    /// The share of entries that are masked now, in [0, 1].
    pub fn sparsity(&self) -> f64 {
        share(self.masked, self.entries)
    }
}

impl ParameterReport {
    /// The share of entries that are masked now, in [0, 1].
    pub fn sparsity(&self) -> f64 {
        share(self.masked, self.entries)
    }
}

fn share(masked: usize, entries: usize) -> f64 {
    if entries == 0 {
        0.0
    } else {
        masked as f64 / entries as f64
    }
}

impl fmt::Display for Report {
    /// A line for each parameter, and if there are several, one for the total.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self
            .parameters
            .iter()
            .map(|p| p.path.len())
            .max()
            .unwrap_or_default()
            .max("total".len());
        let line = |f: &mut fmt::Formatter<'_>, name: &str, masked: usize, entries: usize| {
            write!(
                f,
                "{name:width$}  {masked:>10} of {entries:>10} pruned  {:6.2} %",
                100.0 * share(masked, entries)
            )
        };
        for (number, parameter) in self.parameters.iter().enumerate() {
            if number > 0 {
                writeln!(f)?;
            }
            line(f, &parameter.path, parameter.masked, parameter.entries)?;
        }
        if self.parameters.len() > 1 {
            writeln!(f)?;
            line(f, "total", self.masked, self.entries)?;
        }
        Ok(())
    }
}
