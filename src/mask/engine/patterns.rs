//! Groups and blocks of one tensor: which of them, or of their entries, fall.

use ndarray::ArrayViewD;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::Outcome;
use super::planned::{first_nan, slice, standard};
use crate::error::Result;
use crate::mask::blocks::Blocks;
use crate::mask::effective::{Entries, Masked};
use crate::mask::groups::Groups;
use crate::mask::select::{self, Element, Order, Segment, SelectError};
use crate::mask::{Amount, BlockRank, EntryRank, Mask, random};

/// Lets all but the highest-ranked few of each group fall.
pub(super) fn groups<T: Element>(
    groups: Groups,
    by: EntryRank,
    scores: &ArrayViewD<'_, T>,
    prior: Option<&Mask>,
) -> Result<Outcome> {
    let before = prior.cloned().unwrap_or_else(|| Mask::ones(scores.shape()));
    let mut words = before.as_words().to_vec();
    if !scores.is_empty() {
        match by {
            EntryRank::Magnitude | EntryRank::Value => {
                let standard = standard(scores);
                let values = slice(&standard);
                if by == EntryRank::Value {
                    groups.choose(values, value, 0, prior, &mut words)
                } else {
                    groups.choose(values, magnitude, 0, prior, &mut words)
                }
                .map_err(|_| first_nan(values, prior))?;
            }
            EntryRank::Random { seed } => {
                let mut rng = ChaCha8Rng::from_seed(random::stream_key(seed, 0, 0));
                let some_slabs = groups.slab() * (4096 / groups.slab()).max(1);
                for start in (0..scores.len()).step_by(some_slabs) {
                    let end = scores.len().min(start + some_slabs);
                    let keys: Vec<f64> = (start..end).map(|_| rng.next_u32().into()).collect();
                    groups
                        .choose(&keys, value, start, prior, &mut words)
                        .expect("no word is NaN");
                }
            }
        }
    }
    let mask = Mask::from_words(scores.shape(), words)?;
    Ok(Outcome {
        pruned: before.count_kept() - mask.count_kept(),
        requested: None,
        mask,
    })
}

fn magnitude<T: Element>(entry: T) -> T::Key {
    entry.magnitude()
}

fn value<T: Element>(entry: T) -> T::Key {
    entry.value()
}

/// Lets the lowest-ranked of the blocks that are left fall.
pub(super) fn blocks<T: Element>(
    blocks: Blocks<'_>,
    amount: Amount,
    by: BlockRank,
    scores: &ArrayViewD<'_, T>,
    prior: Option<&Mask>,
    masked: Masked,
) -> Result<Outcome> {
    let left = blocks.left(prior);
    let requested = amount.units(left.count_kept(), left.len())?;
    let standard = standard(scores);
    let values = slice(&standard);
    let entries = Entries::new(values, prior, masked);
    let lowest = |ranks: &[f64]| {
        let segment = Segment {
            values: ranks,
            prior: Some(left.as_words()),
        };
        select::lowest(&[segment], requested, Order::Value)
    };
    let mut kept = lowest(&blocks.scores(entries, by));
    if let (Err(SelectError::Nan { .. }), Some(prior)) = (&kept, prior) {
        // A NaN that is masked already does not count (S8); any other does.
        kept = lowest(&blocks.scores(entries.without_pruned_nans(prior), by));
    }
    let words = kept.map_err(|_| first_nan(values, prior))?.swap_remove(0);
    let kept = Mask::from_words(left.shape(), words)?;
    Ok(Outcome {
        mask: blocks.mask(prior, &kept),
        requested: Some(requested),
        pruned: requested,
    })
}
