//! Files that are open now: a few, however many a checkpoint has.
//!
//! A checkpoint may have more shards than a process may have open files, often 1,024, and pruning opens each twice: as
//! input and as output. So only those that were used last stay open. A file that is needed again is opened again.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many files stay open. More threads than this may have one each open for as long as they use it.
const MOST: usize = 32;

/// The open files, the one that was used last at the end.
static OPEN: Mutex<VecDeque<(u64, Arc<File>)>> = Mutex::new(VecDeque::new());

fn open_files() -> MutexGuard<'static, VecDeque<(u64, Arc<File>)>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A place among the open files. When it is dropped, its file is closed.
#[derive(Debug)]
pub(super) struct Place(u64);

impl Place {
    /// A new place for a file that is open.
    pub fn new(file: File) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let place = Place(NEXT.fetch_add(1, Ordering::Relaxed));
        place.put(Arc::new(file));
        place
    }

    /// The file, opened by `open` if it was closed meanwhile.
    pub fn file(&self, open: impl FnOnce() -> io::Result<File>) -> io::Result<Arc<File>> {
        if let Some(file) = self.take() {
            self.put(Arc::clone(&file));
            return Ok(file);
        }
        // Two threads may both open it; the second puts its own in place of the first.
        let file = Arc::new(open()?);
        self.take();
        self.put(Arc::clone(&file));
        Ok(file)
    }

    fn take(&self) -> Option<Arc<File>> {
        let mut open = open_files();
        let at = open.iter().position(|(number, _)| *number == self.0)?;
        open.remove(at).map(|(_, file)| file)
    }

    fn put(&self, file: Arc<File>) {
        let mut open = open_files();
        open.push_back((self.0, file));
        if open.len() > MOST {
            open.pop_front();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.take();
    }
}
