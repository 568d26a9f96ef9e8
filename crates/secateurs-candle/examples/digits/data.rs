//! The images: read, split, and dealt out in batches.

use candle_core::{Device, Result, Tensor};
use rand::Rng;
use rand::seq::SliceRandom;

/// Pixels of an image, 8×8.
pub const PIXELS: usize = 64;
/// Kinds of digits.
pub const CLASSES: usize = 10;

/// See `examples/data/README.md` of the main crate for the format and the source.
const TEXT: &str = include_str!("../../../../examples/data/digits.txt");

/// Images of handwritten digits, a row each, and the digits that they show.
pub struct Digits {
    pub images: Tensor,
    pub labels: Tensor,
}

impl Digits {
    /// All images, with pixels from 0 (empty) to 1 (full).
    pub fn load() -> Result<Self> {
        let (mut pixels, mut labels) = (Vec::new(), Vec::new());
        for line in TEXT.lines() {
            let mut digits = line.chars().filter(|c| *c != ' ').filter_map(|c| c.to_digit(17));
            labels.extend(digits.next());
            pixels.extend(digits.map(|pixel| pixel as f32 / 16.0));
        }
        Ok(Digits {
            images: Tensor::from_vec(pixels, (labels.len(), PIXELS), &Device::Cpu)?,
            labels: Tensor::new(labels, &Device::Cpu)?,
        })
    }

    /// Every fourth image to test on, the others to train on.
    pub fn split(&self) -> Result<(Digits, Digits)> {
        let (test, train): (Vec<u32>, Vec<u32>) = (0..self.len() as u32).partition(|i| i % 4 == 0);
        Ok((self.pick(&train)?, self.pick(&test)?))
    }

    /// The images in random order, `size` at a time.
    pub fn batches(&self, size: usize, rng: &mut impl Rng) -> impl Iterator<Item = Result<(Tensor, Tensor)>> {
        let mut order: Vec<u32> = (0..self.len() as u32).collect();
        order.shuffle(rng);
        let batches: Vec<Vec<u32>> = order.chunks(size).map(<[u32]>::to_vec).collect();
        batches.into_iter().map(|batch| {
            let Digits { images, labels } = self.pick(&batch)?;
            Ok((images, labels))
        })
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.elem_count()
    }

    fn pick(&self, rows: &[u32]) -> Result<Digits> {
        let rows = Tensor::new(rows, &Device::Cpu)?;
        Ok(Digits {
            images: self.images.index_select(&rows, 0)?,
            labels: self.labels.index_select(&rows, 0)?,
        })
    }
}
