//! The images: read, split, and dealt out in batches.

use ndarray::{Array2, Axis};
use rand::Rng;
use rand::seq::SliceRandom;
use secateurs::tensor::Tensor;

/// Pixels of an image, 8×8.
pub const PIXELS: usize = 64;
/// Kinds of digits.
pub const CLASSES: usize = 10;

/// See `examples/data/README.md` for the format and the source.
const TEXT: &str = include_str!("../data/digits.txt");

/// Images of handwritten digits, a row each, and the digits that they show.
pub struct Digits {
    images: Array2<f32>,
    labels: Vec<usize>,
}

impl Digits {
    /// All images, with pixels from 0 (empty) to 1 (full).
    pub fn load() -> Result<Self, String> {
        let (mut pixels, mut labels) = (Vec::new(), Vec::new());
        for (number, line) in TEXT.lines().enumerate() {
            let image = parse(line).ok_or_else(|| format!("line {} of the digits is damaged", number + 1))?;
            labels.push(image.0);
            pixels.extend(image.1);
        }
        let images = Array2::from_shape_vec((labels.len(), PIXELS), pixels).map_err(|e| e.to_string())?;
        Ok(Digits { images, labels })
    }

    /// Every fourth image to test on, the others to train on.
    pub fn split(&self) -> (Digits, Digits) {
        let (test, train): (Vec<usize>, Vec<usize>) = (0..self.len()).partition(|i| i % 4 == 0);
        (self.pick(&train), self.pick(&test))
    }

    /// The images in random order, `size` at a time.
    pub fn batches(&self, size: usize, rng: &mut impl Rng) -> impl Iterator<Item = (Tensor, Vec<usize>)> {
        let batches: Vec<Vec<usize>> = self.order(rng).chunks(size).map(<[usize]>::to_vec).collect();
        batches.into_iter().map(|batch| {
            let Digits { images, labels } = self.pick(&batch);
            (Tensor::new(images), labels)
        })
    }

    /// The numbers of the images in random order.
    pub fn order(&self, rng: &mut impl Rng) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.len()).collect();
        order.shuffle(rng);
        order
    }

    /// All images as one batch.
    pub fn images(&self) -> Tensor {
        Tensor::new(self.images.clone())
    }

    /// The digits that the images show.
    pub fn labels(&self) -> &[usize] {
        &self.labels
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    fn pick(&self, rows: &[usize]) -> Digits {
        Digits {
            images: self.images.select(Axis(0), rows),
            labels: rows.iter().map(|&row| self.labels[row]).collect(),
        }
    }
}

/// The digit and the pixels of one line.
fn parse(line: &str) -> Option<(usize, Vec<f32>)> {
    let (label, pixels) = line.split_once(' ')?;
    let label = label.parse().ok().filter(|&label| label < CLASSES)?;
    let pixels: Vec<f32> = pixels
        .chars()
        .map(|c| Some(c.to_digit(17)? as f32 / 16.0))
        .collect::<Option<_>>()?;
    (pixels.len() == PIXELS).then_some((label, pixels))
}
