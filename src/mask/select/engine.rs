//! The fast way: guess a bracket, write everything outside of it in one pass, and settle the few inside.

use super::bracket::{Bracket, by_counting, by_sample, of_even};
use super::cut::{CutFinder, check_prior};
use super::key::{By, Key, Rank};
use super::source::{BLOCK, Source};
use super::words::{BITS, arrays, highest_bits, keys, lowest_bits, ones, pack, prior_word, survivors, words};
use super::{Order, SelectError};
use crate::mask::parallel::{Threads, vectorized};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Entries of one task, so that an index in it has 16 bits. It has to be a multiple of [`BLOCK`].
const TASK: usize = 1 << 16;
/// Up to so many entries, counting all of them costs less than a sample that is good enough.
const SMALL: usize = 1 << 14;

/// What is to be selected from.
pub struct Problem<'s, S: ?Sized> {
    /// Where the keys come from.
    pub source: &'s S,
    /// How many are to fall.
    pub k: usize,
    /// How many are left to choose from.
    pub left: usize,
    /// How many entries there are, with the pruned ones.
    pub entries: usize,
}

/// A stretch of a segment, which one thread deals with at a time.
struct Task<'m, K> {
    segment: usize,
    start: usize,
    len: usize,
    mask: &'m mut [u64],
    /// Entries that the mask keeps.
    kept: usize,
    /// The entries in doubt, by rising index: where in the task they are, and their keys.
    places: Vec<u16>,
    keys: Vec<K>,
}

type KeyOf<S> = <<S as Source>::Item as Rank>::Key;

/// The k lowest of a source, as masks.
pub fn lowest<S: Source + ?Sized, B: By>(source: &S, k: usize) -> Result<Vec<Vec<u64>>, SelectError> {
    lowest_by::<S>(source, k, solve::<S, B>)
}

/// The same by counting alone, which takes an input that defeats all samples to happen.
#[cfg(test)]
pub fn lowest_counted<S: Source + ?Sized, B: By>(source: &S, k: usize) -> Result<Vec<Vec<u64>>, SelectError> {
    lowest_by::<S>(source, k, counted::<S, B>)
}

fn lowest_by<S: Source + ?Sized>(
    source: &S,
    k: usize,
    way: impl FnOnce(&Problem<'_, S>, &mut [Task<'_, KeyOf<S>>]) -> Result<(), SelectError>,
) -> Result<Vec<Vec<u64>>, SelectError> {
    let (mut left, mut entries) = (0, 0);
    for segment in 0..source.segments() {
        let (len, prior) = (source.len(segment), source.prior(segment));
        check_prior(segment, len, prior)?;
        entries += len;
        left += vectorized(
            #[inline(always)]
            || survivors(prior, len),
        );
    }
    if k > left {
        return Err(SelectError::TooMany { asked: k, left });
    }
    let problem = Problem {
        source,
        k,
        left,
        entries,
    };
    let mut masks: Vec<Vec<u64>> = (0..source.segments())
        .map(|s| vec![0; words(source.len(s))])
        .collect();
    way(&problem, &mut tasks(source, &mut masks))?;
    Ok(masks)
}

fn solve<S: Source + ?Sized, B: By>(
    problem: &Problem<'_, S>,
    tasks: &mut [Task<'_, KeyOf<S>>],
) -> Result<(), SelectError> {
    let threads = Threads::of(problem.entries);
    if problem.k == 0 || problem.k == problem.left {
        let all = if problem.k == 0 { Key::MIN } else { Key::MAX };
        if attempt::<S, B>(problem, tasks, Bracket { low: all, high: all }, threads)? {
            return Ok(());
        }
    } else if S::EVEN {
        for sigmas in [4.0, 16.0] {
            if attempt::<S, B>(problem, tasks, of_even(problem, sigmas), threads)? {
                return Ok(());
            }
        }
    } else if problem.left <= SMALL {
        let bracket = vectorized(
            #[inline(always)]
            || by_counting::<S, B>(problem),
        );
        if attempt::<S, B>(problem, tasks, bracket, threads)? {
            return Ok(());
        }
    } else {
        // Another sample helps where the first one had bad luck, but not against an input made to defeat them all.
        for (salt, sigmas) in [(0, 3.5), (1, 8.0)] {
            let Some(bracket) = by_sample::<S, B>(problem, salt, sigmas) else {
                break;
            };
            if attempt::<S, B>(problem, tasks, bracket, threads)? {
                return Ok(());
            }
        }
    }
    counted::<S, B>(problem, tasks)
}

fn tasks<'m, S: Source + ?Sized>(source: &S, masks: &'m mut [Vec<u64>]) -> Vec<Task<'m, KeyOf<S>>> {
    let mut tasks = Vec::with_capacity(masks.iter().map(|mask| mask.len().div_ceil(TASK / BITS)).sum());
    for (segment, mask) in masks.iter_mut().enumerate() {
        for (i, mask) in mask.chunks_mut(TASK / BITS).enumerate() {
            let start = i * TASK;
            let len = TASK.min(source.len(segment) - start);
            tasks.push(Task {
                segment,
                start,
                len,
                mask,
                kept: 0,
                places: Vec::new(),
                keys: Vec::new(),
            });
        }
    }
    tasks
}

