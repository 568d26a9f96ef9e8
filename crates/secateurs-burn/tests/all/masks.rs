//! The same weights get the same masks, wherever they live.

use burn::tensor::Device;
use ndarray::ArrayD;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use secateurs::prune::{self, *};
use secateurs::{ArrayModel, FloatArray, Prunable};
use secateurs_burn::{BurnModel, to_array};

use crate::common::Given;

fn arrays() -> Vec<(&'static str, FloatArray)> {
    let array = |shape: &[usize], seed: usize| {
        let len: usize = shape.iter().product();
        let values = (0..len).map(|i| ((i * 7919 + seed * 104_729) % 10_007) as f32 / 5_000.0 - 1.0);
        FloatArray::from(ArrayD::from_shape_vec(shape, values.collect()).unwrap())
    };
    vec![
        ("conv.weight", array(&[8, 4, 3, 3], 1)),
        ("fc.weight", array(&[12, 32], 2)),
        ("head.weight", array(&[6, 12], 3)),
    ]
}

/// Prunes by every method, on top of each other and together.
fn prune_in_many_ways<M: Prunable>(model: &mut M) -> secateurs::Result<()> {
    let rng = &mut ChaCha8Rng::seed_from_u64(7);
    prune::random_unstructured(model, "conv.weight", 0.1, rng)?;
    prune::l1_unstructured(model, "conv.weight", 30)?;
    prune::random_structured(model, "conv.weight", 1, 1, rng)?;
    prune::ln_structured(model, "conv.weight", 0.25, 2, 0)?;
    prune::apply(model, "fc.weight", NmStructured::new(2, 4, 1)?)?;
    prune::apply(
        model,
        "fc.weight",
        BlockStructured::new(0.2, 2, 4, BlockRank::MeanSquare)?,
    )?;
    prune::identity(model, "head.weight")?;
    prune::apply(model, "head.weight", ScoreUnstructured::new(5)?)?;
    let options = GlobalOptions::new().max_sparsity(0.8)?;
    let all = ["conv.weight", "fc.weight", "head.weight"];
    prune::global_unstructured_with(model, all, L1Unstructured::new(0.3)?, &options)?;
    prune::global_unstructured(model, all, RandomUnstructured::new(20, rng)?)?;
    Ok(())
}

#[test]
fn masks_are_those_of_arrays() {
    let arrays = arrays();
    let mut map = ArrayModel::new();
    for (name, array) in &arrays {
        map.insert(*name, array.clone()).unwrap();
    }
    let mut burn = BurnModel::new(Given::new(&arrays, &Device::flex()));
    prune_in_many_ways(&mut map).unwrap();
    prune_in_many_ways(&mut burn).unwrap();
    for (name, _) in &arrays {
        let mask = prune::mask(&burn, name).unwrap();
        assert_eq!(mask, prune::mask(&map, name).unwrap(), "{name}");
        assert!(mask.unwrap().count_pruned() > 0, "{name}");
        // The module computes with what an array model computes with.
        let effective = map.effective(name).unwrap();
        let Given { conv, fc, head } = &burn.module;
        let computed = match *name {
            "conv.weight" => to_array(&conv.weight.as_ref().unwrap().val()),
            "fc.weight" => to_array(&fc.weight.as_ref().unwrap().val()),
            _ => to_array(&head.weight.as_ref().unwrap().val()),
        };
        assert_eq!(computed.unwrap(), effective, "{name}");
    }
}
