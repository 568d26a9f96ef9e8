//! Training, and accuracy.

use burn::nn::loss::CrossEntropyLossConfig;
use burn::optim::{AdamConfig, GradientsParams};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::data::Digits;
use crate::networks::Classifier;

const BATCH: usize = 32;
const LEARNING_RATE: f64 = 1e-3;

/// Trains for this many epochs, with a learning rate that decays to zero.
pub fn fit<M: Classifier>(mut network: M, data: &Digits, epochs: usize, seed: u64) -> M {
    let device = network.devices()[0].clone();
    let mut optimizer = AdamConfig::new().init();
    let loss = CrossEntropyLossConfig::new().init(&device);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    for epoch in 0..epochs {
        let rate = LEARNING_RATE * (1.0 - epoch as f64 / epochs as f64);
        for (images, labels) in data.batches(BATCH, &mut rng, &device) {
            let loss = loss.forward(network.forward(images), labels);
            let grads = GradientsParams::from_grads(loss.backward(), &network);
            network = optimizer.step(rate, network, grads);
        }
    }
    network
}

/// The share of images that are recognised.
pub fn accuracy<M: Classifier>(network: &M, data: &Digits) -> f64 {
    let network = network.valid();
    let (images, labels) = data.all(&network.devices()[0]);
    let guesses = network.forward(images).argmax(1).flatten(0, 1);
    let right = guesses.equal(labels).int().sum().into_scalar::<i64>();
    right as f64 / data.len() as f64
}
