//! Steps of optimisers under masks.

use candle_core::{D, DType, Device, Tensor, Var};
use candle_nn::{AdamW, Module, Optimizer, SGD, VarBuilder, VarMap, linear, loss};
use secateurs::prune;
use secateurs_candle::CandleModel;

struct Mlp(candle_nn::Linear, candle_nn::Linear);

impl Mlp {
    fn new(vars: &VarMap) -> Self {
        let builder = VarBuilder::from_varmap(vars, DType::F32, &Device::Cpu);
        let mlp = Mlp(
            linear(8, 16, builder.pp("0")).unwrap(),
            linear(16, 4, builder.pp("1")).unwrap(),
        );
        // The same weights in every test.
        let data = vars.data().lock().unwrap();
        for (number, name) in ["0.weight", "0.bias", "1.weight", "1.bias"]
            .into_iter()
            .enumerate()
        {
            let var = &data[name];
            let values = (0..var.elem_count()).map(|i| (((i * 37 + number * 11) % 101) as f32 - 50.0) / 60.0);
            let values = Tensor::from_iter(values, &Device::Cpu).unwrap();
            var.set(&values.reshape(var.shape()).unwrap()).unwrap();
        }
        drop(data);
        mlp
    }

    fn loss(&self) -> Tensor {
        let x = Tensor::from_iter(
            (0..48).map(|i| ((i * 29 % 31) as f32 - 15.0) / 10.0),
            &Device::Cpu,
        );
        let x = x.unwrap().reshape((6, 8)).unwrap();
        let y = Tensor::new(&[0u32, 1, 2, 3, 0, 1], &Device::Cpu).unwrap();
        let x = self
            .1
            .forward(&self.0.forward(&x).unwrap().relu().unwrap())
            .unwrap();
        loss::cross_entropy(&x, &y).unwrap()
    }
}

fn zeros(var: &Var) -> u32 {
    let zeros = var.eq(0f32).unwrap().to_dtype(DType::U32).unwrap();
    zeros.sum_all().unwrap().to_scalar().unwrap()
}

#[test]
fn moments_from_before_pruning_revive_nothing() {
    let vars = VarMap::new();
    let mlp = Mlp::new(&vars);
    let mut optimizer = AdamW::new_lr(vars.all_vars(), 0.01).unwrap();
    for _ in 0..5 {
        optimizer.backward_step(&mlp.loss()).unwrap();
    }
    let mut model = CandleModel::new(&vars);
    prune::l1_unstructured(&mut model, "0.weight", 64).unwrap();
    prune::ln_structured(&mut model, "1.weight", 0.5, 2, 1).unwrap();
    let hidden = prune::mask(&model, "0.weight").unwrap().unwrap();

    // That masked gradients alone do not help is why `step` applies masks again.
    let mut grads = mlp.loss().backward().unwrap();
    model.mask_gradients(&mut grads).unwrap();
    let grad = grads.get(model.var("0.weight").unwrap()).unwrap();
    let under: Vec<f32> = grad.flatten_all().unwrap().to_vec1().unwrap();
    assert!(
        under
            .iter()
            .zip(&*hidden)
            .all(|(grad, kept)| kept || *grad == 0.0)
    );
    assert!(under.iter().any(|grad| *grad != 0.0));
    optimizer.step(&grads).unwrap();
    assert!(zeros(model.var("0.weight").unwrap()) < 64);

    model.apply().unwrap();
    for _ in 0..10 {
        model.backward_step(&mut optimizer, &mlp.loss()).unwrap();
        assert_eq!(zeros(model.var("0.weight").unwrap()), 64);
        assert_eq!(zeros(model.var("1.weight").unwrap()), 32);
    }
}

