//! The public suite of `prune`, and what the paths are.

use burn::module::{Module, Param};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig, LinearLayout};
use burn::tensor::{Bool, Device, Int, Tensor};
use secateurs::mask::FloatType;
use secateurs::{Prunable, prune, testing};
use secateurs_burn::BurnModel;

use crate::common::{Given, Network, zeros};

const ALL: [FloatType; 4] = [FloatType::F32, FloatType::F16, FloatType::BF16, FloatType::F64];

#[test]
fn values_can_be_replaced() {
    testing::check_write_values(&ALL, |arrays| {
        BurnModel::new(Given::new(arrays, &Device::flex().autodiff()))
    });
}

#[test]
fn the_suite_passes_for_inference() {
    testing::check_model(&ALL, |arrays| BurnModel::new(Given::new(arrays, &Device::flex())));
}

#[test]
fn the_suite_passes_for_training() {
    let device = Device::flex().autodiff();
    testing::check_model(&ALL, |arrays| BurnModel::new(Given::new(arrays, &device)));
}

#[test]
fn paths_are_those_of_records() {
    let model = BurnModel::new(Network::new(0, &Device::flex()));
    let paths = [
        "conv.weight",
        "conv.bias",
        "fc.weight",
        "fc.bias",
        "head.weight",
        "head.bias",
    ];
    assert_eq!(model.paths(), paths);
    assert_eq!(
        prune::weights(&model),
        ["conv.weight", "fc.weight", "head.weight"]
    );
    // Linear is [in, out], Conv2d [out, in, height, width].
    assert_eq!(model.view("fc.weight").unwrap().shape(), [16, 12]);
    assert_eq!(model.view("conv.weight").unwrap().shape(), [4, 1, 3, 3]);
}

#[test]
fn output_channels_of_a_linear_layer_are_along_dimension_1() {
    let mut model = BurnModel::new(LinearConfig::new(5, 4).init(&Device::flex()));
    prune::ln_structured(&mut model, "weight", 1, 2, 1).unwrap();
    model.module.bias = None;
    let output = model.module.forward(Tensor::<2>::ones([1, 5], &Device::flex()));
    assert_eq!(zeros(&output), 1, "one output has lost all its inputs");
}

/// A parameter that is stored transposed.
#[test]
fn a_transposed_layout_is_pruned_as_it_is_seen() {
    let config = LinearConfig::new(6, 4).with_layout(LinearLayout::Col);
    let device = Device::flex();
    let mut model = BurnModel::new(config.init(&device));
    prune::ln_structured(&mut model, "weight", 2, 2, 0).unwrap();
    assert_eq!(prune::mask(&model, "weight").unwrap().unwrap().shape(), [6, 4]);
    let pruned = model.module.weight.val();
    assert_eq!(zeros(&pruned), 8);

    let mut loaded = BurnModel::new(config.init(&device));
    loaded.load_record(model.module.clone().into_record()).unwrap();
    assert_eq!(pruned.to_data(), loaded.module.weight.val().to_data());
    prune::remove(&mut loaded, "weight").unwrap();
    assert_eq!(pruned.to_data(), loaded.module.weight.val().to_data());
}

#[derive(Module, Debug)]
struct Mixed {
    layers: Vec<Linear>,
    pair: (Linear, Option<Linear>),
    norm: BatchNorm,
    steps: Param<Tensor<1, Int>>,
    flags: Param<Tensor<1, Bool>>,
}

#[test]
fn paths_of_containers_and_other_types() {
    let device = Device::flex();
    let linear = || LinearConfig::new(2, 2).with_bias(false).init(&device);
    let mut model = BurnModel::new(Mixed {
        layers: vec![linear(), linear()],
        pair: (linear(), None),
        norm: BatchNormConfig::new(2).init(&device),
        steps: Param::initialized(Default::default(), Tensor::from_data([1, 2], &device)),
        flags: Param::initialized(Default::default(), Tensor::from_data([true, false], &device)),
    });
    let weights = ["layers.0.weight", "layers.1.weight", "pair.0.weight"];
    assert_eq!(prune::weights(&model), weights);
    assert!(
        !model
            .paths()
            .iter()
            .any(|path| path == "steps" || path == "flags")
    );
    prune::global_unstructured(&mut model, weights, prune::L1Unstructured::new(6).unwrap()).unwrap();
    let pruned: usize = model
        .module
        .layers
        .iter()
        .map(|layer| zeros(&layer.weight.val()))
        .sum();
    assert_eq!(pruned + zeros(&model.module.pair.0.weight.val()), 6);

    // None of them can be pruned, each for a reason of its own.
    for (path, reason) in [
        ("steps", "has type int"),
        ("flags", "has type bool"),
        ("norm.running_mean", "does not keep a reparameterization"),
    ] {
        let error = prune::l1_unstructured(&mut model, path, 1)
            .unwrap_err()
            .to_string();
        assert!(error.contains(reason) && error.contains(path), "{error}");
    }
}

/// Random parameters are not made to ask for paths, and are made once.
#[test]
fn parameters_stay_uninitialised_until_they_are_ranked() {
    let mut model = BurnModel::new(LinearConfig::new(3, 3).init(&Device::flex()));
    assert_eq!(model.paths(), ["weight", "bias"]);
    assert!(!model.module.weight.is_initialized());
    prune::l1_unstructured(&mut model, "weight", 4).unwrap();
    let before = model.module.weight.base().to_data();
    assert_eq!(zeros(&model.module.weight.val()), 4);
    prune::discard(&mut model, "weight").unwrap();
    assert_eq!(model.module.weight.val().to_data(), before);
}
