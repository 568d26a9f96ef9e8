//! The public suite of `prune`, and that variables are where and what they were.

use candle_core::{Device, Tensor, Var};
use candle_nn::VarMap;
use secateurs::mask::FloatType;
use secateurs::{FloatArray, prune, testing};
use secateurs_candle::CandleModel;

const ALL: [FloatType; 4] = [FloatType::F32, FloatType::F16, FloatType::BF16, FloatType::F64];

pub fn tensor(array: &FloatArray) -> Tensor {
    macro_rules! tensor {
        ($($variant:ident)*) => {
            match array {
                $(FloatArray::$variant(array) => {
                    Tensor::from_iter(array.iter().copied(), &Device::Cpu).unwrap().reshape(array.shape()).unwrap()
                })*
                _ => unreachable!(),
            }
        };
    }
    tensor!(F16 BF16 F32 F64)
}

pub fn var_map(arrays: &[(&str, FloatArray)]) -> VarMap {
    let vars = VarMap::new();
    for (name, array) in arrays {
        let var = Var::from_tensor(&tensor(array)).unwrap();
        vars.data().lock().unwrap().insert(name.to_string(), var);
    }
    vars
}

#[test]
fn values_can_be_replaced() {
    testing::check_write_values(&ALL, |arrays| CandleModel::new(&var_map(arrays)));
}

#[test]
fn the_suite_passes_on_a_var_map() {
    testing::check_model(&ALL, |arrays| CandleModel::new(&var_map(arrays)));
}

#[test]
fn the_suite_passes_on_listed_variables() {
    testing::check_model(&ALL, |arrays| {
        let vars = arrays
            .iter()
            .map(|(name, array)| (*name, Var::from_tensor(&tensor(array)).unwrap()));
        CandleModel::from_vars(vars).unwrap()
    });
}

#[test]
fn variables_are_changed_in_place_and_given_back() {
    let weight = Var::new(&[[0.5f32, -2.0, f32::NAN], [-0.0, 4.0, 1.0]], &Device::Cpu).unwrap();
    let before = bits(&weight);
    let id = weight.id();
    let mut model = CandleModel::from_vars([("weight", weight.clone())]).unwrap();

    prune::set_mask(
        &mut model,
        "weight",
        ndarray::array![[false, true, false], [false, true, true]],
    )
    .unwrap();
    assert_eq!(
        weight.to_vec2::<f32>().unwrap(),
        [[0.0, -2.0, 0.0], [0.0, 4.0, 1.0]]
    );
    // One comes back, another goes: −0.0 and NaN are hidden and shown with their bits.
    prune::set_mask(
        &mut model,
        "weight",
        ndarray::array![[true, false, true], [false, true, true]],
    )
    .unwrap();
    let now = bits(&weight);
    assert_eq!((now[0], now[1], now[2]), (before[0], 0, before[2]));
    prune::discard(&mut model, "weight").unwrap();
    assert_eq!(bits(&weight), before);
    assert_eq!(model.var("weight").unwrap().id(), id);
}

#[test]
fn names_are_sorted_and_tied_variables_listed_once() {
    let vars = VarMap::new();
    let shared = Var::new(&[[1f32, 2.0]], &Device::Cpu).unwrap();
    let ids = Var::new(&[1u32, 2], &Device::Cpu).unwrap();
    for (name, var) in [("z.weight", &shared), ("a.weight", &shared), ("m.ids", &ids)] {
        vars.data().lock().unwrap().insert(name.into(), var.clone());
    }
    let mut model = CandleModel::new(&vars);
    assert_eq!(prune::weights(&model), ["a.weight"]);
    assert_eq!(secateurs::Prunable::paths(&model), ["a.weight"]);
    // By its other name, it is the same parameter.
    prune::l1_unstructured(&mut model, "z.weight", 1).unwrap();
    assert_eq!(shared.to_vec2::<f32>().unwrap(), [[0.0, 2.0]]);
    assert!(prune::mask(&model, "a.weight").unwrap().is_some());
    assert_eq!(prune::remove_all(&mut model).unwrap(), ["a.weight"]);
}

#[test]
fn what_an_optimiser_left_under_the_mask_is_not_an_original() {
    let weight = Var::new(&[1f32, 5.0, 3.0], &Device::Cpu).unwrap();
    let mut model = CandleModel::from_vars([("weight", weight.clone())]).unwrap();
    prune::l1_unstructured(&mut model, "weight", 1).unwrap();
    // As after an optimiser's step that was not followed by `apply`.
    weight
        .set(&Tensor::new(&[9f32, 6.0, 4.0], &Device::Cpu).unwrap())
        .unwrap();
    prune::l1_unstructured(&mut model, "weight", 1).unwrap();
    assert_eq!(weight.to_vec1::<f32>().unwrap(), [0.0, 6.0, 0.0]);
    prune::discard(&mut model, "weight").unwrap();
    assert_eq!(weight.to_vec1::<f32>().unwrap(), [1.0, 6.0, 4.0]);
}

fn bits(var: &Var) -> Vec<u32> {
    let values = var.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    values.into_iter().map(f32::to_bits).collect()
}
