//! Ties at an end of the bracket, if some of them are pruned and some are kept: the first ones are pruned.

use super::key::Key;
use super::pass::Task;
use super::source::{BLOCK, Block, Problem};
use super::vector::Vector;
use super::words::{highest_bits, lowest_bits, prior_word, words};
use crate::mask::bits::BITS;
use crate::mask::parallel::Threads;

/// What happens to ties.
#[derive(Clone, Copy, PartialEq)]
pub enum Ties {
    /// The first ones are pruned.
    PruneFirst,
    /// All of them were pruned, and the last ones are restored.
    KeepLast,
}

/// Changes the masks of the first, or the last, `count` ties at `key`. Returns how many it found.
pub fn change<K: Key>(
    problem: &Problem<'_, K>,
    tasks: &mut [Task<'_, K>],
    ties: Ties,
    key: K,
    count: usize,
    threads: Threads,
) -> usize {
    if ties == Ties::KeepLast {
        tasks.reverse();
    }
    let mut todo = count;
    for batch in tasks.chunks_mut(threads.batch()) {
        // Unless there is only one task, all of them must count their ties before any of them knows its share.
        let has = match batch {
            [_] => vec![usize::MAX],
            _ => threads.each(batch, |task| in_task(problem, task, ties, key, usize::MAX, false)),
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
            in_task(problem, task, ties, key, *share, true)
        });
        todo -= found.iter().sum::<usize>();
        if todo == 0 {
            break;
        }
    }
    if ties == Ties::KeepLast {
        tasks.reverse();
    }
    count - todo
}

/// Changes the mask bits of a task's share of the ties, or without `write` only counts them.
fn in_task<K: Key>(
    problem: &Problem<'_, K>,
    task: &mut Task<'_, K>,
    ties: Ties,
    key: K,
    share: usize,
    write: bool,
) -> usize {
    Vector::run(
        #[inline(always)]
        |vector| {
            let mut block = Block::new();
            let mut todo = share;
            let blocks = task.len.div_ceil(BLOCK);
            for number in 0..blocks {
                let at = BLOCK
                    * if ties == Ties::KeepLast {
                        blocks - 1 - number
                    } else {
                        number
                    };
                let (start, len) = (task.start + at, BLOCK.min(task.len - at));
                let prior = problem.prior(task.segment, start, len);
                problem.source.block(task.segment, start, len, &mut block);
                for number in 0..words(len) {
                    let word = if ties == Ties::KeepLast {
                        words(len) - 1 - number
                    } else {
                        number
                    };
                    let equal =
                        vector.equal(&block.words()[word], key) & prior_word(prior, word, len - word * BITS);
                    let mask = &mut task.mask[at / BITS + word];
                    let chosen = match ties {
                        Ties::KeepLast => highest_bits(equal, todo),
                        Ties::PruneFirst => lowest_bits(equal, todo),
                    };
                    todo -= chosen.count_ones() as usize;
                    match (write, ties) {
                        (false, _) => {}
                        (true, Ties::KeepLast) => *mask |= chosen,
                        (true, Ties::PruneFirst) => *mask &= !chosen,
                    }
                }
                if todo == 0 {
                    break;
                }
            }
            share - todo
        },
    )
}
