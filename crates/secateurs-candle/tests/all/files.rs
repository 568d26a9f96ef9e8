//! Saved and loaded, with masks beside the weights.

use std::fs;

use candle_core::{Device, Tensor};
use candle_nn::{Optimizer, SGD, VarMap};
use ndarray::{ArrayD, IxDyn};
use secateurs::checkpoint::{self, Checkpoint, Existing, Zeros};
use secateurs::{FloatArray, prune};
use secateurs_candle::CandleModel;

use super::prunable::var_map;

fn vars() -> VarMap {
    let values = (0..24).map(|i| (i * 17 % 23) as f32 / 10.0 - 1.05).collect();
    let weight = ArrayD::from_shape_vec(IxDyn(&[4, 6]), values).unwrap();
    let bias = ArrayD::from_elem(IxDyn(&[4]), 0.5f32);
    var_map(&[
        ("fc.weight", FloatArray::from(weight)),
        ("fc.bias", FloatArray::from(bias)),
    ])
}

fn step(model: &CandleModel, vars: &VarMap, number: usize) {
    let x = (0..6).map(|i| ((i + number) % 5) as f32 - 2.0);
    let x = Tensor::from_iter(x, &Device::Cpu)
        .unwrap()
        .reshape((6, 1))
        .unwrap();
    let weight = model.var("fc.weight").unwrap();
    let y = weight
        .matmul(&x)
        .unwrap()
        .broadcast_add(&model.var("fc.bias").unwrap().reshape((4, 1)).unwrap());
    let loss = y.unwrap().sqr().unwrap().mean_all().unwrap();
    let mut sgd = SGD::new(vars.all_vars(), 0.05).unwrap();
    model.backward_step(&mut sgd, &loss).unwrap();
}

#[test]
fn training_resumes_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let (weights, masks) = (
        folder.path().join("w.safetensors"),
        folder.path().join("m.safetensors"),
    );

    let unbroken = vars();
    let mut model = CandleModel::new(&unbroken);
    prune::l1_unstructured(&mut model, "fc.weight", 0.4).unwrap();
    (0..3).for_each(|number| step(&model, &unbroken, number));
    model.save(&weights).unwrap();
    checkpoint::save_masks(&model, &masks).unwrap();
    (3..6).for_each(|number| step(&model, &unbroken, number));
    prune::l1_unstructured(&mut model, "fc.weight", 0.5).unwrap();

    let mut resumed = vars();
    resumed.load(&weights).unwrap();
    let mut again = CandleModel::new(&resumed);
    assert_eq!(checkpoint::load_masks(&mut again, &masks).unwrap(), ["fc.weight"]);
    (3..6).for_each(|number| step(&again, &resumed, number));
    prune::l1_unstructured(&mut again, "fc.weight", 0.5).unwrap();

    assert_eq!(
        prune::mask(&again, "fc.weight").unwrap(),
        prune::mask(&model, "fc.weight").unwrap()
    );
    for name in ["fc.weight", "fc.bias"] {
        let bits = |model: &CandleModel| -> Vec<u32> {
            let values = model
                .var(name)
                .unwrap()
                .flatten_all()
                .unwrap()
                .to_vec1::<f32>()
                .unwrap();
            values.into_iter().map(f32::to_bits).collect()
        };
        assert_eq!(bits(&again), bits(&model), "{name}");
    }
}

#[test]
fn files_are_those_of_the_command() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let dense = vars();
    CandleModel::new(&dense).save(path("dense.safetensors")).unwrap();
    let mut model = CandleModel::new(&dense);
    prune::l1_unstructured(&mut model, "fc.weight", 0.5).unwrap();
    model.save(path("pruned.safetensors")).unwrap();
    checkpoint::save_masks(&model, path("masks.safetensors")).unwrap();

    // What `secateurs apply` does with the masks, and `secateurs masks` with the zeros.
    let masks = Checkpoint::open(path("masks.safetensors")).unwrap();
    let applied = Checkpoint::open(path("dense.safetensors")).unwrap();
    applied
        .apply_masks(&masks, path("applied.safetensors"), Existing::Refuse)
        .unwrap();
    assert_eq!(
        fs::read(path("applied.safetensors")).unwrap(),
        fs::read(path("pruned.safetensors")).unwrap()
    );
    let pruned = Checkpoint::open(path("pruned.safetensors")).unwrap();
    pruned
        .write_masks(&["fc.weight"], path("inferred.safetensors"), Existing::Refuse)
        .unwrap();
    let mut from_zeros = CandleModel::new(&vars());
    checkpoint::load_masks(&mut from_zeros, path("inferred.safetensors")).unwrap();
    assert_eq!(
        prune::mask(&from_zeros, "fc.weight").unwrap(),
        prune::mask(&model, "fc.weight").unwrap()
    );

    // candle loads what was pruned, and refuses what is packed.
    vars().load(path("applied.safetensors")).unwrap();
    let packed = path("packed.safetensors");
    pruned.pack(&packed, Existing::Refuse, Zeros::Exact).unwrap();
    assert!(vars().load(&packed).is_err());
}
