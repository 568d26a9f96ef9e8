//! A module of your own, with children and parameters: `cargo run --example custom_module`.
//!
//! In a crate of your own, `serde` (with its `derive` feature) and `typetag` are dependencies beside `secateurs`.

use ndarray::{Array1, Array2};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use secateurs::nn::{BoxedModule, Linear, Module, ParamStore, ParamTreeExt, loss, optim::Sgd};
use secateurs::prune::{self, L1Unstructured};
use secateurs::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// A gated residual block: `x + gate · up(relu(down(x)))`.
#[derive(Clone, Serialize, Deserialize)]
struct GatedBlock {
    /// The block's own parameters: `gate`.
    own: ParamStore,
    down: Linear,
    up: Linear,
}

// Lists its parameters and its children. Pruning, optimisers and state dicts need nothing else.
secateurs::param_tree!(GatedBlock {
    store: own,
    children: [down, up]
});

#[typetag::serde] // lets it be saved and loaded as a `BoxedModule`, also inside a `Sequential`
impl Module for GatedBlock {
    // A module implements `compute`; callers use `forward`.
    fn compute(&self, input: &Tensor) -> secateurs::Result<Tensor> {
        let hidden = self.down.forward(input)?.relu();
        // Parameters are read through the store, which applies their masks.
        self.up
            .forward(&hidden)?
            .mul(&self.own.tensor("gate")?)?
            .add(input)
    }
}

impl GatedBlock {
    fn new(features: usize, hidden: usize, rng: &mut impl Rng) -> secateurs::Result<Self> {
        let mut own = ParamStore::new();
        own.insert_parameter("gate", Array1::ones(features))?;
        let (down, up) = (
            Linear::new(features, hidden, rng)?,
            Linear::new(hidden, features, rng)?,
        );
        Ok(GatedBlock { own, down, up })
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut block = GatedBlock::new(8, 16, &mut ChaCha8Rng::seed_from_u64(0))?;
    println!("parameters: {}", block.parameter_paths().join(", "));

    // Its parameters are pruned by their paths, alone or ranked together.
    prune::l1_unstructured(&mut block, "gate", 2)?;
    let report = prune::global_unstructured(
        &mut block,
        ["down.weight", "up.weight"],
        L1Unstructured::new(0.75)?,
    )?;
    println!("\n{report}");

    // It trains with its masks on: pruned weights stay zero.
    let (input, target) = (
        Tensor::new(Array2::ones((4, 8))),
        Tensor::new(Array2::zeros((4, 8))),
    );
    let mut optimiser = Sgd::new(0.1)?.momentum(0.9)?;
    println!();
    for step in 0..5 {
        let loss = loss::mse(&block.forward(&input)?, &target)?;
        optimiser.step(&mut block, &loss.backward()?)?;
        println!("step {step}: loss {:.4}", loss.item()?);
    }
    let zeros = block
        .parameter("down.weight")?
        .effective()
        .iter()
        .filter(|&&x| x == 0.0)
        .count();
    println!("zeros in down.weight: {zeros}");

    // It is saved with its masks and methods, and loaded without naming its type.
    let saved = BoxedModule::new(block.clone());
    let json = serde_json::to_string(&saved)?;
    let loaded: BoxedModule = serde_json::from_str(&json)?;
    let (before, after) = (block.forward(&input)?, loaded.forward(&input)?);
    assert_eq!(before.value(), after.value());
    println!(
        "\nsaved as {} bytes of JSON; loaded, it computes the same, pruned: {}",
        json.len(),
        prune::is_pruned(&loaded)
    );
    Ok(())
}
