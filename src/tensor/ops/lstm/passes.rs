//! All steps of a layer, forwards and backwards.
//!
//! Samples of a batch have only the parameters in common, so each thread goes through all steps with some of them.

use super::cell::{GATES, Known, Step};
use crate::error::Result;
use crate::mask::parallel::{Threads, vectorized};
use crate::tensor::kernel::{Shared, slice, zeroed};
use crate::tensor::product::{Matrix, Right, TILE_ROWS, threads_for};

/// The sizes of a layer and of its input.
#[derive(Clone, Copy)]
pub struct Sizes {
    pub steps: usize,
    pub batch: usize,
    pub inputs: usize,
    /// Hidden units.
    pub width: usize,
}

impl Sizes {
    /// Entries of the gates of a sample.
    pub fn gates(self) -> usize {
        GATES * self.width
    }

    /// Entries of a hidden or cell state of all samples.
    pub fn state(self) -> usize {
        self.batch * self.width
    }

    /// Threads that share the steps.
    fn threads(self) -> Threads {
        let products = self.steps * self.state();
        threads_for(products.saturating_mul(self.gates()))
    }

    /// Samples of each thread: whole tiles of rows.
    fn share(self, threads: Threads) -> usize {
        let share = self.batch.div_ceil(threads.count());
        share.next_multiple_of(TILE_ROWS).max(TILE_ROWS)
    }

    /// An array `[steps, N, width]` in parts of `share` samples, each part as a list of its steps.
    fn parts(self, share: usize, width: usize, array: &mut [f32]) -> Vec<Vec<&mut [f32]>> {
        let mut parts: Vec<_> = (0..self.batch.div_ceil(share)).map(|_| Vec::new()).collect();
        if self.batch > 0 {
            for step in array.chunks_exact_mut(self.batch * width) {
                for (part, samples) in parts.iter_mut().zip(step.chunks_mut(share * width)) {
                    part.push(samples);
                }
            }
        }
        parts
    }
}

/// What forward computed and backward needs.
pub struct Trace {
    pub sizes: Sizes,
    pub weight_hh: Shared,
    /// The cell state before the first step, `[N, hidden]`.
    pub start: Shared,
    /// The values of the gates, `[steps, N, 4 · hidden]`.
    pub gates: Shared,
    /// Cell states and their hyperbolic tangents, `[steps, N, hidden]`.
    pub cells: [Vec<f32>; 2],
}

/// Goes through all steps, from hidden and cell state `[N, hidden]`. Before it, the gates hold what the inputs
/// contribute; after it, their values. Returns all hidden states and then the last cell state, and the cells for
/// [`Trace`].
pub fn forward(
    sizes: Sizes,
    weight_hh: &[f32],
    start: [&[f32]; 2],
    gates: &mut [f32],
) -> Result<(Vec<f32>, [Vec<f32>; 2])> {
    let Sizes {
        steps, batch, width, ..
    } = sizes;
    let mut states = zeroed("Lstm", &[steps + 1, batch, width])?;
    let mut cells = zeroed("Lstm", &[steps, batch, width])?;
    let mut tanhs = zeroed("Lstm", &[steps, batch, width])?;
    let threads = sizes.threads();
    let share = sizes.share(threads);
    let weight = Right::new(Matrix::new(weight_hh, sizes.gates(), width).t());
    let parts = sizes.parts(share, sizes.gates(), gates).into_iter();
    let parts = parts.zip(sizes.parts(share, width, &mut states));
    let parts = parts.zip(sizes.parts(share, width, &mut cells));
    let parts = parts.zip(sizes.parts(share, width, &mut tanhs));
    let mut parts: Vec<_> = parts.enumerate().collect();
    threads.each(&mut parts, |(number, (((gates, states), cells), tanhs))| {
        let first = *number * share * width;
        for step in 0..steps {
            let len = cells[step].len();
            let ((states_before, states), (cells_before, cells)) =
                (states.split_at_mut(step), cells.split_at_mut(step));
            let (hidden_before, cell_before) = match (states_before.last(), cells_before.last()) {
                (Some(hidden), Some(cell)) => (&**hidden, &**cell),
                _ => (&start[0][first..][..len], &start[1][first..][..len]),
            };
            let hidden_before = Matrix::new(hidden_before, len / width, width);
            weight.add_product(Threads::One, hidden_before, gates[step]);
            let made = Step {
                gates: gates[step],
                hidden: states[0],
                cell: cells[0],
                tanh: tanhs[step],
            };
            vectorized(
                #[inline(always)]
                move || made.forward(width, cell_before),
            );
        }
        states[steps].copy_from_slice(cells[steps - 1]);
    });
    Ok((states, [cells, tanhs]))
}

impl Trace {
    /// From the gradients of all hidden states and then of the last cell state, those of the sums of the gates, and of
    /// the cell state before the first step.
    pub fn backward(&self, g: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let Sizes { steps, width, .. } = self.sizes;
        let (state, gates_width) = (self.sizes.state(), self.sizes.gates());
        let [cells, tanhs] = &self.cells;
        let threads = self.sizes.threads();
        let share = self.sizes.share(threads);
        let weight = Right::new(Matrix::new(slice(&self.weight_hh), gates_width, width));
        let (of_hidden, of_cell) = g.split_at(steps * state);
        let (mut of_gates, mut of_cell) = (vec![0.0; GATES * steps * state], of_cell.to_vec());
        let parts = self.sizes.parts(share, gates_width, &mut of_gates);
        let parts = parts.into_iter().zip(of_cell.chunks_mut(share * width));
        let mut parts: Vec<_> = parts.enumerate().collect();
        threads.each(&mut parts, |(number, (of_gates, of_cell))| {
            let len = of_cell.len();
            let mut of_next = vec![0.0; len];
            for step in (0..steps).rev() {
                let first = step * state + *number * share * width;
                let at = first..first + len;
                let known = Known {
                    of_hidden: &of_hidden[at.clone()],
                    of_next: &of_next,
                    gates: &slice(&self.gates)[GATES * at.start..GATES * at.end],
                    tanh: &tanhs[at.clone()],
                    before: match step {
                        0 => &slice(&self.start)[at],
                        _ => &cells[at.start - state..at.end - state],
                    },
                };
                let (of_cell, of_gates) = (&mut **of_cell, &mut *of_gates[step]);
                vectorized(
                    #[inline(always)]
                    || known.backward(width, of_cell, of_gates),
                );
                if step > 0 {
                    of_next.fill(0.0);
                    let of_gates = Matrix::new(of_gates, len / width, gates_width);
                    weight.add_product(Threads::One, of_gates, &mut of_next);
                }
            }
        });
        (of_gates, of_cell)
    }
}
