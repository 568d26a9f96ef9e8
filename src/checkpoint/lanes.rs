//! The order in which the entries of a sum are added: that of the mask layer (S5), so that a file gets the masks of
//! the array in it. Tests hold the two together, bit for bit.

const LANES: usize = 16;

/// A fold of a row of values, handed over in any pieces: value number i goes to lane i mod 16, and at the end the
/// lanes are joined pairwise.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lanes {
    lanes: [f64; LANES],
    /// Values folded in so far.
    pub folded: usize,
}

impl Lanes {
    pub fn new(empty: f64) -> Self {
        Lanes {
            lanes: [empty; LANES],
            folded: 0,
        }
    }

    pub fn fold(&mut self, values: &[f64], join: fn(f64, f64) -> f64) {
        for (i, value) in values.iter().enumerate() {
            let lane = &mut self.lanes[(self.folded + i) % LANES];
            *lane = join(*lane, *value);
        }
        self.folded += values.len();
    }

    pub fn join(mut self, join: fn(f64, f64) -> f64) -> f64 {
        let mut half = LANES / 2;
        while half > 0 {
            for lane in 0..half {
                self.lanes[lane] = join(self.lanes[lane], self.lanes[lane + half]);
            }
            half /= 2;
        }
        self.lanes[0]
    }
}

/// The larger of two, or NaN where one is NaN.
pub(super) fn largest(a: f64, b: f64) -> f64 {
    if b > a || b.is_nan() { b } else { a }
}

/// The smaller of two, or NaN where one is NaN.
pub(super) fn smallest(a: f64, b: f64) -> f64 {
    if b < a || b.is_nan() { b } else { a }
}

/// The sum of two.
pub(super) fn sum(a: f64, b: f64) -> f64 {
    a + b
}
