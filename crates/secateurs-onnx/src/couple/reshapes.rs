//! Operators that only move entries: indices are followed.

use super::whole::Whole;
use super::{Labels, Tracked, Walk};
use crate::graph::Node;
use crate::shapes::{Shape, axes, axis, permutation, product};

/// Most entries of an axis that several are merged into.
pub const MOST_MERGED: usize = 1 << 26;

impl<'a> Walk<'a, '_> {
    /// The output of an operator that moves entries.
    pub(super) fn reshaped(&mut self, number: usize, node: &Node<'a>, shape: Shape) -> Option<Tracked> {
        let name = node.input(0)?;
        let first = self.read(name, node.op);
        let from = first.shape.clone()?;
        let labels = match node.op {
            "Transpose" => {
                let order = permutation(node, from.len())?;
                order.into_iter().map(|dim| first.labels[dim].clone()).collect()
            }
            "Squeeze" | "Unsqueeze" => self.squeezed(node, &first, &shape)?,
            "Flatten" => {
                let at = axis(node.int("axis").unwrap_or(1), from.len() + 1)?;
                let mut labels = Vec::new();
                for part in [0..at, at..from.len()] {
                    labels.push(self.merged(&from[part.clone()], &first.labels[part], node.op));
                }
                labels
            }
            _ => {
                let whole = self.into_whole.get(&number).copied();
                self.regrouped(&from, &first.labels, &shape, (node.op, whole))
            }
        };
        if node.op == "Reshape" {
            self.follow_reshape(number, node, &shape, &labels)?;
        }
        Some(Tracked::zero(shape, labels).zero_like(&first))
    }

    /// The target of a `Reshape`, unless it follows by itself, as lengths that are open or copied do.
    fn follow_reshape(
        &mut self,
        number: usize,
        node: &Node<'a>,
        shape: &Shape,
        labels: &[Option<Labels>],
    ) -> Option<()> {
        let target = self.known.partial(node.input(1)?)?;
        let written = |dim: usize| matches!(target.get(dim), Some(None | Some(1..)));
        if !(0..labels.len()).any(|dim| labels[dim].is_some() && written(dim)) {
            return Some(());
        }
        // One length can stay open, such as that of the batch. All others are known.
        let mut open = 0;
        let base = shape
            .iter()
            .zip(&target)
            .map(|(length, target)| match (length, target) {
                (Some(length), _) => Some(*length as i64),
                (None, Some(0)) if node.int("allowzero") != Some(1) => Some(0),
                (None, _) => {
                    open += 1;
                    (open == 1).then_some(-1)
                }
            });
        let base: Vec<Option<i64>> = base.collect();
        let entries = labels.iter().enumerate();
        let entries = entries.filter_map(|(dim, labels)| Some((dim, labels.clone()?)));
        self.follow_target(
            number,
            node,
            1,
            &base,
            entries.collect(),
            "Reshape, whose target is computed",
        );
        Some(())
    }

    fn squeezed(&self, node: &Node<'a>, first: &Tracked, shape: &Shape) -> Option<Vec<Option<Labels>>> {
        let rank = first.labels.len().max(shape.len());
        let list: Option<Vec<usize>> = match axes(&self.known, node) {
            Some(list) => list.into_iter().map(|each| axis(each, rank)).collect(),
            // All dimensions of length 1.
            None => Some((0..rank).filter(|dim| first.len(*dim) == Some(1)).collect()),
        };
        let list = list?;
        let mut rest = first.labels.iter().cloned();
        Some(match node.op {
            "Unsqueeze" => {
                let dims = (0..shape.len()).map(|dim| match list.contains(&dim) {
                    true => None,
                    false => rest.next().flatten(),
                });
                dims.collect()
            }
            _ => {
                let stay = first.labels.iter().enumerate();
                let stay = stay.filter(|(dim, _)| !list.contains(dim));
                stay.map(|(_, labels)| labels.clone()).collect()
            }
        })
    }

    /// The units of several dimensions that become one. Where two of them can be cut, the larger one can afterwards, too.
    pub(super) fn merged(
        &mut self,
        lengths: &[Option<usize>],
        labels: &[Option<Labels>],
        op: &str,
    ) -> Option<Labels> {
        let with = (0..labels.len()).filter(|dim| labels[*dim].is_some());
        let dim = with.max_by_key(|dim| labels[*dim].as_ref().map(|labels| labels.len()))?;
        for (other, labels) in labels.iter().enumerate() {
            if let Some(labels) = labels.as_ref().filter(|_| other != dim) {
                self.units
                    .hold(labels, &format!("{op}, where two cuts would meet"));
            }
        }
        let own = labels[dim].clone()?;
        // More than the channels of a real model, as of a damaged one.
        if product(lengths).is_none_or(|length| length > MOST_MERGED) {
            self.units.hold(&own, op);
            return None;
        }
        match (product(&lengths[..dim]), product(&lengths[dim + 1..])) {
            (Some(outer), Some(inner)) => {
                let row = own.iter().flat_map(|unit| std::iter::repeat_n(*unit, inner));
                let row: Vec<u32> = row.collect();
                Some(row.repeat(outer).into())
            }
            _ => {
                self.units.hold(&own, op);
                None
            }
        }
    }

    /// The units of one dimension that becomes several: the dimension that they depend on alone gets them. Where they
    /// depend on several, they are tied along all but the longest one: heads lose the same places each, and the channels
    /// that a shuffle exchanges go together. Where whole parts are to go, such as heads, they are tied along all but that one.
    pub(super) fn divided(
        &mut self,
        labels: &Labels,
        lengths: &[usize],
        whole: Option<Whole>,
    ) -> Vec<Option<Labels>> {
        let mut all = vec![None; lengths.len()];
        if labels.is_empty() || lengths.contains(&0) {
            return all;
        }
        let inner = |dim: usize| lengths[dim + 1..].iter().product::<usize>();
        let at = |dim: usize, index: usize| index / inner(dim) % lengths[dim];
        let own = |dim: usize| -> Labels {
            let own = (0..lengths[dim]).map(|index| labels[index * inner(dim)]);
            own.collect()
        };
        let depends = |dim: usize| {
            let own = own(dim);
            labels
                .iter()
                .enumerate()
                .all(|(index, unit)| own[at(dim, index)] == *unit)
        };
        let alone = (0..lengths.len()).find(|dim| lengths[*dim] > 1 && depends(*dim));
        let longest = (0..lengths.len()).max_by_key(|dim| lengths[*dim]);
        let by_whole = whole.and_then(|whole| whole.dimension(lengths));
        let Some(dim) = alone.or(by_whole).or(longest) else {
            return all;
        };
        let own = own(dim);
        if alone.is_none() && whole.is_none() {
            self.heads.push(own.clone());
        }
        let tied: Vec<u32> = (0..labels.len()).map(|index| own[at(dim, index)]).collect();
        self.units.tie(&tied, labels);
        all[dim] = Some(own);
        all
    }

    /// Units through a `Reshape`: dimensions are merged or divided where their lengths say so.
    fn regrouped(
        &mut self,
        from: &Shape,
        labels: &[Option<Labels>],
        to: &Shape,
        (op, whole): (&str, Option<Whole>),
    ) -> Vec<Option<Labels>> {
        let mut out = vec![None; to.len()];
        let (mut i, mut j) = (0, 0);
        // A batch of any size stays what it is, or something is merged into it or divided from it.
        if from.first() == Some(&None)
            && to.first() == Some(&None)
            && product(&from[1..]) != product(&to[1..])
        {
            let same = from.iter().rev().zip(to.iter().rev());
            let same = same.take_while(|(a, b)| a == b && a.is_some()).count();
            let (rest, start) = (from.len() - same, to.len() - same);
            for labels in labels[..rest].iter().flatten() {
                self.units.hold(labels, op);
            }
            out[start..].clone_from_slice(&labels[rest..]);
            return out;
        }
        if from.first() == Some(&None) && to.first() == Some(&None) {
            out[0] = labels[0].clone();
            (i, j) = (1, 1);
        }
        while i < from.len() && j < to.len() {
            let (start, first) = (i, j);
            let (mut a, mut b) = (from[i], to[j]);
            (i, j) = (i + 1, j + 1);
            while a != b {
                match (a, b) {
                    (Some(x), Some(y)) if x < y && i < from.len() => {
                        a = from[i].and_then(|length| x.checked_mul(length));
                        i += 1;
                    }
                    (Some(x), Some(y)) if x > y && j < to.len() => {
                        b = to[j].and_then(|length| y.checked_mul(length));
                        j += 1;
                    }
                    _ => {
                        // Lengths that do not meet: hold whatever is left.
                        for labels in labels[start..].iter().flatten() {
                            self.units.hold(labels, op);
                        }
                        return out;
                    }
                }
            }
            let (sources, targets) = (&labels[start..i], &to[first..j]);
            if a.is_none() || sources.iter().all(Option::is_none) {
                sources
                    .iter()
                    .flatten()
                    .for_each(|labels| self.units.hold(labels, op));
                continue;
            }
            // All that meet here as one dimension, which is divided then.
            let one = match sources {
                [one] => one.clone(),
                _ => self.merged(&from[start..i], sources, op),
            };
            match (one, targets) {
                (Some(one), [_]) => out[first] = Some(one),
                (Some(one), _) => {
                    let lengths: Vec<usize> = targets.iter().flatten().copied().collect();
                    for (place, labels) in self.divided(&one, &lengths, whole).into_iter().enumerate() {
                        out[first + place] = labels;
                    }
                }
                (None, _) => {}
            }
        }
        for labels in labels[i..].iter().flatten() {
            self.units.hold(labels, op);
        }
        out
    }
}
