//! How loops use the machine: its vector instructions, and its threads.

/// From so many entries on, a second thread is worth waking.
#[cfg(feature = "rayon")]
const LARGE: usize = 1 << 18;

/// Runs a loop with the vector instructions that the machine has.
#[inline(always)]
pub(crate) fn vectorized<R>(work: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(work)
}

/// How many threads share the work. What they do to each task is the same, so the result is too.
#[derive(Clone, Copy)]
pub(crate) enum Threads {
    One,
    #[cfg(feature = "rayon")]
    Many,
}

impl Threads {
    #[cfg(feature = "rayon")]
    pub(crate) fn of(entries: usize) -> Self {
        if entries >= LARGE && rayon::current_num_threads() > 1 {
            Threads::Many
        } else {
            Threads::One
        }
    }

    #[cfg(not(feature = "rayon"))]
    pub(crate) fn of(_: usize) -> Self {
        Threads::One
    }

    /// Calls `work` on every item; the answers are in the order of the items.
    pub(crate) fn each<T: Send, R: Send>(
        self,
        items: &mut [T],
        work: impl Fn(&mut T) -> R + Sync + Send,
    ) -> Vec<R> {
        match self {
            Threads::One => items.iter_mut().map(work).collect(),
            #[cfg(feature = "rayon")]
            Threads::Many => {
                use rayon::iter::{IntoParallelRefMutIterator, ParallelIterator};
                items.par_iter_mut().map(work).collect()
            }
        }
    }

    /// How many tasks are worth a look together, where a look may show that the next ones need none.
    pub(crate) fn batch(self) -> usize {
        match self {
            Threads::One => 1,
            #[cfg(feature = "rayon")]
            Threads::Many => 8 * rayon::current_num_threads(),
        }
    }

    /// Into how many tasks work should be cut, so that threads that are done early find more of it.
    pub(crate) fn tasks(self) -> usize {
        match self {
            Threads::One => 1,
            #[cfg(feature = "rayon")]
            Threads::Many => 4 * rayon::current_num_threads(),
        }
    }
}
