//! The algorithm over a whole weight: block after block of columns, with rows shared by threads.

use ndarray::ArrayView2;

use super::eliminate::{Groups, eliminate, score};
use super::factor::{Block, Factor};
use super::hessian::not_finite;
use super::linalg::panels::{Left, Right, add_product};
use super::linalg::strips::{STRIP, threads};
use crate::error::Result;
use crate::mask::{self, L1Unstructured, Mask};

/// Which entries are pruned.
pub enum Choice {
    /// So many, of the entries of each block those that cost least.
    Entries { requested: usize },
    /// Of each group the entries that cost least.
    Groups(Groups),
}

/// A weight that is being pruned.
pub struct Layer {
    pub rows: usize,
    pub columns: usize,
    /// Row-major. Columns of finished blocks hold pruned and updated weights, the others those of the
    /// beginning.
    pub weights: Vec<f64>,
    /// Row-major: what is not pruned, neither before nor so far.
    pub kept: Vec<bool>,
}

/// Some rows of the weight, and what belongs to them.
struct Strip<'a> {
    weights: &'a mut [f64],
    kept: &'a mut [bool],
    /// D: weights of the beginning minus those of the end, of the columns that are finished.
    changes: Left,
    /// Of each row, the sum of squared errors so far.
    losses: &'a mut [f64],
    /// The weights of the present block, compensated for everything that was pruned before it.
    block: Vec<f64>,
}

impl Layer {
    /// Sets the weights of inputs that never were other than zero to 0.
    pub fn silence(&mut self, dead: &[bool]) {
        if dead.contains(&true) {
            for row in self.weights.chunks_mut(self.columns) {
                for (weight, _) in row.iter_mut().zip(dead).filter(|(_, dead)| **dead) {
                    *weight = 0.0;
                }
            }
        }
    }

    /// Prunes and updates the weights. Returns the squared error of the output on the samples of the Hessian.
    pub fn prune(&mut self, factor: &Factor, choice: &Choice, block: usize) -> Result<f64> {
        let (rows, columns) = (self.rows, self.columns);
        if self.weights.is_empty() {
            return Ok(0.0);
        }
        let mut losses = vec![0.0; rows];
        let mut shares = Shares::new(choice, &self.kept);
        let mut strips: Vec<_> = self
            .weights
            .chunks_mut(STRIP * columns)
            .zip(self.kept.chunks_mut(STRIP * columns))
            .zip(losses.chunks_mut(STRIP))
            .map(|((weights, kept), losses)| Strip {
                weights,
                kept,
                changes: Left::zeros(losses.len(), columns),
                losses,
                block: Vec::new(),
            })
            .collect();
        for start in (0..columns).step_by(block) {
            let width = block.min(columns - start);
            let above = factor.columns_above(start, width);
            let diagonal = factor.block(start, width);
            let threads = threads(rows.saturating_mul(width * (start + width)));
            threads.each(&mut strips, |strip| {
                strip.begin(&above, &diagonal, start, columns)
            });
            let groups = match choice {
                Choice::Groups(groups) => Some(*groups),
                Choice::Entries { .. } => {
                    select(&mut strips, &diagonal, start, columns, &mut shares)?;
                    None
                }
            };
            threads.each(&mut strips, |strip| {
                strip.finish(&diagonal, groups, start, columns)
            });
        }
        // Of the sum, λ × ‖D‖² is what dampening added to the squared error.
        let mut loss = 0.0;
        let mut changed = 0.0;
        for strip in &strips {
            loss += strip.losses.iter().sum::<f64>();
            changed += strip.changes.sum_of_squares();
        }
        Ok((loss - factor.dampening * changed).max(0.0))
    }
}

