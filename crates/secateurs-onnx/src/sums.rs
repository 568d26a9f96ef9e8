//! [`Sums`]: absolute values or squares of a weight, summed along its dimensions in one pass.

/// Entries that are added at once: in f64 they fit in the processor's cache. The order of additions depends on it, and
/// on nothing else.
pub const MOST: usize = 1 << 13;

/// Sums that run beside each other, which a processor adds at once.
const LANES: usize = 16;

/// For each index of some dimensions of a weight, the sum over all entries that have it.
pub struct Sums {
    squared: bool,
    /// Where the next entry is.
    at: usize,
    axes: Vec<Axis>,
    /// The entries at hand, as they are added.
    terms: Vec<f64>,
}

struct Axis {
    /// Entries that follow each other and have the same index.
    inner: usize,
    sums: Vec<f64>,
}

impl Sums {
    /// Of a weight of this shape, along these dimensions.
    pub fn new(dims: &[usize], along: impl Iterator<Item = usize>, squared: bool) -> Self {
        let axes = along.map(|dim| Axis {
            inner: dims[dim + 1..].iter().product(),
            sums: vec![0.0; dims[dim]],
        });
        Sums {
            squared,
            at: 0,
            axes: axes.collect(),
            terms: Vec::new(),
        }
    }

    /// Adds the next entries, [`MOST`] of them or the last ones.
    pub fn add(&mut self, values: &[f64]) {
        self.terms.clear();
        match self.squared {
            false => self.terms.extend(values.iter().map(|x| x.abs())),
            true => self.terms.extend(values.iter().map(|x| x * x)),
        }
        for axis in &mut self.axes {
            axis.add(self.at, &self.terms);
        }
        self.at += values.len();
    }

    /// The sums along each dimension.
    pub fn finish(self) -> impl Iterator<Item = Vec<f64>> {
        self.axes.into_iter().map(|axis| axis.sums)
    }
}

impl Axis {
    /// Adds terms, the first of which is at this place.
    fn add(&mut self, mut at: usize, mut terms: &[f64]) {
        while !terms.is_empty() {
            let index = at / self.inner % self.sums.len();
            let taken = if self.inner == 1 {
                let to = &mut self.sums[index..];
                to.iter_mut().zip(terms).for_each(|(sum, term)| *sum += term);
                to.len().min(terms.len())
            } else {
                let taken = (self.inner - at % self.inner).min(terms.len());
                self.sums[index] += sum(&terms[..taken]);
                taken
            };
            at += taken;
            terms = &terms[taken..];
        }
    }
}

/// The sum of terms: of a few in order, of more of every sixteenth one first, then of these sums, by halves.
fn sum(terms: &[f64]) -> f64 {
    if terms.len() < 2 * LANES {
        return terms.iter().sum();
    }
    let (lines, rest) = terms.as_chunks::<LANES>();
    let mut lanes = [0.0; LANES];
    for line in lines {
        lanes.iter_mut().zip(line).for_each(|(lane, term)| *lane += term);
    }
    lanes.iter_mut().zip(rest).for_each(|(lane, term)| *lane += term);
    let mut half = LANES / 2;
    while half > 0 {
        let (low, high) = lanes.split_at_mut(half);
        low.iter_mut().zip(high).for_each(|(low, high)| *low += *high);
        half /= 2;
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_all_entries_with_an_index() {
        // Longer than one chunk, runs that cross its end, and dimensions of every kind.
        for dims in [
            vec![3, 7, 1, 1],
            vec![5, 4000],
            vec![2, 3, 2000],
            vec![40, 30, 3, 3],
            vec![10_000],
        ] {
            let len = dims.iter().product::<usize>();
            let values: Vec<f64> = (0..len).map(|i| ((i * 37) % 101) as f64 - 50.0).collect();
            for squared in [false, true] {
                let mut sums = Sums::new(&dims, 0..dims.len(), squared);
                values.chunks(MOST).for_each(|chunk| sums.add(chunk));
                for (dim, got) in sums.finish().enumerate() {
                    let mut expected = vec![0.0; dims[dim]];
                    let inner = dims[dim + 1..].iter().product::<usize>();
                    for (place, x) in values.iter().enumerate() {
                        expected[place / inner % dims[dim]] += if squared { x * x } else { x.abs() };
                    }
                    // All are whole numbers, so no order of additions rounds.
                    assert_eq!(got, expected, "{dims:?} along {dim}, squared: {squared}");
                }
            }
        }
    }
}
