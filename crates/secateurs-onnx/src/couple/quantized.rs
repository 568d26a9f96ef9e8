//! Operators that quantize values and back. Zero is the integer that stands for it there.

use super::{Tracked, Walk};
use crate::graph::Node;
use crate::tensor::{FLOAT, UINT8};

impl<'a> Walk<'a, '_> {
    /// With one scale and one zero point, each entry by itself.
    pub(super) fn quantize(&mut self, node: &Node<'a>, first: Tracked) -> Option<Tracked> {
        let is_single = |name: &str| {
            let shape = self.value(name).shape;
            shape.is_some_and(|shape| shape.iter().all(|length| *length == Some(1)))
        };
        let mut parameters = [1, 2].into_iter().filter_map(|place| node.input(place));
        parameters.all(is_single).then_some(())?;
        let of_input = |place: usize| node.input(place).map(|name| self.value(name).dtype);
        let dtype = match node.op {
            "QuantizeLinear" => of_input(2).or(node.int("output_dtype")).unwrap_or(UINT8),
            _ => of_input(1)?,
        };
        Some(Tracked { dtype, ..first })
    }

    /// The scale follows from the least and the largest entry and from zero, so that zeros change nothing.
    pub(super) fn quantize_by_range(&mut self, first: Tracked) -> Vec<Tracked> {
        for dim in 0..first.labels.len() {
            self.consume(&first, dim);
        }
        let scalar = |dtype| Tracked::fixed(Some(Vec::new()), dtype);
        let value = Tracked {
            dtype: UINT8,
            ..first
        };
        vec![value, scalar(FLOAT), scalar(UINT8)]
    }
}
