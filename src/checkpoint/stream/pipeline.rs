//! An ordered pipeline: workers that share a queue of jobs.
//!
//! Each worker takes the next job and takes it through three steps. *Prepare*, such as reading, and *finish*, such as
//! writing, run at the same time as those of other workers. *In order* runs for one job at a time, in the order of the
//! jobs: whatever depends on order is done there, so that the number of workers never changes a result. Each
//! worker holds one chunk, so that memory does not grow with the queue.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::error::{Error, Result};

/// Takes every job through the three steps, by one thread for each worker. The first error, in the order of the jobs,
/// ends it.
pub(in crate::checkpoint) fn ordered<J: Send, W: Send>(
    workers: &mut [W],
    jobs: impl Iterator<Item = J> + Send,
    prepare: impl Fn(&mut J, &mut W) -> Result<()> + Sync,
    mut in_order: impl FnMut(&mut J, &mut W) -> Result<()> + Send,
    finish: impl Fn(J, &mut W) -> Result<()> + Sync,
) -> Result<()> {
    if let [worker] = workers {
        for mut job in jobs {
            prepare(&mut job, worker)?;
            in_order(&mut job, worker)?;
            finish(job, worker)?;
        }
        return Ok(());
    }
    let queue = Mutex::new(jobs.enumerate());
    let sequence = Sequence {
        state: Mutex::new(State {
            next: 0,
            stopped: false,
            failed: None,
            in_order,
        }),
        changed: Condvar::new(),
    };
    let work = |worker: &mut W| {
        let _ends_with_us = EndOnPanic(&sequence);
        loop {
            let Some((number, mut job)) = lock(&queue).next() else {
                return;
            };
            let ready = prepare(&mut job, worker);
            let Some(mut state) = sequence.wait_for(number) else {
                return;
            };
            let done = ready.and_then(|()| (state.in_order)(&mut job, worker));
            state.next += 1;
            // Before the next job can come in order.
            state.stopped |= done.is_err();
            drop(state);
            let done = match done {
                Ok(()) => {
                    sequence.changed.notify_all();
                    finish(job, worker)
                }
                error => error,
            };
            if let Err(error) = done {
                sequence.fail(number, error);
                return;
            }
        }
    };
    let Some((here, others)) = workers.split_first_mut() else {
        return Ok(());
    };
    thread::scope(|scope| {
        for worker in others {
            // Where the system has no more threads, those that there are do the work.
            if thread::Builder::new()
                .spawn_scoped(scope, || work(worker))
                .is_err()
            {
                break;
            }
        }
        work(here);
    });
    let state = sequence
        .state
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    state.failed.map_or(Ok(()), |(_, error)| Err(error))
}

struct Sequence<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    /// The job that comes next in order.
    next: usize,
    /// Whether no further job comes in order.
    stopped: bool,
    /// The first job that failed.
    failed: Option<(usize, Error)>,
    in_order: T,
}

impl<T> Sequence<T> {
    /// Waits until a job comes in order; `None` where it never does.
    fn wait_for(&self, number: usize) -> Option<MutexGuard<'_, State<T>>> {
        let mut state = lock(&self.state);
        while state.next != number && !state.stopped {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        (!state.stopped).then_some(state)
    }

    fn fail(&self, number: usize, error: Error) {
        let mut state = lock(&self.state);
        state.stopped = true;
        if state.failed.as_ref().is_none_or(|(first, _)| number < *first) {
            state.failed = Some((number, error));
        }
        drop(state);
        self.changed.notify_all();
    }
}

/// Keeps other workers from waiting for one that panicked; the panic itself goes on where the threads are joined.
struct EndOnPanic<'a, T>(&'a Sequence<T>);

impl<T> Drop for EndOnPanic<'_, T> {
    fn drop(&mut self) {
        if thread::panicking() {
            lock(&self.0.state).stopped = true;
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
        let (mut in_order, done) = (Vec::new(), Mutex::new(Vec::new()));
        let result = ordered(
            &mut vec![usize::MAX; workers],
            0..300,
            |job, worker| {
                *worker = *job;
                fail(0, *job)
            },
            |job, worker| {
                assert_eq!(job, worker);
                in_order.push(*job);
                fail(1, *job)
            },
            |job, worker| {
                assert_eq!(job, *worker);
                lock(&done).push(job);
                fail(2, job)
            },
        );
        (result, in_order, done.into_inner().unwrap())
    }

    #[test]
    fn jobs_come_in_order_and_end_at_the_first_error() {
        for workers in [1, 2, 7] {
            let (result, in_order, mut done) = run(workers, [None; 3]);
            result.unwrap();
            done.sort_unstable();
            assert!(in_order.iter().copied().eq(0..300));
            assert_eq!(in_order, done);
            for stage in 0..3 {
                let mut fail_at = [None; 3];
                fail_at[stage] = Some(150);
                let (result, in_order, done) = run(workers, fail_at);
                assert!(
                    matches!(result, Err(Error::Amount(AmountError::TooLarge { requested: 150, remaining: left })) if left == stage),
                    "{result:?}"
                );
                assert!(in_order.iter().copied().eq(0..in_order.len()));
                match stage {
                    // Nothing comes in order after an error.
                    0 => assert_eq!((in_order.len(), done.len()), (150, 150)),
                    1 => assert_eq!((in_order.len(), done.len()), (151, 150)),
                    // How many others finish before a worker tells of its error is left to the system.
                    _ => assert!(in_order.len() == done.len() && done.len() > 150),
                }
            }
            // Of two that fail, the first one is reported.
            let (result, ..) = run(workers, [Some(200), Some(100), None]);
            assert!(matches!(
                result,
                Err(Error::Amount(AmountError::TooLarge { requested: 100, .. }))
            ));
        }
    }

    #[test]
    fn a_panic_leaves_no_worker_waiting() {
        let panicked = std::panic::catch_unwind(|| {
            ordered(
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
