//! Operators that look at several entries of an axis together.

use super::{Change, FIXED, Tracked, Walk};
use crate::graph::Node;
use crate::quantized::range;
use crate::shapes::{Shape, axis, reduced};

impl<'a> Walk<'a, '_> {
    /// Norms of each channel by itself: scale and shift are cut along with it.
    pub(super) fn channel_norm(
        &mut self,
        node: &Node<'a>,
        first: Tracked,
        weights: &[usize],
    ) -> Option<Tracked> {
        self.hold_all_but_channels(&first, node.op);
        for place in weights {
            let name = node.input(*place)?;
            match first.units(1) {
                Some(labels) => self.cut_along(name, 0, labels, node.op),
                None => self.fix(name, 0, FIXED),
            }
        }
        let mut labels = vec![None; first.labels.len()];
        labels[1] = first.labels.get(1)?.clone();
        // With scale and shift removed, whatever came in.
        Some(Tracked::zero(first.shape?, labels))
    }

    /// Normalises over the last axes, which are held, unless the user accepts what a cut changes.
    pub(super) fn layer_norm(&mut self, number: usize, node: &Node<'a>, first: Tracked) -> Option<Tracked> {
        let at = axis(node.int("axis").unwrap_or(-1), first.labels.len())?;
        if let Some(labels) = first.units(at).cloned()
            && self.choice.layer_norm
            && at + 1 == first.labels.len()
        {
            for name in node.inputs.iter().skip(1).filter(|name| !name.is_empty()) {
                self.cut_along(name, 0, &labels, node.op);
            }
            self.range_over_kept(number, "layer norms", at, Some(&labels));
            let others = first.labels[..at].iter().any(Option::is_some);
            // With scale and shift removed, whatever came in.
            let mut output = Tracked::zero(first.shape?, first.labels);
            output.not_zero = others.then(|| node.op.to_owned());
            return Some(output);
        }
        self.hold_from(&first, at, node.op);
        for name in node.inputs.iter().skip(1) {
            self.fix_from(name, 0);
        }
        Some(self.not_zero_but(node, first, at..usize::MAX))
    }

    pub(super) fn softmax(&mut self, node: &Node<'a>, first: Tracked) -> Option<Tracked> {
        let at = axis(node.int("axis").unwrap_or(-1), first.labels.len())?;
        self.hold_dim(&first, at, node.op);
        Some(self.not_zero_but(node, first, at..at + 1))
    }

    /// The value without units in these dimensions, and with something else than zero in the others.
    fn not_zero_but(&self, node: &Node<'a>, first: Tracked, held: std::ops::Range<usize>) -> Tracked {
        let mut output = first;
        for (dim, labels) in output.labels.iter_mut().enumerate() {
            if held.contains(&dim) {
                *labels = None;
            }
        }
        if output.labels.iter().any(Option::is_some) {
            output.not_zero = Some(node.op.to_owned());
        }
        output
    }

    /// Sums and norms over zeros are exact. A mean is that of fewer entries, and gets a factor.
    pub(super) fn reduce(
        &mut self,
        number: usize,
        node: &Node<'a>,
        first: Tracked,
        shape: Shape,
    ) -> Option<Tracked> {
        let axes = reduced(&self.known, node, first.labels.len())?;
        let ranked = matches!(node.op, "ReduceMax" | "ReduceMin");
        let with: Vec<usize> = axes
            .iter()
            .copied()
            .filter(|dim| first.units(*dim).is_some())
            .collect();
        let by_choice = match ranked {
            true => self.choice.maximum.then_some("maxima and minima"),
            false => self.means.contains(&number).then_some("layer norms"),
        };
        for dim in &with {
            if let (Some(kind), 1) = (by_choice, with.len()) {
                self.range_over_kept(number, kind, *dim, first.units(*dim));
                continue;
            }
            // Of integers, zero is another number.
            let of_integers = range(first.dtype).is_some();
            let unknown = node.op == "ReduceMean" && first.dtype == 0;
            if ranked || with.len() > 1 || of_integers || unknown {
                self.hold_dim(&first, *dim, node.op);
                continue;
            }
            let labels = self.consume(&first, *dim)?;
            if node.op == "ReduceMean" {
                let dtype = first.dtype;
                self.follow(number, Change::Mean { labels, dtype });
            }
        }
        let keep = node.int("keepdims") != Some(0);
        let dims = (0..first.labels.len()).filter_map(|dim| match axes.contains(&dim) {
            true if keep => Some(None),
            true => None,
            false => Some(first.labels[dim].clone()),
        });
        Some(Tracked::zero(shape, dims.collect()).zero_like(&first))
    }
}
