//! How work is done and watched; what comes out of it depends on neither (S5).

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;

use super::Checkpoint;

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
    /// Tensors are read to find out what falls.
    Ranking,
    /// Tensors are read to look at what is there.
    Reading,
    /// Output is written.
    Writing,
}

/// Files are not read faster by more threads than these, and each has memory of its own.
const MOST_WORKERS: usize = 16;

/// From so many jobs on, there is more than one worker.
const FEW_JOBS: usize = 4;

/// Settings that do not change results.
#[derive(Clone, Default)]
pub(super) struct Work {
    threads: Option<NonZeroUsize>,
    observer: Option<Arc<dyn Fn(Progress) + Send + Sync>>,
}

impl Work {
    /// Workers for a line of jobs, as `new` makes them: no more than threads are allowed, and only one where there are
    /// so few jobs that waking others would take longer.
    pub fn hire<W>(&self, jobs: impl Iterator, new: impl Fn() -> W) -> Vec<W> {
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

impl Checkpoint {
    /// Sets how many threads may work, at most 16 of which do: each reads, computes and writes for itself. As many as
    /// the machine has unless set. Results never depend on it.
    pub fn with_threads(mut self, threads: NonZeroUsize) -> Self {
        self.work.threads = Some(threads);
        self
    }

    /// Sets a function that is told of progress, every megabyte or so.
    pub fn with_observer(mut self, observer: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        self.work.observer = Some(Arc::new(observer));
        self
    }
}