/// Writes the masks by a bracket. `false` where the bracket did not hold the cut, or held too much.
fn attempt<S: Source + ?Sized, B: By>(
    problem: &Problem<'_, S>,
    tasks: &mut [Task<'_, KeyOf<S>>],
    bracket: Bracket<KeyOf<S>>,
    threads: Threads,
) -> Result<bool, SelectError> {
    // What is collected takes a 16th of the weights' memory at most, whatever the data.
    let one = size_of::<KeyOf<S>>() + size_of::<u16>();
    let room = (problem.entries * size_of::<S::Item>() / 16 / one).max(SMALL);
    let collected = AtomicUsize::new(0);
    let fits = |more| collected.fetch_add(more, Ordering::Relaxed) + more <= room;
    let nans = threads.each(tasks, |task| {
        let nan = vectorized(
            #[inline(always)]
            || pass::<S, B>(problem.source, task, bracket, fits),
        );
        nan.map(|index| SelectError::Nan {
            segment: task.segment,
            index,
        })
    });
    if let Some(nan) = nans.into_iter().flatten().next() {
        return Err(nan);
    }
    let doubtful = collected.into_inner();
    if doubtful > room {
        return Ok(false);
    }

    let fallen = problem.left - tasks.iter().map(|task| task.kept).sum::<usize>();
    if problem.k < fallen {
        // Of the equals of `low`, which have all fallen, the last ones come back.
        let back = equals::<S, B, true>(problem, tasks, bracket.low, fallen - problem.k, threads);
        return Ok(back == fallen - problem.k);
    }
    let wanted = problem.k - fallen;
    if wanted <= doubtful {
        settle(tasks, bracket, wanted, threads);
        return Ok(true);
    }
    // All that are in doubt fall, and the first equals of `high`.
    settle(tasks, bracket, doubtful, threads);
    let more = equals::<S, B, false>(problem, tasks, bracket.high, wanted - doubtful, threads);
    Ok(more == wanted - doubtful)
}

/// The pass over the entries of a task; gives the index of the first NaN, if there is one. It ends early, and leaves
/// the mask as it is, where `fits` says that all tasks together have collected too much.
#[inline(always)]
fn pass<S: Source + ?Sized, B: By>(
    source: &S,
    task: &mut Task<'_, KeyOf<S>>,
    bracket: Bracket<KeyOf<S>>,
    fits: impl Fn(usize) -> bool,
) -> Option<usize> {
    let prior = source.prior(task.segment);
    let mut buffer = [S::Item::default(); BLOCK];
    let mut doubts = Doubts {
        count: 0,
        places: [0; BLOCK],
        keys: [Default::default(); BLOCK],
    };
    task.kept = 0;
    task.places.clear();
    task.keys.clear();
    for (at, masks) in task.mask.chunks_mut(BLOCK / BITS).enumerate() {
        let at = at * BLOCK;
        let start = task.start + at;
        let prior = prior.map(|prior| &prior[start / BITS..][..masks.len()]);
        if prior.is_some_and(|prior| prior.iter().all(|word| *word == 0)) {
            masks.fill(0);
            continue;
        }
        let block = source.block(task.segment, start, BLOCK.min(task.len - at), &mut buffer);
        // A NaN has the highest magnitude of all, and a maximum takes one instruction for a whole vector.
        let highest = block
            .iter()
            .fold(S::Item::MAGNITUDE_LOWEST, |max, x| max.max(x.magnitude()));
        if highest > S::Item::HIGHEST {
            for (word, entries) in block.chunks(BITS).enumerate() {
                let left = prior_word(prior, word, entries.len());
                if let Some(bit) = ones(left).find(|bit| entries[*bit].magnitude() > S::Item::HIGHEST) {
                    return Some(start + word * BITS + bit);
                }
            }
        }
        let whole = arrays::<_, BITS>(block);
        let rest = &block[whole.len() * BITS..];
        let (masks, last) = masks.split_at_mut(whole.len());
        for (word, (mask, entries)) in masks.iter_mut().zip(whole).enumerate() {
            let left = prior.map_or(u64::MAX, |prior| prior[word]);
            let keys = std::array::from_fn(|i| B::key(entries[i]));
            *mask = doubts.judge(at + word * BITS, &keys, left, bracket);
        }
        if let Some(last) = last.first_mut() {
            let left = prior_word(prior, masks.len(), rest.len());
            *last = doubts.judge(at + masks.len() * BITS, &keys::<S::Item, B>(rest), left, bracket);
            task.kept += last.count_ones() as usize;
        }
        task.kept += masks.iter().map(|mask| mask.count_ones() as usize).sum::<usize>();
        if !fits(doubts.count) {
            return None;
        }
        extend(&mut task.places, &doubts.places[..doubts.count]);
        extend(&mut task.keys, &doubts.keys[..doubts.count]);
        doubts.count = 0;
    }
    None
}

/// Appends to a list that grows by quarters: doubling would take memory that is never used.
fn extend<T: Copy>(list: &mut Vec<T>, more: &[T]) {
    if list.capacity() - list.len() < more.len() {
        list.reserve_exact(more.len() + list.len() / 4);
    }
    list.extend_from_slice(more);
}

/// The entries of a block that are in doubt.
struct Doubts<K> {
    count: usize,
    places: [u16; BLOCK],
    keys: [K; BLOCK],
}

impl<K: Key> Doubts<K> {
    /// The mask of a word, as far as it is certain; entries in doubt are kept for now, and noted.
    #[inline(always)]
    fn judge(&mut self, at: usize, keys: &[K; BITS], left: u64, bracket: Bracket<K>) -> u64 {
        let keep = pack(|i| keys[i] > bracket.low) & left;
        let mut doubt = keep & pack(|i| keys[i] < bracket.high);
        while doubt != 0 {
            let bit = doubt.trailing_zeros() as usize;
            // Never as many as wrap around; it spares the check of the index.
            self.places[self.count % BLOCK] = (at + bit) as u16;
            self.keys[self.count % BLOCK] = keys[bit];
            self.count += 1;
            doubt &= doubt - 1;
        }
        keep
    }
}

/// Lets the `wanted` lowest of the entries in doubt fall.
fn settle<K: Key>(tasks: &mut [Task<'_, K>], bracket: Bracket<K>, wanted: usize, threads: Threads) {
    if wanted == 0 {
        return;
    }
    let (cut, below, equals) = nth(tasks, bracket, wanted);
    let mut quota = wanted - below;
    if quota == equals {
        // As nearly always: no need to count who comes first.
        threads.each(tasks, |task| fall(task, usize::MAX, cut));
        return;
    }
    for task in tasks {
        quota -= fall(task, quota, cut);
    }
}

/// Of a task's entries in doubt, lets those below the cut fall, and the first `quota` of its equals. Gives how many
/// equals fell.
fn fall<K: Key>(task: &mut Task<'_, K>, quota: usize, cut: K) -> usize {
    let mut equals = 0;
    for (place, key) in task.places.iter().zip(&task.keys) {
        let place = usize::from(*place);
        let equal = *key == cut && equals < quota;
        equals += usize::from(equal);
        task.mask[place / BITS] &= !(u64::from(*key < cut || equal) << (place % BITS));
    }
    equals
}

/// The key of the `wanted`-th lowest entry in doubt, how many of them are below it, and how many equal it.
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
        low = Key::from_i64(low.to_i64().wrapping_add((bucket as i64) << shift));
        inside = counts[bucket] as usize;
        if shift == 0 {
            return (low, below, inside);
        }
        bits = shift;
    }
}

