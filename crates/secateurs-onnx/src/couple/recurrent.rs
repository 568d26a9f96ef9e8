//! LSTM, GRU and RNN: a unit of the state is removed with the rows of all its gates.

use super::{Change, FIXED, Labels, Tracked, Walk};
use crate::graph::Node;

/// Whether the functions of all gates are those that there are by default.
pub fn has_usual_activations(node: &Node<'_>) -> bool {
    let usual: &[&str] = match node.op {
        "LSTM" => &["Sigmoid", "Tanh", "Tanh"],
        "GRU" => &["Sigmoid", "Tanh"],
        _ => &["Tanh"],
    };
    node.texts("activations")
        .chunks(usual.len())
        .all(|each| each == usual)
}

impl<'a> Walk<'a, '_> {
    pub(super) fn recurrent(&mut self, number: usize, node: &Node<'a>) -> Option<Vec<Tracked>> {
        let gates = match node.op {
            "LSTM" => 4,
            "GRU" => 3,
            _ => 1,
        };
        let has = |place: usize| node.input(place).is_some();
        // Other functions may not be zero at zero, and peepholes have weights of their own.
        if !has_usual_activations(node)
            || node.float("clip").is_some()
            || has(7)
            || node.int("layout").unwrap_or(0) != 0
        {
            return None;
        }
        let (input, w, r) = (self.value(node.input(0)?), node.input(1)?, node.input(2)?);
        let dims = self.value(r).shape?.into_iter().collect::<Option<Vec<_>>>()?;
        let [directions, rows, hidden] = dims[..] else {
            return None;
        };
        (rows == gates * hidden).then_some(())?;
        let units = self.units.fresh(hidden, node.op);
        let repeated = |times: usize| -> Labels { units.repeat(times).into() };
        self.hold_dim(&input, 0, node.op);
        self.hold_dim(&input, 1, node.op);
        match self.consume(&input, 2) {
            Some(labels) => self.cut_along(w, 2, &labels, node.op),
            None => self.fix(w, 2, FIXED),
        }
        self.cut_along(w, 1, &repeated(gates), node.op);
        self.cut_along(r, 1, &repeated(gates), node.op);
        if self.is_weight(w) && self.is_weight(r) {
            self.makers.extend([(w, 1), (r, 1)]);
        }
        self.cut_along(r, 2, &units, node.op);
        if let Some(bias) = node.input(3) {
            self.cut_along(bias, 1, &repeated(2 * gates), node.op);
        }
        // A state that is zero stays zero where all weights are.
        for place in [5, 6] {
            let Some(name) = node.input(place) else { continue };
            let state = self.value(name);
            match state.units(2).cloned() {
                _ if self.is_zeros(name) => {
                    let labels = units.clone();
                    self.follow(number, Change::Missing { place, labels });
                }
                Some(labels) if state.not_zero.is_none() => self.units.tie(&units, &labels),
                _ if self.is_weight(name) => self.cut_along(name, 2, &units, "the initial state"),
                _ => {
                    self.hold_from(&state, 0, node.op);
                    self.units.hold(&units, "the initial state");
                }
            }
        }
        let labels = units.clone();
        self.follow(
            number,
            Change::Attribute {
                name: "hidden_size",
                labels,
            },
        );
        let (length, batch) = (input.len(0), input.len(1));
        let output = Tracked::zero(
            vec![length, Some(directions), batch, Some(hidden)],
            vec![None, None, None, Some(units.clone())],
        );
        let state = Tracked::zero(
            vec![Some(directions), batch, Some(hidden)],
            vec![None, None, Some(units)],
        );
        Some(vec![output, state.clone(), state])
    }
}
