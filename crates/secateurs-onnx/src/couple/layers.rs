//! Convolutions.

use super::{Change, FIXED, Labels, Tracked, Walk};
use crate::graph::Node;
use crate::shapes::Shape;

impl<'a> Walk<'a, '_> {
    pub(super) fn conv(
        &mut self,
        number: usize,
        node: &Node<'a>,
        first: Tracked,
        shape: Shape,
    ) -> Option<Tracked> {
        let weight = node.input(1)?;
        let dims = self.graph.constants.get(weight)?.dims.clone();
        let (&outputs, &of_group) = (dims.first()?, dims.get(1)?);
        let groups = groups(node)?;
        self.hold_all_but_channels(&first, node.op);
        self.fix_from(weight, 2);
        let out = self.units.fresh(outputs, node.op);
        if groups == 1 {
            match self.consume(&first, 1) {
                Some(input) => self.cut_along(weight, 1, &input, node.op),
                None => self.fix(weight, 1, FIXED),
            }
        } else if of_group == 1 && groups == outputs {
            self.depthwise(number, node, first.units(1), &out);
        } else {
            self.grouped(node, &first, &out, groups, 1);
        }
        self.cut_along(weight, 0, &out, node.op);
        self.makers.push((weight, 0));
        if let Some(bias) = node.input(2) {
            self.cut_along(bias, 0, &out, node.op);
        }
        let mut labels = vec![None; shape.len()];
        *labels.get_mut(1)? = Some(out);
        Some(Tracked::zero(shape, labels))
    }

    /// As a convolution, with inputs and outputs of the weight exchanged.
    pub(super) fn conv_transpose(
        &mut self,
        number: usize,
        node: &Node<'a>,
        first: Tracked,
        shape: Shape,
    ) -> Option<Tracked> {
        let weight = node.input(1)?;
        let dims = self.graph.constants.get(weight)?.dims.clone();
        let (&inputs, &of_group) = (dims.first()?, dims.get(1)?);
        let groups = groups(node)?;
        let outputs = of_group.checked_mul(groups)?;
        self.hold_all_but_channels(&first, node.op);
        self.fix_from(weight, 2);
        let out = self.units.fresh(outputs, node.op);
        if groups == 1 {
            match self.consume(&first, 1) {
                Some(input) => self.cut_along(weight, 0, &input, node.op),
                None => self.fix(weight, 0, FIXED),
            }
            self.cut_along(weight, 1, &out, node.op);
            self.makers.push((weight, 1));
        } else if of_group == 1 && groups == inputs {
            self.depthwise(number, node, first.units(1), &out);
            self.cut_along(weight, 0, &out, node.op);
            self.makers.push((weight, 0));
        } else {
            // What the same places of all groups share is written once.
            let place = self.tied_groups(&out, groups);
            self.cut_along(weight, 1, &place, node.op);
            self.hold_dim(&first, 1, node.op);
            self.fix(weight, 0, node.op);
        }
        if let Some(bias) = node.input(2) {
            self.cut_along(bias, 0, &out, node.op);
        }
        let mut labels = vec![None; shape.len()];
        *labels.get_mut(1)? = Some(out);
        Some(Tracked::zero(shape, labels))
    }

    /// Each output depends on its own input alone.
    fn depthwise(&mut self, number: usize, node: &Node<'a>, input: Option<&Labels>, out: &Labels) {
        match input {
            Some(input) if input.len() == out.len() => {
                self.units.tie(input, out);
                let labels = out.clone();
                self.follow(
                    number,
                    Change::Attribute {
                        name: "group",
                        labels,
                    },
                );
            }
            _ => {
                let reason = format!("{} with such groups", node.op);
                input.iter().for_each(|input| self.units.hold(input, &reason));
                self.units.hold(out, &reason);
            }
        }
    }

    /// The same places of all groups are tied.
    fn grouped(&mut self, node: &Node<'a>, first: &Tracked, out: &Labels, groups: usize, of_input: usize) {
        let reason = format!("{} with such groups", node.op);
        let Some(weight) = node.input(1) else { return };
        if !out.len().is_multiple_of(groups) {
            self.units.hold(out, &reason);
            self.hold_dim(first, 1, &reason);
            self.fix(weight, of_input, &reason);
            return;
        }
        self.tied_groups(out, groups);
        match self.consume(first, 1) {
            Some(input) if input.len().is_multiple_of(groups) => {
                let place = self.tied_groups(&input, groups);
                self.cut_along(weight, of_input, &place, &reason);
            }
            Some(input) => {
                self.units.hold(&input, &reason);
                self.fix(weight, of_input, &reason);
            }
            None => self.fix(weight, of_input, FIXED),
        }
    }

    /// Ties the same places of all groups of an axis, and returns the units of one group.
    pub(super) fn tied_groups(&mut self, labels: &Labels, groups: usize) -> Labels {
        let size = (labels.len() / groups).max(1);
        let first: Labels = labels[..size].into();
        labels
            .chunks_exact(size)
            .for_each(|group| self.units.tie(&first, group));
        first
    }
}

fn groups(node: &Node<'_>) -> Option<usize> {
    let groups = usize::try_from(node.int("group").unwrap_or(1)).ok();
    groups.filter(|groups| *groups > 0)
}
