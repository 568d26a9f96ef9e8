//! Compares the entries of two tensors of one dtype and shape.

use half::{bf16, f16};
use safetensors::Dtype;

use super::{DiffOptions, Figures};

/// What a comparison has found so far. Parts are joined in the order of the entries, so that sums do not depend on
/// threads.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Comparison {
    /// Entries that differ.
    pub differing: usize,
    /// The first of them.
    pub first: Option<usize>,
    /// Entries that are finite on both sides. The following are about these.
    finite: usize,
    largest: f64,
    differences: f64,
    products: f64,
    squares: [f64; 2],
}

impl Comparison {
    /// Compares entries that lie in these bytes.
    pub fn of(left: &[u8], right: &[u8], dtype: Dtype, options: &DiffOptions) -> Self {
        match dtype {
            Dtype::F16 => floats(left, right, options, |b| f16::from_le_bytes(b).to_f64()),
            Dtype::BF16 => floats(left, right, options, |b| bf16::from_le_bytes(b).to_f64()),
            Dtype::F32 => floats(left, right, options, |b| f64::from(f32::from_le_bytes(b))),
            Dtype::F64 => floats(left, right, options, f64::from_le_bytes),
            _ => bits(left, right, dtype.bitsize()),
        }
    }

    /// Takes in the comparison of entries from entry `first` on.
    pub fn join(&mut self, first: usize, other: &Self) {
        self.differing += other.differing;
        self.first = self.first.or(other.first.map(|at| first + at));
        self.finite += other.finite;
        self.largest = self.largest.max(other.largest);
        self.differences += other.differences;
        self.products += other.products;
        for (sum, square) in self.squares.iter_mut().zip(other.squares) {
            *sum += square;
        }
    }

    /// The figures, if any entries were finite floats.
    pub fn figures(&self) -> Option<Figures> {
        let [left, right] = self.squares;
        // Exactly 1 for equal sides; of numbers beyond 1e77 the product would overflow.
        let lengths = match (left * right).sqrt() {
            product if product.is_normal() => product,
            _ => left.sqrt() * right.sqrt(),
        };
        (self.finite > 0).then(|| Figures {
            largest: self.largest,
            mean: self.differences / self.finite as f64,
            cosine: (lengths > 0.0).then(|| (self.products / lengths).clamp(-1.0, 1.0)),
        })
    }
}

fn floats<const N: usize>(
    left: &[u8],
    right: &[u8],
    options: &DiffOptions,
    value: impl Fn([u8; N]) -> f64,
) -> Comparison {
    let mut found = Comparison::default();
    let entries = left.as_chunks::<N>().0.iter().zip(right.as_chunks::<N>().0);
    for (i, (a, b)) in entries.enumerate() {
        let (x, y) = (value(*a), value(*b));
        if a != b && !(options.ignore_signed_zero && x == 0.0 && y == 0.0) {
            found.first.get_or_insert(i);
            found.differing += 1;
        }
        if x.is_finite() && y.is_finite() {
            let difference = (x - y).abs();
            found.finite += 1;
            found.largest = found.largest.max(difference);
            found.differences += difference;
            found.products += x * y;
            found.squares[0] += x * x;
            found.squares[1] += y * y;
        }
    }
    found
}

/// Compares entries of any width, which are never interpreted.
fn bits(left: &[u8], right: &[u8], bits: usize) -> Comparison {
    let mut found = Comparison::default();
    if left == right {
        return found;
    }
    let mut differs = |i: usize| {
        found.first.get_or_insert(i);
        found.differing += 1;
    };
    if bits.is_multiple_of(8) {
        let entries = left.chunks(bits / 8).zip(right.chunks(bits / 8));
        for (i, _) in entries.enumerate().filter(|(_, (a, b))| a != b) {
            differs(i);
        }
    } else {
        // Entries narrower than a byte, lowest bits first.
        let mut last = None;
        for bit in 0..left.len() * 8 {
            if (left[bit / 8] ^ right[bit / 8]) >> (bit % 8) & 1 == 1 && last != Some(bit / bits) {
                last = Some(bit / bits);
                differs(bit / bits);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_any_width_are_counted() {
        let differing = |left: &[u8], right: &[u8], width| {
            let found = bits(left, right, width);
            found.first.map(|first| (found.differing, first))
        };
        assert_eq!(differing(&[1, 2, 3, 4], &[1, 0, 0, 4], 8), Some((2, 1)));
        assert_eq!(differing(&[1, 2, 3, 4], &[1, 0, 0, 4], 16), Some((2, 0)));
        assert_eq!(differing(&[1, 2, 3, 4], &[1, 2, 0, 0], 16), Some((1, 1)));
        assert_eq!(differing(&[0x11, 0x22], &[0x11, 0x31], 4), Some((2, 2)));
        assert_eq!(differing(&[0, 0, 0], &[0, 0b1100_0000, 0], 6), Some((1, 2)));
        assert_eq!(differing(&[7], &[7], 4), None);
    }

    #[test]
    fn figures_of_floats() {
        let bytes = |values: &[f32]| values.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<_>>();
        let left = bytes(&[3.0, 0.0, -0.0, f32::NAN, 4.0, f32::INFINITY]);
        let right = bytes(&[3.0, -0.0, -0.0, f32::NAN, 0.0, 1.0]);
        for (ignore_signed_zero, differing, first) in [(false, 3, 1), (true, 2, 4)] {
            let options = DiffOptions::default().ignore_signed_zero(ignore_signed_zero);
            let mut found = Comparison::of(&left[..8], &right[..8], Dtype::F32, &options);
            found.join(2, &Comparison::of(&left[8..], &right[8..], Dtype::F32, &options));
            assert_eq!((found.differing, found.first), (differing, Some(first)));
            let figures = found.figures().unwrap();
            assert_eq!((figures.largest, figures.mean), (4.0, 1.0));
            assert!((figures.cosine.unwrap() - 0.6).abs() < 1e-12);
        }
        let nothing = Comparison::of(
            &bytes(&[f32::NAN]),
            &bytes(&[1.0]),
            Dtype::F32,
            &DiffOptions::default(),
        );
        assert_eq!((nothing.differing, nothing.figures()), (1, None));
    }
}
