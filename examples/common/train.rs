//! The network, its training, and its accuracy.

use indicatif::ProgressBar;
use rand::Rng;
use secateurs::Result;
use secateurs::nn::{Linear, Module, Relu, Sequential, loss, optim::Adam};
use secateurs::tensor::{Gradients, no_grad};

use crate::data::{CLASSES, Digits, PIXELS};

const BATCH: usize = 32;
const LEARNING_RATE: f64 = 1e-3;

/// An untrained network: 64-300-100-10, with ReLU between layers.
pub fn network(rng: &mut impl Rng) -> Result<Sequential> {
    let model = Sequential::new()
        .push(Linear::new(PIXELS, 300, rng)?)
        .push(Relu::new())
        .push(Linear::new(300, 100, rng)?)
        .push(Relu::new())
        .push(Linear::new(100, CLASSES, rng)?);
    Ok(model)
}

/// Trains for this many epochs, with a learning rate that decays to zero. Masks stay on: pruned weights stay zero.
#[allow(dead_code)] // not every example trains without doing something at each step
pub fn fit(
    model: &mut Sequential,
    data: &Digits,
    epochs: usize,
    rng: &mut impl Rng,
    progress: &ProgressBar,
) -> Result<()> {
    fit_with(model, data, epochs, rng, progress, |_, _, _| Ok(()))
}

/// The same, and calls `after_step` after each step of the optimiser, with the step's number and its gradients: those of
/// effective weights, too, which are not zero under a mask.
pub fn fit_with(
    model: &mut Sequential,
    data: &Digits,
    epochs: usize,
    rng: &mut impl Rng,
    progress: &ProgressBar,
    mut after_step: impl FnMut(&mut Sequential, u64, &Gradients) -> Result<()>,
) -> Result<()> {
    let mut optimiser = Adam::new(LEARNING_RATE)?;
    let mut step = 0;
    for epoch in 0..epochs {
        optimiser.set_lr(LEARNING_RATE * (1.0 - epoch as f64 / epochs as f64))?;
        for (images, labels) in data.batches(BATCH, rng) {
            let loss = loss::cross_entropy(&model.forward(&images)?, &labels)?;
            let gradients = loss.backward_dense()?;
            optimiser.step(model, &gradients)?;
            after_step(model, step, &gradients)?;
            step += 1;
        }
        progress.inc(1);
    }
    Ok(())
}

/// The share of images that are recognised.
pub fn accuracy(model: &Sequential, data: &Digits) -> Result<f64> {
    let logits = no_grad(|| model.forward(&data.images()))?;
    let guesses = logits
        .value()
        .outer_iter()
        .map(|row| {
            let best = row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
            best.map(|(class, _)| class)
        })
        .collect::<Vec<_>>();
    let right = guesses
        .iter()
        .zip(data.labels())
        .filter(|(guess, label)| **guess == Some(**label));
    Ok(right.count() as f64 / data.len() as f64)
}
