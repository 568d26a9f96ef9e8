//! Training, and accuracy.

use candle_core::{D, DType, Module, Result};
use candle_nn::{AdamW, Optimizer, ParamsAdamW, loss};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use secateurs_candle::CandleModel;

use crate::data::Digits;

const BATCH: usize = 32;
const LEARNING_RATE: f64 = 1e-3;

/// Trains for this many epochs, with a learning rate that decays to zero. Pruned weights stay zero.
pub fn fit(
    network: &dyn Module,
    model: &CandleModel,
    data: &Digits,
    epochs: usize,
    seed: u64,
) -> secateurs_candle::Result<()> {
    let vars = model.vars().map(|(_, var)| var.clone()).collect();
    let params = ParamsAdamW {
        weight_decay: 0.0,
        ..ParamsAdamW::default()
    };
    let mut optimizer = AdamW::new(vars, params)?;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    for epoch in 0..epochs {
        optimizer.set_learning_rate(LEARNING_RATE * (1.0 - epoch as f64 / epochs as f64));
        for batch in data.batches(BATCH, &mut rng) {
            let (images, labels) = batch?;
            let loss = loss::cross_entropy(&network.forward(&images)?, &labels)?;
            model.backward_step(&mut optimizer, &loss)?; // instead of optimizer.backward_step(&loss)
        }
    }
    Ok(())
}

/// The share of images that are recognised.
pub fn accuracy(network: &dyn Module, data: &Digits) -> Result<f64> {
    let guesses = network.forward(&data.images)?.argmax(D::Minus1)?;
    let right = guesses.eq(&data.labels)?.to_dtype(DType::F64)?;
    right.mean_all()?.to_scalar()
}
