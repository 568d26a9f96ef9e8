//! A layer of a long short-term memory over a whole sequence, as one operation.
//!
//! What the inputs contribute to the gates is one product for all steps, and what the gradient of the gates' sums
//! contributes to that of an operand is one, too. Between the operands and the result, the graph has a tensor of the
//! gates: a place for that gradient.

mod cell;
mod passes;

use std::sync::Arc;

use crate::error::Result;
use crate::tensor::graph::Tensor;
use crate::tensor::kernel::{Shared, build, slice, sum_to, zeroed};
use crate::tensor::product::{Matrix, add_product};
use passes::{Sizes, Trace, forward};

/// The parameters of a layer.
pub(crate) struct LstmLayer {
    /// `[4 · hidden, inputs]`.
    pub weight_ih: Tensor,
    /// `[4 · hidden, hidden]`.
    pub weight_hh: Tensor,
    /// `[4 · hidden]`: the sum of both biases.
    pub bias: Option<Tensor>,
}

impl LstmLayer {
    /// The hidden states of all steps, `[steps, N, hidden]`, the last one, and the last cell state, from the input
    /// `[steps, N, inputs]` with at least one step, and the states before it, `[N, hidden]`. All shapes have to fit.
    pub(crate) fn run(
        &self,
        input: &Tensor,
        hidden: &Tensor,
        cell: &Tensor,
    ) -> Result<(Tensor, Tensor, Tensor)> {
        let sizes = Sizes {
            steps: input.shape()[0],
            batch: input.shape()[1],
            inputs: input.shape()[2],
            width: hidden.shape()[1],
        };
        let shape = [sizes.steps, sizes.batch, sizes.gates()];
        let mut gates = zeroed("Lstm", &shape)?;
        if let Some(bias) = &self.bias {
            for row in gates.chunks_exact_mut(sizes.gates()) {
                row.copy_from_slice(slice(&bias.0.value));
            }
        }
        add_product(
            Matrix::new(slice(&input.0.value), sizes.steps * sizes.batch, sizes.inputs),
            Matrix::new(slice(&self.weight_ih.0.value), sizes.gates(), sizes.inputs).t(),
            &mut gates,
        );
        let start = [hidden, cell].map(|state| slice(&state.0.value));
        let (states, cells) = forward(sizes, slice(&self.weight_hh.0.value), start, &mut gates)?;
        let states = build(&[sizes.steps + 1, sizes.batch, sizes.width], states);
        let gates = build(&shape, gates);

        let place = self.place(sizes, input, hidden, &gates, &states);
        let trace = Arc::new(Trace {
            sizes,
            weight_hh: self.weight_hh.shared(),
            start: cell.shared(),
            gates,
            cells,
        });
        let of_place = place.edge(|| {
            let trace = trace.clone();
            move |g, slot| slot.add(build(&shape, trace.backward(slice(&g)).0))
        });
        // Rarely wanted; then the way back is gone a second time.
        let of_cell = cell.edge(|| {
            move |g, slot| slot.add(build(&[sizes.batch, sizes.width], trace.backward(slice(&g)).1))
        });
        let states = Tensor::derived(states, [of_place, of_cell]);
        let outputs = states.narrow(0, 0, sizes.steps)?;
        let hidden = outputs.select(0, sizes.steps - 1)?;
        Ok((outputs, hidden, states.select(0, sizes.steps)?))
    }

    /// The gates as a tensor, whose gradient is that of their sums.
    fn place(
        &self,
        sizes: Sizes,
        input: &Tensor,
        hidden: &Tensor,
        gates: &Shared,
        states: &Shared,
    ) -> Tensor {
        let Sizes {
            steps,
            batch,
            inputs,
            width,
        } = sizes;
        let (rows, gates_width) = (steps * batch, sizes.gates());
        let of_input = input.edge(|| {
            let weight = self.weight_ih.shared();
            move |g, slot| {
                let weight = Matrix::new(slice(&weight), gates_width, inputs);
                add_product(
                    Matrix::new(slice(&g), rows, gates_width),
                    weight,
                    slot.slice_mut(),
                );
            }
        });
        let of_weight_ih = self.weight_ih.edge(|| {
            let x = input.shared();
            move |g, slot| {
                let g = Matrix::new(slice(&g), rows, gates_width);
                add_product(g.t(), Matrix::new(slice(&x), rows, inputs), slot.slice_mut());
            }
        });
        let of_weight_hh = self.weight_hh.edge(|| {
            let (hidden, states) = (hidden.shared(), states.clone());
            move |g, slot| {
                // A state contributes to the gates of the step after it.
                let (first, others) = slice(&g).split_at(batch * gates_width);
                let states = &slice(&states)[..(rows - batch) * width];
                for (g, states, rows) in [(first, slice(&hidden), batch), (others, states, rows - batch)] {
                    let g = Matrix::new(g, rows, gates_width);
                    add_product(g.t(), Matrix::new(states, rows, width), slot.slice_mut());
                }
            }
        });
        let bias = self.bias.as_ref();
        let of_bias = bias.and_then(|bias| bias.edge(|| move |g, slot| slot.add(sum_to(g, &[gates_width]))));
        let of_hidden = hidden.edge(|| {
            let weight = self.weight_hh.shared();
            move |g, slot| {
                let weight = Matrix::new(slice(&weight), gates_width, width);
                let first = Matrix::new(&slice(&g)[..batch * gates_width], batch, gates_width);
                add_product(first, weight, slot.slice_mut());
            }
        });
        let edges = [of_input, of_weight_ih, of_weight_hh, of_bias, of_hidden];
        Tensor::derived(gates.clone(), edges)
    }
}
