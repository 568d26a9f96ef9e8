//! The order in which the entries of a sum are added, which is the same on every machine.

/// Sums are folded in this many lanes. Part of the documented order: changing it changes masks.
const LANES: usize = 16;

/// A sum, a maximum or another fold of a row of values, in the documented order: value number `i` goes to lane
/// `i mod 16`, and at the end the lanes are joined pairwise (`0+8, 1+9, …`, then `0+4, …`, `0+2, …`, `0+1`).
///
/// The lanes do not depend on each other, so that a processor works on several at once. The order depends only on the
/// position of a value, not on the pieces in which the row arrives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lanes {
    lanes: [f64; LANES],
    /// The lane of the next value.
    next: usize,
}

impl Lanes {
    /// Lanes that hold nothing yet, which is `empty`.
    pub(crate) fn new(empty: f64) -> Self {
        Lanes {
            lanes: [empty; LANES],
            next: 0,
        }
    }

    /// Folds in the next values of the row, which are what `map` makes of each of `values`.
    #[inline(always)]
    pub(crate) fn fold<T>(&mut self, values: &[T], map: impl Fn(&T) -> f64, join: impl Fn(f64, f64) -> f64) {
        let head = values.len().min((LANES - self.next) % LANES);
        let (head, rest) = values.split_at(head);
        let (rows, tail) = rest.as_chunks::<LANES>();
        let mut lanes = part_of_row(self.lanes, self.next, head, &map, &join);
        for row in rows {
            for (lane, value) in lanes.iter_mut().zip(row) {
                *lane = join(*lane, map(value));
            }
        }
        self.lanes = part_of_row(lanes, 0, tail, &map, &join);
        self.next = (self.next + values.len()) % LANES;
    }

    /// Joins the lanes pairwise, the upper half onto the lower, until one remains.
    #[inline(always)]
    pub(crate) fn join(mut self, join: impl Fn(f64, f64) -> f64) -> f64 {
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

/// The lanes after values for some of them, from lane `first` on.
///
/// All lanes are computed, and some of them are taken. An index that is only known at run time would force the lanes
/// out of the vector registers.
#[inline(always)]
fn part_of_row<T>(
    lanes: [f64; LANES],
    first: usize,
    values: &[T],
    map: impl Fn(&T) -> f64,
    join: impl Fn(f64, f64) -> f64,
) -> [f64; LANES] {
    if values.is_empty() {
        return lanes;
    }
    let mut row = [0.0; LANES];
    for (place, value) in row[first..].iter_mut().zip(values) {
        *place = map(value);
    }
    let range = first..first + values.len();
    std::array::from_fn(|lane| {
        if range.contains(&lane) {
            join(lanes[lane], row[lane])
        } else {
            lanes[lane]
        }
    })
}

/// The sum of two.
#[inline(always)]
pub(crate) fn sum(a: f64, b: f64) -> f64 {
    a + b
}

/// The larger of two, or NaN where one is NaN.
#[inline(always)]
pub(crate) fn largest(a: f64, b: f64) -> f64 {
    if b > a || b.is_nan() { b } else { a }
}

/// The smaller of two, or NaN where one is NaN.
#[inline(always)]
pub(crate) fn smallest(a: f64, b: f64) -> f64 {
    if b < a || b.is_nan() { b } else { a }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pieces_of_a_row_do_not_matter() {
        let values: Vec<f64> = (0..100).map(|i| 1.0 / f64::from(i + 1)).collect();
        let whole = {
            let mut lanes = Lanes::new(0.0);
            lanes.fold(&values, |x| *x, sum);
            lanes.join(sum)
        };
        for piece in 1..40 {
            let mut lanes = Lanes::new(0.0);
            values
                .chunks(piece)
                .for_each(|chunk| lanes.fold(chunk, |x| *x, sum));
            assert_eq!(lanes.join(sum), whole, "in pieces of {piece}");
        }
        let mut lanes = [0.0; 16];
        values.iter().enumerate().for_each(|(i, x)| lanes[i % 16] += x);
        for half in [8, 4, 2, 1] {
            (0..half).for_each(|lane| lanes[lane] += lanes[lane + half]);
        }
        assert_eq!(lanes[0], whole);
    }
}
