//! Operators that only move entries: indices are followed.

use super::{Follow, Labels, Tracked, Walk};
use crate::graph::Node;
use crate::shapes::{Shape, axes, axis, permutation, product};

impl<'a> Walk<'a, '_> {
    /// The output of an operator that moves entries.
    pub(super) fn reshaped(
        &mut self,
        number: usize,
        node: &Node<'a>,
        first: Tracked,
        shape: Shape,
    ) -> Option<Tracked> {
        let from = first.shape.clone()?;
        let labels = match node.op {
            "Transpose" => {
                let order = permutation(node, from.len())?;
                order.into_iter().map(|dim| first.labels[dim].clone()).collect()
            }
            "Squeeze" | "Unsqueeze" => {
                let rank = from.len().max(shape.len());
                let list = axes(&self.known, node)?.into_iter().map(|each| axis(each, rank));
                let list = list.collect::<Option<Vec<_>>>()?;
                let mut rest = first.labels.iter().cloned();
                match node.op {
                    "Unsqueeze" => {
                        let dims = (0..shape.len()).map(|dim| {
                            if list.contains(&dim) {
                                None
                            } else {
                                rest.next().flatten()
                            }
                        });
                        dims.collect()
                    }
                    _ => {
                        let stay = first
                            .labels
                            .iter()
                            .enumerate()
                            .filter(|(dim, _)| !list.contains(dim));
                        stay.map(|(_, labels)| labels.clone()).collect()
                    }
                }
            }
            "Flatten" => {
                let at = axis(node.int("axis").unwrap_or(1), from.len() + 1)?;
                let mut labels = Vec::new();
                for part in [0..at, at..from.len()] {
                    labels.push(self.merged(&from[part.clone()], &first.labels[part], node.op));
                }
                labels
            }
            _ => self.regrouped(&from, &first.labels, &shape, node.op),
        };
        if node.op == "Reshape" {
            let name = node.input(1)?;
            let target = self.known.get(name)?;
            let is_constant = self.graph.constants.contains_key(name);
            for (dim, labels) in labels.iter().enumerate() {
                if let (Some(labels), Some(1..)) = (labels, target.get(dim)) {
                    if !is_constant {
                        self.units.hold(labels, "Reshape, whose target is computed");
                        continue;
                    }
                    self.follows.push(Follow::Target {
                        node: number,
                        dim,
                        labels: labels.clone(),
                    });
                }
            }
        }
        Some(Tracked {
            shape: Some(shape),
            labels,
            not_zero: first.not_zero,
        })
    }

    /// The units of several dimensions that become one. Only one of them can have any.
    fn merged(&mut self, lengths: &[Option<usize>], labels: &[Option<Labels>], op: &str) -> Option<Labels> {
        let with: Vec<usize> = (0..labels.len()).filter(|dim| labels[*dim].is_some()).collect();
        let [dim] = with[..] else {
            for labels in labels.iter().flatten() {
                self.units
                    .hold(labels, &format!("{op}, where two cuts would meet"));
            }
            return None;
        };
        let own = labels[dim].clone()?;
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

    /// The units of one dimension that becomes several: each of these gets them where they depend on it alone.
    fn divided(&mut self, labels: &Labels, lengths: &[usize], op: &str) -> Vec<Option<Labels>> {
        let mut inner = labels.len();
        for (dim, length) in lengths.iter().enumerate() {
            if *length == 0 {
                break;
            }
            inner /= length;
            let own: Labels = (0..*length).map(|index| labels[index * inner]).collect();
            let depends = labels
                .iter()
                .enumerate()
                .all(|(at, unit)| own[at / inner % length] == *unit);
            if depends {
                let mut all = vec![None; lengths.len()];
                all[dim] = Some(own);
                return all;
            }
        }
        self.units.hold(labels, &format!("{op}, which divides channels"));
        vec![None; lengths.len()]
    }

    /// Units through a `Reshape`: dimensions are merged or divided where their lengths say so.
    fn regrouped(
        &mut self,
        from: &Shape,
        labels: &[Option<Labels>],
        to: &Shape,
        op: &str,
    ) -> Vec<Option<Labels>> {
        let mut out = vec![None; to.len()];
        let (mut i, mut j) = (0, 0);
        // A batch of any size stays what it is.
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
            } else if targets.len() == 1 {
                out[first] = match sources {
                    [one] => one.clone(),
                    _ => self.merged(&from[start..i], sources, op),
                };
            } else if let [Some(one)] = sources {
                let lengths: Vec<usize> = targets.iter().flatten().copied().collect();
                for (place, labels) in self.divided(&one.clone(), &lengths, op).into_iter().enumerate() {
                    out[first + place] = labels;
                }
            } else {
                sources
                    .iter()
                    .flatten()
                    .for_each(|labels| self.units.hold(labels, op));
            }
        }
        for labels in labels[i..].iter().flatten() {
            self.units.hold(labels, op);
        }
        out
    }
}
