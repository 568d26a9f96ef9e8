//! One block of columns of one row: pruning entries, and compensating for them in the entries that follow.

use super::factor::Block;
use super::linalg::triangle::subtract_multiple;
use crate::mask::parallel::vectorized;

/// An N:M pattern: `keep` of each `of` consecutive entries.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Groups {
    pub keep: usize,
    pub of: usize,
}

/// What pruning entry `j` of a block costs: the square root of the paper's w² / (U_jj)², which ranks the same
/// and does not overflow. U_jj is 1 / V_jj.
#[inline(always)]
pub fn score(block: &Block, j: usize, weight: f64) -> f64 {
    weight.abs() * block.diagonal[j]
}

/// Prunes the entries of a row that `kept` does not keep, in order, and returns the sum of the squared
/// errors, each divided by its (U_jj)².
///
/// With `groups`, each group is chosen when its first entry is reached, from the weights of that moment.
pub fn eliminate(weights: &mut [f64], kept: &mut [bool], groups: Option<Groups>, block: &Block) -> f64 {
    let width = block.width;
    vectorized(
        #[inline(always)]
        || {
            let mut loss = 0.0;
            for j in 0..width {
                if let Some(Groups { keep, of }) = groups
                    && j % of == 0
                {
                    let scores = |i: usize| score(block, j + i, weights[j + i]);
                    prune_lowest(&mut kept[j..j + of], of - keep, scores);
                }
                if kept[j] {
                    continue;
                }
                let inverse = &block.inverse[j * width..][j..width];
                let (head, tail) = weights.split_at_mut(j + 1);
                let error = head[j] / inverse[0];
                head[j] = 0.0;
                subtract_multiple(tail, error, &inverse[1..]);
                loss += error * error;
            }
            loss
        },
    )
}

/// Prunes the entries of lowest score until at least `prune` are pruned; of ties the first one first.
#[inline(always)]
fn prune_lowest(kept: &mut [bool], prune: usize, score: impl Fn(usize) -> f64) {
    let pruned = kept.iter().filter(|kept| !**kept).count();
    for _ in pruned..prune {
        let mut lowest: Option<(usize, f64)> = None;
        for (i, _) in kept.iter().enumerate().filter(|(_, kept)| **kept) {
            let score = score(i);
            if lowest.is_none_or(|(_, low)| score < low) {
                lowest = Some((i, score));
            }
        }
        if let Some((i, _)) = lowest {
            kept[i] = false;
        }
    }
}
