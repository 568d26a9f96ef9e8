//! The second half of pruning: what was found to fall becomes masks of chunks.

use super::find::{Asked, Ranks, Verdict, Verdicts};
use super::lots::Lots;
use super::values::{Float, select};
use crate::mask::select::CutWriter;

/// Yields the masks of all tensors, chunk by chunk, in the order in which they are ranked.
pub(super) struct Eraser<'a> {
    verdicts: &'a Verdicts,
    /// The tensor at which it is.
    place: Option<usize>,
    cut: Option<CutWriter>,
    lots: Option<Lots>,
    ranks: Vec<f64>,
}

impl<'a> Eraser<'a> {
    pub fn new(verdicts: &'a Verdicts) -> Self {
        Eraser {
            verdicts,
            place: None,
            cut: None,
            lots: None,
            ranks: Vec::new(),
        }
    }

    /// Makes +0.0 of what falls in the next chunk, which begins at entry `first` of the tensor at `place`, and writes
    /// the packed mask of the chunk.
    pub fn erase<T: Float>(
        &mut self,
        place: usize,
        first: usize,
        values: &mut [T],
        kept: &mut Vec<u64>,
    ) -> Tally {
        self.mask(place, first, values, kept);
        let stay: usize = kept.iter().map(|word| word.count_ones() as usize).sum();
        Tally {
            fell: values.len() - stay,
            zeros: select(values, kept),
        }
    }

    fn mask<T: Float>(&mut self, place: usize, first: usize, values: &[T], kept: &mut Vec<u64>) {
        self.go_to(place);
        kept.clear();
        kept.resize(values.len().div_ceil(64), u64::MAX);
        match (&self.verdicts.each[place], &mut self.cut) {
            (Verdict::Entries { .. }, Some(cut)) => match &mut self.lots {
                Some(lots) => {
                    lots.ranks(values.len(), &mut self.ranks);
                    cut.mask(&self.ranks, None, kept);
                }
                None => {
                    cut.mask(values, None, kept);
                }
            },
            (
                Verdict::Channels {
                    channels,
                    kept: stays,
                },
                _,
            ) => {
                let mut entry = 0;
                while entry < values.len() {
                    let (channel, run) = channels.of(first + entry);
                    let end = values.len().min(entry + run);
                    if !stays[channel] {
                        clear(kept, entry, end);
                    }
                    entry = end;
                }
            }
            _ => {}
        }
        if let (Some(last), used @ 1..) = (kept.last_mut(), values.len() % 64) {
            *last &= (1 << used) - 1;
        }
    }

    /// Begins a tensor, where it is not the one that is under way.
    fn go_to(&mut self, place: usize) {
        if self.place == Some(place) {
            return;
        }
        self.place = Some(place);
        if let Verdict::Entries { cut, of } = &self.verdicts.each[place] {
            let shared = matches!(self.verdicts.asked, Asked::Together(_));
            if !shared || self.cut.is_none() {
                self.cut = Some(cut.writer());
            }
            self.lots = match of {
                Ranks::Values => None,
                Ranks::Lots(key) => Some(Lots::new(*key)),
            };
        }
    }
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub fell: usize,
    /// Entries that are zero now.
    pub zeros: usize,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.fell += other.fell;
        self.zeros += other.zeros;
    }
}

/// Clears the bits of entries `from..until`.
fn clear(words: &mut [u64], from: usize, until: usize) {
    for (word, bits) in words
        .iter_mut()
        .enumerate()
        .take(until.div_ceil(64))
        .skip(from / 64)
    {
        let (low, high) = (from.saturating_sub(word * 64), (until - word * 64).min(64));
        let below = |n: usize| if n == 64 { u64::MAX } else { (1 << n) - 1 };
        *bits &= !(below(high) & !below(low));
    }
}

#[cfg(test)]
mod tests {
    use super::clear;

    #[test]
    fn clears_ranges_of_bits() {
        for from in 0..200 {
            for until in from..200 {
                let mut words = [u64::MAX; 4];
                clear(&mut words, from, until);
                for bit in 0..256 {
                    let set = words[bit / 64] >> (bit % 64) & 1 == 1;
                    assert_eq!(set, !(from..until).contains(&bit), "{from}..{until}: {bit}");
                }
            }
        }
    }
}
