//! A [`CutFinder`] between processes: only counters that have counted are stored, each with its distance from the one
//! before.

use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{COARSE, Counts, CutFinder, PER_EXPONENT, Range};
use crate::mask::select::Order;

/// Entries of more than these do not exist. Sums of counters that are read stay below what an integer holds.
const MOST_ENTRIES: u64 = 1 << 48;

#[derive(Serialize, Deserialize)]
#[serde(rename = "CutFinder")]
struct Stored {
    requested: usize,
    order: Order,
    remaining: usize,
    seen: i64,
    range: Option<Range>,
    /// Of each counter that is not 0, how many lie between it and the one before.
    gaps: Vec<u32>,
    counts: Vec<u64>,
}

impl Serialize for CutFinder {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.narrow.iter().any(|counts| !counts.is_empty()) {
            let mut wide = self.clone();
            wide.widen_narrow();
            wide.narrow = Default::default();
            return wide.serialize(serializer);
        }
        let (mut gaps, mut counts, mut next) = (Vec::new(), Vec::new(), 0);
        let mut push = |(at, count): (usize, &u64)| {
            if *count > 0 {
                gaps.push((at - next) as u32);
                counts.push(*count);
                next = at + 1;
            }
        };
        match &self.counts {
            Counts::Coarse(exponents) => {
                for (exponent, counts) in exponents.iter().enumerate() {
                    let counts = counts.iter().enumerate();
                    counts.for_each(|(i, count)| push((exponent * PER_EXPONENT + i, count)));
                }
            }
            Counts::Fine(counts) => counts.iter().enumerate().for_each(push),
            Counts::Expected(_) => return Err(S::Error::custom("a finder that holds keys is not stored")),
        }
        let stored = Stored {
            requested: self.requested,
            order: self.order,
            remaining: self.remaining,
            seen: self.seen,
            range: self.range,
            gaps,
            counts,
        };
        stored.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for CutFinder {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored = Stored::deserialize(deserializer)?;
        let mut finder = CutFinder::new(stored.requested, stored.order);
        (finder.remaining, finder.seen) = (stored.remaining, stored.seen);
        if let Some(range) = stored.range {
            let fits = (1..=COARSE).contains(&range.bits) && range.low.checked_add(1 << range.bits).is_some();
            if !fits || range.below >= stored.requested {
                return Err(D::Error::custom("a range of keys that no pass ends with"));
            }
            finder.counts = Counts::Fine(vec![0; 1 << (range.bits - range.shift())]);
            finder.range = Some(range);
        }
        if stored.gaps.len() != stored.counts.len() || stored.remaining as u64 > MOST_ENTRIES {
            return Err(D::Error::custom(
                "counters without their places, or of too many entries",
            ));
        }
        let (mut next, mut all) = (0_u64, 0_u64);
        for (gap, count) in stored.gaps.into_iter().zip(stored.counts) {
            let at = next + u64::from(gap);
            next = at + 1;
            all = all.saturating_add(count);
            let counter = match &mut finder.counts {
                Counts::Coarse(exponents) => {
                    let (exponent, i) = (at as usize / PER_EXPONENT, at as usize % PER_EXPONENT);
                    exponents.get_mut(exponent).map(|counts| {
                        counts.resize(PER_EXPONENT, 0);
                        &mut counts[i]
                    })
                }
                Counts::Fine(counts) => counts.get_mut(at as usize),
                Counts::Expected(_) => None,
            };
            match counter {
                Some(counter) if all <= finder.remaining as u64 => *counter = count,
                _ => {
                    return Err(D::Error::custom(
                        "a counter that no finder has, or of too many entries",
                    ));
                }
            }
        }
        Ok(finder)
    }
}
