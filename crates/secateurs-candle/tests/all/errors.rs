//! Bad input: a clear error, and nothing changed.

use candle_core::{DType, Device, Tensor, Var};
use candle_nn::{Optimizer, SGD, VarMap};
use ndarray::array;
use secateurs::{ArrayModel, checkpoint, prune};
use secateurs_candle::CandleModel;

fn vars() -> VarMap {
    let vars = VarMap::new();
    for (name, var) in [
        ("fc.weight", Var::new(&[[1f32, -2.0], [3.0, 4.0]], &Device::Cpu)),
        ("a.weight", Var::new(&[[1f32, 2.0]], &Device::Cpu)),
        ("fc.ids", Var::new(&[1u32, 2], &Device::Cpu)),
    ] {
        vars.data().lock().unwrap().insert(name.into(), var.unwrap());
    }
    vars
}

#[track_caller]
fn refused<T>(result: Result<T, impl std::error::Error>, expected: &str) {
    let Err(error) = result else {
        panic!("should fail: {expected}")
    };
    assert!(error.to_string().contains(expected), "{error}");
}

#[test]
fn names_and_types() {
    let mut model = CandleModel::new(&vars());
    refused(
        prune::l1_unstructured(&mut model, "fc.ids", 1),
        "`fc.ids` has dtype U32",
    );
    refused(
        prune::l1_unstructured(&mut model, "fc.wieght", 1),
        "there is no parameter `fc.wieght`; the nearest are `fc.weight`",
    );
    let twice = Var::new(1f32, &Device::Cpu).unwrap();
    refused(
        CandleModel::from_vars([("a", twice.clone()), ("a", twice)]),
        "two variables named `a`",
    );
    let e4m3 = Tensor::new(&[1f32, 2.0], &Device::Cpu)
        .unwrap()
        .to_dtype(DType::F8E4M3)
        .unwrap();
    let mut model = CandleModel::from_vars([("scale", Var::from_tensor(&e4m3).unwrap())]).unwrap();
    assert!(secateurs::Prunable::paths(&model).is_empty());
    refused(
        prune::l1_unstructured(&mut model, "scale", 1),
        "`scale` has dtype F8E4M3",
    );
}

#[test]
fn a_variable_that_was_replaced() {
    let map = vars();
    let mut model = CandleModel::new(&map);
    prune::l1_unstructured(&mut model, "fc.weight", 1).unwrap();
    let old = model.var("fc.weight").unwrap().clone();
    let new = Var::new(&[7f32, 8.0, 9.0], &Device::Cpu).unwrap();
    map.data().lock().unwrap().insert("fc.weight".into(), new.clone());

    let expected = "`fc.weight` is another variable in the VarMap now";
    refused(prune::l1_unstructured(&mut model, "fc.weight", 1), expected);
    refused(prune::remove(&mut model, "fc.weight"), expected);
    refused(prune::remove_all(&mut model), expected);
    refused(model.apply(), expected);
    let mut sgd = SGD::new(map.all_vars(), 1.0).unwrap();
    refused(model.backward_step(&mut sgd, &new.sum_all().unwrap()), expected);
    let path = std::env::temp_dir().join(format!("secateurs-candle-{}.safetensors", std::process::id()));
    refused(model.save(&path), expected);
    assert!(!path.exists());
    assert_eq!(new.to_vec1::<f32>().unwrap(), [7.0, 8.0, 9.0]);
    assert_eq!(old.to_vec2::<f32>().unwrap(), [[0.0, -2.0], [3.0, 4.0]]);

    map.data().lock().unwrap().clear();
    refused(prune::l1_unstructured(&mut model, "fc.weight", 1), "now None");
}

#[test]
fn masks_of_another_model() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("masks.safetensors");
    let map = vars();
    let mut model = CandleModel::new(&map);
    for (name, values, expected) in [
        ("fc.weight", array![[1f32, 2.0, 3.0]], "shape"),
        (
            "other.weight",
            array![[1f32, 2.0]],
            "there is no parameter `other.weight`",
        ),
        ("fc.ids", array![[1f32, 2.0]], "dtype U32"),
    ] {
        let mut other = ArrayModel::new();
        // The first mask would fit: nothing of the file may be used.
        other.insert("a.weight", array![[1f32, 2.0]]).unwrap();
        other.insert(name, values).unwrap();
        prune::l1_unstructured(&mut other, "a.weight", 1).unwrap();
        prune::l1_unstructured(&mut other, name, 1).unwrap();
        checkpoint::save_masks(&other, &path).unwrap();
        refused(checkpoint::load_masks(&mut model, &path), expected);
        assert!(!prune::is_pruned(&model));
    }
    // Weights are not masks.
    model.save(&path).unwrap();
    refused(
        checkpoint::load_masks(&mut model, &path),
        "masks are named `NAME_mask`",
    );
    assert_eq!(
        model.var("fc.weight").unwrap().to_vec2::<f32>().unwrap(),
        [[1.0, -2.0], [3.0, 4.0]]
    );
}

#[test]
fn gradients_of_another_shape() {
    let map = vars();
    let mut model = CandleModel::new(&map);
    prune::l1_unstructured(&mut model, "fc.weight", 1).unwrap();
    let weight = model.var("fc.weight").unwrap();
    let mut grads = weight.sum_all().unwrap().backward().unwrap();
    grads.insert(weight, Tensor::new(&[1f32], &Device::Cpu).unwrap());
    refused(
        model.mask_gradients(&mut grads),
        "the gradient of `fc.weight` has shape [1]",
    );
}
