//! Which uses of a shared weight are cut in the same way.

use std::collections::HashMap;

use super::weights::Axis;
use super::{Units, Walk};
use crate::shared::Shared;
use crate::tensor::Constant;

/// Entries of the largest weights that exporters compare, to write those once that are equal, and more.
const SMALL: usize = 1 << 12;

impl<'a> Walk<'a, '_> {
    /// Ties the uses of matrices, such as an embedding that is the output layer, too, so that these stay shared. Not so where
    /// one use is held and another one is not, and not of what layers have in common by chance, such as vectors of ones.
    /// Returns for each use that is tied to another one the name of that one.
    pub(super) fn tie_uses(&mut self) -> HashMap<&'a str, &'a str> {
        let mut tied = HashMap::new();
        let graph = self.graph;
        for Shared { name, uses, .. } in &graph.shared {
            let constant = &graph.constants[name];
            if is_by_chance(constant) {
                continue;
            }
            let dims = &constant.dims;
            let mut first: Vec<&'a str> = Vec::new();
            for each in uses {
                let same = first.iter().copied().find(|other| {
                    let (a, b) = (self.known_axes(other), self.known_axes(each.alias));
                    let mut both = a.iter().zip(&b).zip(dims);
                    both.all(|((a, b), dim)| {
                        *dim < 2 || held(&self.units, a, *dim) == held(&self.units, b, *dim)
                    })
                });
                let Some(other) = same else {
                    first.push(each.alias);
                    continue;
                };
                self.merge(other, each.alias);
                tied.insert(each.alias, other);
            }
        }
        for (name, _) in &mut self.makers {
            *name = tied.get(name).copied().unwrap_or(name);
        }
        tied
    }

    /// What is known of the axes of a weight.
    fn known_axes(&self, name: &str) -> Vec<Axis> {
        let rank = self.graph.constants[name].dims.len();
        self.axes
            .get(name)
            .cloned()
            .unwrap_or_else(|| vec![Axis::Open; rank])
    }

    /// Makes the axes of one use those of another one, which is held where that one is.
    fn merge(&mut self, into: &'a str, from: &'a str) {
        let (mut axes, others) = (self.known_axes(into), self.known_axes(from));
        for (own, other) in axes.iter_mut().zip(others) {
            match (&own, &other) {
                (Axis::Cut(a), Axis::Cut(b)) => self.units.tie(a, b),
                (Axis::Cut(_), _) | (_, Axis::Open) => {}
                _ => *own = other,
            }
        }
        self.axes.remove(from);
        self.axes.insert(into, axes);
    }
}

/// Whether weights that have nothing to do with each other may be equal to this one. Vectors go with the matrices of their
/// layers.
fn is_by_chance(constant: &Constant<'_>) -> bool {
    let is_vector = constant.dims.iter().filter(|dim| **dim > 1).count() < 2;
    let is_filled = || {
        let values = constant.floats().unwrap_or_default();
        values.iter().all(|value| *value == values[0])
    };
    is_vector || (constant.len() <= SMALL && is_filled())
}

/// Of each index of an axis of this length, whether it stays.
fn held(units: &Units, axis: &Axis, length: usize) -> Vec<bool> {
    match axis {
        Axis::Cut(labels) => labels.iter().map(|unit| units.reason(*unit).is_some()).collect(),
        // Where nothing was said, something reads all of it.
        Axis::Open | Axis::Fixed(_) => vec![true; length],
    }
}
