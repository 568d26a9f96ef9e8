//! Operators that combine entries at the same place.

use super::{FIXED, Labels, Tracked, Walk};
use crate::graph::Node;
use crate::shapes::Shape;

/// Functions that make something else than zero of zero.
const NOT_ZERO_AT_ZERO: [&str; 5] = ["Sigmoid", "HardSigmoid", "Softplus", "Exp", "Cos"];

/// Whether an operator by itself makes a constant of zero that is not zero.
pub fn is_constant_at_zero(op: &str) -> bool {
    op == "Clip" || NOT_ZERO_AT_ZERO.contains(&op)
}

impl<'a> Walk<'a, '_> {
    pub(super) fn activation(&mut self, node: &Node<'a>, first: Tracked) -> Tracked {
        let mut output = first;
        output.dtype = 0;
        if NOT_ZERO_AT_ZERO.contains(&node.op) {
            output.not_zero = Some(node.op.to_owned());
        }
        output
    }

    /// Zero stays zero if it is within the limits.
    pub(super) fn clip(&mut self, node: &Node<'a>, first: Tracked) -> Tracked {
        let limit =
            |attribute: &str, input: usize, none: f64| match (node.float(attribute), node.input(input)) {
                (Some(value), _) => Some(f64::from(value)),
                (None, None) => Some(none),
                (None, Some(name)) => self.graph.constants.get(name)?.floats()?.first().copied(),
            };
        let (low, high) = (limit("min", 1, f64::NEG_INFINITY), limit("max", 2, f64::INFINITY));
        let keeps_zero = low.is_some_and(|low| low <= 0.0) && high.is_some_and(|high| high >= 0.0);
        let mut output = first;
        if !keeps_zero {
            output.not_zero = Some(node.op.to_owned());
        }
        output
    }

    /// Values that are combined entry by entry, each repeated along the dimensions that it lacks.
    pub(super) fn elementwise(&mut self, node: &Node<'a>, shape: Shape) -> Tracked {
        let names: Vec<&'a str> = node
            .inputs
            .iter()
            .copied()
            .filter(|name| !name.is_empty())
            .collect();
        let sides: Vec<Tracked> = names.iter().map(|name| self.value(name)).collect();
        let rank = shape.len();
        let mut labels = vec![None; rank];
        let mut zero = true;
        for (dim, label) in labels.iter_mut().enumerate() {
            let place = |side: &Tracked| (dim + side.labels.len()).checked_sub(rank);
            // Values first; weights are cut along with them.
            let mut all: Vec<Option<Labels>> = vec![None; sides.len()];
            let mut fixed = false;
            for (number, side) in sides.iter().enumerate() {
                let Some(own) = place(side).filter(|own| side.len(*own) != Some(1)) else {
                    continue;
                };
                if !self.is_weight(names[number]) {
                    all[number] = side.units(own).cloned();
                    fixed |= all[number].is_none();
                }
            }
            let mut joined: Option<Labels> = None;
            for labels in all.iter().flatten() {
                match &joined {
                    Some(joined) if joined.len() == labels.len() => self.units.tie(joined, labels),
                    Some(_) => fixed = true,
                    None => joined = Some(labels.clone()),
                }
            }
            if fixed {
                let reason = format!("{} with a value that cannot be cut", node.op);
                for labels in all.iter().flatten() {
                    self.units.hold(labels, &reason);
                }
                joined = None;
            }
            let long: Vec<(usize, usize)> = (0..sides.len())
                .filter_map(|number| Some((number, place(&sides[number])?)))
                .filter(|(number, own)| sides[*number].len(*own) != Some(1))
                .collect();
            // A single number that scales a weight, as in the scales of a quantized product.
            if let ("Mul", [(number, own)], false) = (node.op, &long[..], fixed)
                && self.is_weight(names[*number])
            {
                joined = self.units_of_scales(names[*number], *own, node.op);
            }
            for (number, own) in long {
                if !self.is_weight(names[number]) {
                    continue;
                }
                match &joined {
                    Some(labels) => {
                        let labels = labels.clone();
                        self.cut_along(names[number], own, &labels, node.op);
                        all[number] = Some(labels);
                    }
                    // Nothing else can be cut here, or only weights meet.
                    None => self.fix(names[number], own, FIXED),
                }
            }
            let Some(joined) = joined else { continue };
            let is_zero = |number: usize| {
                let side = sides.get(number);
                all.get(number).is_some_and(Option::is_some)
                    && side.is_some_and(|side| side.not_zero.is_none())
            };
            zero &= match node.op {
                "Mul" => is_zero(0) || is_zero(1),
                "PRelu" => is_zero(0),
                "Pow" => is_zero(0) && self.is_positive(names[1]),
                "Where" => is_zero(1) && is_zero(2),
                "Div" => {
                    // Zeros in a divisor would not be zeros in the output.
                    if all[1].is_some() && sides[1].not_zero.is_none() {
                        self.units.hold(&joined, node.op);
                    }
                    is_zero(0)
                }
                _ => (0..sides.len()).all(is_zero),
            };
            *label = Some(joined);
        }
        let inherited = || sides.iter().find_map(|side| side.not_zero.clone());
        Tracked {
            shape: Some(shape),
            labels,
            not_zero: (!zero).then(|| inherited().unwrap_or_else(|| node.op.to_owned())),
            dtype: 0,
        }
    }

    /// Whether all entries of a constant are positive.
    fn is_positive(&self, name: &str) -> bool {
        let values = self
            .graph
            .constants
            .get(name)
            .and_then(|constant| constant.floats());
        values.is_some_and(|values| values.iter().all(|x| *x > 0.0))
    }
}
