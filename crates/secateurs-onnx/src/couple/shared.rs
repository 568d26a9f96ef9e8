//! Which uses of a shared weight are cut in the same way.

use std::collections::HashMap;

use super::weights::Axis;
use super::{Labels, Walk};
use crate::shared::Shared;
use crate::tensor::Constant;

/// Entries of the largest weights that exporters compare, to write those once that are equal, and more.
const SMALL: usize = 1 << 12;

/// What a use says of an index of a weight.
#[derive(Clone, Copy, PartialEq)]
enum Says {
    /// It stays.
    Held,
    /// It can be removed.
    Free,
    /// Nothing that another weight knows of: as a rule it does not read it, as a slice of other indices.
    Nothing,
}

impl<'a> Walk<'a, '_> {
    /// Ties the uses of matrices, such as an embedding that is the output layer, too, so that these stay shared. Not so where
    /// one use is held and another one is not, and not of what layers have in common by chance, such as vectors of ones.
    /// Returns for each use that is tied to another one the name of that one.
    pub(super) fn tie_uses(&mut self) -> HashMap<&'a str, &'a str> {
        let mut tied = HashMap::new();
        let graph = self.graph;
        let shared = graph.shared.iter();
        let shared: Vec<&Shared<'a>> = shared
            .filter(|shared| !is_by_chance(&graph.constants[shared.name]))
            .collect();
        if shared.is_empty() {
            return tied;
        }
        // All before the first is tied.
        let readers = self.readers();
        let said: Vec<Vec<Vec<Says>>> = shared
            .iter()
            .map(|shared| {
                let uses = shared.uses.iter();
                uses.map(|each| self.said(each.alias, &readers)).collect()
            })
            .collect();
        for (shared, said) in shared.into_iter().zip(said) {
            let mut first: Vec<(&'a str, Vec<Says>)> = Vec::new();
            for (each, said) in shared.uses.iter().zip(said) {
                let agrees = |other: &&mut (&str, Vec<Says>)| {
                    let mut both = other.1.iter().zip(&said);
                    both.all(|(a, b)| a == b || *a == Says::Nothing || *b == Says::Nothing)
                };
                let Some((other, known)) = first.iter_mut().find(agrees) else {
                    first.push((each.alias, said));
                    continue;
                };
                for (known, new) in known.iter_mut().zip(said) {
                    if *known == Says::Nothing {
                        *known = new;
                    }
                }
                self.merge(other, each.alias);
                tied.insert(each.alias, *other);
            }
        }
        for (name, _) in &mut self.makers {
            *name = tied.get(name).copied().unwrap_or(name);
        }
        tied
    }

    /// How many axes of weights each unit is in, by its root.
    fn readers(&self) -> HashMap<u32, usize> {
        let mut readers = HashMap::new();
        for axis in self.axes.values().flatten() {
            let Axis::Cut(labels) = axis else { continue };
            let mut roots: Vec<u32> = labels.iter().map(|unit| self.units.root(*unit)).collect();
            roots.sort_unstable();
            roots.dedup();
            for root in roots {
                *readers.entry(root).or_insert(0) += 1;
            }
        }
        readers
    }

    /// What a use says of all indices of all axes, one after the other.
    fn said(&self, name: &str, readers: &HashMap<u32, usize>) -> Vec<Says> {
        let of_unit = |unit: &u32| match self.units.reason(*unit) {
            Some(_) => Says::Held,
            None if readers[&self.units.root(*unit)] > 1 => Says::Free,
            None => Says::Nothing,
        };
        let of_labels = |labels: &Labels| -> Vec<Says> { labels.iter().map(of_unit).collect() };
        let axes = self.known_axes(name);
        let axes = axes.iter().zip(&self.graph.constants[name].dims);
        axes.filter(|(_, dim)| **dim > 1)
            .flat_map(|(axis, dim)| match axis {
                Axis::Cut(labels) => of_labels(labels),
                // Where nothing was noted, something reads all of it.
                Axis::Open | Axis::Fixed(_) => vec![Says::Held; *dim],
            })
            .collect()
    }

    /// What is known of the axes of a weight.
    fn known_axes(&self, name: &str) -> Vec<Axis> {
        let rank = self.graph.constants[name].dims.len();
        let known = self.axes.get(name).cloned();
        known.unwrap_or_else(|| vec![Axis::Open; rank])
    }

    /// Makes the axes of one use those of another one, too.
    fn merge(&mut self, into: &'a str, from: &'a str) {
        let (mut axes, others) = (self.known_axes(into), self.known_axes(from));
        for (own, other) in axes.iter_mut().zip(others) {
            match (&*own, &other) {
                (Axis::Cut(a), Axis::Cut(b)) => self.units.tie(a, b),
                (Axis::Cut(labels), Axis::Fixed(reason)) => self.units.hold(labels, reason),
                (Axis::Fixed(reason), Axis::Cut(labels)) => {
                    self.units.hold(labels, reason);
                    *own = other;
                }
                (Axis::Open, _) => *own = other,
                _ => {}
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
