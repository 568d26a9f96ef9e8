//! The same weights get the same masks, wherever they live.

use ndarray::ArrayD;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use secateurs::prune::{self, *};
use secateurs::{ArrayModel, FloatArray, Prunable};
use secateurs_candle::{CandleModel, to_array};

use super::prunable::var_map;

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
    let mut candle = CandleModel::new(&var_map(&arrays));
    prune_in_many_ways(&mut map).unwrap();
    prune_in_many_ways(&mut candle).unwrap();
    for (name, _) in &arrays {
        let mask = prune::mask(&candle, name).unwrap();
        assert_eq!(mask, prune::mask(&map, name).unwrap(), "{name}");
        assert!(mask.unwrap().count_pruned() > 0, "{name}");
        // The variable holds what an array model computes with.
        let effective = map.effective(name).unwrap();
        assert_eq!(to_array(candle.var(name).unwrap()).unwrap(), effective, "{name}");
    }
}
