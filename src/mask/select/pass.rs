//! The pass over all entries: writes the mask of all entries outside of a bracket, and collects those inside.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::bracket::Bracket;
use super::key::{Key, Scale};
use super::source::{BLOCK, Block, Problem, TASK};
use super::vector::Vector;
use super::words::{ones, prior_word, words};
use crate::mask::bits::BITS;

/// A stretch of a segment, which one thread processes at a time.
pub struct Task<'m, K> {
    pub segment: usize,
    pub start: usize,
    pub len: usize,
    pub mask: &'m mut [u64],
    /// Entries that the mask keeps.
    pub kept: usize,
    /// The undecided entries, by rising index: their places in the task, and their keys.
    pub places: Vec<u16>,
    pub keys: Vec<K>,
}

/// Divides segments into tasks, which write into these masks.
pub fn tasks<'m, K: Key>(problem: &Problem<'_, K>, masks: &'m mut [Vec<u64>]) -> Vec<Task<'m, K>> {
    let count = masks.iter().map(|mask| mask.len().div_ceil(TASK / BITS)).sum();
    let mut tasks = Vec::with_capacity(count);
    for (segment, mask) in masks.iter_mut().enumerate() {
        for (i, mask) in mask.chunks_mut(TASK / BITS).enumerate() {
            let start = i * TASK;
            tasks.push(Task {
                segment,
                start,
                len: TASK.min(problem.source.len(segment) - start),
                mask,
                kept: 0,
                places: Vec::new(),
                keys: Vec::new(),
            });
        }
    }
    tasks
}

/// The budget of undecided entries: how many all tasks together have collected, and how many they may.
pub struct Room {
    used: AtomicUsize,
    all: usize,
}

impl Room {
    pub fn new(all: usize) -> Self {
        Room {
            used: AtomicUsize::new(0),
            all,
        }
    }

    /// Reserves room for some more entries. `false` if there is not enough.
    fn take(&self, more: usize) -> bool {
        self.used.fetch_add(more, Ordering::Relaxed) + more <= self.all
    }

    /// Room that is not taken yet.
    fn remaining(&self) -> usize {
        self.all.saturating_sub(self.used.load(Ordering::Relaxed))
    }

    /// How many entries were collected. `None` if there was not enough room.
    pub fn collected(self) -> Option<usize> {
        Some(self.used.into_inner()).filter(|used| *used <= self.all)
    }
}

/// Passes over the entries of a task. Returns the index of the first NaN, if there is one. Ends early, with an
/// incomplete mask, if there is not enough room.
pub fn pass<K: Key>(
    problem: &Problem<'_, K>,
    task: &mut Task<'_, K>,
    bracket: Bracket<K>,
    room: &Room,
) -> Option<usize> {
    Vector::run(
        #[inline(always)]
        |vector| pass_with(vector, problem, task, bracket, room),
    )
}

#[inline(always)]
fn pass_with<K: Key>(
    vector: Vector,
    problem: &Problem<'_, K>,
    task: &mut Task<'_, K>,
    bracket: Bracket<K>,
    room: &Room,
) -> Option<usize> {
    let mut block = Block::new();
    let mut undecided = Undecided::new();
    task.kept = 0;
    task.places.clear();
    task.keys.clear();
    for at in (0..task.len).step_by(BLOCK) {
        let (start, len) = (task.start + at, BLOCK.min(task.len - at));
        let prior = problem.prior(task.segment, start, len);
        let masks = &mut task.mask[at / BITS..][..words(len)];
        if prior.is_some_and(|prior| prior.iter().all(|word| *word == 0)) {
            masks.fill(0);
            continue;
        }
        if problem.source.block(task.segment, start, len, &mut block)
            && let Some(nan) = first_nan(&block.keys[..len], prior, problem.source.scale())
        {
            return Some(start + nan);
        }
        for (word, (mask, keys)) in masks.iter_mut().zip(block.words()).enumerate() {
            let remaining = match len - word * BITS {
                BITS.. => prior.map_or(u64::MAX, |prior| prior[word]),
                len => prior_word(prior, word, len),
            };
            let keep = vector.greater(keys, bracket.low) & remaining;
            undecided.add(at + word * BITS, keys, keep & vector.less(keys, bracket.high));
            *mask = keep;
        }
        task.kept += masks.iter().map(|mask| mask.count_ones() as usize).sum::<usize>();
        if undecided.is_nearly_full() && !undecided.hand_over(task, at + len, room) {
            return None;
        }
    }
    undecided.hand_over(task, task.len, room);
    None
}

