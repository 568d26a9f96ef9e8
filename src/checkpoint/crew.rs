//! Workers that share a line of jobs.
//!
//! Each worker takes the next job and does for itself, at the same time as the others, what comes *before* the job's
//! turn, such as reading, and what comes *after* it, such as writing. Turns come one at a time, in the order of the
//! jobs: whatever depends on order is done there, so that the number of workers changes nothing about what comes out
//! (S5). Each worker has one chunk in its hands, so that memory does not grow with the line.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::error::{Error, Result};

/// Takes every job through `before`, its `turn` and `after`, by one thread for each worker. The first error, in the
/// order of the jobs, ends it.
pub(super) fn crew<J: Send, W: Send>(
    workers: &mut [W],
    jobs: impl Iterator<Item = J> + Send,
    before: impl Fn(&mut J, &mut W) -> Result<()> + Sync,
    mut turn: impl FnMut(&mut J, &mut W) -> Result<()> + Send,
    after: impl Fn(J, &mut W) -> Result<()> + Sync,
) -> Result<()> {
    if let [worker] = workers {
        for mut job in jobs {
            before(&mut job, worker)?;
            turn(&mut job, worker)?;
            after(job, worker)?;
        }
        return Ok(());
    }
    let line = Mutex::new(jobs.enumerate());
    let turns = Turns {
        state: Mutex::new(State {
            next: 0,
            over: false,
            failed: None,
            turn,
        }),
        changed: Condvar::new(),
    };
    thread::scope(|scope| {
        for worker in workers {
            let (line, turns, before, after) = (&line, &turns, &before, &after);
            scope.spawn(move || {
                let _ends_with_us = EndOnPanic(turns);
                loop {
                    let Some((number, mut job)) = lock(line).next() else {
                        return;
                    };
                    let ready = before(&mut job, worker);
                    let Some(mut state) = turns.wait_for(number) else {
                        return;
                    };
                    let done = ready.and_then(|()| (state.turn)(&mut job, worker));
                    state.next += 1;
                    // Before anyone else has a turn.
                    state.over |= done.is_err();
                    drop(state);
                    let done = match done {
                        Ok(()) => {
                            turns.changed.notify_all();
                            after(job, worker)
                        }
                        error => error,
                    };
                    if let Err(error) = done {
                        turns.fail(number, error);
                        return;
                    }
                }
            });
        }
    });
    let state = turns.state.into_inner().unwrap_or_else(PoisonError::into_inner);
    state.failed.map_or(Ok(()), |(_, error)| Err(error))
}

struct Turns<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    /// The job whose turn it is.
    next: usize,
    /// Whether there are no more turns.
    over: bool,
    /// The first job that failed.
    failed: Option<(usize, Error)>,
    turn: T,
}

impl<T> Turns<T> {
    /// Waits for the turn of a job; `None` where it does not come.
    fn wait_for(&self, number: usize) -> Option<MutexGuard<'_, State<T>>> {
        let mut state = lock(&self.state);
        while state.next != number && !state.over {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        (!state.over).then_some(state)
    }

    fn fail(&self, number: usize, error: Error) {
        let mut state = lock(&self.state);
        state.over = true;
        if state.failed.as_ref().is_none_or(|(first, _)| number < *first) {
            state.failed = Some((number, error));
        }
        drop(state);
        self.changed.notify_all();
    }
}

/// Lets nobody wait for the turn of a worker that panicked; the panic itself goes on where the threads are joined.
struct EndOnPanic<'a, T>(&'a Turns<T>);

impl<T> Drop for EndOnPanic<'_, T> {
    fn drop(&mut self) {
        if thread::panicking() {
            lock(&self.0.state).over = true;
            self.0.changed.notify_all();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::AmountError;

    fn run(workers: usize, fail_at: [Option<usize>; 3]) -> (Result<()>, Vec<usize>, Vec<usize>) {
        let fail = |stage: usize, job: usize| match fail_at[stage] {
            Some(at) if at == job => Err(Error::Amount(AmountError::TooLarge {
                requested: job,
                remaining: stage,
            })),
            _ => Ok(()),
        };
        let (mut turns, done) = (Vec::new(), Mutex::new(Vec::new()));
        let result = crew(
            &mut vec![usize::MAX; workers],
            0..300,
            |job, hands| {
                *hands = *job;
                fail(0, *job)
            },
            |job, hands| {
                assert_eq!(job, hands);
                turns.push(*job);
                fail(1, *job)
            },
            |job, hands| {
                assert_eq!(job, *hands);
                lock(&done).push(job);
                fail(2, job)
            },
        );
        (result, turns, done.into_inner().unwrap())
    }

    #[test]
    fn turns_come_in_order_and_end_at_the_first_error() {
        for workers in [1, 2, 7] {
            let (result, turns, mut done) = run(workers, [None; 3]);
            result.unwrap();
            done.sort_unstable();
            assert!(turns.iter().copied().eq(0..300));
            assert_eq!(turns, done);
            for stage in 0..3 {
                let mut fail_at = [None; 3];
                fail_at[stage] = Some(150);
                let (result, turns, done) = run(workers, fail_at);
                assert!(
                    matches!(result, Err(Error::Amount(AmountError::TooLarge { requested: 150, remaining: left })) if left == stage),
                    "{result:?}"
                );
                assert!(turns.iter().copied().eq(0..turns.len()));
                // Whoever is not told in time takes one more.
                assert!(turns.len() >= 150 && done.len() >= 151 - workers && done.len() <= 151 + workers);
            }
            // Of two that fail, the first one is told of.
            let (result, ..) = run(workers, [Some(200), Some(100), None]);
            assert!(matches!(
                result,
                Err(Error::Amount(AmountError::TooLarge { requested: 100, .. }))
            ));
        }
    }

    #[test]
    fn a_panic_leaves_nobody_waiting() {
        let panicked = std::panic::catch_unwind(|| {
            crew(
                &mut [(); 4],
                0..100,
                |job, _| {
                    assert_ne!(*job, 50, "on purpose");
                    Ok(())
                },
                |_, _| Ok(()),
                |_, _| Ok(()),
            )
        });
        assert!(panicked.is_err());
    }
}
