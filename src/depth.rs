//! A limit to how deeply boxed values nest in what is serialised.
//!
//! Each level takes only a few bytes of a hostile file, and a stack overflow is not an error: it ends the process.
//! The limit also holds for writing, so that what is saved can be loaded.

use std::cell::Cell;

use serde::de;
#[cfg(feature = "nn")]
use serde::ser;

/// How many boxed values of one kind may nest.
///
/// A level takes up to 64 KB of stack in a build without optimisation, and a thread has 2 MB.
pub(crate) const LIMIT: usize = 16;

/// How many boxed values of both kinds may nest, so that the innermost module may hold a container.
const LIMIT_OF_ALL: usize = LIMIT + 4;

/// Longer messages are cut, in bytes.
const LONGEST_MESSAGE: usize = 2_000;

/// What nests.
#[derive(Clone, Copy)]
pub(crate) enum Boxed {
    /// Pruning methods, in containers.
    Methods,
    /// Modules.
    #[cfg(feature = "nn")]
    Modules,
}

thread_local! {
    /// The levels of each kind.
    static LEVELS: [Cell<usize>; 2] = const { [Cell::new(0), Cell::new(0)] };
}

/// Counts one level for as long as it exists.
struct Level(Boxed);

impl Level {
    /// Enters one more level, or returns `None` at the limit.
    fn enter(kind: Boxed) -> Option<Self> {
        LEVELS.with(|levels| {
            let level = &levels[kind as usize];
            let all: usize = levels.iter().map(Cell::get).sum();
            (level.get() < LIMIT && all < LIMIT_OF_ALL).then(|| {
                level.set(level.get() + 1);
                Level(kind)
            })
        })
    }
}

impl Drop for Level {
    fn drop(&mut self) {
        LEVELS.with(|levels| {
            let level = &levels[self.0 as usize];
            level.set(level.get() - 1);
        });
    }
}

/// Runs `read` one level deeper, or refuses to.
pub(crate) fn nested<T, E: de::Error>(kind: Boxed, read: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    let Some(_level) = Level::enter(kind) else {
        return Err(E::custom(too_deep("loaded")));
    };
    read().map_err(readable)
}

/// Runs `write` one level deeper, or refuses to.
#[cfg(feature = "nn")]
pub(crate) fn nested_writing<T, E: ser::Error>(
    kind: Boxed,
    write: impl FnOnce() -> Result<T, E>,
) -> Result<T, E> {
    let Some(_level) = Level::enter(kind) else {
        return Err(E::custom(too_deep("saved")));
    };
    write()
}

fn too_deep(done: &str) -> String {
    format!("nested too deeply: at most {LIMIT} levels of boxed values can be {done}; nest fewer")
}

/// The error with its text cut to a readable length, without repeated quoting.
///
/// Some formats quote an error's text at each level of type-erased content, quotes included. The text then doubles at
/// every level, and a file of a few dozen levels would fill memory.
pub(crate) fn readable<E: de::Error>(error: E) -> E {
    let mut text = error.to_string();
    if !text.contains('\\') && text.len() <= LONGEST_MESSAGE {
        return error;
    }
    text.retain(|c| c != '\\' && c != '"');
    if text.len() > LONGEST_MESSAGE {
        let end = (0..=LONGEST_MESSAGE)
            .rev()
            .find(|&end| text.is_char_boundary(end));
        text.truncate(end.unwrap_or_default());
        text.push('…');
    }
    E::custom(text)
}
