//! State dicts, loaded strictly and in part, into models of any size.

use ndarray::{Array1, ArrayD, IxDyn, array};
use secateurs::Error;
use secateurs::error::{MaskError, NnError};
use secateurs::nn::{
    self, Group, Linear, ParamStore, ParamTree, ParamTreeExt, Sequential, StateDict, load_state_dict,
    load_state_dict_partial,
};
use secateurs::prune;

use crate::fixtures::{bits, refused, rng, snapshot};

struct Own(ParamStore);

secateurs::param_tree!(Own { store: 0 });

fn model() -> Sequential {
    let mut rng = rng(3);
    Sequential::new()
        .push(Linear::new(3, 4, &mut rng).unwrap())
        .push(Linear::new(4, 2, &mut rng).unwrap())
}

#[test]
fn a_partial_load_loads_what_matches() {
    let (mut model, source) = (model(), model_of_ones());
    prune::l1_unstructured(&mut model, "1.weight", 3).unwrap();
    let mask = prune::mask(&model, "1.weight")
        .unwrap()
        .map(|mask| mask.to_bool());
    let kept = bits(model.parameter("0.weight").unwrap().original());
    let mut state = nn::state_dict(&source);
    state.remove("0.weight");
    state.insert("2.bias", array![1.0].into_dyn());
    let unmatched = load_state_dict_partial(&mut model, &state).unwrap();
    assert_eq!(unmatched.missing, ["0.weight"]);
    assert_eq!(unmatched.unexpected, ["2.bias"]);
    assert!(!unmatched.is_empty());
    assert_eq!(bits(model.parameter("0.weight").unwrap().original()), kept);
    assert_eq!(
        model.parameter("1.weight").unwrap().original(),
        ArrayD::<f32>::ones(IxDyn(&[2, 4]))
    );
    assert_eq!(
        prune::mask(&model, "1.weight")
            .unwrap()
            .map(|mask| mask.to_bool()),
        mask
    );
    // All of it, with no unmatched keys.
    let unmatched = load_state_dict_partial(&mut model, &nn::state_dict(&source)).unwrap();
    assert!(unmatched.is_empty());
}

fn model_of_ones() -> Sequential {
    let mut model = model();
    for path in model.parameter_paths() {
        model.parameter_mut(&path).unwrap().original_mut().fill(1.0);
    }
    model
}

#[test]
fn a_partial_load_ignores_half_a_pair() {
    let mut source = model_of_ones();
    prune::l1_unstructured(&mut source, "0.weight", 3).unwrap();
    for (gone, half) in [
        ("0.weight_mask", "0.weight_orig"),
        ("0.weight_orig", "0.weight_mask"),
    ] {
        let mut state = nn::state_dict(&source);
        state.remove(gone);
        assert!(state.get(half).is_some());
        let mut model = model();
        let before = snapshot(&model).parameters[0].clone();
        let unmatched = load_state_dict_partial(&mut model, &state).unwrap();
        assert_eq!(unmatched.missing, [gone]);
        assert_eq!(snapshot(&model).parameters[0], before);
        assert_eq!(
            model.parameter("1.bias").unwrap().original(),
            array![1.0, 1.0].into_dyn()
        );
    }
}

#[test]
fn a_partial_load_refuses_other_shapes() {
    let mut model = model();
    let mut state = nn::state_dict(&model_of_ones());
    state.remove("1.weight");
    state.insert("0.bias", array![1.0].into_dyn());
    let error = refused(&mut model, |m| load_state_dict_partial(m, &state));
    let Error::Parameter { path, error } = error else {
        panic!("{error:?}")
    };
    assert_eq!(path, "0.bias");
    assert!(matches!(*error, Error::Mask(MaskError::ShapeMismatch { .. })));
    // A strict load reports unmatched keys first.
    let error = refused(&mut model, |m| load_state_dict(m, &state));
    assert!(matches!(error, Error::Nn(NnError::StateKeys { .. })), "{error:?}");
}

#[test]
fn a_message_names_a_few_keys_of_many() {
    let mut state = StateDict::new();
    for number in 0..10_000 {
        state.insert(format!("layer.{number}"), array![0.0].into_dyn());
    }
    let error = load_state_dict(&mut Own(ParamStore::new()), &state).unwrap_err();
    let message = error.to_string();
    assert!(message.contains("`layer.0`, `layer.1`"), "{message}");
    assert!(message.contains("and 9992 more"), "{message}");
    assert!(message.len() < 500, "{message}");
}

/// With a look-up that is linear in any of its steps this takes minutes.
#[test]
fn many_parameters_load_in_seconds() {
    const MANY: usize = 80_000;
    let leaf = |number: usize| {
        let mut store = ParamStore::new();
        store
            .insert_parameter("weight", Array1::from_elem(1, number as f32))
            .unwrap();
        Own(store)
    };
    // One store of many parameters, and a tree of many modules.
    let mut store = ParamStore::new();
    for number in 0..MANY {
        store
            .insert_parameter(&format!("p{number}"), Array1::from_elem(1, number as f32))
            .unwrap();
    }
    let mut flat = Own(store);
    let mut tree: Vec<Own> = (0..MANY).map(leaf).collect();
    let mut separate: Vec<Own> = (0..MANY).map(leaf).collect();
    let mut group = separate
        .iter_mut()
        .enumerate()
        .fold(Group::new(), |group, (number, module)| {
            group.with(&number.to_string(), module).unwrap()
        });
    fn there_and_back(model: &mut dyn ParamTree) {
        let mut state = nn::state_dict(model);
        assert_eq!(state.len(), MANY);
        load_state_dict(model, &state).unwrap();
        let last = model.parameter_paths().pop().unwrap();
        let path = model.parameter_paths().swap_remove(1);
        assert_eq!(model.parameter(&path).unwrap().original()[[0]], 1.0);
        state.insert(path.clone(), array![-1.0].into_dyn());
        load_state_dict(model, &state).unwrap();
        assert_eq!(model.parameter(&path).unwrap().original()[[0]], -1.0);
        // Found by path, each of them.
        for path in model.parameter_paths() {
            model.parameter(&path).unwrap();
        }
        // Unmatched keys are found as fast.
        state.remove(&last);
        state.insert("ghost", array![0.0].into_dyn());
        let error = load_state_dict(model, &state).unwrap_err();
        let Error::Nn(NnError::StateKeys { missing, unexpected }) = error else {
            panic!("{error:?}")
        };
        assert_eq!((missing, unexpected), (vec![last], vec!["ghost".to_owned()]));
    }
    there_and_back(&mut flat);
    there_and_back(&mut tree);
    there_and_back(&mut group);
}

#[test]
fn named_parameters_are_found_by_their_names() {
    let mut model = model();
    prune::l1_unstructured(&mut model, "1.weight", 3).unwrap();
    let named: Vec<_> = model
        .named_parameters()
        .into_iter()
        .map(|(name, p)| (name, p.id()))
        .collect();
    assert!(named.iter().any(|(name, _)| name == "1.weight_orig"));
    for (name, id) in named {
        assert_eq!(model.parameter(&name).unwrap().id(), id);
        assert_eq!(model.parameter_mut(&name).unwrap().id(), id);
    }
    // An unpruned parameter has no `weight_orig`.
    assert!(model.parameter("0.weight_orig").is_err());
    assert!(model.parameter("1.weight_mask").is_err());
}