/// Lets the first `count` entries that equal `key` fall, or, with `BACK`, brings the last ones back. Gives how many it
/// found.
fn equals<S: Source + ?Sized, B: By, const BACK: bool>(
    problem: &Problem<'_, S>,
    tasks: &mut [Task<'_, KeyOf<S>>],
    key: KeyOf<S>,
    count: usize,
    threads: Threads,
) -> usize {
    if BACK {
        tasks.reverse();
    }
    let mut todo = count;
    for batch in tasks.chunks_mut(threads.batch()) {
        // Who has how many has to be known before any of them knows its share, unless there is one only.
        let has = match batch {
            [_] => vec![usize::MAX],
            _ => threads.each(batch, |task| {
                vectorized(
                    #[inline(always)]
                    || equals_of_task::<S, B, BACK>(problem.source, task, key, usize::MAX, false),
                )
            }),
        };
        let mut rest = todo;
        let mut shares: Vec<_> = (batch.iter_mut().zip(has))
            .map(|(task, has)| {
                let share = has.min(rest);
                rest -= share;
                (task, share)
            })
            .collect();
        let found = threads.each(&mut shares, |(task, share)| {
            vectorized(
                #[inline(always)]
                || equals_of_task::<S, B, BACK>(problem.source, task, key, *share, true),
            )
        });
        todo -= found.iter().sum::<usize>();
        if todo == 0 {
            break;
        }
    }
    if BACK {
        tasks.reverse();
    }
    count - todo
}

/// Changes the mask bits of the first `share` entries of a task that equal `key`, or of the last ones with `BACK`, or
/// with `!change` only counts them.
#[inline(always)]
fn equals_of_task<S: Source + ?Sized, B: By, const BACK: bool>(
    source: &S,
    task: &mut Task<'_, KeyOf<S>>,
    key: KeyOf<S>,
    share: usize,
    change: bool,
) -> usize {
    let prior = source.prior(task.segment);
    let mut buffer = [S::Item::default(); BLOCK];
    let mut todo = share;
    let blocks = task.len.div_ceil(BLOCK);
    for block in 0..blocks {
        let at = if BACK { blocks - 1 - block } else { block } * BLOCK;
        let start = task.start + at;
        let len = BLOCK.min(task.len - at);
        let block = source.block(task.segment, start, len, &mut buffer);
        let words = words(len);
        for word in 0..words {
            let word = if BACK { words - 1 - word } else { word };
            let entries = &block[word * BITS..len.min((word + 1) * BITS)];
            let keys = keys::<S::Item, B>(entries);
            let equal = pack(|i| keys[i] == key) & prior_word(prior, start / BITS + word, entries.len());
            let chosen = if BACK {
                highest_bits(equal, todo)
            } else {
                lowest_bits(equal, todo)
            };
            todo -= chosen.count_ones() as usize;
            if change {
                let mask = &mut task.mask[at / BITS + word];
                *mask = if BACK { *mask | chosen } else { *mask & !chosen };
            }
        }
        if todo == 0 {
            break;
        }
    }
    share - todo
}

/// The sure way: finds the cut by counting, in as many passes as it takes, and writes by it.
fn counted<S: Source + ?Sized, B: By>(
    problem: &Problem<'_, S>,
    tasks: &mut [Task<'_, KeyOf<S>>],
) -> Result<(), SelectError> {
    let source = problem.source;
    let mut buffer = [S::Item::default(); BLOCK];
    let mut finder = CutFinder::new(problem.k, Order::Magnitude);
    let cut = loop {
        for task in &*tasks {
            each_block(
                source,
                task.segment,
                task.start,
                task.len,
                &mut buffer,
                |_, block, prior| finder.feed_by::<S::Item, B>(block, prior),
            )?;
        }
        if let Some(cut) = finder.end_pass()? {
            break cut;
        }
    };
    let mut writer = cut.writer();
    for task in tasks {
        let (segment, start, len) = (task.segment, task.start, task.len);
        each_block(source, segment, start, len, &mut buffer, |at, block, prior| {
            let masks = &mut task.mask[at / BITS..][..words(block.len())];
            writer.write::<S::Item, B>(block, prior, masks);
            Ok(())
        })?;
    }
    Ok(())
}

/// Calls `with` on all blocks of a stretch: where it is in the stretch, its entries, and its part of the prior mask.
fn each_block<S: Source + ?Sized>(
    source: &S,
    segment: usize,
    start: usize,
    len: usize,
    buffer: &mut [S::Item; BLOCK],
    mut with: impl FnMut(usize, &[S::Item], Option<&[u64]>) -> Result<(), SelectError>,
) -> Result<(), SelectError> {
    for at in (0..len).step_by(BLOCK) {
        let size = BLOCK.min(len - at);
        let prior = source
            .prior(segment)
            .map(|prior| &prior[(start + at) / BITS..][..words(size)]);
        with(at, source.block(segment, start + at, size, buffer), prior)?;
    }
    Ok(())
}
