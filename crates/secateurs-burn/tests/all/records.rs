//! Records with masks in them: saved, loaded, resumed.

use burn::module::Module;
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
use burn::optim::{AdamConfig, ModuleOptimizer};
use burn::store::ModuleRecord;
use burn::tensor::{Device, Tensor};
use secateurs::prune::{self, Amount, L1Unstructured};
use secateurs_burn::{BurnModel, Error};

use crate::common::{Network, bits, train};

fn device() -> Device {
    Device::flex().autodiff()
}

fn pruned() -> (BurnModel<Network>, ModuleOptimizer) {
    let mut optimizer = AdamConfig::new().init();
    let mut model = BurnModel::new(train(Network::new(0, &device()), &mut optimizer, 0..5));
    // The head has no mask.
    let method = L1Unstructured::new(Amount::until(0.8).unwrap()).unwrap();
    prune::global_unstructured(&mut model, ["conv.weight", "fc.weight"], method).unwrap();
    (model, optimizer)
}

/// Everything that is stored, bit for bit.
fn stored(network: &Network) -> Vec<u32> {
    let mut all = [bits(&network.conv.weight.base()), bits(&network.fc.weight.base())].concat();
    all.extend(bits(&network.head.weight.base()));
    all.extend(bits(&network.fc.bias.as_ref().unwrap().val()));
    all.extend(bits(&network.fc.weight.val()));
    all
}

#[test]
fn training_resumes_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let (model, mut optimizer) = pruned();
    let module = train(model.module.clone(), &mut optimizer, 5..8);
    let (weights, state) = (
        folder.path().join("model.bpk"),
        folder.path().join("optimizer.bpk"),
    );
    module.clone().save_file(&weights).unwrap();
    optimizer.save(&state).unwrap();

    let mut resumed = BurnModel::new(Network::new(1, &device()));
    resumed
        .load_record(ModuleRecord::load(&weights).unwrap())
        .unwrap();
    let mut resumed_optimizer = AdamConfig::new().init().load(&state).unwrap();
    for path in ["conv.weight", "fc.weight"] {
        assert_eq!(
            prune::mask(&resumed, path).unwrap(),
            prune::mask(&model, path).unwrap(),
            "{path}"
        );
    }
    assert!(prune::mask(&resumed, "head.weight").unwrap().is_none());
    assert_eq!(stored(&resumed.module), stored(&module));

    let module = train(module, &mut optimizer, 8..12);
    resumed.module = train(resumed.module, &mut resumed_optimizer, 8..12);
    assert_eq!(stored(&resumed.module), stored(&module));

    // Pruning goes on, too.
    let mut model = BurnModel::new(module);
    for model in [&mut model, &mut resumed] {
        prune::l1_unstructured(model, "fc.weight", 0.5).unwrap();
    }
    assert_eq!(
        prune::mask(&resumed, "fc.weight").unwrap(),
        prune::mask(&model, "fc.weight").unwrap()
    );
}

#[test]
fn a_plain_module_refuses_what_load_record_takes() {
    let (model, _) = pruned();
    let record = model.module.clone().into_record();
    let refused = Network::new(0, &device())
        .try_load_record(record.clone())
        .unwrap_err();
    assert!(
        refused.to_string().contains("fc.weight.secateurs.pruned"),
        "{refused}"
    );
    // The other way round, and through bytes.
    let plain = Network::new(0, &device()).into_record();
    assert!(model.module.clone().try_load_record(plain).is_err());
    let mut loaded = BurnModel::new(Network::new(1, &device()));
    let record = ModuleRecord::from_bytes(record.into_bytes().unwrap()).unwrap();
    loaded.load_record(record).unwrap();
    assert_eq!(stored(&loaded.module), stored(&model.module));
}

/// For code that loads by burn's own functions: `identity` attaches masks that keep everything.
#[test]
fn a_module_with_identity_masks_loads_the_record_itself() {
    let (model, _) = pruned();
    let mut loaded = BurnModel::new(Network::new(1, &device()));
    for path in ["conv.weight", "fc.weight"] {
        prune::identity(&mut loaded, path).unwrap();
    }
    loaded.module = loaded.module.load_record(model.module.clone().into_record());
    assert_eq!(stored(&loaded.module), stored(&model.module));
    let masks = |model: &BurnModel<Network>| prune::mask(model, "fc.weight").unwrap();
    assert_eq!(masks(&loaded), masks(&model));
    prune::l1_unstructured(&mut loaded, "fc.weight", 2).unwrap();
    let pruned = |model| masks(model).unwrap().count_pruned();
    assert_eq!(pruned(&loaded), pruned(&model) + 2);
}

#[test]
fn what_has_no_mask_in_the_record_is_not_pruned() {
    let (model, _) = pruned();
    let plain = Network::new(2, &device());
    let mut loaded = model.clone();
    prune::l1_unstructured(&mut loaded, "head.weight", 0.5).unwrap();
    // The mask of the head goes, the others are replaced.
    loaded.load_record(model.module.clone().into_record()).unwrap();
    assert_eq!(stored(&loaded.module), stored(&model.module));
    assert!(prune::mask(&loaded, "head.weight").unwrap().is_none());
    loaded.load_record(plain.clone().into_record()).unwrap();
    assert!(!prune::is_pruned(&loaded));
    assert_eq!(stored(&loaded.module), stored(&plain));
}

#[derive(Module, Debug)]
struct Normed {
    norm: BatchNorm,
    fc: Linear,
}

impl Normed {
    fn new(inputs: usize) -> Self {
        Normed {
            norm: BatchNormConfig::new(2).init(&Device::flex()),
            fc: LinearConfig::new(inputs, 2).init(&Device::flex()),
        }
    }
}

#[test]
fn a_record_of_another_model_changes_nothing() {
    let mut other = BurnModel::new(Normed::new(3));
    other
        .module
        .norm
        .running_mean
        .update(Tensor::from_data([5.0, 6.0], &Device::flex()));
    prune::l1_unstructured(&mut other, "fc.weight", 2).unwrap();

    let mut model = BurnModel::new(Normed::new(4));
    prune::l1_unstructured(&mut model, "fc.weight", 3).unwrap();
    let seen = |model: &BurnModel<Normed>| {
        (
            bits(&model.module.fc.weight.base()),
            prune::mask(model, "fc.weight").unwrap(),
            bits(&model.module.norm.running_mean.value()),
        )
    };
    let before = seen(&model);
    let error = model.load_record(other.module.clone().into_record()).unwrap_err();
    assert!(matches!(&error, Error::Record(_)), "{error}");
    assert!(error.to_string().contains("fc.weight"), "{error}");
    assert_eq!(seen(&model), before);
    // And the history is still there.
    assert!(
        prune::hook(&model, "fc.weight")
            .unwrap()
            .unwrap()
            .is::<L1Unstructured>()
    );
}
