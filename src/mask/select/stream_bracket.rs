//! Two keys between which a stream's cut is expected, from a sample. Usually one pass is then enough.

use super::key::{Key, Rank, Scale};
use super::vector::Vector;
use super::words::ones;
use crate::mask::bits::BITS;

/// Counts of one pass: how many wide keys lie below two ends, and at each of them. Keys between the ends are collected.
///
/// It is a guess. If it is wrong, the counts show it.
#[derive(Clone, Debug)]
pub struct StreamBracket {
    low: i64,
    high: i64,
    below: usize,
    at_low: usize,
    at_high: usize,
    between: Vec<i64>,
    /// Keys between that were counted elsewhere: joined at the end, so that they are never copied twice.
    merged: Vec<Vec<i64>>,
    /// How many keys may be held. If there are more, the guess was wrong.
    most: usize,
}

/// The two ends among the keys of one type.
#[derive(Clone, Copy)]
pub struct Ends<K> {
    /// The first key that is not below the low end, and the first that is above the high end.
    low: K,
    after: K,
}

impl<K: Key> Ends<K> {
    /// The ends of wide keys from `low` on and below `after`.
    pub fn of(scale: &Scale<K>, low: i64, after: i64) -> Self {
        Ends {
            low: scale.first_not_below(low),
            after: scale.first_not_below(after),
        }
    }

    /// Bit i is set where key i may be between the ends: where it is, and where it is the first one after them, which
    /// for the highest key of a type cannot be told.
    #[inline(always)]
    pub fn around(&self, vector: Vector, keys: &[K; BITS]) -> u64 {
        !vector.less(keys, self.low) & !vector.greater(keys, self.after)
    }
}

impl StreamBracket {
    /// A guess from the wide keys of a sample, in which the cut is at the share `k / of`. `None` if nothing can be
    /// guessed. The ends are `sigmas` standard deviations from the middle of the guess: a few for a sample of single
    /// entries, more for one of runs, because neighbouring entries are alike.
    pub fn guess(sample: &mut [i64], k: usize, of: usize, most: usize, sigmas: f64) -> Option<Self> {
        let (len, share) = (sample.len() as f64, k as f64 / of as f64);
        let slack = sigmas * (len * share * (1.0 - share)).sqrt() + 2.0;
        let middle = len * share;
        if sample.is_empty() || of == 0 {
            return None;
        }
        let last = sample.len() - 1;
        let low = ((middle - slack).max(0.0) as usize).min(last);
        let high = ((middle + slack) as usize).min(last);
        sample.sort_unstable();
        let mut between = StreamBracket {
            low: sample[low],
            high: sample[high],
            below: 0,
            at_low: 0,
            at_high: 0,
            between: Vec::new(),
            merged: Vec::new(),
            most,
        };
        // If the sample does not extend far enough, the ends are the lowest and highest keys of all.
        if middle - slack < 0.0 {
            between.low = -f64::HIGHEST;
        }
        if middle + slack > last as f64 {
            between.high = f64::HIGHEST - 1;
        }
        (between.high < f64::HIGHEST).then_some(between)
    }

    /// The two ends among the keys of a type.
    pub fn ends<K: Key>(&self, scale: &Scale<K>) -> Ends<K> {
        Ends::of(scale, self.low, self.high + 1)
    }

    /// Counts the keys whose bit is set in `remaining`.
    #[inline(always)]
    pub fn count<K: Key>(
        &mut self,
        vector: Vector,
        keys: &[K; BITS],
        remaining: u64,
        (scale, ends): (&Scale<K>, Ends<K>),
    ) {
        let below = vector.less(keys, ends.low) & remaining;
        let inside = vector.less(keys, ends.after) & remaining & !below;
        self.below += below.count_ones() as usize;
        for i in ones(inside) {
            let key = (scale.widen)(keys[i]);
            if key == self.low {
                self.at_low += 1;
            } else if key == self.high {
                self.at_high += 1;
            } else if self.between.len() < self.most {
                if self.between.len() == self.between.capacity() {
                    // By quarters: doubling would take memory that is never used.
                    self.between.reserve_exact(self.between.len() / 4 + 1024);
                }
                self.between.push(key);
            } else {
                self.most = 0; // so no cut is found
            }
        }
    }

    /// Adds what was counted in other chunks.
    pub fn merge(&mut self, other: StreamBracket) {
        self.below += other.below;
        self.at_low += other.at_low;
        self.at_high += other.at_high;
        self.merged.push(other.between);
        self.merged.extend(other.merged);
        self.most = self.most.min(other.most);
    }

    /// The wide key of the `k`-th lowest, and how many of its ties are pruned. `None` if the guess was wrong.
    pub fn cut(mut self, k: usize) -> Option<(i64, usize)> {
        let wanted = k.checked_sub(self.below)?;
        if wanted == 0 || self.most == 0 {
            return None;
        }
        if wanted <= self.at_low {
            return Some((self.low, wanted));
        }
        let wanted = wanted - self.at_low;
        let mut between = match self.merged.len() {
            0 => self.between,
            _ => {
                self.merged.push(self.between);
                self.merged.concat()
            }
        };
        if wanted <= between.len() {
            let (lower, key, _) = between.select_nth_unstable(wanted - 1);
            let ties = 1 + lower.iter().filter(|lower| *lower == key).count();
            return Some((*key, ties));
        }
        let wanted = wanted - between.len();
        (wanted <= self.at_high).then_some((self.high, wanted))
    }
}
