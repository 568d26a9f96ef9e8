//! A clone has the values, masks and history of the original, and an identity of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ndarray::{Array2, array};
use secateurs::nn::{
    self, BoxedModule, Linear, Lstm, LstmConfig, Module, ParamTree, ParamTreeExt, Relu, Sequential,
};
use secateurs::prune;
use secateurs::tensor::Tensor;

use crate::fixtures::{bits, portrait, rng, snapshot};

fn model() -> Sequential {
    let mut rng = rng(1);
    let inner = Sequential::new()
        .push(Linear::new(4, 3, &mut rng).unwrap())
        .push(Relu::new());
    let mut model = Sequential::new()
        .push(Linear::new(5, 4, &mut rng).unwrap())
        .push(inner);
    prune::l1_unstructured(&mut model, "0.weight", 0.5).unwrap();
    prune::random_unstructured(&mut model, "0.weight", 3, &mut rng).unwrap();
    prune::ln_structured(&mut model, "1.0.weight", 1, 2, 0).unwrap();
    model
}

#[test]
fn a_clone_looks_like_the_original() {
    let model = model();
    let clone = model.clone();
    assert_eq!(portrait(&clone), portrait(&model));
    for (a, b) in model.named_parameters().iter().zip(clone.named_parameters()) {
        assert_ne!(a.1.id(), b.1.id(), "{}", a.0);
    }
    let boxed: Box<dyn Module> = Box::new(model.clone());
    assert_eq!(portrait(&boxed.clone()), portrait(&model));
    assert_eq!(portrait(&BoxedModule::from(boxed)), portrait(&model));
}

#[test]
fn neither_changes_the_other() {
    let mut model = model();
    let mut clone = model.clone();
    let before = snapshot(&model);
    clone.parameter_mut("0.weight").unwrap().original_mut().fill(7.0);
    prune::remove(&mut clone, "1.0.weight").unwrap();
    prune::l1_unstructured(&mut clone, "0.bias", 2).unwrap();
    assert_eq!(snapshot(&model), before);
    let before = snapshot(&clone);
    model.parameter_mut("0.weight").unwrap().original_mut().fill(3.0);
    prune::discard(&mut model, "0.weight").unwrap();
    assert_eq!(snapshot(&clone), before);
}

#[test]
fn both_compute_the_same_and_only_one_has_hooks() {
    let mut model = model();
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    model.store_mut().unwrap().register_forward_hook(move |_, _| {
        counted.fetch_add(1, Ordering::SeqCst);
    });
    let clone = model.clone();
    let input = Tensor::new(Array2::ones((2, 5)));
    let (a, b) = (model.forward(&input).unwrap(), clone.forward(&input).unwrap());
    assert_eq!(bits(a.value()), bits(b.value()));
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    // The gradients of the clone are those of its own parameters.
    let gradients = b.square().sum().backward().unwrap();
    assert!(gradients.get(clone.parameter("0.weight").unwrap().id()).is_some());
    assert!(gradients.get(model.parameter("0.weight").unwrap().id()).is_none());
}

#[test]
fn buffers_are_cloned_too() {
    let mut store = nn::ParamStore::new();
    store.insert_buffer("seen", array![1.0]).unwrap();
    let clone = store.clone();
    store.set_buffer("seen", array![2.0].into_dyn()).unwrap();
    assert_eq!(clone.buffer("seen").unwrap()[[0]], 1.0);
}

#[test]
fn layers_and_states_are_clone_and_debug() {
    fn both<T: Clone + std::fmt::Debug>(value: &T) -> String {
        let text = format!("{value:?}");
        assert_eq!(format!("{:?}", value.clone()), text);
        text
    }
    let lstm = Lstm::new(LstmConfig::new(3, 2), &mut rng(0)).unwrap();
    assert!(both(&lstm).contains("parameter [8, 3]"));
    let model = model();
    let text = both(&model);
    assert!(text.contains("pruned parameter [4, 5]"), "{text}");
    assert!(both(&nn::state_dict(&model)).contains("0.weight_orig"));
    let text = format!("{:?}", model.parameter("0.weight").unwrap().clone());
    assert!(text.contains("Parameter") && text.contains("ParamId"), "{text}");
    both(model.store().unwrap());
}
