//! The images: read, split, and dealt out in batches.

use burn::tensor::{Device, Int, Tensor, TensorData};
use rand::Rng;
use rand::seq::SliceRandom;

/// Pixels of an image, 8×8.
pub const PIXELS: usize = 64;
/// Kinds of digits.
pub const CLASSES: usize = 10;

/// See `examples/data/README.md` of the main crate for the format and the source.
const TEXT: &str = include_str!("../../../../examples/data/digits.txt");

/// Images of handwritten digits and the digits that they show.
pub struct Digits(Vec<(i32, [f32; PIXELS])>);

type Batch = (Tensor<2>, Tensor<1, Int>);

impl Digits {
    /// All images, with pixels from 0 (empty) to 1 (full).
    pub fn load() -> Result<Self, String> {
        let lines = TEXT.lines().enumerate();
        let images = lines.map(|(number, line)| {
            parse(line).ok_or_else(|| format!("line {} of the digits is damaged", number + 1))
        });
        Ok(Digits(images.collect::<Result<_, _>>()?))
    }

    /// Every fourth image to test on, the others to train on.
    pub fn split(self) -> (Digits, Digits) {
        let (test, train): (Vec<_>, Vec<_>) = self.0.into_iter().enumerate().partition(|(i, _)| i % 4 == 0);
        let images =
            |numbered: Vec<(usize, _)>| Digits(numbered.into_iter().map(|(_, image)| image).collect());
        (images(train), images(test))
    }

    /// The images in random order, `size` at a time.
    pub fn batches(&self, size: usize, rng: &mut impl Rng, device: &Device) -> impl Iterator<Item = Batch> {
        let mut order: Vec<_> = self.0.iter().collect();
        order.shuffle(rng);
        let batches: Vec<Vec<_>> = order.chunks(size).map(<[_]>::to_vec).collect();
        batches.into_iter().map(|images| batch(&images, device))
    }

    /// All images as one batch.
    pub fn all(&self, device: &Device) -> Batch {
        batch(&self.0.iter().collect::<Vec<_>>(), device)
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

fn batch(images: &[&(i32, [f32; PIXELS])], device: &Device) -> Batch {
    let pixels: Vec<f32> = images.iter().flat_map(|(_, pixels)| *pixels).collect();
    let labels: Vec<i32> = images.iter().map(|(label, _)| *label).collect();
    (
        Tensor::from_data(TensorData::new(pixels, [images.len(), PIXELS]), device),
        Tensor::from_data(TensorData::new(labels, [images.len()]), device),
    )
}

/// The digit and the pixels of one line.
fn parse(line: &str) -> Option<(i32, [f32; PIXELS])> {
    let (label, pixels) = line.split_once(' ')?;
    let label = label
        .parse()
        .ok()
        .filter(|label| (0..CLASSES as i32).contains(label))?;
    let pixels: Vec<f32> = pixels
        .chars()
        .map(|c| Some(c.to_digit(17)? as f32 / 16.0))
        .collect::<Option<_>>()?;
    Some((label, pixels.try_into().ok()?))
}
