//! LSTM, GRU and RNN, step by step.

use ndarray::{Array2, Array3, Array4, ArrayD, Axis, Ix1, Ix2, Ix3, Slice};

use super::{Inputs, unsupported};
use crate::couple::has_usual_activations;
use crate::error::Result;

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-x))
}

impl Inputs<'_, '_> {
    /// All outputs: every step, the last state, and the last cell of an LSTM.
    pub(super) fn recurrent(&self) -> Result<Vec<ArrayD<f64>>> {
        let node = self.node;
        let three = |number: usize| -> Result<Array3<f64>> {
            let array = self.get(number)?.clone();
            array.into_dimensionality::<Ix3>().map_err(|_| self.misfit())
        };
        let (input, w, r) = (three(0)?, three(1)?, three(2)?);
        let (length, batch, _) = input.dim();
        let (directions, _, hidden) = r.dim();
        let gates = match node.op {
            "LSTM" => 4,
            "GRU" => 3,
            _ => 1,
        };
        let fits = w.dim() == (directions, gates * hidden, input.dim().2) && r.dim().1 == gates * hidden;
        let plain = has_usual_activations(node) && node.input(7).is_none() && node.input(4).is_none();
        if !plain || node.int("layout").unwrap_or(0) != 0 {
            return Err(unsupported(node, "its options"));
        }
        if !fits {
            return Err(self.misfit());
        }
        let bias = match self.optional(3) {
            Some(bias) => bias
                .clone()
                .into_dimensionality::<Ix2>()
                .map_err(|_| self.misfit())?,
            None => Array2::zeros((directions, 2 * gates * hidden)),
        };
        let state = |number: usize| match node.input(number) {
            Some(_) => three(number),
            None => Ok(Array3::zeros((directions, batch, hidden))),
        };
        let (mut states, mut cells) = (state(5)?, state(6)?);
        let each = (directions, batch, hidden);
        if states.dim() != each || cells.dim() != each || bias.dim() != (directions, 2 * gates * hidden) {
            return Err(self.misfit());
        }
        let mut all = Array4::zeros((length, directions, batch, hidden));
        for direction in 0..directions {
            let (w, r) = (w.index_axis(Axis(0), direction), r.index_axis(Axis(0), direction));
            let bias = bias
                .index_axis(Axis(0), direction)
                .into_dimensionality::<Ix1>()
                .map_err(|_| self.misfit())?;
            let (of_input, of_state) = bias.split_at(Axis(0), gates * hidden);
            let backwards = direction == 1 || node.text("direction") == Some("reverse");
            let mut h = states.index_axis(Axis(0), direction).to_owned();
            let mut c = cells.index_axis(Axis(0), direction).to_owned();
            for step in 0..length {
                let at = if backwards { length - 1 - step } else { step };
                let from_input = input.index_axis(Axis(0), at).dot(&w.t()) + of_input;
                let from_state = h.dot(&r.t()) + of_state;
                let gate = |number: usize| Slice::from(number * hidden..(number + 1) * hidden);
                if node.op == "LSTM" {
                    // Input, output, forget, cell.
                    let sum = from_input + from_state;
                    let [i, o, f] =
                        [0, 1, 2].map(|number| sum.slice_axis(Axis(1), gate(number)).mapv(sigmoid));
                    let g = sum.slice_axis(Axis(1), gate(3)).mapv(libm::tanh);
                    c = f * &c + i * g;
                    h = o * c.mapv(libm::tanh);
                } else if node.op == "RNN" {
                    h = (from_input + from_state).mapv(libm::tanh);
                } else {
                    // Update, reset, new.
                    let part =
                        |array: &Array2<f64>, number| array.slice_axis(Axis(1), gate(number)).to_owned();
                    let [z, reset] = [0, 1]
                        .map(|number| (part(&from_input, number) + part(&from_state, number)).mapv(sigmoid));
                    let inner = if node.int("linear_before_reset") == Some(1) {
                        reset * part(&from_state, 2)
                    } else {
                        let kept = (reset * &h).dot(&r.slice_axis(Axis(0), gate(2)).t());
                        kept + of_state.slice_axis(Axis(0), gate(2))
                    };
                    let new = (part(&from_input, 2) + inner).mapv(libm::tanh);
                    h = (1.0 - &z) * new + &z * &h;
                }
                all.index_axis_mut(Axis(0), at)
                    .index_axis_mut(Axis(0), direction)
                    .assign(&h);
            }
            states.index_axis_mut(Axis(0), direction).assign(&h);
            cells.index_axis_mut(Axis(0), direction).assign(&c);
        }
        Ok(vec![all.into_dyn(), states.into_dyn(), cells.into_dyn()])
    }
}
