//! Prunes channels, blocks and groups of one tensor in memory.

use super::outcome::Outcome;
use super::tensor::Tensor;
use crate::error::Result;
use crate::mask::patterns::blocks::Blocks;
use crate::mask::patterns::channels::Channels;
use crate::mask::patterns::groups::Groups;
use crate::mask::select::Order;
use crate::mask::{Amount, BlockRank, ChannelRank, EntryRank, Mask, random};

/// Prunes the lowest-ranked of the channels that remain.
pub(super) fn channels(
    channels: Channels,
    amount: Amount,
    by: ChannelRank,
    tensor: &Tensor<'_>,
) -> Result<Outcome> {
    let (shape, prior) = (tensor.scores.shape(), tensor.prior);
    let entries = tensor.entries();
    let remaining = channels.remaining(prior);
    let count = remaining.iter().filter(|remains| **remains).count();
    let requested = amount.units(count, channels.count)?;
    let scores = match by {
        ChannelRank::Norm(norm) => {
            let scorer = channels.scorer(norm, shape)?;
            entries.without_nan(
                |entries| channels.norms(entries, &scorer),
                |norms| {
                    remaining
                        .iter()
                        .zip(norms)
                        .any(|(remains, norm)| *remains && norm.is_nan())
                },
            )?
        }
        ChannelRank::Random { seed } => channels.random_scores(random::stream_key(seed, 0, 0)),
    };
    let selection = channels.select(&scores, remaining, requested);
    let mut words = tensor.mask().into_words();
    selection.apply(0, entries.len(), &mut words);
    Ok(Outcome {
        mask: Mask::from_words(shape, words)?,
        requested: Some(requested),
        pruned: requested,
    })
}

/// Prunes the lowest-ranked of the blocks that remain.
pub(super) fn blocks(blocks: Blocks, amount: Amount, by: BlockRank, tensor: &Tensor<'_>) -> Result<Outcome> {
    let (shape, prior) = (tensor.scores.shape(), tensor.prior);
    let entries = tensor.entries();
    let remaining = blocks.remaining(prior);
    let requested = amount.units(remaining.count_kept(), remaining.len())?;
    let scores = entries.without_nan(
        |entries| blocks.scores(entries, by),
        |scores| {
            remaining
                .iter()
                .zip(scores)
                .any(|(remains, score)| remains && score.is_nan())
        },
    )?;
    let selection = blocks.select(&scores, &remaining, requested);
    let mut words = tensor.mask().into_words();
    selection.apply(0, entries.len(), &mut words);
    Ok(Outcome {
        mask: Mask::from_words(shape, words)?,
        requested: Some(requested),
        pruned: requested,
    })
}

/// Prunes all but the highest-ranked few of each group.
pub(super) fn groups(groups: Groups, by: EntryRank, tensor: &Tensor<'_>) -> Result<Outcome> {
    let shape = tensor.scores.shape();
    let entries = tensor.entries();
    let mut words = tensor.mask().into_words();
    let before: usize = words.iter().map(|word| word.count_ones() as usize).sum();
    let done = match by {
        EntryRank::Magnitude => groups.prune_all(&entries, Order::Magnitude, &mut words),
        EntryRank::Value => groups.prune_all(&entries, Order::Value, &mut words),
        EntryRank::Random { seed } => groups.prune_all_at_random(random::stream_key(seed, 0, 0), &mut words),
    };
    done.map_err(|_| entries.first_nan())?;
    let mask = Mask::from_words(shape, words)?;
    Ok(Outcome {
        pruned: before - mask.count_kept(),
        requested: None,
        mask,
    })
}
