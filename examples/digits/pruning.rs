//! Step by step to more and more sparsity: prune, fine-tune, measure, and again.

use indicatif::ProgressBar;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use secateurs::Result;
use secateurs::nn::Sequential;
use secateurs::prune::{self, Amount, IntoMethod};

use crate::data::Digits;
use crate::train::{accuracy, copy, fit};

/// A network at one sparsity.
pub struct Stage {
    /// The share of the weights that are pruned.
    pub sparsity: f64,
    /// The share of the test images that it recognises.
    pub accuracy: f64,
    /// The network itself, its masks baked in: zeros, and no pruning any more.
    pub baked: Sequential,
}

impl Stage {
    /// Measures a network that is not pruned.
    pub fn of(model: &Sequential, test: &Digits) -> Result<Self> {
        Ok(Stage {
            sparsity: 0.0,
            accuracy: accuracy(model, test)?,
            baked: copy(model)?,
        })
    }
}

/// Prunes a copy of `dense` to each sparsity in turn, all weights ranked together, and fine-tunes it after each.
pub fn gradually<M: IntoMethod>(
    dense: &Sequential,
    sparsities: &[f64],
    mut method: impl FnMut(Amount) -> Result<M>,
    epochs: usize,
    (train, test): (&Digits, &Digits),
    progress: &ProgressBar,
) -> Result<Vec<Stage>> {
    let mut model = copy(dense)?;
    let weights = prune::weights(&model); // 0.weight, 2.weight, 4.weight
    let mut rng = ChaCha8Rng::seed_from_u64(2); // the same batches for every method
    let mut stages = Vec::new();
    for &sparsity in sparsities {
        let method = method(Amount::until(sparsity)?)?;
        let report = prune::global_unstructured(&mut model, &weights, method)?;
        fit(&mut model, train, epochs, &mut rng, progress)?;

        let mut baked = copy(&model)?;
        prune::remove_all(&mut baked);
        stages.push(Stage {
            sparsity: report.sparsity(),
            accuracy: accuracy(&baked, test)?,
            baked,
        });
    }
    Ok(stages)
}