impl Strip<'_> {
    /// Compensates the weights of a block for everything that was pruned before it.
    fn begin(&mut self, above: &Right, diagonal: &Block, start: usize, columns: usize) {
        let width = diagonal.width;
        self.block.clear();
        self.block.resize(self.losses.len() * width, 0.0);
        add_product(&mut self.block, width, &self.changes, above, start);
        diagonal.factor.solve(&mut self.block, width, 0);
        for (row, weights) in self.block.chunks_mut(width).zip(self.weights.chunks(columns)) {
            for (entry, weight) in row.iter_mut().zip(&weights[start..]) {
                *entry += weight;
            }
        }
    }

    /// Prunes the block.
    fn finish(&mut self, diagonal: &Block, groups: Option<Groups>, start: usize, columns: usize) {
        let width = diagonal.width;
        let rows = self
            .weights
            .chunks_mut(columns)
            .zip(self.kept.chunks_mut(columns))
            .zip(self.block.chunks_mut(width))
            .zip(&mut *self.losses);
        for (number, (((weights, kept), row), loss)) in rows.enumerate() {
            *loss += eliminate(row, &mut kept[start..start + width], groups, diagonal);
            for (j, (weight, new)) in weights[start..].iter_mut().zip(&*row).enumerate() {
                self.changes.set(number, start + j, *weight - new);
                *weight = *new;
            }
        }
    }
}

/// Prunes the entries of a block that cost least, of all rows.
fn select(
    strips: &mut [Strip<'_>],
    diagonal: &Block,
    start: usize,
    columns: usize,
    shares: &mut Shares,
) -> Result<()> {
    let width = diagonal.width;
    let mut kept = Vec::new();
    for row in strips.iter().flat_map(|strip| strip.kept.chunks(columns)) {
        kept.extend_from_slice(&row[start..][..width]);
    }
    let mut scores = Vec::with_capacity(kept.len());
    for row in strips.iter().flat_map(|strip| strip.block.chunks(width)) {
        for (j, &weight) in row.iter().enumerate() {
            if !weight.is_finite() {
                return Err(not_finite(
                    "the updated weight",
                    scores.len() / width,
                    start + j,
                    weight,
                ));
            }
            scores.push(score(diagonal, j, weight));
        }
    }
    let shape = [kept.len() / width, width];
    let prior = Mask::collect(&shape, kept.iter().copied());
    let count = shares.next(prior.count_kept());
    let scores = ArrayView2::from_shape(shape, &scores).expect("a score for each entry");
    let chosen = mask::compute(&L1Unstructured::new(count)?, scores, Some(&prior))?.mask;
    let mut chosen = chosen.iter();
    for strip in strips {
        for row in strip.kept.chunks_mut(columns) {
            for (kept, chosen) in row[start..][..width].iter_mut().zip(&mut chosen) {
                *kept = chosen;
            }
        }
    }
    Ok(())
}

/// How many entries each block loses: after each block as many as belong to the entries so far, rounded to
/// nearest. So the last block completes exactly what was requested (S4).
struct Shares {
    requested: u128,
    remaining: u128,
    seen: u128,
    given: u128,
}

impl Shares {
    fn new(choice: &Choice, kept: &[bool]) -> Self {
        let requested = match choice {
            Choice::Entries { requested } => *requested,
            Choice::Groups(_) => 0,
        };
        Shares {
            requested: requested as u128,
            remaining: kept.iter().filter(|kept| **kept).count() as u128,
            seen: 0,
            given: 0,
        }
    }

    /// The share of the next block, of which so many entries are not yet pruned.
    fn next(&mut self, remaining: usize) -> usize {
        self.seen += remaining as u128;
        if self.remaining == 0 {
            return 0;
        }
        let due = (2 * self.requested * self.seen + self.remaining) / (2 * self.remaining);
        let share = due - self.given;
        self.given = due;
        share as usize
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn shares_add_up_and_fit_their_blocks(
            blocks in prop::collection::vec(0_usize..100, 0..20),
            fraction in 0.0..=1.0,
        ) {
            let entries = blocks.iter().sum::<usize>();
            let requested = (fraction * entries as f64) as usize;
            let mut shares = Shares::new(&Choice::Entries { requested }, &vec![true; entries]);
            let mut sum = 0;
            for block in blocks {
                let share = shares.next(block);
                prop_assert!(share <= block);
                let exact = block as f64 * requested as f64 / entries.max(1) as f64;
                prop_assert!((share as f64 - exact).abs() <= 1.0 + 1e-9);
                sum += share;
            }
            prop_assert_eq!(sum, requested);
        }
    }
}
