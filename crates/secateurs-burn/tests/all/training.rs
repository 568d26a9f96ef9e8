//! Pruned networks in training: what stays zero, what is kept, and how weights come back.

use burn::module::Module;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::optim::{AdamConfig, AdamWConfig, GradientsParams, SgdConfig, momentum::MomentumConfig};
use burn::tensor::Device;
use secateurs::mask::Mask;
use secateurs::prune::{self, Amount, L1Unstructured};
use secateurs::{Prunable, error::ModelError};
use secateurs_burn::{BurnModel, PruneMask, to_array};

use crate::common::{Network, batch, bits, train, zeros};

fn device() -> Device {
    Device::flex().autodiff()
}

fn prune_to(model: &mut BurnModel<Network>, sparsity: f64) {
    let weights = prune::weights(model);
    let method = L1Unstructured::new(Amount::until(sparsity).unwrap()).unwrap();
    prune::global_unstructured(model, weights, method).unwrap();
}

fn pruned(network: &Network) -> usize {
    zeros(&network.conv.weight.val()) + zeros(&network.fc.weight.val()) + zeros(&network.head.weight.val())
}

/// 36 + 192 + 36 weights.
const WEIGHTS: usize = 264;

#[test]
fn an_optimiser_that_was_used_before_brings_nothing_back() {
    let momentum = Some(MomentumConfig::new());
    for mut optimizer in [
        AdamConfig::new().init(),
        AdamWConfig::new().init(),
        SgdConfig::new().with_momentum(momentum).init(),
    ] {
        let mut model = BurnModel::new(train(Network::new(0, &device()), &mut optimizer, 0..5));
        let ids = |model: &BurnModel<Network>| {
            (
                model.module.conv.weight.id,
                model.module.fc.bias.as_ref().unwrap().id,
            )
        };
        let before = (ids(&model), bits(&model.module.head.weight.val()));
        for sparsity in [0.5, 0.75] {
            prune_to(&mut model, sparsity);
            model.module = train(model.module, &mut optimizer, 5..10);
            assert_eq!(pruned(&model.module), (WEIGHTS as f64 * sparsity) as usize);
        }
        assert_eq!(ids(&model), before.0, "parameters keep their identity");
        assert_ne!(
            bits(&model.module.head.weight.val()),
            before.1,
            "what is kept is trained"
        );

        let masked = bits(&model.module.fc.weight.val());
        prune::remove_all(&mut model).unwrap();
        assert_eq!(bits(&model.module.fc.weight.base()), masked);
        assert!(model.module.fc.weight.reparameterization::<PruneMask>().is_none());
        assert!(
            model.module.fc.weight.is_require_grad(),
            "it can still be trained"
        );
    }
}

#[test]
fn gradients_under_the_mask_are_zero() {
    let mut model = BurnModel::new(Network::new(0, &device()));
    prune_to(&mut model, 0.5);
    let (images, classes) = batch(0, &device());
    let loss = CrossEntropyLossConfig::new()
        .init(&device())
        .forward(model.module.forward(images), classes);
    let grads = GradientsParams::from_grads(loss.backward(), &model.module);
    let grad = bits(&grads.get::<2>(model.module.fc.weight.id).unwrap());
    let mask = prune::mask(&model, "fc.weight").unwrap().unwrap();
    for (grad, kept) in grad.iter().zip(mask.iter()) {
        assert!(kept || *grad == 0, "{grad:x}");
    }
    assert!(grad.iter().any(|grad| *grad != 0));
}

/// RigL: prune by magnitude, regrow where the gradient of the dense network is largest.
#[test]
fn dense_gradients_come_from_a_materialised_clone() {
    let mut model = BurnModel::new(Network::new(0, &device()));
    prune_to(&mut model, 0.5);
    let before = prune::mask(&model, "fc.weight").unwrap().unwrap();

    let dense = model.module.clone().materialize();
    let (images, classes) = batch(0, &device());
    assert_eq!(
        dense.forward(images.clone()).to_data(),
        model.module.forward(images.clone()).to_data(),
        "it computes the same"
    );
    let loss = CrossEntropyLossConfig::new()
        .init(&device())
        .forward(dense.forward(images), classes);
    let grads = GradientsParams::from_grads(loss.backward(), &dense);
    let grad = grads
        .get::<2>(model.module.fc.weight.id)
        .expect("ids are the same");
    let scores: Vec<f32> = grad.clone().abs().to_data().try_to_vec().unwrap();
    let best = (0..before.len())
        .filter(|i| !before.iter().nth(*i).unwrap())
        .max_by(|a, b| scores[*a].total_cmp(&scores[*b]))
        .unwrap();
    assert!(scores[best] > 0.0, "pruned entries have gradients, too");

    let grown: Vec<bool> = before
        .iter()
        .enumerate()
        .map(|(i, kept)| kept || i == best)
        .collect();
    let grown = Mask::from_bool(ndarray::ArrayView::from_shape(before.shape(), &grown).unwrap());
    prune::set_mask(&mut model, "fc.weight", grown.clone()).unwrap();
    assert_eq!(*prune::mask(&model, "fc.weight").unwrap().unwrap(), grown);
    // And scores of one's own.
    let scores = to_array(&grad.abs()).unwrap();
    prune::l1_unstructured_with_scores(&mut model, "fc.weight", 1, scores.view()).unwrap();
}

#[test]
fn models_go_to_other_threads() {
    fn check<T: Send + Sync>(_: &T) {}
    check(&BurnModel::new(Network::new(0, &device())));
}

#[test]
fn masks_follow_the_module() {
    let mut model = BurnModel::new(Network::new(0, &device()));
    prune_to(&mut model, 0.5);
    let masked = bits(&model.module.fc.weight.val());
    let masks = |model: &BurnModel<Network>| prune::mask(model, "fc.weight").unwrap().unwrap();

    for module in [
        model.module.clone(),
        model.module.valid(),
        model.module.valid().train(),
        model.module.clone().fork(&device()),
        model.module.clone().to_device(&Device::flex()),
    ] {
        let same = BurnModel::new(module);
        assert_eq!(bits(&same.module.fc.weight.val()), masked);
        assert_eq!(masks(&same), masks(&model));
    }
    // A clone is a model of its own.
    let mut other = model.clone();
    prune_to(&mut other, 0.75);
    assert_eq!(bits(&model.module.fc.weight.val()), masked);
    assert_ne!(masks(&other), masks(&model));

    // Taken out and put back, or replaced: what counts is the module.
    model.module = Network::new(0, &device());
    assert!(!prune::is_pruned(&model));
    assert!(model.view("fc.weight").unwrap().pruning().is_none());
    let error = prune::remove(&mut model, "fc.weight").unwrap_err();
    assert!(matches!(
        error,
        secateurs::Error::Model(ModelError::NotPruned { .. })
    ));
    model.module = other.module;
    assert_eq!(pruned(&model.module), 198);
    assert!(prune::is_pruned(&model));
}
