//! A pool of threads that survives `fork`.
//!
//! PyTorch's data loaders, and `multiprocessing` on Linux, fork the interpreter. The child has none of its parent's
//! threads, and would wait forever for a pool that was started before. So a child makes a pool of its own.

use std::process;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rayon::{ThreadPool, ThreadPoolBuilder};

static PROCESS: OnceLock<u32> = OnceLock::new();
static OF_CHILD: Mutex<Option<(u32, Arc<ThreadPool>)>> = Mutex::new(None);

/// Remembers the process that loaded the module, which uses the usual pool.
pub(crate) fn remember_process() {
    PROCESS.get_or_init(process::id);
}

/// Runs `work` where its threads exist.
pub(crate) fn run<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    let id = process::id();
    if PROCESS.get().is_none_or(|process| *process == id) {
        return work();
    }
    match pool_of(id) {
        Some(pool) => pool.install(work),
        None => work(),
    }
}

fn pool_of(id: u32) -> Option<Arc<ThreadPool>> {
    let mut of_child = OF_CHILD.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((owner, pool)) = &*of_child
        && *owner == id
    {
        return Some(pool.clone());
    }
    let pool = Arc::new(ThreadPoolBuilder::new().build().ok()?);
    // The threads of another process's pool do not exist here, so that dropping it would wait for them.
    if let Some(foreign) = of_child.replace((id, pool.clone())) {
        std::mem::forget(foreign);
    }
    Some(pool)
}
