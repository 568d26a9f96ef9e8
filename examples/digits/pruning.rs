//! Step by step to higher sparsity: prune, fine-tune, measure, repeat.

use secateurs::Result;
use secateurs::nn::Sequential;
use secateurs::prune::{self, Amount, IntoMethod};

use crate::data::Digits;
use crate::train::accuracy;

/// The shares of all weights to prune, step by step.
pub const SPARSITIES: [f64; 5] = [0.50, 0.80, 0.90, 0.95, 0.98];

/// A network at one sparsity.
pub struct Stage {
    /// The share of the weights that was requested to be pruned.
    pub sparsity: f64,
    /// The share of the test images that are recognised.
    pub accuracy: f64,
    /// The network with its masks baked in: zeros among its weights, and no masks any more.
    pub baked: Sequential,
}

impl Stage {
    /// Bakes a copy of a network, and measures it.
    fn of(model: &Sequential, sparsity: f64, test: &Digits) -> Result<Self> {
        let mut baked = model.clone();
        prune::remove_all(&mut baked)?;
        let accuracy = accuracy(&baked, test)?;
        Ok(Stage {
            sparsity,
            accuracy,
            baked,
        })
    }
}

/// The unpruned network, and then the network at each sparsity: pruned with all weights ranked together, then
/// fine-tuned.
pub fn gradually<M: IntoMethod>(
    dense: &Sequential,
    test: &Digits,
    mut method: impl FnMut(Amount) -> Result<M>,
    mut tune: impl FnMut(&mut Sequential) -> Result<()>,
) -> Result<Vec<Stage>> {
    let mut model = dense.clone();
    let weights = prune::weights(&model); // 0.weight, 2.weight, 4.weight
    let mut stages = vec![Stage::of(&model, 0.0, test)?];
    for sparsity in SPARSITIES {
        let method = method(Amount::until(sparsity)?)?;
        prune::global_unstructured(&mut model, &weights, method)?;
        tune(&mut model)?;
        stages.push(Stage::of(&model, sparsity, test)?);
    }
    Ok(stages)
}
