//! Two keys that the cut lies between, or at: found by a look at a few entries, or by counting all of few.

use super::engine::Problem;
use super::key::{By, Key, Rank};
use super::source::{BLOCK, Source};
use super::words::{BITS, ones, prior_word};

/// What is known of the cut before the pass over all entries.
///
/// Entries up to `low` fall, those from `high` on stay, and those strictly between are in doubt. That the two ends are
/// not in doubt is what makes heavy ties cheap: a value that many entries share is found in the sample again and again,
/// so it becomes an end of the bracket, and its entries are not collected.
///
/// It is a guess. If it is wrong, the counts of the pass show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bracket<K> {
    pub low: K,
    pub high: K,
}

/// A bracket from a sample, for many entries.
///
/// With m entries in the sample, the bracket leaves in doubt about 2·`sigmas`·√(m·p·(1−p)) / m of all entries, and misses
/// the cut as rarely as a normal variable is that many standard deviations off. `None` where there is nothing to sample.
pub fn by_sample<S: Source + ?Sized, B: By>(
    problem: &Problem<'_, S>,
    salt: u64,
    sigmas: f64,
) -> Option<Bracket<<S::Item as Rank>::Key>> {
    let mut sample = sample::<S, B>(problem, salt);
    if sample.is_empty() {
        return None;
    }
    let (low, high) = ranks(problem, sample.len(), sigmas);
    let mut bracket = Bracket {
        low: Key::MIN,
        high: Key::MAX,
    };
    // The higher one first: the lower one is then among fewer.
    let mut rest = sample.as_mut_slice();
    if let Some(high) = high {
        let (below, key, _) = rest.select_nth_unstable(high);
        bracket.high = *key;
        rest = below;
    }
    if let Some(low) = low {
        // Where both ends are one entry of the sample, it has been taken away.
        bracket.low = if low < rest.len() {
            *rest.select_nth_unstable(low).1
        } else {
            bracket.high
        };
    }
    Some(bracket)
}

/// The ranks in a sample of `len` of the two ends of the bracket, where the sample has them.
fn ranks<S: Source + ?Sized>(
    problem: &Problem<'_, S>,
    len: usize,
    sigmas: f64,
) -> (Option<usize>, Option<usize>) {
    let m = len as f64;
    let share = problem.k as f64 / problem.left as f64;
    let slack = sigmas * (m * share * (1.0 - share)).sqrt() + 2.0;
    let (low, high) = ((m * share - slack).floor(), (m * share + slack).ceil());
    (
        (low >= 0.0).then_some(low as usize),
        (high < m).then_some(high as usize),
    )
}

/// The bracket where keys are known to be evenly spread: the same, with all entries as the sample.
pub fn of_even<S: Source + ?Sized>(problem: &Problem<'_, S>, sigmas: f64) -> Bracket<<S::Item as Rank>::Key> {
    let (left, share) = (problem.left as f64, problem.k as f64 / problem.left as f64);
    let slack = (sigmas * (left * share * (1.0 - share)).sqrt() + 2.0) / left;
    let (first, last) = (S::Item::LOWEST.to_i64(), S::Item::HIGHEST.to_i64());
    let at = |share: f64| {
        let key = first as f64 + share * (last as f64 - first as f64);
        Key::from_i64((key as i64).clamp(first, last))
    };
    Bracket {
        low: at(share - slack),
        high: at(share + slack),
    }
}

