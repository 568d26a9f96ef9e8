//! A pruning method of your own: `cargo run --example custom_method`.
//!
//! In a crate of your own, `serde` (with its `derive` feature) and `typetag` are dependencies beside `secateurs`.

use ndarray::{ArrayViewD, array};
use secateurs::nn::{Linear, ParamTreeExt};
use secateurs::prune::{self, Mask, PruningMethod, PruningType};
use serde::{Deserialize, Serialize};

/// Prunes every entry whose absolute value is below a threshold. Fields are settings, saved with the model.
#[derive(Debug, Serialize, Deserialize)]
struct Threshold(f32);

#[typetag::serde] // so that a pruned model can be saved and loaded
impl PruningMethod for Threshold {
    // This method is given the remaining entries as a list. `Structured` would get channels, `Whole` the whole
    // tensor.
    fn pruning_type(&self) -> PruningType {
        PruningType::Unstructured
    }

    // Which of them to keep. Entries that were pruned before are not in the list, and stay pruned.
    fn compute_mask(&self, scores: ArrayViewD<'_, f32>, _prior: &Mask) -> secateurs::Result<Mask> {
        Ok(Mask::from_fn(scores, |score| score.abs() >= self.0))
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let weight = array![[0.9, -0.1, 0.3], [0.05, -0.7, 0.2]];
    let mut layer = Linear::from_arrays(weight, None)?;

    // It goes wherever a built-in method goes: on one parameter, …
    prune::apply(&mut layer, "weight", Threshold(0.15))?;
    println!("below 0.15 pruned:\n{}\n", layer.parameter("weight")?.effective());

    // … on top of other methods, …
    prune::l1_unstructured(&mut layer, "weight", 1)?;
    let report = prune::apply(&mut layer, "weight", Threshold(0.5))?;
    println!(
        "then the smallest, then below 0.5:\n{}\n",
        layer.parameter("weight")?.effective()
    );
    println!("{report}\n");

    // … or on several parameters at once (`prune::global_unstructured`). A saved model refers to it by its name.
    let json = serde_json::to_string(&layer)?;
    let loaded: Linear = serde_json::from_str(&json)?;
    let container = prune::container(&loaded, "weight")?.ok_or("three methods make a container")?;
    println!("saved as JSON and loaded, the layer has been pruned by:");
    for method in container.iter() {
        println!("  {method:?}");
    }
    assert_eq!(prune::mask(&loaded, "weight")?, prune::mask(&layer, "weight")?);
    Ok(())
}
