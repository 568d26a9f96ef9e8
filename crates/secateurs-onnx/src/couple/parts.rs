//! Operators that join, pick, repeat or pad entries.

use super::attention::KEYS_AND_VALUES;
use super::{Change, FIXED, Labels, Tracked, Walk};
use crate::graph::Node;
use crate::shapes::{Shape, axis, slices, split_sizes};

impl<'a> Walk<'a, '_> {
    pub(super) fn concat(&mut self, node: &Node<'a>, shape: Shape) -> Option<Tracked> {
        let axis = axis(node.int("axis")?, shape.len())?;
        let mut weights: Vec<bool> = node.inputs.iter().map(|name| self.is_weight(name)).collect();
        // Weights alone make a weight.
        let alone = weights.iter().all(|weight| *weight);
        let read = |walk: &mut Self, name: &&'a str| {
            if alone {
                walk.read(name, node.op)
            } else {
                walk.value(name)
            }
        };
        let parts: Vec<Tracked> = node.inputs.iter().map(|name| read(self, name)).collect();
        weights.iter_mut().for_each(|weight| *weight &= !alone);
        let mut labels = vec![None; shape.len()];
        for (dim, out) in labels.iter_mut().enumerate() {
            if dim == axis {
                *out = self.one_after_the_other(node, &parts, &weights, dim);
                continue;
            }
            let values = || {
                parts
                    .iter()
                    .zip(&weights)
                    .filter(|(_, weight)| !**weight)
                    .map(|(part, _)| part)
            };
            let units: Vec<Labels> = values().filter_map(|part| part.units(dim).cloned()).collect();
            let all = units.len() == values().count() && !units.is_empty();
            for (name, _) in node.inputs.iter().zip(&weights).filter(|(_, weight)| **weight) {
                match all {
                    true => self.cut_along(name, dim, &units[0], node.op),
                    false => self.fix(name, dim, FIXED),
                }
            }
            match all {
                true => {
                    units[1..]
                        .iter()
                        .for_each(|other| self.units.tie(&units[0], other));
                    *out = Some(units[0].clone());
                }
                false => units.iter().for_each(|labels| self.units.hold(labels, node.op)),
            }
        }
        let mut output = Tracked::zero(shape, labels);
        output.not_zero = parts.iter().find_map(|part| part.not_zero.clone());
        Some(output)
    }

    /// The units of the axis along which parts are joined.
    fn one_after_the_other(
        &mut self,
        node: &Node<'a>,
        parts: &[Tracked],
        weights: &[bool],
        dim: usize,
    ) -> Option<Labels> {
        for (name, _) in node.inputs.iter().zip(weights).filter(|(_, weight)| **weight) {
            self.fix(name, dim, FIXED);
        }
        if parts.iter().all(|part| part.units(dim).is_none()) {
            return None;
        }
        let mut joined = Vec::new();
        for part in parts {
            match (part.units(dim), part.len(dim)) {
                (Some(labels), _) => joined.extend_from_slice(labels),
                (None, Some(length)) => {
                    let fixed = self.units.fresh(length, node.op);
                    self.units.hold(&fixed, FIXED);
                    joined.extend_from_slice(&fixed);
                }
                (None, None) => {
                    for part in parts {
                        self.hold_dim(part, dim, node.op);
                    }
                    return None;
                }
            }
        }
        Some(joined.into())
    }

    pub(super) fn split(&mut self, number: usize, node: &Node<'a>) -> Option<Vec<Tracked>> {
        let first = self.read(node.input(0)?, node.op);
        let shape = first.shape.clone()?;
        let at = axis(node.int("axis").unwrap_or(0), shape.len())?;
        let sizes = split_sizes(&self.known, node, shape[at]?)?;
        let mut begin = 0;
        let mut entries = Vec::new();
        let mut outputs = Vec::new();
        for (entry, size) in sizes.iter().enumerate() {
            let (mut shape, mut labels) = (shape.clone(), first.labels.clone());
            shape[at] = Some(*size);
            if let Some(all) = first.units(at) {
                let own: Labels = all[begin..begin + size].into();
                labels[at] = Some(own.clone());
                entries.push((entry, own.clone()));
                self.never_empty.push(own);
            }
            begin += size;
            outputs.push(Tracked::zero(shape, labels).zero_like(&first));
        }
        if !entries.is_empty() {
            let base = sizes.iter().map(|size| *size as i64).collect();
            let change = match node.ints("split") {
                Some(_) => Change::AttributeList {
                    name: "split",
                    base,
                    entries,
                },
                None => Change::Input {
                    place: 1,
                    base,
                    entries,
                    from: self.from(node, 1),
                    drop: Some("num_outputs"),
                },
            };
            self.follow(number, change);
        }
        Some(outputs)
    }

    /// The units that an input is computed from.
    pub(super) fn from(&self, node: &Node<'a>, place: usize) -> Vec<Labels> {
        let computed = node.input(place).and_then(|name| self.known.computed.get(name));
        computed
            .map(|value| value.labels().cloned().collect())
            .unwrap_or_default()
    }

    pub(super) fn slice(&mut self, number: usize, node: &Node<'a>, shape: Shape) -> Option<Tracked> {
        let first = self.read(node.input(0)?, node.op);
        let slices = slices(&self.known, node, first.labels.len())?;
        let (mut labels, mut starts, mut ends) = (first.labels.clone(), Vec::new(), Vec::new());
        for (entry, slice) in slices.iter().enumerate() {
            let Some(all) = first.units(slice.dim) else {
                continue;
            };
            let (begin, end) = slice.bounds(all.len())?;
            if slice.step != 1 {
                self.units.hold(all, "Slice with steps");
                labels[slice.dim] = None;
                continue;
            }
            let own: Labels = all[begin..end.max(begin)].into();
            self.never_empty.push(own.clone());
            labels[slice.dim] = Some(own);
            starts.push((entry, all[..begin].into()));
            ends.push((entry, all[..end.max(begin)].into()));
        }
        if !starts.is_empty() {
            let base: (Vec<i64>, Vec<i64>) = slices.iter().map(|slice| (slice.start, slice.end)).unzip();
            for (place, base, entries) in [(1, base.0, starts), (2, base.1, ends)] {
                let from = self.from(node, place);
                let drop = None;
                self.follow(
                    number,
                    Change::Input {
                        place,
                        base,
                        entries,
                        from,
                        drop,
                    },
                );
            }
        }
        Some(Tracked::zero(shape, labels).zero_like(&first))
    }

    /// Repeats along dimensions of length 1.
    pub(super) fn expand(&mut self, number: usize, node: &Node<'a>, shape: Shape) -> Option<Tracked> {
        let name = node.input(0)?;
        let first = self.read(name, node.op);
        let target = self.known.partial(node.input(1)?)?;
        let (rank, added) = (shape.len(), shape.len().checked_sub(first.labels.len())?);
        let mut labels = vec![None; rank];
        let (mut written, mut entries) = (Vec::new(), Vec::new());
        let repeated = match self.repeats.contains(&number) {
            true => self.repeated_for_queries(node, &first, &shape, added),
            false => None,
        };
        for (dim, label) in labels.iter_mut().enumerate().skip(added) {
            let Some(own) = first.units(dim - added).cloned() else {
                continue;
            };
            let entry = (dim + target.len()).checked_sub(rank);
            if entry.is_some_and(|entry| target[entry] != Some(1)) {
                written.push(own.clone());
            }
            *label = Some(own);
        }
        // Keys and values are still there where a query is removed.
        let mut not_zero = first.not_zero.clone();
        if let Some((dim, queries)) = repeated {
            labels[dim - 1] = None;
            labels[dim] = Some(queries.clone());
            entries.push((dim, queries));
            not_zero.get_or_insert_with(|| node.op.to_owned());
        }
        if !written.is_empty() || !entries.is_empty() {
            // What is not repeated may have any length: 1 says so.
            let length = |dim: usize| match dim.checked_sub(added).map(|own| first.len(own)) {
                Some(length) if length != Some(1) => Some(1),
                _ => Some(shape[dim]? as i64),
            };
            match (0..rank).map(length).collect::<Option<Vec<i64>>>() {
                Some(base) => {
                    written.extend(self.from(node, 1));
                    let (from, drop) = (written, None);
                    self.follow(
                        number,
                        Change::Input {
                            place: 1,
                            base,
                            entries,
                            from,
                            drop,
                        },
                    );
                }
                None => {
                    let entries = entries.iter().map(|(_, labels)| labels);
                    let all = written.iter().chain(entries);
                    all.for_each(|labels| self.units.hold(labels, node.op));
                }
            }
        }
        Some(Tracked {
            not_zero,
            ..Tracked::zero(shape, labels)
        })
    }

    /// The dimension along which keys or values are repeated for each query of a group, with a unit for each repetition. The
    /// groups, which are the dimension before it, stay.
    fn repeated_for_queries(
        &mut self,
        node: &Node<'a>,
        first: &Tracked,
        shape: &Shape,
        added: usize,
    ) -> Option<(usize, Labels)> {
        let is_repeated = |dim: &usize| {
            let before = dim.checked_sub(added).map(|own| first.len(own));
            shape[*dim].is_some_and(|length| length > 1) && matches!(before, None | Some(Some(1)))
        };
        let mut dims = (1..shape.len()).filter(is_repeated);
        let (dim, None) = (dims.next()?, dims.next()) else {
            return None;
        };
        if let Some(groups) = (dim - 1).checked_sub(added).and_then(|own| first.units(own)) {
            self.units.hold(groups, KEYS_AND_VALUES);
        }
        let queries = self.units.fresh(shape[dim]?, node.op);
        self.never_empty.push(queries.clone());
        Some((dim, queries))
    }

    /// A list of lengths that has to follow. Lengths that are not known cannot be written.
    pub(super) fn follow_target(
        &mut self,
        number: usize,
        node: &Node<'a>,
        place: usize,
        target: &[Option<i64>],
        entries: Vec<(usize, Labels)>,
        reason: &str,
    ) {
        let base: Option<Vec<i64>> = target.iter().copied().collect();
        let Some(base) = base else {
            entries
                .iter()
                .for_each(|(_, labels)| self.units.hold(labels, reason));
            return;
        };
        let from = self.from(node, place);
        self.follow(
            number,
            Change::Input {
                place,
                base,
                entries,
                from,
                drop: None,
            },
        );
    }

    pub(super) fn pad(&mut self, node: &Node<'a>, first: Tracked, shape: Shape) -> Option<Tracked> {
        let length = |dim: usize| (first.len(dim), shape[dim]);
        let padded: Vec<usize> = (0..shape.len())
            .filter(|dim| first.units(*dim).is_some())
            .filter(|dim| length(*dim).0 != length(*dim).1)
            .collect();
        for dim in &padded {
            self.hold_dim(&first, *dim, node.op);
        }
        let zero = |name: &str| {
            let values = self
                .graph
                .constants
                .get(name)
                .and_then(|constant| constant.floats());
            values.is_some_and(|values| values.iter().all(|x| *x == 0.0))
        };
        let zero = node.float("value").unwrap_or(0.0) == 0.0 && node.input(2).is_none_or(zero);
        let zero = zero || !matches!(node.text("mode"), None | Some("constant"));
        let mut output = Tracked::zero(shape, first.labels.clone()).zero_like(&first);
        padded.into_iter().for_each(|dim| output.labels[dim] = None);
        if !zero {
            output.not_zero = Some(node.op.to_owned());
        }
        Some(output)
    }

    /// Interpolates over dimensions without units.
    pub(super) fn resize(
        &mut self,
        number: usize,
        node: &Node<'a>,
        first: Tracked,
        shape: Shape,
    ) -> Option<Tracked> {
        if node.text("coordinate_transformation_mode") == Some("tf_crop_and_resize") {
            return None;
        }
        let mut labels = vec![None; shape.len()];
        let mut entries = Vec::new();
        for (dim, own) in labels.iter_mut().enumerate() {
            let Some(units) = first.units(dim).cloned() else {
                continue;
            };
            if first.len(dim) != shape[dim] || node.ints("axes").is_some_and(|axes| axes.len() == shape.len())
            {
                self.units.hold(&units, node.op);
                continue;
            }
            entries.push((dim, units.clone()));
            *own = Some(units);
        }
        // Only lengths have to follow; factors are 1.
        if let (Some(sizes), None) = (node.input(3), node.ints("axes"))
            && !entries.is_empty()
        {
            match self.known.partial(sizes) {
                Some(target) if target.len() == shape.len() => {
                    self.follow_target(number, node, 3, &target, entries, node.op);
                }
                _ => entries
                    .iter()
                    .for_each(|(_, labels)| self.units.hold(labels, node.op)),
            }
        }
        Some(Tracked::zero(shape, labels).zero_like(&first))
    }

    /// Channels become places in space: those that become one channel are tied.
    pub(super) fn depth_to_space(
        &mut self,
        node: &Node<'a>,
        first: Tracked,
        shape: Shape,
    ) -> Option<Tracked> {
        let block = usize::try_from(node.int("blocksize")?)
            .ok()
            .filter(|block| *block > 0)?;
        self.hold_all_but_channels(&first, node.op);
        let mut labels = vec![None; shape.len()];
        if let Some(all) = first.units(1).cloned() {
            let (area, outputs) = (block * block, all.len() / (block * block));
            let by_column = node.text("mode") == Some("CRD");
            let own: Vec<u32> = (0..outputs)
                .map(|output| {
                    if by_column {
                        all[output * area]
                    } else {
                        all[output]
                    }
                })
                .collect();
            for (output, unit) in own.iter().enumerate() {
                for place in 0..area {
                    let index = if by_column {
                        output * area + place
                    } else {
                        place * outputs + output
                    };
                    self.units.tie(&[*unit], &[all[index]]);
                }
            }
            labels[1] = Some(own.into());
        }
        Some(Tracked::zero(shape, labels).zero_like(&first))
    }
}