/// A hash of a number, so that no pattern in the weights is in step with the sample (the finaliser of MurmurHash3).
#[inline(always)]
fn hash(x: u64) -> u64 {
    let x = (x ^ x >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let x = (x ^ x >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    x ^ x >> 33
}

/// Keys of about n^⅔ of the entries that are left: one from each of as many equal stretches, at a hashed place. With
/// fewer, collecting what is in doubt would cost more; with more, the sample itself. Up to a million entries it is
/// some more of them, a 32nd part, because what is in doubt would take a share of memory that is worth it.
fn sample<S: Source + ?Sized, B: By>(problem: &Problem<'_, S>, salt: u64) -> Vec<<S::Item as Rank>::Key> {
    let source = problem.source;
    let left = problem.left as f64;
    let wanted = left.powf(2.0 / 3.0).max((left / 32.0).min(32_768.0));
    // Where much is pruned already, many places are empty, so more of them are looked at.
    let sparse = (problem.entries as f64 / problem.left as f64).min(64.0);
    let stretch = ((problem.entries as f64 / (wanted * sparse)) as usize).max(1);
    let mut keys = Vec::with_capacity((wanted * 1.25) as usize + 16);
    let mut number = salt << 32;
    // As if the segments lay one behind the other, so that a stretch may reach over many small ones.
    let (mut base, mut start) = (0, 0);
    for segment in 0..source.segments() {
        let (len, prior) = (source.len(segment), source.prior(segment));
        loop {
            let place = start + ((u128::from(hash(number)) * stretch as u128) >> 64) as usize;
            if place >= base + len {
                break;
            }
            let index = place - base;
            number += 1;
            start += stretch;
            // An entry that is pruned already is not replaced by a neighbour: those beside many would count too much.
            if prior.is_none_or(|prior| prior[index / BITS] >> (index % BITS) & 1 == 1) {
                keys.push(B::key(source.entry(segment, index)));
            }
        }
        base += len;
    }
    keys
}

/// A bracket from counting all entries, for fewer than 2^16 of them: it never misses.
#[inline(always)]
pub fn by_counting<S: Source + ?Sized, B: By>(problem: &Problem<'_, S>) -> Bracket<<S::Item as Rank>::Key> {
    let mut low = B::lowest::<S::Item>();
    let mut bits = (u64::BITS - S::Item::HIGHEST.above(low).leading_zeros()).max(1);
    let mut below = 0;
    loop {
        let shift = bits.saturating_sub(11);
        // The last counter is for keys above the range, and for those below, whose offsets wrap. NaNs are counted
        // wherever they happen to land: the pass finds them.
        let mut counts = [0u16; 2049];
        each_key::<S, B>(problem.source, |key| {
            counts[(key.above(low) >> shift).min(2048) as usize] += 1
        });
        let mut bucket = 0;
        while bucket < 2047 && below + usize::from(counts[bucket]) < problem.k {
            below += usize::from(counts[bucket]);
            bucket += 1;
        }
        low = Key::from_i64(low.to_i64().wrapping_add((bucket as i64) << shift));
        if shift == 0 {
            // One key: how many of its equals fall is a matter of index.
            return Bracket { low, high: low };
        }
        bits = shift;
        if usize::from(counts[bucket]) <= problem.left / 8 + 16 {
            let above = low
                .to_i64()
                .saturating_add(1 << bits)
                .min(<S::Item as Rank>::Key::MAX.to_i64());
            return Bracket {
                low: Key::from_i64(low.to_i64() - 1),
                high: Key::from_i64(above),
            };
        }
    }
}

#[inline(always)]
fn each_key<S: Source + ?Sized, B: By>(source: &S, mut see: impl FnMut(<S::Item as Rank>::Key)) {
    let mut buffer = [S::Item::default(); BLOCK];
    for segment in 0..source.segments() {
        let (all, prior) = (source.len(segment), source.prior(segment));
        for start in (0..all).step_by(BLOCK) {
            let len = BLOCK.min(all - start);
            let block = source.block(segment, start, len, &mut buffer);
            if prior.is_none() {
                block.iter().for_each(|x| see(B::key(*x)));
                continue;
            }
            for (i, entries) in block.chunks(BITS).enumerate() {
                for bit in ones(prior_word(prior, start / BITS + i, entries.len())) {
                    see(B::key(entries[bit]));
                }
            }
        }
    }
}
