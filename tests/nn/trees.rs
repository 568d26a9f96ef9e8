//! Trees out of options, vectors, tuples and structs of every form; trees that contradict themselves.

use ndarray::{Array1, ArrayD, array};
use secateurs::error::ModelError;
use secateurs::mask::L1Unstructured;
use secateurs::nn::optim::{Adam, Sgd};
use secateurs::nn::{Linear, ParamStore, ParamTree, ParamTreeExt, load_state_dict, state_dict};
use secateurs::prune;
use secateurs::{Error, Result};

use crate::fixtures::{rng, snapshot};

fn linear(seed: u64) -> Linear {
    Linear::without_bias(2, 2, &mut rng(seed)).unwrap()
}

#[test]
fn vectors_options_and_tuples_are_trees() {
    let mut layers = vec![linear(0), linear(1)];
    assert_eq!(layers.parameter_paths(), ["0.weight", "1.weight"]);
    prune::l1_unstructured(&mut layers, "1.weight", 2).unwrap();
    assert!(layers[1].parameter("weight").unwrap().is_pruned());
    for wrong in ["2.weight", "01.weight", "+1.weight", "-0.weight", ".weight"] {
        assert!(layers.parameter(wrong).is_err(), "{wrong}");
    }

    let mut some = Some(linear(2));
    assert_eq!(some.parameter_paths(), ["weight"]);
    prune::l1_unstructured(&mut some, "weight", 1).unwrap();
    let none: Option<Linear> = None;
    assert!(none.parameter_paths().is_empty());

    let mut tuple = (
        linear(3),
        vec![linear(4)],
        None::<Linear>,
        Some(Box::new(linear(5))),
    );
    assert_eq!(tuple.parameter_paths(), ["0.weight", "1.0.weight", "3.weight"]);
    let paths = tuple.parameter_paths();
    prune::global_unstructured(&mut tuple, paths, L1Unstructured::new(0.5).unwrap()).unwrap();
    let state = state_dict(&tuple);
    let mut other = (
        linear(6),
        vec![linear(7)],
        None::<Linear>,
        Some(Box::new(linear(8))),
    );
    load_state_dict(&mut other, &state).unwrap();
    assert_eq!(
        other.1[0].parameter("weight").unwrap().mask(),
        tuple.1[0].parameter("weight").unwrap().mask()
    );
}

struct Pair(Linear, ParamStore, Linear);

secateurs::param_tree!(Pair {
    store: 1,
    children: [0, 2]
});

struct Scale(ParamStore);

secateurs::param_tree!(Scale { store: 0 });

struct Stack<T, const N: usize> {
    own: ParamStore,
    first: T,
    rest: Vec<T>,
}

secateurs::param_tree!(for[T: ParamTree, const N: usize] Stack<T, N> { store: own, children: [first, rest] });

struct Only<T> {
    inner: Option<T>,
}

secateurs::param_tree!(for[T: ParamTree] Only<T> { children: [inner] });

struct Wrapper<'a, T>(&'a mut T);

