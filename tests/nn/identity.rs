//! S13: parameters keep their ids and their order when they are pruned, removed, discarded or given new masks.

use proptest::prelude::*;
use secateurs::mask::L1Unstructured;
use secateurs::nn::{Conv1d, ConvConfig, Linear, Lstm, LstmConfig, ParamTreeExt, Relu, Sequential};
use secateurs::prune;
use secateurs::tensor::ParamId;

use crate::fixtures::{buffer_names, parameter_names, rng};

#[derive(Clone, Debug)]
enum Step {
    L1(usize, f64),
    Random(usize, f64),
    Rows(usize),
    Identity(usize),
    SetMask(usize, bool),
    Global(f64),
    Remove(usize),
    Discard(usize),
    RemoveAll,
    SaveAndLoad,
}

fn step() -> impl Strategy<Value = Step> {
    let which = 0..11usize;
    prop_oneof![
        (which.clone(), 0.0..1.0).prop_map(|(p, amount)| Step::L1(p, amount)),
        (which.clone(), 0.0..1.0).prop_map(|(p, amount)| Step::Random(p, amount)),
        which.clone().prop_map(Step::Rows),
        which.clone().prop_map(Step::Identity),
        (which.clone(), any::<bool>()).prop_map(|(p, kept)| Step::SetMask(p, kept)),
        (0.0..1.0).prop_map(Step::Global),
        which.clone().prop_map(Step::Remove),
        which.prop_map(Step::Discard),
        Just(Step::RemoveAll),
        Just(Step::SaveAndLoad),
    ]
}

fn model() -> Sequential {
    let mut rng = rng(0);
    Sequential::new()
        .push(Conv1d::new(ConvConfig::new(2, 3, 2), &mut rng).unwrap())
        .push(Relu::new())
        .push(Lstm::new(LstmConfig::new(3, 2).layers(1), &mut rng).unwrap())
        .push_named(
            "head",
            Sequential::new().push(Linear::new(2, 3, &mut rng).unwrap()),
        )
        .unwrap()
        .push(Linear::without_bias(3, 3, &mut rng).unwrap())
        .push(Linear::new(3, 1, &mut rng).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) })]

    #[test]
    fn ids_and_order_never_change(steps in proptest::collection::vec(step(), 1..20), seed: u64) {
        let (mut model, mut rng) = (model(), rng(seed));
        let paths = model.parameter_paths();
        prop_assert_eq!(paths.len(), 11);
        let ids: Vec<ParamId> = paths.iter().map(|path| model.parameter(path).unwrap().id()).collect();
        // What is pruned, as the test itself keeps track of it.
        let mut pruned = vec![false; paths.len()];
        for step in steps {
            match step {
                Step::L1(p, amount) => {
                    prune::l1_unstructured(&mut model, &paths[p], amount).unwrap();
                    pruned[p] = true;
                }
                Step::Random(p, amount) => {
                    prune::random_unstructured(&mut model, &paths[p], amount, &mut rng).unwrap();
                    pruned[p] = true;
                }
                Step::Rows(p) => {
                    let done = prune::ln_structured(&mut model, &paths[p], 0.5, 2, 0);
                    let matrix = model.parameter(&paths[p]).unwrap().shape().len() >= 2;
                    prop_assert_eq!(done.is_ok(), matrix);
                    pruned[p] |= matrix;
                }
                Step::Identity(p) => {
                    prune::identity(&mut model, &paths[p]).unwrap();
                    pruned[p] = true;
                }
                Step::SetMask(p, kept) => {
                    let shape = model.parameter(&paths[p]).unwrap().shape().to_vec();
                    prune::set_mask(&mut model, &paths[p], ndarray::ArrayD::from_elem(shape, kept)).unwrap();
                    pruned[p] = true;
                }
                Step::Global(amount) => {
                    let method = L1Unstructured::new(amount).unwrap();
                    prune::global_unstructured(&mut model, &paths, method).unwrap();
                    pruned = paths.iter().map(|path| model.parameter(path).unwrap().is_pruned()).collect();
                }
                Step::Remove(p) => {
                    prop_assert_eq!(prune::remove(&mut model, &paths[p]).is_ok(), pruned[p]);
                    pruned[p] = false;
                }
                Step::Discard(p) => {
                    prop_assert_eq!(prune::discard(&mut model, &paths[p]).is_ok(), pruned[p]);
                    pruned[p] = false;
                }
                Step::RemoveAll => {
                    let _ = prune::remove_all(&mut model);
                    pruned.fill(false);
                }
                Step::SaveAndLoad => {
                    let state = secateurs::nn::state_dict(&model);
                    secateurs::nn::load_state_dict(&mut model, &state).unwrap();
                }
            }
            prop_assert_eq!(model.parameter_paths(), paths.clone());
            let now: Vec<ParamId> = paths.iter().map(|path| model.parameter(path).unwrap().id()).collect();
            prop_assert_eq!(&now, &ids);
            let in_order: Vec<ParamId> = model.named_parameters().iter().map(|(_, p)| p.id()).collect();
            prop_assert_eq!(&in_order, &ids);
            let seen: Vec<String> = paths.iter().zip(&pruned)
                .map(|(path, pruned)| format!("{path}{}", if *pruned { "_orig" } else { "" }))
                .collect();
            prop_assert_eq!(parameter_names(&model), seen);
            let masks: Vec<String> = paths.iter().zip(&pruned)
                .filter(|(_, pruned)| **pruned)
                .map(|(path, _)| format!("{path}_mask"))
                .collect();
            prop_assert_eq!(buffer_names(&model), masks);
        }
    }
}
