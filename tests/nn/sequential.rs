//! Children of a `Sequential` can be inserted, replaced and removed.

use secateurs::Error;
use secateurs::error::NnError;
use secateurs::nn::{Flatten, Linear, Module, ParamTreeExt, Relu, Sequential, Sigmoid, Tanh};

use crate::fixtures::{by_json, rng};

fn names(model: &Sequential) -> Vec<&str> {
    model.iter().map(|(name, _)| name).collect()
}

fn types(model: &Sequential) -> Vec<String> {
    let text = |module: &dyn Module| {
        format!("{module:?}")
            .split(' ')
            .next()
            .unwrap()
            .replace("secateurs::", "")
    };
    model.iter().map(|(_, module)| text(module)).collect()
}

fn model() -> Sequential {
    Sequential::new()
        .push(Relu::new())
        .push(Sigmoid::new())
        .push_named("head", Linear::new(3, 2, &mut rng(0)).unwrap())
        .unwrap()
        .push(Tanh::new())
}

#[test]
fn a_child_inserted_moves_those_after_it() {
    let mut model = model();
    assert_eq!(names(&model), ["0", "1", "head", "3"]);
    let id = model.parameter("head.weight").unwrap().id();
    model.insert(1, Flatten::new()).unwrap();
    assert_eq!(names(&model), ["0", "1", "2", "head", "4"]);
    assert_eq!(types(&model), ["Relu", "Flatten", "Sigmoid", "Linear", "Tanh"]);
    model.insert_named(0, "first", Tanh::new()).unwrap();
    assert_eq!(names(&model), ["first", "1", "2", "3", "head", "5"]);
    model.insert(6, Relu::new()).unwrap();
    assert_eq!(names(&model), ["first", "1", "2", "3", "head", "5", "6"]);
    // A module that moves stays what it is.
    assert_eq!(model.parameter("head.weight").unwrap().id(), id);
    assert_eq!(names(&by_json::<_, Sequential>(&model)), names(&model));
}

#[test]
fn a_child_removed_comes_back() {
    let mut model = model();
    let removed = model.remove("0").unwrap();
    assert!(removed.downcast_ref::<Relu>().is_some());
    assert_eq!(names(&model), ["0", "head", "2"]);
    assert_eq!(types(&model), ["Sigmoid", "Linear", "Tanh"]);
    assert!(model.remove("head").unwrap().downcast_ref::<Linear>().is_some());
    assert_eq!(names(&model), ["0", "1"]);
}

#[test]
fn a_child_replaced_keeps_its_name_and_place() {
    let mut model = model();
    let old = model.replace("head", Relu::new()).unwrap();
    assert!(old.downcast_ref::<Linear>().is_some());
    assert_eq!(names(&model), ["0", "1", "head", "3"]);
    assert_eq!(types(&model), ["Relu", "Sigmoid", "Relu", "Tanh"]);
}

#[test]
fn a_number_that_is_a_name_is_not_given_twice() {
    let mut model = Sequential::new()
        .push(Relu::new())
        .push_named("2", Sigmoid::new())
        .unwrap()
        .push(Tanh::new());
    assert_eq!(names(&model), ["0", "2", "3"]);
    model.insert(0, Flatten::new()).unwrap();
    assert_eq!(types(&model), ["Flatten", "Relu", "Sigmoid", "Tanh"]);
    let mut unique = names(&model);
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), 4);
}

#[test]
fn failed_changes_change_nothing() {
    let mut model = model();
    let error = model.remove("haed").map(drop).unwrap_err();
    assert!(
        matches!(&error, Error::Nn(NnError::UnknownChild { name, .. }) if name == "haed"),
        "{error:?}"
    );
    assert_eq!(
        error.to_string(),
        "there is no child `haed`; the nearest are `head`, `0`, `1`"
    );
    assert!(matches!(
        model.replace("7", Relu::new()).map(drop),
        Err(Error::Nn(NnError::UnknownChild { .. }))
    ));
    let error = model.insert(5, Relu::new()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Sequential: index = 5: it must be at most the number of children"
    );
    for name in ["", "a.b", "head"] {
        let error = model.insert_named(0, name, Relu::new()).unwrap_err();
        assert!(
            matches!(error, Error::Nn(NnError::InvalidName { .. })),
            "{error:?}"
        );
    }
    assert_eq!(names(&model), ["0", "1", "head", "3"]);
    assert_eq!(types(&model), ["Relu", "Sigmoid", "Linear", "Tanh"]);
}
