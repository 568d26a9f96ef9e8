//! [`Work`]: how many threads work, and who is told of progress. Results depend on neither.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;

/// How far work has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// What is being done.
    pub phase: Phase,
    /// Bytes done, of this pass.
    pub done: u64,
    /// Bytes to do, in this pass; ranking may need several.
    pub total: u64,
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
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work")
            .field("threads", &self.threads)
            .finish_non_exhaustive()
    }
}
