//! The axes of weights, and which units they have.

use std::collections::HashMap;

use super::{FIXED, Labels, Tracked, Walk};

/// An axis of a weight.
#[derive(Clone, Debug)]
pub enum Axis {
    /// Nothing was said of it yet.
    Open,
    /// It has these units.
    Cut(Labels),
    /// It cannot be cut, for this reason.
    Fixed(String),
}

impl<'a> Walk<'a, '_> {
    /// What is known of the value of this name.
    pub(super) fn value(&self, name: &str) -> Tracked {
        self.values.get(name).cloned().unwrap_or_default()
    }

    /// Whether this is a weight that can be cut. One without entries is not: its other dimensions may have any length.
    pub(super) fn is_weight(&self, name: &str) -> bool {
        let constant = self.graph.constants.get(name);
        let constant = constant.filter(|constant| constant.is_float() && constant.len() > 0);
        self.graph.initializers.contains(name) && constant.is_some()
    }

    fn axes(&mut self, name: &'a str) -> &mut Vec<Axis> {
        let rank = self.graph.constants[name].dims.len();
        self.axes.entry(name).or_insert_with(|| vec![Axis::Open; rank])
    }

    /// The units of an axis of a weight, new ones if it has none, whose entries the weight makes. `None` for an axis that
    /// cannot be cut.
    pub(super) fn own_units(&mut self, name: &'a str, dim: usize, kind: &str) -> Option<Labels> {
        let made = self.units.len();
        let labels = self.units_of_scales(name, dim, kind);
        if self.units.len() > made {
            self.makers.push((name, dim));
        }
        labels
    }

    /// The same of a weight that only scales what others make: that its entries are zero is not needed for units to be.
    pub(super) fn units_of_scales(&mut self, name: &'a str, dim: usize, kind: &str) -> Option<Labels> {
        if !self.is_weight(name) {
            return None;
        }
        let length = *self.graph.constants[name].dims.get(dim)?;
        match &self.axes(name)[dim] {
            Axis::Cut(labels) => Some(labels.clone()),
            Axis::Fixed(_) => None,
            Axis::Open if length < 2 => None,
            Axis::Open => {
                let labels = self.units.fresh(length, kind);
                self.axes(name)[dim] = Axis::Cut(labels.clone());
                Some(labels)
            }
        }
    }

    /// A weight as a value, all of whose axes can be cut.
    pub(super) fn weight(&mut self, name: &'a str, kind: &str) -> Tracked {
        let mut value = self.value(name);
        for dim in 0..value.labels.len() {
            value.labels[dim] = self.own_units(name, dim, kind);
        }
        value
    }

    /// An axis that cannot be cut. What it has already is held.
    pub(super) fn fix(&mut self, name: &'a str, dim: usize, reason: &str) {
        if !self.graph.constants.contains_key(name) {
            let value = self.value(name);
            self.hold_dim(&value, dim, reason);
            return;
        }
        if dim >= self.graph.constants[name].dims.len() {
            return;
        }
        match self.axes(name)[dim].clone() {
            Axis::Cut(labels) => self.units.hold(&labels, reason),
            Axis::Fixed(_) => {}
            Axis::Open => self.axes(name)[dim] = Axis::Fixed(reason.to_owned()),
        }
    }

    /// The axes of a weight from this one on cannot be cut, as those of a kernel.
    pub(super) fn fix_from(&mut self, name: &'a str, first: usize) {
        let rank = self
            .graph
            .constants
            .get(name)
            .map_or(0, |constant| constant.dims.len());
        (first..rank).for_each(|dim| self.fix(name, dim, FIXED));
    }

    /// An axis of a weight is cut along with these units, or one of a value that was made of weights. What cannot be cut
    /// holds them.
    pub(super) fn cut_along(&mut self, name: &'a str, dim: usize, with: &Labels, reason: &str) {
        if !self.graph.constants.contains_key(name) {
            let value = self.value(name);
            match value.units(dim) {
                Some(labels) if labels.len() == with.len() && value.not_zero.is_none() => {
                    self.units.tie(labels, with);
                }
                _ => {
                    self.units.hold(with, reason);
                    self.hold_dim(&value, dim, reason);
                }
            }
            return;
        }
        let dims = self.graph.constants.get(name).map(|constant| &constant.dims);
        let fits = self.is_weight(name) && dims.is_some_and(|dims| dims.get(dim) == Some(&with.len()));
        if !fits {
            self.units.hold(with, reason);
            return;
        }
        match self.axes(name)[dim].clone() {
            Axis::Cut(labels) => self.units.tie(&labels, with),
            Axis::Fixed(own) => {
                let reason = if own.is_empty() { reason } else { &own };
                self.units.hold(with, reason);
            }
            Axis::Open => self.axes(name)[dim] = Axis::Cut(with.clone()),
        }
    }

    /// The units along the dimensions of all weights that can be cut.
    pub(super) fn parameters(&mut self) -> HashMap<&'a str, Vec<Option<Labels>>> {
        let units = |axes: Vec<Axis>| -> Vec<Option<Labels>> {
            let units = axes.into_iter().map(|axis| match axis {
                Axis::Cut(labels) => Some(labels),
                _ => None,
            });
            units.collect()
        };
        let all = std::mem::take(&mut self.axes).into_iter();
        let all = all.map(|(name, axes)| (name, units(axes)));
        all.filter(|(_, axes)| axes.iter().any(Option::is_some)).collect()
    }
}
