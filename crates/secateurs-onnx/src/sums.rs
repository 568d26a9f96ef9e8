//! [`Sums`]: what the norms of a weight along its dimensions add up, in one pass; [`Norm`]: what that is.

/// Entries that are added at once: in f64 they fit in the processor's cache. The order of additions depends on it, and
/// on nothing else.
pub const MOST: usize = 1 << 13;

/// Sums that run beside each other, which a processor adds at once.
const LANES: usize = 16;

/// A norm of order p: the p-th root of the sum of |x| to the power of p, and for infinity the largest |x|.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Norm(pub f64);

impl Norm {
    /// What an entry adds.
    fn term(self, x: f64) -> f64 {
        match self.0 {
            1.0 | f64::INFINITY => x.abs(),
            2.0 => x * x,
            order => libm::pow(x.abs(), order),
        }
    }

    /// Adds what others added up.
    pub fn add(self, a: f64, b: f64) -> f64 {
        if self.0 == f64::INFINITY {
            largest(a, b)
        } else {
            a + b
        }
    }

    /// The norm of what adds up to this.
    pub fn root(self, sum: f64) -> f64 {
        match self.0 {
            1.0 | f64::INFINITY => sum,
            2.0 => sum.sqrt(),
            order => libm::pow(sum, 1.0 / order),
        }
    }
}

/// The larger one, or NaN if one of them is.
fn largest(a: f64, b: f64) -> f64 {
    if a.is_nan() || a > b { a } else { b }
}

/// For each index of some dimensions of a weight, the sum over all entries that have it.
pub struct Sums {
    norm: Norm,
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
    pub fn new(dims: &[usize], along: impl Iterator<Item = usize>, norm: Norm) -> Self {
        let axes = along.map(|dim| Axis {
            inner: dims[dim + 1..].iter().product(),
            sums: vec![0.0; dims[dim]],
        });
        Sums {
            norm,
            at: 0,
            axes: axes.collect(),
            terms: Vec::new(),
        }
    }

    /// Adds the next entries, [`MOST`] of them or the last ones.
    pub fn add(&mut self, values: &[f64]) {
        self.terms.clear();
        let norm = self.norm;
        match norm.0 {
            // Loops of their own, for speed.
            1.0 | f64::INFINITY => self.terms.extend(values.iter().map(|x| x.abs())),
            2.0 => self.terms.extend(values.iter().map(|x| x * x)),
            _ => self.terms.extend(values.iter().map(|x| norm.term(*x))),
        }
        for axis in &mut self.axes {
            match norm.0 {
                f64::INFINITY => axis.add(self.at, &self.terms, largest),
                _ => axis.add(self.at, &self.terms, |a, b| a + b),
            }
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
    fn add(&mut self, mut at: usize, mut terms: &[f64], plus: impl Fn(f64, f64) -> f64 + Copy) {
        while !terms.is_empty() {
            let index = at / self.inner % self.sums.len();
            let taken = if self.inner == 1 {
                let to = &mut self.sums[index..];
                to.iter_mut()
                    .zip(terms)
                    .for_each(|(sum, term)| *sum = plus(*sum, *term));
                to.len().min(terms.len())
            } else {
                let taken = (self.inner - at % self.inner).min(terms.len());
                self.sums[index] = plus(self.sums[index], sum(&terms[..taken], plus));
                taken
            };
            at += taken;
            terms = &terms[taken..];
        }
    }
}

/// The sum of terms: of a few in order, of more of every sixteenth one first, then of these sums, by halves.
fn sum(terms: &[f64], plus: impl Fn(f64, f64) -> f64 + Copy) -> f64 {
    if terms.len() < 2 * LANES {
        return terms.iter().fold(0.0, |sum, term| plus(sum, *term));
    }
    let (lines, rest) = terms.as_chunks::<LANES>();
    let mut lanes = [0.0; LANES];
    let into = |lanes: &mut [f64], terms: &[f64]| {
        lanes
            .iter_mut()
            .zip(terms)
            .for_each(|(lane, term)| *lane = plus(*lane, *term));
    };
    lines.iter().for_each(|line| into(&mut lanes, line));
    into(&mut lanes, rest);
    let mut half = LANES / 2;
    while half > 0 {
        let (low, high) = lanes.split_at_mut(half);
        into(low, high);
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
            for norm in [1.0, 2.0, 3.0, f64::INFINITY].map(Norm) {
                let mut sums = Sums::new(&dims, 0..dims.len(), norm);
                values.chunks(MOST).for_each(|chunk| sums.add(chunk));
                for (dim, got) in sums.finish().enumerate() {
                    let mut expected = vec![0.0_f64; dims[dim]];
                    let inner = dims[dim + 1..].iter().product::<usize>();
                    for (place, x) in values.iter().enumerate() {
                        let sum = &mut expected[place / inner % dims[dim]];
                        *sum = match norm.0 {
                            f64::INFINITY => sum.max(x.abs()),
                            order => *sum + x.abs().powi(order as i32),
                        };
                    }
                    // All are whole numbers, so no order of additions rounds.
                    assert_eq!(got, expected, "{dims:?} along {dim}, {norm:?}");
                }
            }
        }
    }

    #[test]
    fn the_largest_of_nan_is_nan() {
        for values in [[f64::NAN, 1.0, 2.0], [2.0, f64::NAN, 1.0], [1.0, 2.0, f64::NAN]] {
            let mut sums = Sums::new(&[1, 3], 0..1, Norm(f64::INFINITY));
            sums.add(&values);
            assert!(sums.finish().flatten().all(f64::is_nan));
        }
    }
}
