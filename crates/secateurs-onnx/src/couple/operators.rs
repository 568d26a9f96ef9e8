//! The rule of each operator.

use super::{Follow, Labels, Tracked, Walk};
use crate::graph::Node;
use crate::shapes::{ELEMENTWISE, Shape, reduced};

/// Activations that make something else than zero of zero.
const NOT_ZERO_AT_ZERO: [&str; 4] = ["Sigmoid", "HardSigmoid", "Softplus", "Exp"];

impl<'a> Walk<'a, '_> {
    /// The output of a node.
    pub(super) fn node(&mut self, number: usize, node: &Node<'a>, shape: Option<Shape>) -> Tracked {
        let output = self.rule(number, node, shape.clone());
        output.unwrap_or_else(|| {
            let reason = match node.op {
                "" => "an operator of another domain",
                op => op,
            };
            for input in &node.inputs {
                self.hold_all(input, reason);
            }
            Tracked::untracked(shape)
        })
    }

    /// The output of a node that has a rule.
    fn rule(&mut self, number: usize, node: &Node<'a>, shape: Option<Shape>) -> Option<Tracked> {
        let shape = shape?;
        let first = self.value(node.input(0)?);
        match node.op {
            "Clip" => Some(self.clip(node, first)),
            op if ELEMENTWISE.contains(&op) || op == "Cast" => Some(activation(node, first)),
            "MaxPool" | "AveragePool" | "GlobalAveragePool" | "GlobalMaxPool" => {
                self.hold_from(&first, 2, node.op);
                let labels =
                    (0..shape.len()).map(|dim| first.labels.get(dim).cloned().flatten().filter(|_| dim < 2));
                Some(Tracked {
                    labels: labels.collect(),
                    shape: Some(shape),
                    not_zero: first.not_zero,
                })
            }
            "BatchNormalization" => self.batch_norm(node, first),
            "PRelu" => {
                let slope = node.input(1)?;
                self.broadcast_constant(slope, &first, node.op);
                Some(first)
            }
            "Add" | "Sub" | "Mul" | "Div" => self.binary(node, shape),
            "Conv" => self.conv(number, node, first, shape),
            "Gemm" => self.gemm(node, first, shape),
            "MatMul" => self.matmul(node, first, shape),
            "Concat" => self.concat(node, shape),
            "ReduceMean" => {
                let axes = reduced(&self.known, node, first.labels.len())?;
                for dim in &axes {
                    self.hold_dim(&first, *dim, node.op);
                }
                let keep = node.int("keepdims") != Some(0);
                let dims = (0..first.labels.len()).filter_map(|dim| match axes.contains(&dim) {
                    true if keep => Some(None),
                    true => None,
                    false => Some(first.labels[dim].clone()),
                });
                Some(Tracked {
                    labels: dims.collect(),
                    shape: Some(shape),
                    not_zero: first.not_zero,
                })
            }
            "Flatten" | "Reshape" | "Transpose" | "Squeeze" | "Unsqueeze" => {
                self.reshaped(number, node, first, shape)
            }
            _ => None,
        }
    }

    fn hold_dim(&mut self, value: &Tracked, dim: usize, reason: &str) {
        if let Some(Some(labels)) = value.labels.get(dim) {
            self.units.hold(labels, reason);
        }
    }

    fn hold_from(&mut self, value: &Tracked, first: usize, reason: &str) {
        for dim in first..value.labels.len() {
            self.hold_dim(value, dim, reason);
        }
    }

    /// Holds what is consumed along a dimension, where it is not zero once it is removed.
    fn consume(&mut self, value: &Tracked, dim: usize) -> Option<Labels> {
        let labels = value.labels.get(dim)?.clone()?;
        if let Some(node) = &value.not_zero {
            let reason = format!("{node}, which is not zero at zero");
            self.units.hold(&labels, &reason);
        }
        Some(labels)
    }

    /// Zero stays zero if it is within the limits.
    fn clip(&mut self, node: &Node<'a>, first: Tracked) -> Tracked {
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

    fn batch_norm(&mut self, node: &Node<'a>, first: Tracked) -> Option<Tracked> {
        self.hold_from(&first, 2, node.op);
        self.hold_dim(&first, 0, node.op);
        let constants = [node.input(1)?, node.input(2)?, node.input(3)?, node.input(4)?];
        if let Some(labels) = first.labels.get(1)?.clone() {
            for name in constants {
                self.cut_along(name, 0, &labels, node.op);
            }
        }
        let labels = first
            .labels
            .iter()
            .enumerate()
            .map(|(dim, each)| each.clone().filter(|_| dim == 1));
        Some(Tracked {
            labels: labels.collect(),
            shape: first.shape.clone(),
            // With scale and shift removed, whatever came in.
            not_zero: None,
        })
    }

    /// Cuts a constant along the dimensions of a value that it is combined with.
    fn broadcast_constant(&mut self, name: &'a str, value: &Tracked, reason: &str) {
        let Some(dims) = self
            .graph
            .constants
            .get(name)
            .map(|constant| constant.dims.clone())
        else {
            for labels in value.labels.iter().flatten() {
                self.units.hold(labels, reason);
            }
            return;
        };
        let rank = value.labels.len();
        for (dim, labels) in value.labels.iter().enumerate() {
            let Some(labels) = labels else { continue };
            let own = (dim + dims.len()).checked_sub(rank);
            if let Some(own) = own.filter(|own| dims[*own] != 1) {
                self.cut_along(name, own, labels, reason);
            }
        }
    }

    fn binary(&mut self, node: &Node<'a>, shape: Shape) -> Option<Tracked> {
        let names = [node.input(0)?, node.input(1)?];
        // Constants are cut along with what they are combined with.
        let mut sides = names.map(|name| self.value(name));
        for (own, other) in [(0, 1), (1, 0)] {
            if self.graph.initializers.contains(names[own]) {
                if node.op == "Div" && own == 1 {
                    // Zeros in a divisor would not be zeros in the output.
                    let value = sides[other].clone();
                    let dims = self.graph.constants[names[own]].dims.clone();
                    for (dim, labels) in value.labels.iter().enumerate() {
                        let at = (dim + dims.len()).checked_sub(value.labels.len());
                        if let (Some(labels), Some(at)) = (labels, at)
                            && dims[at] != 1
                        {
                            self.units.hold(labels, node.op);
                        }
                    }
                    continue;
                }
                let value = sides[other].clone();
                self.broadcast_constant(names[own], &value, node.op);
                if let Some(labels) = self.parameters.get(names[own]) {
                    sides[own].labels = labels.clone();
                }
            }
        }
        let rank = shape.len();
        let at = |side: &Tracked, dim: usize| -> (Option<usize>, Option<Labels>) {
            let own = (dim + side.labels.len()).checked_sub(rank);
            match (own, &side.shape) {
                (Some(own), Some(shape)) => (shape[own], side.labels[own].clone()),
                _ => (Some(1), None),
            }
        };
        let (mut labels, mut zero) = (vec![None; rank], true);
        for (dim, label) in labels.iter_mut().enumerate() {
            let [(length_a, a), (length_b, b)] = [at(&sides[0], dim), at(&sides[1], dim)];
            *label = match (a.clone(), b.clone()) {
                (Some(a), Some(b)) if a.len() == b.len() => {
                    self.units.tie(&a, &b);
                    Some(a)
                }
                (Some(one), Some(two)) => {
                    self.units.hold(&one, node.op);
                    self.units.hold(&two, node.op);
                    None
                }
                // The other side is broadcast, or has as many entries that cannot be cut.
                (Some(a), None) if length_b == Some(1) => Some(a),
                (None, Some(b)) if length_a == Some(1) => Some(b),
                (Some(one), None) | (None, Some(one)) => {
                    self.units.hold(&one, node.op);
                    None
                }
                (None, None) => None,
            };
            if label.is_none() {
                continue;
            }
            let zeros = [
                a.is_some() && sides[0].not_zero.is_none(),
                b.is_some() && sides[1].not_zero.is_none(),
            ];
            zero &= match node.op {
                "Mul" => zeros[0] || zeros[1],
                // A divisor that is tied would be zero, too.
                "Div" => {
                    if let Some(b) = &b {
                        self.units.hold(b, node.op);
                    }
                    zeros[0]
                }
                _ => zeros[0] && zeros[1],
            };
        }
        Some(Tracked {
            shape: Some(shape),
            labels,
            not_zero: (!zero).then(|| {
                let inherited = sides.iter().find_map(|side| side.not_zero.clone());
                inherited.unwrap_or_else(|| node.op.to_owned())
            }),
        })
    }

    fn conv(&mut self, number: usize, node: &Node<'a>, first: Tracked, shape: Shape) -> Option<Tracked> {
        let weight = node.input(1)?;
        let dims = self
            .graph
            .constants
            .get(weight)
            .map(|constant| constant.dims.clone())?;
        let (&outputs, &of_group) = (dims.first()?, dims.get(1)?);
        let groups = usize::try_from(node.int("group").unwrap_or(1))
            .ok()
            .filter(|groups| *groups > 0)?;
        self.hold_from(&first, 2, node.op);
        self.hold_dim(&first, 0, node.op);
        let input = first.labels.get(1).cloned().flatten();
        let reason = format!("{} with such groups", node.op);
        let out = self.units.fresh(outputs);
        if groups == 1 {
            if let Some(input) = self.consume(&first, 1) {
                self.cut_along(weight, 1, &input, node.op);
            }
        } else if groups == outputs && of_group == 1 {
            // Depthwise: each output depends on its own input alone.
            match input {
                Some(input) if input.len() == outputs => {
                    self.units.tie(&input, &out);
                    self.follows.push(Follow::Groups {
                        node: number,
                        labels: out.clone(),
                    });
                }
                Some(input) => {
                    self.units.hold(&input, &reason);
                    self.units.hold(&out, &reason);
                }
                None => self.units.hold(&out, &reason),
            }
        } else if outputs.is_multiple_of(groups) {
            let tie = |walk: &mut Self, labels: &Labels| -> Labels {
                let size = labels.len() / groups;
                let first: Labels = labels[..size].into();
                labels
                    .chunks(size)
                    .for_each(|group| walk.units.tie(&first, group));
                first
            };
            tie(self, &out);
            if self.consume(&first, 1).is_some()
                && let Some(input) = input
            {
                let place = tie(self, &input);
                self.cut_along(weight, 1, &place, &reason);
            }
        } else {
            self.units.hold(&out, &reason);
        }
        self.cut_along(weight, 0, &out, node.op);
        if let Some(bias) = node.input(2) {
            self.cut_along(bias, 0, &out, node.op);
        }
        let mut labels = vec![None; shape.len()];
        labels[1] = Some(out);
        Some(Tracked {
            shape: Some(shape),
            labels,
            not_zero: None,
        })
    }

    fn gemm(&mut self, node: &Node<'a>, first: Tracked, shape: Shape) -> Option<Tracked> {
        let weight = node.input(1)?;
        if node.int("transA") == Some(1) || !self.graph.constants.contains_key(weight) {
            return None;
        }
        let (of_input, of_output) = if node.int("transB") == Some(1) {
            (1, 0)
        } else {
            (0, 1)
        };
        self.linear(weight, (of_input, of_output), &first, shape, node.op)
            .inspect(|output| {
                let (Some(bias), Some(out)) = (node.input(2), output.labels.last().cloned().flatten()) else {
                    return;
                };
                match self
                    .graph
                    .constants
                    .get(bias)
                    .map(|constant| constant.dims.clone())
                {
                    Some(dims) if dims.last() == Some(&out.len()) && out.len() > 1 => {
                        self.cut_along(bias, dims.len() - 1, &out, node.op);
                    }
                    _ => self.units.hold(&out, node.op),
                }
            })
    }

    fn matmul(&mut self, node: &Node<'a>, first: Tracked, shape: Shape) -> Option<Tracked> {
        let weight = node.input(1)?;
        match self.graph.constants.get(weight) {
            Some(constant) if constant.dims.len() == 2 => self.linear(weight, (0, 1), &first, shape, node.op),
            _ => None,
        }
    }

    /// A product with a constant matrix over the last dimension.
    fn linear(
        &mut self,
        weight: &'a str,
        (of_input, of_output): (usize, usize),
        first: &Tracked,
        shape: Shape,
        op: &str,
    ) -> Option<Tracked> {
        let last = first.labels.len().checked_sub(1)?;
        let outputs = *self.graph.constants[weight].dims.get(of_output)?;
        if let Some(input) = self.consume(first, last) {
            self.cut_along(weight, of_input, &input, op);
        }
        let out = self.units.fresh(outputs);
        self.cut_along(weight, of_output, &out, op);
        let mut labels = first.labels.clone();
        // Rows that are removed are zero only if they were.
        let rows = labels[..last].iter().any(Option::is_some);
        labels[last] = Some(out);
        Some(Tracked {
            shape: Some(shape),
            labels,
            not_zero: first.not_zero.clone().filter(|_| rows),
        })
    }

    fn concat(&mut self, node: &Node<'a>, shape: Shape) -> Option<Tracked> {
        let axis = crate::shapes::axis(node.int("axis")?, shape.len())?;
        let parts: Vec<Tracked> = node.inputs.iter().map(|name| self.value(name)).collect();
        let mut joined = Vec::new();
        for part in &parts {
            let length = part.shape.as_ref()?.get(axis).copied()?;
            match (part.labels.get(axis)?, length) {
                (Some(labels), _) => joined.extend_from_slice(labels),
                (None, Some(length)) => {
                    let fixed = self.units.fresh(length);
                    self.units
                        .hold(&fixed, "what cannot be cut beside it in a Concat");
                    joined.extend_from_slice(&fixed);
                }
                (None, None) => return None,
            }
        }
        let any = parts.iter().any(|part| part.labels[axis].is_some());
        let mut labels = vec![None; shape.len()];
        for (dim, out) in labels.iter_mut().enumerate() {
            if dim == axis {
                *out = any.then(|| joined.as_slice().into());
                continue;
            }
            let all: Vec<Option<Labels>> = parts
                .iter()
                .map(|part| part.labels.get(dim).cloned().flatten())
                .collect();
            match all.iter().cloned().collect::<Option<Vec<Labels>>>() {
                Some(all) => {
                    all[1..].iter().for_each(|other| self.units.tie(&all[0], other));
                    *out = Some(all[0].clone());
                }
                None => all
                    .iter()
                    .flatten()
                    .for_each(|labels| self.units.hold(labels, node.op)),
            }
        }
        Some(Tracked {
            shape: Some(shape),
            labels,
            not_zero: parts.iter().find_map(|part| part.not_zero.clone()),
        })
    }
}

fn activation(node: &Node<'_>, first: Tracked) -> Tracked {
    let mut output = first;
    if NOT_ZERO_AT_ZERO.contains(&node.op) {
        output.not_zero = Some(node.op.to_owned());
    }
    output
}
