//! A limit to how deeply what is deserialised may nest.
//!
//! A few bytes of a hostile file can open one more level, and a stack that overflows is not an error but the end
//! of the process.

use std::cell::Cell;

use serde::de::Error;

/// One level takes some 64 KB of stack where nothing is optimised, and a thread has 2 MB.
const LIMIT: usize = 16;

thread_local! {
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// Runs `read` one level deeper, or refuses to.
pub(crate) fn nested<T, E: Error>(read: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    struct Level;

    impl Drop for Level {
        fn drop(&mut self) {
            DEPTH.with(|depth| depth.set(depth.get() - 1));
        }
    }

    if DEPTH.with(|depth| depth.replace(depth.get() + 1)) >= LIMIT {
        let _level = Level;
        return Err(E::custom("nested too deeply"));
    }
    let _level = Level;
    read().map_err(readable)
}

/// The error without backslashes.
///
/// Some formats quote an error's text when it passes from one level of type-erased content to the next, and then
/// quote the quotes: a text that doubles several times a level, so that a file of a few levels would fill memory.
pub(crate) fn readable<E: Error>(error: E) -> E {
    let text = error.to_string();
    if text.contains('\\') {
        E::custom(text.replace('\\', ""))
    } else {
        error
    }
}
