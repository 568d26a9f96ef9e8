//! Two keys that a stream's cut is expected between, from a sample: mostly one pass instead of several.

use super::key::{Key, Rank};
use super::words::{BITS, ones, pack};

/// Standard deviations from the middle of the sample's guess to its ends. Entries that lie near each other are alike,
/// so a sample of runs tells less than one of as many single entries.
const SIGMAS: f64 = 6.0;

/// What one pass counts of wide keys: how many lie below, at and above two ends; and those between, one by one.
///
/// It is a guess. If it is wrong, the counts show it.
#[derive(Clone, Debug)]
pub struct Between {
    low: i64,
    high: i64,
    below: usize,
    at_low: usize,
    at_high: usize,
    between: Vec<i64>,
    /// Keys that may be held. Beyond that the guess was no good.
    most: usize,
}

/// The two ends among the keys of one type.
#[derive(Clone, Copy)]
pub struct Ends<K> {
    /// The first key that is not below the low end, and the first that is above the high end.
    low: K,
    behind: K,
}

impl Between {
    /// A guess from the wide keys of a sample, of which the cut is at the share `k / of`; `None` where there is no
    /// telling.
    pub fn guess(sample: &mut [i64], k: usize, of: usize, most: usize) -> Option<Self> {
        let (len, share) = (sample.len() as f64, k as f64 / of as f64);
        let slack = SIGMAS * (len * share * (1.0 - share)).sqrt() + 2.0;
        let middle = len * share;
        if sample.is_empty() || of == 0 {
            return None;
        }
        let last = sample.len() - 1;
        let low = ((middle - slack).max(0.0) as usize).min(last);
        let high = ((middle + slack) as usize).min(last);
        sample.sort_unstable();
        let mut between = Between {
            low: sample[low],
            high: sample[high],
            below: 0,
            at_low: 0,
            at_high: 0,
            between: Vec::new(),
            most,
        };
        // Where the sample does not reach far enough, the ends are those of what can be ranked.
        if middle - slack < 0.0 {
            between.low = f64::LOWEST;
        }
        if middle + slack > last as f64 {
            between.high = f64::HIGHEST - 1;
        }
        (between.high < f64::HIGHEST).then_some(between)
    }

    /// The two ends among the keys of a type.
    pub fn ends<T: Rank>(&self) -> Ends<T::Key> {
        Ends {
            low: first_not_below::<T>(self.low),
            behind: first_not_below::<T>(self.high + 1),
        }
    }

    /// Counts the keys whose bit is set in `left`.
    #[inline(always)]
    pub fn count<T: Rank>(&mut self, keys: &[T::Key; BITS], left: u64, ends: Ends<T::Key>) {
        let below = pack(|i| keys[i] < ends.low) & left;
        let doubt = pack(|i| keys[i] < ends.behind) & left & !below;
        self.below += below.count_ones() as usize;
        for i in ones(doubt) {
            let key = T::widen(keys[i]);
            if key == self.low {
                self.at_low += 1;
            } else if key == self.high {
                self.at_high += 1;
            } else if self.between.len() < self.most {
                self.between.push(key);
            } else {
                self.most = 0; // no cut is found then
            }
        }
    }

    /// Takes in what was counted of other chunks.
    pub fn merge(&mut self, other: Between) {
        self.below += other.below;
        self.at_low += other.at_low;
        self.at_high += other.at_high;
        self.between.extend(other.between);
        self.most = self.most.min(other.most);
    }

    /// The wide key of the `k`-th lowest, and how many of its equals fall; `None` where the guess was wrong.
    pub fn cut(mut self, k: usize) -> Option<(i64, usize)> {
        let wanted = k.checked_sub(self.below)?;
        if wanted == 0 || self.most == 0 {
            return None;
        }
        if wanted <= self.at_low {
            return Some((self.low, wanted));
        }
        let wanted = wanted - self.at_low;
        if wanted <= self.between.len() {
            let (lower, key, _) = self.between.select_nth_unstable(wanted - 1);
            let equals = 1 + lower.iter().filter(|lower| *lower == key).count();
            return Some((*key, equals));
        }
        let wanted = wanted - self.between.len();
        (wanted <= self.at_high).then_some((self.high, wanted))
    }
}

/// The first key of a type that is not below a wide key, which is at most that of +∞.
fn first_not_below<T: Rank>(wide: i64) -> T::Key {
    let (mut low, mut high) = (T::LOWEST.to_i64(), T::HIGHEST.to_i64());
    while low < high {
        let middle = (low & high) + ((low ^ high) >> 1);
        if T::widen(T::Key::from_i64(middle)) < wide {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    T::Key::from_i64(low)
}

#[cfg(test)]
mod tests {
    use super::super::{Cut, CutFinder, Order};

    /// The cut of a stream of two types, and the passes it took; from a sample, where there is one.
    fn cut(stream: &[f32], k: usize, order: Order, sample: Option<&[f64]>, most: usize) -> (Cut, usize) {
        let mut finder = CutFinder::new(k, order);
        if let Some(sample) = sample {
            finder = finder.expecting(sample, 2 * stream.len(), most);
        }
        let narrow: Vec<_> = stream.iter().map(|x| half::bf16::from_f32(*x)).collect();
        for pass in 1.. {
            let mut other = finder.clone();
            finder.feed(stream, None).unwrap();
            other.feed(&narrow, None).unwrap();
            finder.merge(other);
            if let Some(cut) = finder.end_pass().unwrap() {
                return (cut, pass);
            }
        }
        unreachable!()
    }

    #[test]
    fn whatever_the_sample_says_the_cut_is_the_same() {
        let noise = |i: usize| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f32 / (1 << 24) as f32 - 0.5;
        let ties = |i: usize| [0.0, -0.0, 0.25, 1.0, f32::INFINITY, noise(i)][i % 6];
        for stream in [&noise as &dyn Fn(usize) -> f32, &ties] {
            let stream: Vec<f32> = (0..5000).map(stream).collect();
            let good: Vec<f64> = stream.iter().step_by(7).map(|x| f64::from(*x)).collect();
            let bad: Vec<f64> = good.iter().map(|x| x * 3.0 + 1.0).collect();
            let nan = [f64::NAN; 3];
            for order in [Order::Magnitude, Order::Value] {
                for k in (0..=10_000).step_by(477).chain([1, 2, 5000, 9_999, 10_000]) {
                    let (expected, _) = cut(&stream, k, order, None, 0);
                    for (sample, most) in [
                        (&good[..], 10_000),
                        (&good, 5),
                        (&bad, 10_000),
                        (&nan, 9),
                        (&[], 9),
                    ] {
                        let (found, _) = cut(&stream, k, order, Some(sample), most);
                        assert_eq!(found, expected, "{k} {order:?}");
                    }
                }
            }
        }
        let stream: Vec<f32> = (0..5000).map(noise).collect();
        let sample: Vec<f64> = stream.iter().step_by(7).map(|x| f64::from(*x)).collect();
        assert_eq!(cut(&stream, 5000, Order::Magnitude, Some(&sample), 10_000).1, 1);
        assert_eq!(cut(&stream, 5000, Order::Magnitude, None, 0).1, 2);
    }
}
