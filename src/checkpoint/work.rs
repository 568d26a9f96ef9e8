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

/// Settings that do not change results.
#[derive(Clone, Default)]
pub(super) struct Work {
    threads: Option<NonZeroUsize>,
    observer: Option<Arc<dyn Fn(Progress) + Send + Sync>>,
}

impl Work {
    /// Whether reading, computing and writing may go on at the same time.
    pub fn in_parallel(&self) -> bool {
        let threads = self.threads.or_else(|| thread::available_parallelism().ok());
        threads.is_some_and(|threads| threads.get() > 1)
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
    /// Sets how many threads may work: one does everything in turn, with more reading, computing and writing go on
    /// at the same time. As many as the machine has unless set. Results never depend on it.
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
