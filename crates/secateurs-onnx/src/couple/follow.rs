//! [`Follow`]: what has to change in a node when something is removed around it.

use super::Labels;
use crate::shapes::Computed;

/// What has to change in a node.
#[derive(Clone, Debug)]
pub struct Follow {
    /// Number of the node.
    pub node: usize,
    /// What changes.
    pub change: Change,
}

/// A change of a node. Where it counts what is kept of some units, it is needed only if one of them is removed.
#[derive(Clone, Debug)]
pub enum Change {
    /// An integer attribute becomes the number of units that are kept.
    Attribute { name: &'static str, labels: Labels },
    /// Entries of a list attribute become numbers of units that are kept.
    AttributeList {
        name: &'static str,
        base: Vec<i64>,
        entries: Vec<(usize, Labels)>,
    },
    /// Entries of an input of integers become numbers of units that are kept.
    Input {
        place: usize,
        base: Vec<i64>,
        entries: Vec<(usize, Labels)>,
        /// Units that the input is computed from: if one is removed, it is written out, too.
        from: Vec<Labels>,
        /// An attribute that says the same otherwise, and goes.
        drop: Option<&'static str>,
    },
    /// An input of indices that are picked of an axis: those that are kept, by where they are then.
    Table {
        place: usize,
        table: Vec<usize>,
        /// The units of the axis.
        source: Labels,
        /// Of each dimension of the indices, its length and the units along it.
        parts: Vec<(usize, Option<Labels>)>,
    },
    /// An input of zeros is left out, because what is missing is zero.
    Missing { place: usize, labels: Labels },
    /// The output was a mean of all units, of which those that are removed were zero.
    Mean { labels: Labels, dtype: i64 },
    /// A norm over all units, whose scale (the input of this place) and epsilon take up that fewer are summed.
    Rms {
        labels: Labels,
        scale: usize,
        epsilon: f32,
    },
    /// A float attribute that follows from the number of units by default is written out.
    Float {
        name: &'static str,
        value: f32,
        labels: Labels,
    },
    /// An input that is computed from shapes stays what it was.
    Frozen { place: usize, value: Computed },
}

impl Change {
    /// The units that it depends on.
    pub fn labels(&self) -> Box<dyn Iterator<Item = &Labels> + '_> {
        match self {
            Change::Attribute { labels, .. }
            | Change::Missing { labels, .. }
            | Change::Mean { labels, .. }
            | Change::Rms { labels, .. }
            | Change::Float { labels, .. } => Box::new([labels].into_iter()),
            Change::AttributeList { entries, .. } => Box::new(entries.iter().map(|(_, labels)| labels)),
            Change::Input { entries, from, .. } => {
                Box::new(entries.iter().map(|(_, labels)| labels).chain(from))
            }
            Change::Table { source, parts, .. } => {
                let parts = parts.iter().filter_map(|(_, labels)| labels.as_ref());
                Box::new([source].into_iter().chain(parts))
            }
            Change::Frozen { value, .. } => Box::new(value.labels()),
        }
    }
}

/// The epsilon of a norm over fewer squares: it grows with the mean.
pub fn epsilon_of_fewer(epsilon: f32, all: usize, kept: usize) -> f32 {
    (f64::from(epsilon) * all as f64 / kept as f64) as f32
}

/// What the scale of a norm over fewer squares is multiplied by: the root of how much the mean grows.
pub fn factor_of_fewer(all: usize, kept: usize) -> f64 {
    (all as f64 / kept as f64).sqrt()
}
