//! Root mean square norms, and operators that runtimes write in the place of several.

use super::{Change, FIXED, Tracked, Walk};
use crate::graph::Node;
use crate::shapes::{Shape, axis};

/// Operators that divide by the root of the mean of squares, and the place of their scale.
const RMS: [(&str, usize); 3] = [
    ("RMSNormalization", 1),
    ("SimplifiedLayerNormalization", 1),
    ("SkipSimplifiedLayerNormalization", 2),
];

impl<'a> Walk<'a, '_> {
    /// A sum of two or three values, and a norm of it. The fourth output is the sum.
    pub(super) fn skip_norm(&mut self, number: usize, node: &Node<'a>, shape: Shape) -> Option<Vec<Tracked>> {
        if node.outputs.iter().skip(1).take(2).any(|name| !name.is_empty()) {
            return None;
        }
        let sum = self.elementwise(&node.with("Sum", &sum_of(node)), shape);
        let norm = if node.op == "SkipLayerNormalization" {
            let weights = [node.inputs[0], node.input(2)?, node.input(3).unwrap_or("")];
            self.layer_norm(number, &node.with("LayerNormalization", &weights), sum.clone())?
        } else {
            self.rms_norm(number, node, sum.clone())?
        };
        Some(vec![norm, Tracked::default(), Tracked::default(), sum])
    }

    /// Exact: the mean of fewer squares is larger by a factor that scale and epsilon take up.
    pub(super) fn rms_norm(&mut self, number: usize, node: &Node<'a>, first: Tracked) -> Option<Tracked> {
        let at = axis(node.int("axis").unwrap_or(-1), first.labels.len())?;
        let (_, place) = RMS.iter().find(|(op, _)| *op == node.op)?;
        let scale = node.input(*place)?;
        let more = node.op != "SkipSimplifiedLayerNormalization" && node.outputs.len() > 1;
        let vector = self.value(scale).labels.len() == 1;
        let alone = node.inputs.iter().filter(|name| **name == scale).count() == 1;
        // Integers cannot take up a factor.
        let of_integers = self.graph.quantized.contains_key(scale);
        if more || !vector || !alone || of_integers || at + 1 != first.labels.len() {
            self.hold_from(&first, at, node.op);
            self.fix_from(scale, 0);
            let mut output = first;
            output.labels[at..].fill(None);
            return (!more).then_some(output);
        }
        match self.consume(&first, at) {
            Some(labels) => {
                self.cut_along(scale, 0, &labels, node.op);
                let epsilon = epsilon(node);
                self.follow(
                    number,
                    Change::Rms {
                        labels,
                        scale: *place,
                        epsilon,
                    },
                );
            }
            None => self.fix(scale, 0, FIXED),
        }
        Some(Tracked::zero(first.shape.clone()?, first.labels.clone()).zero_like(&first))
    }

    /// A GELU, of a value and what is added to it.
    pub(super) fn gelu(&mut self, node: &Node<'a>, first: Tracked, shape: Shape) -> Tracked {
        match node.input(1) {
            Some(_) => self.elementwise(&node.with("Add", &node.inputs[..2]), shape),
            None => self.activation(node, first),
        }
    }
}

/// What a norm of a sum adds up.
pub fn sum_of<'a>(node: &Node<'a>) -> Vec<&'a str> {
    let bias = if node.op == "SkipLayerNormalization" { 4 } else { 3 };
    let places = [0, 1, bias].into_iter();
    places.filter_map(|place| node.input(place)).collect()
}

/// What is added to a mean of squares.
pub fn epsilon(node: &Node<'_>) -> f32 {
    let default = if node.op.starts_with("Skip") { 1e-12 } else { 1e-5 };
    node.float("epsilon").unwrap_or(default)
}
