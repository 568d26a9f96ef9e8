//! The experiment: train a network, then prune it in three ways and compare.

use indicatif::ProgressBar;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use secateurs::Result;
use secateurs::nn::Sequential;
use secateurs::prune::{L1Unstructured, RandomUnstructured};

use crate::data::Digits;
use crate::pruning::gradually;
use crate::report::Comparison;
use crate::train::{fit, network};

/// How long to train.
#[derive(Clone, Copy)]
pub struct Epochs {
    /// Passes over the training images at first,
    pub training: usize,
    /// and after each pruning.
    pub fine_tuning: usize,
}

/// Runs the experiment. The same seed gives the same result.
pub fn run(
    seed: u64,
    epochs: Epochs,
    train: &Digits,
    test: &Digits,
    progress: &ProgressBar,
) -> Result<Comparison> {
    progress.set_message("training");
    let mut rng = generator(seed, 0);
    let mut dense = network(&mut rng)?;
    fit(&mut dense, train, epochs.training, &mut rng, progress)?;

    let fine_tuning = |method: &'static str| {
        progress.set_message(method);
        let mut rng = generator(seed, 1); // the same batches for each
        move |model: &mut Sequential| fit(model, train, epochs.fine_tuning, &mut rng, progress)
    };
    let mut random = generator(seed, 2);
    Ok(Comparison {
        magnitude: gradually(
            &dense,
            test,
            L1Unstructured::new,
            fine_tuning("pruning by magnitude"),
        )?,
        random: gradually(
            &dense,
            test,
            |amount| RandomUnstructured::new(amount, &mut random),
            fine_tuning("pruning at random"),
        )?,
        untuned: gradually(&dense, test, L1Unstructured::new, |_| Ok(()))?,
    })
}

/// One of several independent random sequences of a seed.
pub fn generator(seed: u64, stream: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    rng
}
