//! How loops use the machine: its vector instructions, and its threads.

/// From this number of entries on, a second thread is worth waking.
const LARGE: usize = 1 << 18;

/// Runs a loop with the vector instructions that the machine has.
#[cfg(feature = "simd")]
#[inline(always)]
pub(crate) fn vectorized<R>(work: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(work)
}

/// Runs a loop with the vector instructions that it is compiled for.
#[cfg(not(feature = "simd"))]
#[inline(always)]
pub(crate) fn vectorized<R>(work: impl FnOnce() -> R) -> R {
    work()
}

/// How many threads share the work. The result does not depend on it.
#[derive(Clone, Copy)]
pub(crate) enum Threads {
    One,
    #[cfg(feature = "rayon")]
    Many,
}

impl Threads {
    pub(crate) fn of(entries: usize) -> Self {
        Threads::of_work(entries, LARGE)
    }

    /// Whether this thread is one of the pool. The others are then woken while it works, and if they come too late, it
    /// has done everything itself. Any other thread has to wait for them.
    #[cfg(feature = "nn")]
    pub(crate) fn in_pool() -> bool {
        #[cfg(feature = "rayon")]
        return rayon::current_thread_index().is_some();
        #[cfg(not(feature = "rayon"))]
        return false;
    }

    /// Several from `large` units of work on.
    #[cfg(feature = "rayon")]
    pub(crate) fn of_work(units: usize, large: usize) -> Self {
        if units >= large && rayon::current_num_threads() > 1 {
            Threads::Many
        } else {
            Threads::One
        }
    }

    /// One, because this is compiled without others.
    #[cfg(not(feature = "rayon"))]
    pub(crate) fn of_work(_: usize, _: usize) -> Self {
        Threads::One
    }

    /// How many.
    #[cfg(feature = "nn")]
    pub(crate) fn count(self) -> usize {
        match self {
            Threads::One => 1,
            #[cfg(feature = "rayon")]
            Threads::Many => rayon::current_num_threads(),
        }
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
            Threads::Many => each_by_many(items, work),
        }
    }

    /// How many tasks are worth starting together, where each may show that the following ones are not needed.
    pub(crate) fn batch(self) -> usize {
        match self {
            Threads::One => 1,
            #[cfg(feature = "rayon")]
            Threads::Many => 8 * rayon::current_num_threads(),
        }
    }

    /// Into how many tasks work should be cut, so that a thread that finishes early finds more.
    pub(crate) fn tasks(self) -> usize {
        match self {
            Threads::One => 1,
            #[cfg(feature = "rayon")]
            Threads::Many => 4 * rayon::current_num_threads(),
        }
    }
}

/// Calls `work` on every item from this thread and others of the pool.
///
/// It does not use a parallel iterator: with one, a caller outside of the pool sleeps until other threads have woken
/// up and done the work. Waking takes longer than all the work on a layer of a few million weights. So the caller
/// begins at once, and threads that wake up share what remains.
#[cfg(feature = "rayon")]
fn each_by_many<T: Send, R: Send>(items: &mut [T], work: impl Fn(&mut T) -> R + Sync + Send) -> Vec<R> {
    use std::sync::{Mutex, PoisonError};

    let mut answers: Vec<Option<R>> = items.iter().map(|_| None).collect();
    let others = (rayon::current_num_threads() - 1).min(items.len().saturating_sub(1));
    let queue = Mutex::new(items.iter_mut().zip(&mut answers));
    let take_all = || {
        loop {
            // Poisoned only if another thread has panicked, and the scope passes that panic on.
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((item, answer)) = next else { break };
            *answer = Some(work(item));
        }
    };
    rayon::in_place_scope(|scope| {
        for _ in 0..others {
            scope.spawn(|_| take_all());
        }
        take_all();
    });
    answers
        .into_iter()
        .map(|answer| answer.expect("every item is taken"))
        .collect()
}
