//! A small residual network on handwritten digits, trained, pruned to 80 % and fine-tuned with its masks on:
//! `cargo run --release --example resnet`.
//!
//! Two runs print the same.

#[path = "common/data.rs"]
mod data;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use secateurs::Result;
use secateurs::nn::{
    AdaptiveAvgPool2d, BatchNorm2d, Conv2d, ConvConfig, Dropout, Flatten, Linear, Module, ParamTreeExt, Relu,
    Sequential, loss, optim::AdamW,
};
use secateurs::prune::{self, L1Unstructured};
use secateurs::tensor::{Tensor, no_grad};
use serde::{Deserialize, Serialize};

use data::{CLASSES, Digits};

/// Two convolutions, and a shortcut around them: `relu(body(x) + shortcut(x))`.
#[derive(Clone, Serialize, Deserialize)]
struct Residual {
    body: Sequential,
    /// Empty where input and output have the same shape, so that it returns its input.
    shortcut: Sequential,
}

secateurs::param_tree!(Residual {
    children: [body, shortcut]
});

#[typetag::serde]
impl Module for Residual {
    fn compute(&self, input: &Tensor) -> Result<Tensor> {
        Ok(self
            .body
            .forward(input)?
            .add(&self.shortcut.forward(input)?)?
            .relu())
    }
}

/// A convolution and its normalisation, which makes a bias of the convolution superfluous.
fn conv(
    inputs: usize,
    outputs: usize,
    kernel: usize,
    stride: usize,
    rng: &mut impl Rng,
) -> Result<Sequential> {
    let config = ConvConfig::new(inputs, outputs, kernel)
        .stride(stride)
        .padding(kernel / 2);
    let conv = Conv2d::new(config.without_bias(), rng)?;
    Ok(Sequential::new().push(conv).push(BatchNorm2d::new(outputs)?))
}

fn residual(inputs: usize, outputs: usize, stride: usize, rng: &mut impl Rng) -> Result<Residual> {
    let body = Sequential::new()
        .push(conv(inputs, outputs, 3, stride, rng)?)
        .push(Relu::new())
        .push(conv(outputs, outputs, 3, 1, rng)?);
    let shortcut = match inputs == outputs {
        true => Sequential::new(),
        false => conv(inputs, outputs, 1, stride, rng)?,
    };
    Ok(Residual { body, shortcut })
}

/// A batch of rows of 64 pixels as images.
fn images(rows: &Tensor) -> Result<Tensor> {
    rows.reshape(&[rows.shape()[0], 1, 8, 8])
}

fn fit(model: &mut Sequential, data: &Digits, epochs: usize, rng: &mut impl Rng) -> Result<()> {
    model.train()?; // dropout drops, and normalisation is by batch
    let mut optimiser = AdamW::new(2e-3)?;
    for _ in 0..epochs {
        for (rows, labels) in data.batches(32, rng) {
            let loss = loss::cross_entropy(&model.forward(&images(&rows)?)?, &labels)?;
            optimiser.step(model, &loss.backward()?)?;
        }
    }
    Ok(())
}

fn accuracy(model: &mut Sequential, data: &Digits) -> Result<f64> {
    model.eval()?; // nothing is dropped, and normalisation is by running statistics
    let logits = no_grad(|| model.forward(&images(&data.images())?))?;
    let logits = logits.value();
    let right = logits.outer_iter().zip(data.labels()).filter(|(row, label)| {
        let best = row.indexed_iter().max_by(|a, b| a.1.total_cmp(b.1));
        best.is_some_and(|(class, _)| class[0] == **label)
    });
    Ok(right.count() as f64 / data.len() as f64)
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let (train, test) = Digits::load()?.split();
    let rng = &mut ChaCha8Rng::seed_from_u64(0);
    let mut model = Sequential::new()
        .push(conv(1, 12, 3, 1, rng)?)
        .push(Relu::new())
        .push(residual(12, 12, 1, rng)?)
        .push(residual(12, 24, 2, rng)?)
        .push(AdaptiveAvgPool2d::new(1))
        .push(Flatten::new())
        .push(Dropout::new(0.1, rng)?)
        .push(Linear::new(24, CLASSES, rng)?);
    fit(&mut model, &train, 6, rng)?;
    println!("dense        {:.2} %", 100.0 * accuracy(&mut model, &test)?);
    let weights = prune::weights(&model);
    prune::global_unstructured(&mut model, weights, L1Unstructured::new(0.8)?)?;
    println!("80 % pruned  {:.2} %", 100.0 * accuracy(&mut model, &test)?);
    fit(&mut model, &train, 4, rng)?;
    println!("fine-tuned   {:.2} %", 100.0 * accuracy(&mut model, &test)?);
    Ok(())
}