secateurs::param_tree!(for['a, T: ParamTree] Wrapper<'a, T> { children: [0] });

#[test]
fn the_macro_takes_tuple_structs_and_generic_ones() {
    let mut own = ParamStore::new();
    own.insert_parameter("gain", array![1.0, 2.0]).unwrap();
    let mut pair = Pair(linear(0), own.clone(), linear(1));
    assert_eq!(pair.parameter_paths(), ["gain", "0.weight", "2.weight"]);
    prune::l1_unstructured(&mut pair, "2.weight", 1).unwrap();
    prune::l1_unstructured(&mut pair, "gain", 1).unwrap();

    let mut scale = Scale(own.clone());
    prune::l1_unstructured(&mut scale, "gain", 1).unwrap();

    let mut stack = Stack::<_, 3> {
        own,
        first: linear(2),
        rest: vec![linear(3)],
    };
    assert_eq!(stack.parameter_paths(), ["gain", "first.weight", "rest.0.weight"]);
    prune::l1_unstructured(&mut stack, "rest.0.weight", 1).unwrap();

    let mut only = Only { inner: Some(stack) };
    assert_eq!(only.parameter_paths()[2], "inner.rest.0.weight");
    let mut wrapper = Wrapper(&mut only);
    prune::remove(&mut wrapper, "0.inner.rest.0.weight").unwrap();
    assert!(!prune::is_pruned(&only));
}

/// A tree that can be made to contradict itself in one way.
struct Odd {
    way: Way,
    own: ParamStore,
    spare: ParamStore,
    inner: Linear,
    last: Linear,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Not,
    NoChildMut,
    OtherChildMut,
    NoStoreMut,
    OtherStoreMut,
    ListedOnly,
    Cycle,
}

const WAYS: [(Way, &str); 6] = [
    (Way::NoChildMut, "`child` returns it, but `child_mut` does not"),
    (
        Way::OtherChildMut,
        "`store` and `store_mut` return different stores",
    ),
    (
        Way::NoStoreMut,
        "`store` returns a store, but `store_mut` does not",
    ),
    (
        Way::OtherStoreMut,
        "`store` and `store_mut` return different stores",
    ),
    (
        Way::ListedOnly,
        "`child_names` lists it, but `child` does not return it",
    ),
    (Way::Cycle, "a child must not lead back to its parent"),
];

impl Odd {
    fn new(way: Way) -> Self {
        let store = || {
            let mut store = ParamStore::new();
            store.insert_parameter("gain", Array1::ones(2)).unwrap();
            store
        };
        Odd {
            way,
            own: store(),
            spare: store(),
            inner: linear(0),
            last: linear(1),
        }
    }
}

impl ParamTree for Odd {
    fn store(&self) -> Option<&ParamStore> {
        Some(&self.own)
    }

    fn store_mut(&mut self) -> Option<&mut ParamStore> {
        match self.way {
            Way::NoStoreMut => None,
            Way::OtherStoreMut => Some(&mut self.spare),
            _ => Some(&mut self.own),
        }
    }

    fn child_names(&self) -> Vec<String> {
        let ghost = (self.way == Way::ListedOnly).then_some("ghost");
        let me = (self.way == Way::Cycle).then_some("me");
        ["inner"]
            .into_iter()
            .chain(ghost)
            .chain(me)
            .chain(["last"])
            .map(str::to_owned)
            .collect()
    }

    fn child(&self, name: &str) -> Option<&dyn ParamTree> {
        match name {
            "inner" => Some(&self.inner),
            "last" => Some(&self.last),
            "me" if self.way == Way::Cycle => Some(self),
            _ => None,
        }
    }

    fn child_mut(&mut self, name: &str) -> Option<&mut dyn ParamTree> {
        match (name, self.way) {
            ("last", Way::NoChildMut) => None,
            ("last", Way::OtherChildMut) => Some(&mut self.inner),
            ("inner", _) => Some(&mut self.inner),
            ("last", _) => Some(&mut self.last),
            ("me", Way::Cycle) => Some(self),
            _ => None,
        }
    }
}

#[track_caller]
fn inconsistent<T: std::fmt::Debug>(result: Result<T>, reason: &str) {
    let error = result.unwrap_err();
    assert!(
        matches!(&error, Error::Model(ModelError::Inconsistent { .. })),
        "{error:?}"
    );
    let message = error.to_string();
    assert!(message.contains(reason), "{message}");
    assert!(message.len() < 300, "{message}");
}

#[test]
fn a_tree_that_contradicts_itself_is_not_changed() {
    let right = Odd::new(Way::Not);
    let state = state_dict(&right);
    for (way, reason) in WAYS {
        let mut tree = Odd::new(way);
        let parts = |tree: &Odd| {
            (
                snapshot(&tree.inner),
                snapshot(&tree.last),
                bits_of(&tree.own),
                bits_of(&tree.spare),
            )
        };
        let before = parts(&tree);
        inconsistent(load_state_dict(&mut tree, &state), reason);

        let loss = |tree: &Odd| {
            let input = secateurs::tensor::Tensor::new(ArrayD::ones(vec![1, 2]));
            let inner = secateurs::nn::Module::forward(&tree.inner, &input).unwrap();
            let last = secateurs::nn::Module::forward(&tree.last, &inner).unwrap();
            last.mul(&tree.own.tensor("gain").unwrap()).unwrap().sum()
        };
        let gradients = loss(&tree).backward().unwrap();
        inconsistent(Sgd::new(0.1).unwrap().step(&mut tree, &gradients), reason);
        inconsistent(Adam::new(0.1).unwrap().step(&mut tree, &gradients), reason);
        assert_eq!(parts(&tree), before, "{way:?}");

        // Reading functions terminate.
        assert!(tree.named_parameters().len() >= 2);
        assert!(tree.named_modules().len() >= 2);
        assert!(!state_dict(&tree).is_empty());
        assert!(tree.parameter("inner.weight").is_ok());
        assert!(tree.parameter(&"me.".repeat(100_000)).is_err());
    }
    let mut tree = right;
    load_state_dict(&mut tree, &state).unwrap();
}

fn bits_of(store: &ParamStore) -> Vec<u32> {
    store
        .parameters()
        .flat_map(|(_, p)| crate::fixtures::bits(p.original()))
        .collect()
}
