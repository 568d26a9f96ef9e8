//! Decides the entries that a pass has left undecided.

use super::bracket::Bracket;
use super::key::Key;
use super::pass::Task;
use crate::mask::bits::BITS;
use crate::mask::parallel::Threads;

/// Prunes the `wanted` lowest of the undecided entries.
pub fn settle<K: Key>(tasks: &mut [Task<'_, K>], bracket: Bracket<K>, wanted: usize, threads: Threads) {
    if wanted == 0 {
        return;
    }
    let (cut, below, ties) = nth(tasks, bracket, wanted);
    let mut quota = wanted - below;
    if quota == ties {
        // Nearly always: all ties are pruned, so their order does not matter.
        threads.each(tasks, |task| prune(task, usize::MAX, cut));
        return;
    }
    for task in tasks {
        quota -= prune(task, quota, cut);
    }
}

/// Prunes those of a task's undecided entries that are below the cut, and the first `quota` of its ties. Returns how
/// many ties it pruned.
fn prune<K: Key>(task: &mut Task<'_, K>, quota: usize, cut: K) -> usize {
    let mut ties = 0;
    for (place, key) in task.places.iter().zip(&task.keys) {
        let place = usize::from(*place);
        let tie = *key == cut && ties < quota;
        ties += usize::from(tie);
        task.mask[place / BITS] &= !(u64::from(*key < cut || tie) << (place % BITS));
    }
    ties
}

/// The key of the `wanted`-th lowest undecided entry, how many of them are below it, and how many equal it.
fn nth<K: Key>(tasks: &[Task<'_, K>], bracket: Bracket<K>, wanted: usize) -> (K, usize, usize) {
    let mut low = bracket.low;
    let mut bits = (u64::BITS - bracket.high.above(low).leading_zeros()).max(1);
    let mut below = 0;
    let mut inside: usize = tasks.iter().map(|task| task.keys.len()).sum();
    loop {
        if inside <= 4096 {
            let mut keys: Vec<K> = (tasks.iter().flat_map(|task| &task.keys).copied())
                .filter(|key| key.above(low).checked_shr(bits).unwrap_or(0) == 0)
                .collect();
            let (_, cut, _) = keys.select_nth_unstable(wanted - below - 1);
            let cut = *cut;
            let lower = keys.iter().filter(|key| **key < cut).count();
            let equal = keys.iter().filter(|key| **key == cut).count();
            return (cut, below + lower, equal);
        }
        let shift = bits.saturating_sub(11);
        let mut counts = [0u32; 2049];
        for task in tasks {
            for key in &task.keys {
                // The last counter is for the keys outside of the range.
                counts[(key.above(low) >> shift).min(2048) as usize] += 1;
            }
        }
        let mut bucket = 0;
        while bucket < 2047 && below + (counts[bucket] as usize) < wanted {
            below += counts[bucket] as usize;
            bucket += 1;
        }
        low = K::from_i64(low.to_i64().wrapping_add((bucket as i64) << shift));
        inside = counts[bucket] as usize;
        if shift == 0 {
            return (low, below, inside);
        }
        bits = shift;
    }
}