/// Index in a block of the first NaN among the entries that remain.
pub fn first_nan<K: Key>(keys: &[K], prior: Option<&[u64]>, scale: Scale<K>) -> Option<usize> {
    keys.chunks(BITS).enumerate().find_map(|(word, keys)| {
        let mut remaining = ones(prior_word(prior, word, keys.len()));
        remaining
            .find(|bit| scale.is_nan(keys[*bit]))
            .map(|bit| word * BITS + bit)
    })
}

/// Appends to a list, which grows by what is expected. Doubling would take memory that is never used.
fn extend<T: Copy>(list: &mut Vec<T>, more: &[T], expected: usize) {
    if list.capacity() - list.len() < more.len() {
        list.reserve_exact(more.len() + expected);
    }
    list.extend_from_slice(more);
}

/// Room for the undecided entries of some blocks.
const UNDECIDED: usize = 2 * BLOCK;
/// This many entries of a word are written, whether they exist or not.
const ALWAYS: usize = 3;

/// Undecided entries of some blocks.
struct Undecided<K> {
    count: usize,
    places: [u16; UNDECIDED],
    keys: [K; UNDECIDED],
}

impl<K: Key> Undecided<K> {
    fn new() -> Self {
        Undecided {
            count: 0,
            places: [0; UNDECIDED],
            keys: [K::default(); UNDECIDED],
        }
    }

    /// Whether the entries of another block might not fit.
    fn is_nearly_full(&self) -> bool {
        self.count + BLOCK + ALWAYS > UNDECIDED
    }

    /// Moves the entries to their task, of which `done` entries have been processed. `false` if there is not enough
    /// room.
    fn hand_over(&mut self, task: &mut Task<'_, K>, done: usize, room: &Room) -> bool {
        let fits = room.take(self.count);
        if fits {
            // In proportion for the rest of the task, and some more. Sorted entries may come all in one task: no more
            // than there is room for.
            let expected = self.count * (task.len - done) / done / 8 * 9;
            let expected = expected.min(room.remaining());
            extend(&mut task.places, &self.places[..self.count], expected);
            extend(&mut task.keys, &self.keys[..self.count], expected);
        }
        self.count = 0;
        fits
    }

    /// Adds the entries of a word whose bits are set.
    #[inline(always)]
    fn add(&mut self, at: usize, keys: &[K; BITS], mut word: u64) {
        let end = self.count + word.count_ones() as usize;
        // Usually there are few. The first ones are written whether they exist or not, and overwritten later, because
        // a processor cannot predict a loop whose length varies.
        for i in 0..ALWAYS {
            self.put(self.count + i, at, keys, word.trailing_zeros() as usize);
            word &= word.wrapping_sub(1);
        }
        let mut count = self.count + ALWAYS;
        while word != 0 {
            self.put(count, at, keys, word.trailing_zeros() as usize);
            word &= word - 1;
            count += 1;
        }
        self.count = end;
    }

    /// Writes an entry. The remainders change nothing; they replace bounds checks.
    #[inline(always)]
    fn put(&mut self, count: usize, at: usize, keys: &[K; BITS], bit: usize) {
        let (count, bit) = (count % UNDECIDED, bit % BITS);
        self.places[count] = (at + bit) as u16;
        self.keys[count] = keys[bit];
    }
}
