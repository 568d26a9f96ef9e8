//! Pruning by a schedule while burn trains.

use burn::module::Module;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::optim::{AdamConfig, GradientsParams};
use burn::store::ModuleRecord;
use burn::tensor::Device;
use secateurs::prune;
use secateurs::train::{DynamicPruner, Pruner, Schedule, Snapshot};
use secateurs_burn::{BurnModel, to_array};

use crate::common::{Network, batch, bits, train};

const STEPS: usize = 16;

fn device() -> Device {
    Device::flex().autodiff()
}

fn pruner(model: &BurnModel<Network>) -> Pruner {
    let schedule = Schedule::cubic(0.0, 0.9, 2..=14).unwrap().every(4).unwrap();
    let pruner = Pruner::new(model, prune::weights(model), schedule).unwrap();
    pruner.global().recompute(true)
}

/// All values under and outside the masks.
fn stored(model: &BurnModel<Network>) -> Vec<u32> {
    let module = &model.module;
    let mut all = [bits(&module.conv.weight.base()), bits(&module.fc.weight.base())].concat();
    all.extend([bits(&module.head.weight.val()), bits(&module.fc.weight.val())].concat());
    all
}

#[test]
fn a_run_that_is_killed_and_resumed_ends_with_the_same_bits() {
    let run = |killed: Option<usize>| {
        let folder = tempfile::tempdir().unwrap();
        let mut optimizer = AdamConfig::new().init();
        let mut model = BurnModel::new(Network::new(0, &device()));
        let mut pruner = pruner(&model);
        for step in 0..STEPS {
            model.module = train(model.module, &mut optimizer, step..step + 1);
            pruner.step(&mut model, step as u64).unwrap();
            if killed == Some(step) {
                let (weights, moments) = (folder.path().join("model.bpk"), folder.path().join("adam.bpk"));
                model.module.clone().save_file(&weights).unwrap();
                optimizer.save(&moments).unwrap();
                model = BurnModel::new(Network::new(1, &device()));
                model.load_record(ModuleRecord::load(&weights).unwrap()).unwrap();
                optimizer = AdamConfig::new().init().load(&moments).unwrap();
                let state = pruner.state();
                pruner = self::pruner(&model);
                pruner.load_state(state);
            }
        }
        stored(&model)
    };
    let unbroken = run(None);
    for killed in [0, 5, 6, 13] {
        assert_eq!(run(Some(killed)), unbroken, "killed after step {killed}");
    }
}

#[test]
fn entries_grow_where_the_dense_gradient_is_largest_and_start_at_zero() {
    let mut optimizer = AdamConfig::new().init();
    let mut model = BurnModel::new(Network::new(0, &device()));
    let schedule = Schedule::constant(0.3, 0..=12).unwrap().every(4).unwrap();
    let mut rigl = DynamicPruner::new(&model, ["fc.weight"], schedule).unwrap();
    rigl.start(&mut model, &[0.75]).unwrap();
    let mut grown = 0;
    for step in 0..STEPS {
        model.module = train(model.module, &mut optimizer, step..step + 1);
        if !rigl.is_update(step as u64) {
            continue;
        }
        let dense = model.module.clone().materialize();
        let (images, classes) = batch(step, &device());
        let loss = CrossEntropyLossConfig::new().init(&device());
        let loss = loss.forward(dense.forward(images), classes);
        let grads = GradientsParams::from_grads(loss.backward(), &dense);
        let scores = to_array(&grads.get::<2>(dense.fc.weight.id).unwrap()).unwrap();
        let before = prune::mask(&model, "fc.weight").unwrap().unwrap();
        let id = model.module.fc.weight.id;
        let update = rigl.step_with_gradients(&mut model, step as u64, |_| Ok(scores.clone()));
        let update = update.unwrap().unwrap();
        assert_eq!(update.masked(), 144);
        grown += update.regrown();
        assert_eq!(model.module.fc.weight.id, id);
        let after = prune::mask(&model, "fc.weight").unwrap().unwrap();
        for ((now, then), bits) in after
            .iter()
            .zip(before.iter())
            .zip(bits(&model.module.fc.weight.val()))
        {
            assert!((now && then) || bits == 0, "what is pruned or has grown is +0.0");
        }
    }
    assert!(grown > 0);
}

#[test]
fn modules_are_rewound_under_their_masks_and_can_be_trained() {
    let mut optimizer = AdamConfig::new().init();
    let mut model = BurnModel::new(Network::new(0, &device()));
    let (start, before) = (Snapshot::of(&model).unwrap(), stored(&model));
    model.module = train(model.module, &mut optimizer, 0..3);
    prune::l1_unstructured(&mut model, "fc.weight", 0.5).unwrap();
    let mask = prune::mask(&model, "fc.weight").unwrap();
    start.rewind(&mut model).unwrap();
    assert_eq!(prune::mask(&model, "fc.weight").unwrap(), mask);
    let rewound = bits(&model.module.conv.weight.base());
    assert_eq!(rewound, before[..rewound.len()]);
    // A fresh optimiser moves what is kept, and nothing under the mask of what the network computes with.
    model.module = train(model.module, &mut AdamConfig::new().init(), 3..5);
    assert_ne!(bits(&model.module.conv.weight.base()), rewound);
    let zeros = bits(&model.module.fc.weight.val())
        .iter()
        .filter(|bits| **bits == 0)
        .count();
    assert_eq!(zeros, mask.unwrap().count_pruned());
    prune::discard(&mut model, "fc.weight").unwrap();
}
