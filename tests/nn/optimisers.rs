//! Optimiser states contain the settings, and shared parameters are updated once.

use ndarray::{Array2, array};
use secateurs::Error;
use secateurs::error::NnError;
use secateurs::nn::optim::{Adam, OptimiserSettings, OptimiserState, Sgd};
use secateurs::nn::{Linear, Module, ParamStore, ParamTree, ParamTreeExt, loss};
use secateurs::prune;
use secateurs::tensor::{Gradients, Tensor};
use serde_json::{Value, json};

use crate::fixtures::{bits, by_bincode, by_json, rng};

fn gradients(model: &Linear) -> Gradients {
    let (input, target) = (
        Tensor::new(Array2::ones((2, 3))),
        Tensor::new(Array2::zeros((2, 2))),
    );
    loss::mse(&model.forward(&input).unwrap(), &target)
        .unwrap()
        .backward()
        .unwrap()
}

#[test]
fn a_run_that_is_resumed_goes_on_as_if_never_stopped() {
    let mut model = Linear::new(3, 2, &mut rng(0)).unwrap();
    prune::l1_unstructured(&mut model, "weight", 2).unwrap();
    let mut sgd = Sgd::new(0.1)
        .unwrap()
        .momentum(0.9)
        .unwrap()
        .nesterov()
        .unwrap()
        .weight_decay(0.01)
        .unwrap();
    let mut adam = Adam::new(0.05)
        .unwrap()
        .betas(0.8, 0.99)
        .unwrap()
        .eps(1e-6)
        .unwrap();
    for _ in 0..3 {
        let found = gradients(&model);
        sgd.step(&mut model, &found).unwrap();
        let found = gradients(&model);
        adam.step(&mut model, &found).unwrap();
    }
    sgd.set_lr(0.02).unwrap();
    let (sgd_state, adam_state) = (sgd.state(&model), adam.state(&model));
    let mut copy = model.clone();
    // Loaded into optimisers of other settings, which the state replaces.
    let (mut sgd2, mut adam2) = (Sgd::new(1.0).unwrap(), Adam::new(1.0).unwrap());
    sgd2.load_state(&copy, by_json::<_, OptimiserState>(&sgd_state))
        .unwrap();
    adam2
        .load_state(&copy, by_bincode::<_, OptimiserState>(&adam_state))
        .unwrap();
    assert_eq!((sgd2.lr(), adam2.lr()), (0.02, 0.05));
    assert_eq!(sgd2.settings(), sgd.settings());
    assert_eq!(adam2.settings(), adam.settings());
    assert_eq!(
        sgd_state.settings(),
        &OptimiserSettings::Sgd(sgd.settings().clone())
    );
    for _ in 0..3 {
        let found = gradients(&model);
        sgd.step(&mut model, &found).unwrap();
        let found = gradients(&model);
        adam.step(&mut model, &found).unwrap();
        let found = gradients(&copy);
        sgd2.step(&mut copy, &found).unwrap();
        let found = gradients(&copy);
        adam2.step(&mut copy, &found).unwrap();
    }
    for path in model.parameter_paths() {
        let (a, b) = (model.parameter(&path).unwrap(), copy.parameter(&path).unwrap());
        assert_eq!(bits(a.original()), bits(b.original()), "{path}");
    }
}

#[test]
fn the_state_of_another_optimiser_is_refused() {
    let model = Linear::new(3, 2, &mut rng(0)).unwrap();
    let (mut sgd, mut adam) = (Sgd::new(0.1).unwrap(), Adam::new(0.2).unwrap());
    let error = adam.load_state(&model, sgd.state(&model)).unwrap_err();
    assert!(
        matches!(error, Error::Nn(NnError::OtherOptimiser { .. })),
        "{error:?}"
    );
    assert_eq!(
        error.to_string(),
        "the state is that of Sgd; load it into Sgd, not into Adam"
    );
    assert!(sgd.load_state(&model, adam.state(&model)).is_err());
    assert_eq!((sgd.lr(), adam.lr()), (0.1, 0.2));
}

#[test]
fn settings_that_were_tampered_with_are_refused() {
    let model = Linear::new(3, 2, &mut rng(0)).unwrap();
    let state: Value = serde_json::to_value(Sgd::new(0.1).unwrap().state(&model)).unwrap();
    for (setting, value) in [
        ("lr", json!(-1.0)),
        ("momentum", json!(-0.5)),
        ("nesterov", json!(true)),
    ] {
        let mut state = state.clone();
        state["settings"]["Sgd"][setting] = value;
        let mut sgd = Sgd::new(0.3).unwrap();
        let error = sgd
            .load_state(&model, serde_json::from_value(state).unwrap())
            .unwrap_err();
        assert!(
            matches!(error, Error::Nn(NnError::InvalidSetting { setting: s, .. }) if s == setting),
            "{error:?}"
        );
        assert_eq!(sgd.lr(), 0.3);
    }
    let mut state: Value = serde_json::to_value(Adam::new(0.1).unwrap().state(&model)).unwrap();
    state["settings"]["Adam"]["betas"] = json!([0.9, 1.0]);
    let mut adam = Adam::new(0.3).unwrap();
    assert!(
        adam.load_state(&model, serde_json::from_value(state).unwrap())
            .is_err()
    );
}

#[test]
fn states_and_optimisers_are_clone_and_debug() {
    let mut model = Linear::new(3, 2, &mut rng(0)).unwrap();
    let mut adam = Adam::new(0.1).unwrap();
    let found = gradients(&model);
    adam.step(&mut model, &found).unwrap();
    let state = adam.state(&model);
    assert_eq!(format!("{:?}", state.clone()), format!("{state:?}"));
    assert!(
        format!("{state:?}").contains(r#""weight": {"exp_avg": [2, 3]"#),
        "{state:?}"
    );
    assert!(format!("{adam:?}").contains("betas: (0.9, 0.999)"));
    assert_eq!(format!("{:?}", adam.clone()), format!("{adam:?}"));
}

/// One store that two children lead to: tied weights.
struct Tied(Shared);

struct Shared(ParamStore);

secateurs::param_tree!(Shared { store: 0 });

impl ParamTree for Tied {
    fn child_names(&self) -> Vec<String> {
        vec!["encoder".into(), "decoder".into()]
    }

    fn child(&self, name: &str) -> Option<&dyn ParamTree> {
        ["encoder", "decoder"].contains(&name).then_some(&self.0 as _)
    }

    fn child_mut(&mut self, name: &str) -> Option<&mut dyn ParamTree> {
        ["encoder", "decoder"].contains(&name).then_some(&mut self.0 as _)
    }
}

#[test]
fn tied_weights_are_updated_once() {
    let mut store = ParamStore::new();
    store.insert_parameter("weight", array![1.0, 2.0]).unwrap();
    let mut model = Tied(Shared(store));
    let weight = model.parameter("encoder.weight").unwrap().tensor();
    let gradients = weight.sum().backward().unwrap();
    Sgd::new(0.5).unwrap().step(&mut model, &gradients).unwrap();
    assert_eq!(
        model.parameter("decoder.weight").unwrap().original(),
        array![0.5, 1.5].into_dyn()
    );
}
