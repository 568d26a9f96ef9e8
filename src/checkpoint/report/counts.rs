//! [`Counts`]: what is counted while a tensor is written.

/// Entries of a tensor, or of a part of one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::checkpoint) struct Counts {
    /// Entries that are pruned.
    pub pruned: usize,
    /// Entries that are zero now.
    pub zeros: usize,
    /// Entries that are zero now and were not before.
    pub newly: usize,
    /// Pruned entries that are tied with the last one to be pruned.
    pub ties: usize,
}

impl Counts {
    pub fn add(&mut self, other: Counts) {
        self.pruned += other.pruned;
        self.zeros += other.zeros;
        self.newly += other.newly;
        self.ties += other.ties;
    }
}

/// A part as a share of all, in [0, 1].
pub(in crate::checkpoint) fn share(part: usize, all: usize) -> f64 {
    if all == 0 { 0.0 } else { part as f64 / all as f64 }
}