#[test]
fn pruned_originals_stay_and_the_rest_trains_as_without_them() {
    // A network whose pruned weights are zeros from the start, and gradients masked by hand, is the oracle.
    let (vars, oracle_vars) = (VarMap::new(), VarMap::new());
    let (mlp, oracle) = (Mlp::new(&vars), Mlp::new(&oracle_vars));
    let mut model = CandleModel::new(&vars);
    prune::l1_unstructured(&mut model, "0.weight", 0.7).unwrap();
    let mask = prune::mask(&model, "0.weight").unwrap().unwrap();
    let mask = Tensor::from_iter(mask.iter().map(|kept| f32::from(u8::from(kept))), &Device::Cpu).unwrap();
    let mask = mask.reshape((16, 8)).unwrap();
    let oracle_weight = oracle_vars.data().lock().unwrap()["0.weight"].clone();
    let original = oracle_weight.copy().unwrap();
    oracle_weight
        .set(&(&mask * &oracle_weight.copy().unwrap()).unwrap())
        .unwrap();

    let mut sgd = SGD::new(vars.all_vars(), 0.1).unwrap();
    let mut oracle_sgd = SGD::new(oracle_vars.all_vars(), 0.1).unwrap();
    for _ in 0..7 {
        model.backward_step(&mut sgd, &mlp.loss()).unwrap();
        let mut grads = oracle.loss().backward().unwrap();
        let masked = (grads.get(&oracle_weight).unwrap() * &mask).unwrap();
        grads.insert(&oracle_weight, masked);
        oracle_sgd.step(&grads).unwrap();
    }
    for (name, var) in model.vars() {
        let expected = oracle_vars.data().lock().unwrap()[name].clone();
        let difference = (var.as_tensor() - expected.as_tensor()).unwrap().abs().unwrap();
        assert_eq!(
            difference
                .flatten_all()
                .unwrap()
                .max(D::Minus1)
                .unwrap()
                .to_scalar::<f32>()
                .unwrap(),
            0.0,
            "{name}"
        );
    }
    prune::discard(&mut model, "0.weight").unwrap();
    let kept_back = model.var("0.weight").unwrap();
    let under = (1.0 - &mask).unwrap();
    let difference = ((kept_back.as_tensor() - original).unwrap() * under).unwrap();
    assert_eq!(
        difference
            .abs()
            .unwrap()
            .sum_all()
            .unwrap()
            .to_scalar::<f32>()
            .unwrap(),
        0.0
    );
}

#[test]
fn a_gradient_that_two_variables_share_is_not_masked_for_both() {
    let (a, b) = (
        Var::new(&[1f32, 2.0], &Device::Cpu).unwrap(),
        Var::new(&[3f32, 4.0], &Device::Cpu).unwrap(),
    );
    let mut model = CandleModel::from_vars([("a", a.clone()), ("b", b.clone())]).unwrap();
    prune::l1_unstructured(&mut model, "a", 1).unwrap();
    let mut grads = (a.sum_all().unwrap() + b.sum_all().unwrap())
        .unwrap()
        .backward()
        .unwrap();
    let shared = Tensor::new(&[5f32, 6.0], &Device::Cpu).unwrap();
    grads.insert(&a, shared.clone());
    grads.insert(&b, shared.clone());
    model.mask_gradients(&mut grads).unwrap();
    let of = |var: &Var| grads.get(var).unwrap().to_vec1::<f32>().unwrap();
    assert_eq!((of(&a), of(&b)), (vec![0.0, 6.0], vec![5.0, 6.0]));
    assert_eq!(shared.to_vec1::<f32>().unwrap(), [5.0, 6.0]);
}

#[test]
fn gradients_that_are_not_contiguous_are_masked() {
    let weight = Var::new(&[[1f32, 2.0], [3.0, 4.0]], &Device::Cpu).unwrap();
    let mut model = CandleModel::from_vars([("weight", weight.clone())]).unwrap();
    prune::l1_unstructured(&mut model, "weight", 1).unwrap();
    let mut grads = weight.sum_all().unwrap().backward().unwrap();
    let transposed = Tensor::new(&[[5f32, 6.0], [7.0, 8.0]], &Device::Cpu)
        .unwrap()
        .t()
        .unwrap();
    grads.insert(&weight, transposed);
    model.mask_gradients(&mut grads).unwrap();
    assert_eq!(
        grads.get(&weight).unwrap().to_vec2::<f32>().unwrap(),
        [[0.0, 7.0], [6.0, 8.0]]
    );
}
