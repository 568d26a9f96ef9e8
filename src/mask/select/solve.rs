//! The fast way: guess a bracket, write everything outside of it in one pass, and settle the few entries inside.

use super::bracket::{Bracket, by_counting, by_sample, of_even};
use super::error::SelectError;
use super::finder::CutFinder;
use super::key::{Key, Order};
use super::pass::{Room, Task, pass, tasks};
use super::settle::settle;
use super::source::{BLOCK, Block, Problem, Source};
use super::ties::{Ties, change};
use super::words::words;
use crate::mask::bits::BITS;
use crate::mask::parallel::Threads;

/// Up to this many entries, counting all of them costs less than a good sample.
const SMALL: usize = 1 << 14;

/// Standard deviations from the middle of a sample's guess to its ends. A second sample helps if the first one was
/// unlucky, but not against an input made to defeat all samples.
const SIGMAS: [f64; 2] = [3.0, 8.0];

/// A way to solve a problem.
type Way<K> = fn(&Problem<'_, K>, &mut [Task<'_, K>]) -> Result<(), SelectError>;

/// The k lowest of a source, as masks.
pub fn lowest<K: Key>(source: &dyn Source<K>, k: usize) -> Result<Vec<Vec<u64>>, SelectError> {
    lowest_by(source, k, solve)
}

/// The same by counting alone, which only happens with an input that defeats all samples.
#[cfg(test)]
pub fn lowest_counted<K: Key>(source: &dyn Source<K>, k: usize) -> Result<Vec<Vec<u64>>, SelectError> {
    lowest_by(source, k, counted)
}

fn lowest_by<K: Key>(source: &dyn Source<K>, k: usize, way: Way<K>) -> Result<Vec<Vec<u64>>, SelectError> {
    let problem = Problem::new(source, k)?;
    let mut masks: Vec<Vec<u64>> = (0..source.segments())
        .map(|s| vec![0; words(source.len(s))])
        .collect();
    way(&problem, &mut tasks(&problem, &mut masks))?;
    Ok(masks)
}

fn solve<K: Key>(problem: &Problem<'_, K>, tasks: &mut [Task<'_, K>]) -> Result<(), SelectError> {
    if problem.k == 0 || problem.k == problem.remaining {
        let all = if problem.k == 0 { K::MIN } else { K::MAX };
        if attempt(problem, tasks, Bracket { low: all, high: all })? {
            return Ok(());
        }
    } else if problem.source.is_even() {
        for sigmas in [4.0, 16.0] {
            if attempt(problem, tasks, of_even(problem, sigmas))? {
                return Ok(());
            }
        }
    } else if problem.remaining <= SMALL {
        if attempt(problem, tasks, by_counting(problem))? {
            return Ok(());
        }
    } else {
        for (salt, sigmas) in (0..).zip(SIGMAS) {
            let Some(bracket) = by_sample(problem, salt, sigmas) else {
                break;
            };
            if attempt(problem, tasks, bracket)? {
                return Ok(());
            }
        }
    }
    counted(problem, tasks)
}

/// Writes the masks by a bracket. `false` if the bracket did not hold the cut, or held too many entries.
fn attempt<K: Key>(
    problem: &Problem<'_, K>,
    tasks: &mut [Task<'_, K>],
    bracket: Bracket<K>,
) -> Result<bool, SelectError> {
    let threads = Threads::of(problem.entries);
    // The collected entries take at most a 16th of the weights' memory, whatever the data.
    let each = size_of::<K>() + size_of::<u16>();
    let room = Room::new((problem.entries * size_of::<K>() / 16 / each).max(SMALL));
    let nans = threads.each(tasks, |task| {
        let nan = pass(problem, task, bracket, &room);
        nan.map(|index| SelectError::Nan {
            segment: task.segment,
            index,
        })
    });
    if let Some(nan) = nans.into_iter().flatten().next() {
        return Err(nan);
    }
    let Some(undecided) = room.collected() else {
        return Ok(false);
    };

    let pruned = problem.remaining - tasks.iter().map(|task| task.kept).sum::<usize>();
    if problem.k < pruned {
        // All ties of `low` have been pruned, but the last ones have to be kept.
        let too_many = pruned - problem.k;
        let back = change(problem, tasks, Ties::KeepLast, bracket.low, too_many, threads);
        return Ok(back == too_many);
    }
    let wanted = problem.k - pruned;
    if wanted <= undecided {
        settle(tasks, bracket, wanted, threads);
        return Ok(true);
    }
    // All undecided entries are pruned, and the first ties of `high`.
    settle(tasks, bracket, undecided, threads);
    let rest = wanted - undecided;
    let more = change(problem, tasks, Ties::PruneFirst, bracket.high, rest, threads);
    Ok(more == rest)
}

/// The fallback: finds the cut by counting, in as many passes as needed, and applies it.
fn counted<K: Key>(problem: &Problem<'_, K>, tasks: &mut [Task<'_, K>]) -> Result<(), SelectError> {
    let scale = problem.source.scale();
    let mut block = Block::new();
    let mut finder = CutFinder::new(problem.k, Order::Value);
    let cut = loop {
        for task in &*tasks {
            for at in (0..task.len).step_by(BLOCK) {
                let (start, len) = (task.start + at, BLOCK.min(task.len - at));
                problem.source.block(task.segment, start, len, &mut block);
                let prior = problem.prior(task.segment, start, len);
                finder.feed_keys(&block.keys, len, prior, &scale, None);
            }
        }
        if let Some(cut) = finder.end_pass()? {
            break cut;
        }
    };
    let mut writer = cut.writer();
    for task in tasks {
        for at in (0..task.len).step_by(BLOCK) {
            let (start, len) = (task.start + at, BLOCK.min(task.len - at));
            problem.source.block(task.segment, start, len, &mut block);
            let prior = problem.prior(task.segment, start, len);
            let masks = &mut task.mask[at / BITS..][..words(len)];
            writer.write(&block.keys, len, prior, &scale, masks);
        }
    }
    Ok(())
}
