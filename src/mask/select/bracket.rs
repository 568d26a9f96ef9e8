//! Two keys that enclose the cut, found from a sample or, with few entries, by counting all of them.

use super::key::Key;
use super::sample_hash::sample_hash;
use super::source::{BLOCK, Block, Problem};
use super::words::{ones, prior_word};
use crate::mask::bits::BITS;

/// What is known about the cut before the pass over all entries.
///
/// Entries up to `low` are pruned, those from `high` on are kept, and those strictly between are undecided. The ends
/// themselves are decided, so heavy ties are cheap: a value that many entries share is frequent in the sample,
/// becomes an end of the bracket, and its entries are not collected.
///
/// It is a guess. If it is wrong, the counts of the pass show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bracket<K> {
    pub low: K,
    pub high: K,
}

/// A bracket from a sample, for many entries.
///
/// With m entries in the sample, the bracket leaves undecided about 2·`sigmas`·√(m·p·(1−p)) / m of all entries, and
/// misses the cut as rarely as a normal variable is that many standard deviations off. `None` if there is nothing to
/// sample.
pub fn by_sample<K: Key>(problem: &Problem<'_, K>, salt: u64, sigmas: f64) -> Option<Bracket<K>> {
    let mut sample = sample(problem, salt);
    if sample.is_empty() {
        return None;
    }
    let (low, high) = ranks(problem, sample.len(), sigmas);
    let mut bracket = Bracket {
        low: K::MIN,
        high: K::MAX,
    };
    // The higher one first: the lower one is then found among fewer.
    let mut rest = sample.as_mut_slice();
    if let Some(high) = high {
        let (below, key, _) = rest.select_nth_unstable(high);
        bracket.high = *key;
        rest = below;
    }
    if let Some(low) = low {
        // If both ends are the same entry of the sample, it is no longer in the rest.
        bracket.low = if low < rest.len() {
            *rest.select_nth_unstable(low).1
        } else {
            bracket.high
        };
    }
    Some(bracket)
}

/// The ranks in a sample of `len` of the two ends of the bracket, where the sample has them.
fn ranks<K: Key>(problem: &Problem<'_, K>, len: usize, sigmas: f64) -> (Option<usize>, Option<usize>) {
    let m = len as f64;
    let share = problem.k as f64 / problem.remaining as f64;
    let slack = sigmas * (m * share * (1.0 - share)).sqrt() + 2.0;
    let (low, high) = ((m * share - slack).floor(), (m * share + slack).ceil());
    (
        (low >= 0.0).then_some(low as usize),
        (high < m).then_some(high as usize),
    )
}

/// The bracket for keys that are known to be evenly spread: the same, with all entries as the sample.
pub fn of_even<K: Key>(problem: &Problem<'_, K>, sigmas: f64) -> Bracket<K> {
    let scale = problem.source.scale();
    let remaining = problem.remaining as f64;
    let share = problem.k as f64 / remaining;
    let slack = (sigmas * (remaining * share * (1.0 - share)).sqrt() + 2.0) / remaining;
    let (first, last) = (scale.lowest.to_i64(), scale.highest.to_i64());
    let at = |share: f64| {
        let key = first as f64 + share * (last as f64 - first as f64);
        K::from_i64((key as i64).clamp(first, last))
    };
    Bracket {
        low: at(share - slack),
        high: at(share + slack),
    }
}

/// Keys of about n^⅔ of the entries that remain: one from each of as many equal stretches, at a hashed place. With
/// fewer, collecting the undecided would cost more; with more, the sample itself. Up to a million entries the sample
/// is larger, a 32nd part, because otherwise the undecided entries would take a noticeable share of memory.
fn sample<K: Key>(problem: &Problem<'_, K>, salt: u64) -> Vec<K> {
    let source = problem.source;
    let remaining = problem.remaining as f64;
    let wanted = remaining.powf(2.0 / 3.0).max((remaining / 32.0).min(32_768.0));
    // If much is pruned already, many places are empty, so more of them are tried.
    let sparse = (problem.entries as f64 / remaining).min(64.0);
    let stretch = ((problem.entries as f64 / (wanted * sparse)) as usize).max(1);
    let mut keys = Vec::with_capacity((wanted * 1.25) as usize + 16);
    // Places are found first and read then, in a loop that does nothing else, so that many reads are under way at once.
    let mut indices = Vec::with_capacity(BLOCK);
    let mut number = salt << 32;
    // As if the segments were concatenated, so that a stretch may span many small ones.
    let (mut base, mut start) = (0, 0);
    for segment in 0..source.segments() {
        let (len, prior) = (source.len(segment), source.prior(segment));
        loop {
            let place = start + ((u128::from(sample_hash(number)) * stretch as u128) >> 64) as usize;
            if place >= base + len {
                break;
            }
            let index = place - base;
            number += 1;
            start += stretch;
            // A pruned entry is not replaced by a neighbour: neighbours of many pruned entries would count too often.
            if prior.is_none_or(|prior| prior[index / BITS] >> (index % BITS) & 1 == 1) {
                indices.push(index);
            }
            if indices.len() == BLOCK {
                source.entries(segment, &indices, &mut keys);
                indices.clear();
            }
        }
        source.entries(segment, &indices, &mut keys);
        indices.clear();
        base += len;
    }
    keys
}

/// A bracket from counting all entries, for fewer than 2^16 of them: it never misses.
pub fn by_counting<K: Key>(problem: &Problem<'_, K>) -> Bracket<K> {
    let scale = problem.source.scale();
    let mut low = scale.lowest;
    let mut bits = (u64::BITS - scale.highest.above(low).leading_zeros()).max(1);
    let mut below = 0;
    loop {
        let shift = bits.saturating_sub(11);
        // The last counter is for keys above the range, and for those below, whose offsets wrap. It does not matter
        // where NaNs are counted: the pass finds them.
        let mut counts = [0u16; 2049];
        each_key(problem, |key| {
            counts[(key.above(low) >> shift).min(2048) as usize] += 1
        });
        let mut bucket = 0;
        while bucket < 2047 && below + usize::from(counts[bucket]) < problem.k {
            below += usize::from(counts[bucket]);
            bucket += 1;
        }
        low = K::from_i64(low.to_i64().wrapping_add((bucket as i64) << shift));
        if shift == 0 {
            // A single key: the index decides which of its ties are pruned.
            return Bracket { low, high: low };
        }
        bits = shift;
        if usize::from(counts[bucket]) <= problem.remaining / 8 + 16 {
            let above = low.to_i64().saturating_add(1 << bits).min(K::MAX.to_i64());
            return Bracket {
                low: K::from_i64(low.to_i64() - 1),
                high: K::from_i64(above),
            };
        }
    }
}

/// Calls `visit` with the key of each entry that remains.
fn each_key<K: Key>(problem: &Problem<'_, K>, mut visit: impl FnMut(K)) {
    let source = problem.source;
    let mut block = Block::new();
    for segment in 0..source.segments() {
        let all = source.len(segment);
        for start in (0..all).step_by(BLOCK) {
            let len = BLOCK.min(all - start);
            let prior = problem.prior(segment, start, len);
            source.block(segment, start, len, &mut block);
            if prior.is_none() {
                block.keys[..len].iter().for_each(|key| visit(*key));
                continue;
            }
            for (word, keys) in block.keys[..len].chunks(BITS).enumerate() {
                for bit in ones(prior_word(prior, word, keys.len())) {
                    visit(keys[bit]);
                }
            }
        }
    }
}
