//! One step of the cells of some samples, forwards and backwards, once products of matrices are done.

use crate::tensor::functions::{sigmoid, tanh};

/// Input, forget, cell, output.
pub const GATES: usize = 4;

/// Cells that are computed together, in vectors.
const LANES: usize = 16;
type Lanes = [f32; LANES];

/// What a step makes, a row for each sample.
pub struct Step<'a> {
    /// Sums before, values after; `GATES` times as long as the others.
    pub gates: &'a mut [f32],
    pub hidden: &'a mut [f32],
    pub cell: &'a mut [f32],
    pub tanh: &'a mut [f32],
}

impl Step<'_> {
    /// From the sums of the gates and the cell state before, everything else.
    #[inline(always)]
    pub fn forward(self, width: usize, before: &[f32]) {
        let rows = self.gates.chunks_exact_mut(GATES * width);
        let states = self
            .hidden
            .chunks_exact_mut(width)
            .zip(before.chunks_exact(width));
        let cells = self
            .cell
            .chunks_exact_mut(width)
            .zip(self.tanh.chunks_exact_mut(width));
        for ((gates, (hidden, before)), (cell, tanhs)) in rows.zip(states).zip(cells) {
            let (of_input, rest) = gates.split_at_mut(width);
            let (of_forget, rest) = rest.split_at_mut(width);
            let (of_cell, of_output) = rest.split_at_mut(width);
            for start in (0..width).step_by(LANES) {
                let at = start..width.min(start + LANES);
                let input = each(load(&of_input[at.clone()]), sigmoid);
                let forget = each(load(&of_forget[at.clone()]), sigmoid);
                let new = each(load(&of_cell[at.clone()]), tanh);
                let output = each(load(&of_output[at.clone()]), sigmoid);
                let kept = both(forget, load(&before[at.clone()]), |f, c| f * c);
                let state = both(kept, both(input, new, |i, n| i * n), |a, b| a + b);
                let small = each(state, tanh);
                store(input, &mut of_input[at.clone()]);
                store(forget, &mut of_forget[at.clone()]);
                store(new, &mut of_cell[at.clone()]);
                store(output, &mut of_output[at.clone()]);
                store(state, &mut cell[at.clone()]);
                store(small, &mut tanhs[at.clone()]);
                store(both(output, small, |o, t| o * t), &mut hidden[at]);
            }
        }
    }
}

/// What is known of a step on the way back, a row for each sample.
pub struct Known<'a> {
    /// The gradient of the hidden state, from outside.
    pub of_hidden: &'a [f32],
    /// The gradient of the hidden state, from the step after.
    pub of_next: &'a [f32],
    pub gates: &'a [f32],
    pub tanh: &'a [f32],
    /// The cell state before the step.
    pub before: &'a [f32],
}

impl Known<'_> {
    /// The gradients of the gates' sums. That of the cell state after the step becomes that of the one before.
    #[inline(always)]
    pub fn backward(self, width: usize, of_cell: &mut [f32], of_gates: &mut [f32]) {
        let rows = of_gates
            .chunks_exact_mut(GATES * width)
            .zip(self.gates.chunks_exact(GATES * width));
        let cells = of_cell
            .chunks_exact_mut(width)
            .zip(self.before.chunks_exact(width));
        let hidden = self
            .of_hidden
            .chunks_exact(width)
            .zip(self.of_next.chunks_exact(width));
        let all = rows.zip(cells).zip(hidden.zip(self.tanh.chunks_exact(width)));
        for (((of_gates, gates), (of_cell, before)), ((of_hidden, of_next), tanhs)) in all {
            let (of_input, rest) = of_gates.split_at_mut(width);
            let (of_forget, rest) = rest.split_at_mut(width);
            let (of_new, of_output) = rest.split_at_mut(width);
            for start in (0..width).step_by(LANES) {
                let at = start..width.min(start + LANES);
                let gate = |number: usize| load(&gates[number * width..][at.clone()]);
                let (input, forget, new, output) = (gate(0), gate(1), gate(2), gate(3));
                let small = load(&tanhs[at.clone()]);
                let g = both(
                    load(&of_hidden[at.clone()]),
                    load(&of_next[at.clone()]),
                    |a, b| a + b,
                );
                let through = both(both(g, output, |g, o| g * o), small, |g, t| g * (1.0 - t * t));
                let c = both(load(&of_cell[at.clone()]), through, |a, b| a + b);
                let by_input = both(both(c, new, |c, n| c * n), input, of_sigmoid);
                let by_forget = both(
                    both(c, load(&before[at.clone()]), |c, b| c * b),
                    forget,
                    of_sigmoid,
                );
                let by_new = both(both(c, input, |c, i| c * i), new, |g, n| g * (1.0 - n * n));
                let by_output = both(both(g, small, |g, t| g * t), output, of_sigmoid);
                store(by_input, &mut of_input[at.clone()]);
                store(by_forget, &mut of_forget[at.clone()]);
                store(by_new, &mut of_new[at.clone()]);
                store(by_output, &mut of_output[at.clone()]);
                store(both(c, forget, |c, f| c * f), &mut of_cell[at]);
            }
        }
    }
}

/// The gradient of what `y` is the logistic function of.
#[inline(always)]
fn of_sigmoid(g: f32, y: f32) -> f32 {
    g * (y * (1.0 - y))
}

/// Some entries; where there are fewer than lanes, zeros for the others.
#[inline(always)]
fn load(entries: &[f32]) -> Lanes {
    entries.try_into().unwrap_or_else(
        #[inline(always)]
        |_| {
            let mut lanes = [0.0; LANES];
            lanes[..entries.len()].copy_from_slice(entries);
            lanes
        },
    )
}

/// As many lanes as there are entries.
#[inline(always)]
fn store(lanes: Lanes, entries: &mut [f32]) {
    match <&mut Lanes>::try_from(&mut *entries) {
        Ok(entries) => *entries = lanes,
        Err(_) => entries.copy_from_slice(&lanes[..entries.len()]),
    }
}

#[inline(always)]
fn each(mut lanes: Lanes, f: impl Fn(f32) -> f32) -> Lanes {
    for x in &mut lanes {
        *x = f(*x);
    }
    lanes
}

#[inline(always)]
fn both(mut a: Lanes, b: Lanes, f: impl Fn(f32, f32) -> f32) -> Lanes {
    for (a, b) in a.iter_mut().zip(b) {
        *a = f(*a, b);
    }
    a
}
