//! [`Work`]: how many threads work, and who is told of progress. Results depend on neither.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

/// How far work has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// What is being done.
    pub phase: Phase,
    /// Bytes done, of this phase.
    pub done: u64,
    /// Bytes to do in this phase. Ranking counts a byte as often as it is read. It is known from the start, and grows
    /// only where the values are such that ranking needs one more pass than usual.
    pub total: u64,
}

/// How far ranking has come, which takes several passes.
#[derive(Debug, Default)]
struct Ranking {
    done: u64,
    total: u64,
}

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Tensors are read to find out what is to be pruned.
    Ranking,
    /// Tensors are read, to count or to compare.
    Reading,
    /// Output is written.
    Writing,
}

/// Files are not read faster by more threads than these, and each has memory of its own.
const MOST_WORKERS: usize = 16;

/// From this number of jobs on, there is more than one worker.
const FEW_JOBS: usize = 4;

/// Settings that do not change results.
#[derive(Clone, Default)]
pub(in crate::checkpoint) struct Work {
    pub threads: Option<NonZeroUsize>,
    pub observer: Option<Arc<dyn Fn(Progress) + Send + Sync>>,
    ranking: Arc<Mutex<Ranking>>,
}

impl Work {
    /// Workers for a queue of jobs, as `new` makes them: no more than threads are allowed, and only one where there are
    /// so few jobs that starting threads would take longer.
    pub fn workers_for<W>(&self, jobs: impl Iterator, new: impl Fn() -> W) -> Vec<W> {
        let few = jobs.take(FEW_JOBS).count() < FEW_JOBS;
        (0..if few { 1 } else { self.workers() }).map(|_| new()).collect()
    }

    /// The most workers that there are at once.
    pub fn workers(&self) -> usize {
        let threads = self.threads.or_else(|| thread::available_parallelism().ok());
        threads.map_or(1, NonZeroUsize::get).min(MOST_WORKERS)
    }

    pub fn tell(&self, progress: Progress) {
        if let Some(observer) = &self.observer {
            observer(progress);
        }
    }

    /// Ranking begins, and is going to read this many bytes.
    pub fn begin_ranking(&self, total: u64) {
        *self.ranking() = Ranking { done: 0, total };
    }

    /// Ranking has read `bytes` more, of a pass of which `rest` are still to be read.
    pub fn ranked(&self, bytes: u64, rest: u64) {
        let mut ranking = self.ranking();
        ranking.done += bytes;
        ranking.total = ranking.total.max(ranking.done + rest);
        let Ranking { done, total } = *ranking;
        drop(ranking);
        let phase = Phase::Ranking;
        self.tell(Progress { phase, done, total });
    }

    /// Ranking is over, perhaps with fewer passes than expected.
    pub fn end_ranking(&self) {
        let Ranking { done, total } = *self.ranking();
        if done < total {
            self.ranked(total - done, 0);
        }
    }

    fn ranking(&self) -> MutexGuard<'_, Ranking> {
        self.ranking.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work")
            .field("threads", &self.threads)
            .finish_non_exhaustive()
    }
}
