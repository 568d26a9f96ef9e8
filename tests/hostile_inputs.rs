//! Models, files and settings that no careful user would write: each gives an error, or works, and nothing panics,
//! hangs or takes memory without end.

#![allow(clippy::type_complexity)] // lists of wrong calls are lists of closures

mod fixtures;

use fixtures::{by_bincode, from_bincode, parameter_names, portrait, refused, rng, snapshot, to_bincode};
use ndarray::{Array1, Array2, ArrayD, ArrayViewD, IxDyn, array};
use rand::RngExt;
use secateurs::error::{ListError, ModelError};
use secateurs::mask::{
    self, Amount, BlockRank, BlockStructured, Identity, L1Unstructured, LnStructured, Mask, NmStructured,
    PruningContainer, PruningMethod, PruningType, RandomStructured, RandomUnstructured,
};
use secateurs::nn::optim::{Adam, Sgd};
use secateurs::nn::{
    BoxedModule, Conv2d, ConvConfig, Linear, Lstm, LstmConfig, Module, ParamStore, ParamTree, ParamTreeExt,
    Sequential, StateDict, load_state_dict, load_state_dict_partial, state_dict,
};
use secateurs::prunable::{Prunable, Pruning};
use secateurs::tensor::Tensor;
use secateurs::{ArrayModel, Error, Result, prune};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

// ---- modules in modules ----

/// A module of a user's own around any other.
#[derive(Clone, Serialize, Deserialize)]
struct Wrap {
    inner: BoxedModule,
}

secateurs::param_tree!(Wrap { children: [inner] });

#[typetag::serde]
impl Module for Wrap {
    fn compute(&self, input: &Tensor) -> Result<Tensor> {
        self.inner.forward(input)
    }
}

/// So many boxed modules, one in another, the innermost pruned twice.
fn nested(levels: usize) -> BoxedModule {
    let mut linear = Linear::new(2, 2, &mut rng(1)).unwrap();
    prune::l1_unstructured(&mut linear, "weight", 1).unwrap();
    prune::random_unstructured(&mut linear, "weight", 1, &mut rng(2)).unwrap();
    (1..levels).fold(BoxedModule::new(linear), |inner, level| match level % 2 {
        0 => BoxedModule::new(Wrap { inner }),
        _ => BoxedModule::new(Sequential::new().push_boxed(inner.into_inner())),
    })
}

#[test]
fn what_nests_too_deeply_is_refused_on_saving_and_all_else_loads() {
    for levels in [1, 2, 15, 16] {
        let module = nested(levels);
        let loaded: BoxedModule = by_bincode(&module);
        assert_eq!(parameter_names(&loaded), parameter_names(&module));
        let text = serde_json::to_string(&module).unwrap();
        let loaded: BoxedModule = serde_json::from_str(&text).unwrap();
        assert_eq!(parameter_names(&loaded), parameter_names(&module));
    }
    for levels in [17, 30, 200] {
        let module = nested(levels);
        let binary = bincode::serde::encode_to_vec(&module, bincode::config::standard());
        let text = serde_json::to_string(&module);
        for error in [binary.unwrap_err().to_string(), text.unwrap_err().to_string()] {
            assert!(
                error.contains("at most 16 levels") && error.len() < 1000,
                "{error}"
            );
        }
    }
}

/// A text that quotes itself at each level, or that takes a stack frame for a few bytes, is a file that kills.
#[test]
fn errors_of_damaged_nestings_are_short() {
    let (binary, text) = (to_bincode(&nested(16)), serde_json::to_vec(&nested(16)).unwrap());
    let mut rng = rng(3);
    for round in 0..1000 {
        let mut bytes = if round % 2 == 0 {
            binary.clone()
        } else {
            text.clone()
        };
        for _ in 0..rng.random_range(1..4) {
            let index = rng.random_range(0..bytes.len());
            bytes[index] = match rng.random_range(0..3) {
                0 => rng.random(),
                1 => bytes[index] ^ 1,
                _ => b"\\\"{}[]0\xff"[rng.random_range(0..8)],
            };
        }
        let error = match round % 2 {
            0 => from_limited::<BoxedModule>(&bytes)
                .err()
                .map(|error| error.to_string()),
            _ => serde_json::from_slice::<BoxedModule>(&bytes)
                .err()
                .map(|error| error.to_string()),
        };
        assert!(error.is_none_or(|error| error.len() < 100_000));
    }
    for name in ["x".repeat(1 << 20), "\\\"".repeat(1 << 18)] {
        let wrapped = (0..14).fold(
            serde_json::json!({ name: {} }),
            |inner, _| serde_json::json!({"Wrap": {"inner": inner}}),
        );
        let error = serde_json::from_value::<BoxedModule>(wrapped).err().unwrap();
        assert!(error.to_string().len() < 100_000);
    }
    let endless = "{\"Wrap\":{\"inner\":".repeat(100_000);
    let error = serde_json::from_str::<BoxedModule>(&endless).err().unwrap();
    assert!(error.to_string().len() < 100_000);
}

/// From bytes that are not trusted: bincode allocates what a length asks for, up to a limit.
fn from_limited<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, bincode::error::DecodeError> {
    let config = bincode::config::standard().with_limit::<{ 1 << 20 }>();
    bincode::serde::decode_from_slice(bytes, config).map(|(value, _)| value)
}

#[test]
fn lengths_that_are_false() {
    fn attack<T: Serialize + DeserializeOwned>(value: &T) {
        let bytes = to_bincode(value);
        assert!(from_limited::<T>(&bytes).is_ok());
        for index in 0..bytes.len() {
            for (tag, width) in [(253_u8, 8), (252, 4), (251, 2)] {
                for fill in [0xff_u8, 0x7f, 0x10] {
                    for skip in [0, 1] {
                        let number = std::iter::once(tag).chain(std::iter::repeat_n(fill, width));
                        let after = bytes[index + skip..].iter().copied();
                        let damaged: Vec<u8> = bytes[..index]
                            .iter()
                            .copied()
                            .chain(number)
                            .chain(after)
                            .collect();
                        let _ = from_limited::<T>(&damaged); // an error or a valid value
                    }
                }
            }
        }
    }
    let mut rng = rng(6);
    let mut model = Sequential::new()
        .push(Linear::new(3, 2, &mut rng).unwrap())
        .push(Lstm::new(LstmConfig::new(2, 1), &mut rng).unwrap())
        .push(Conv2d::new(ConvConfig::new(1, 2, 2), &mut rng).unwrap());
    prune::l1_unstructured(&mut model, "0.weight", 1).unwrap();
    for _ in 0..3 {
        let method = L1Unstructured::new(1).unwrap();
        prune::global_unstructured(&mut model, ["0.weight", "2.weight"], method).unwrap();
    }
    let pruning = model.view("0.weight").unwrap().pruning().unwrap().clone();
    let mut linear = Linear::new(3, 2, &mut rng).unwrap();
    let mut adam = Adam::new(0.1).unwrap();
    let output = linear.forward(&Tensor::new(Array2::ones((1, 3)))).unwrap();
    adam.step(&mut linear, &output.sum().backward().unwrap()).unwrap();
    attack(&model);
    attack(&state_dict(&model));
    attack(&adam.state(&linear));
    attack(pruning.container().unwrap());
    attack(&pruning);
    attack(&Mask::ones(&[3, 70]));
}

// ---- methods of one name ----

mod one {
    use super::*;

    #[derive(Debug, Clone, Serialize, Deserialize)]
    pub struct SameName(pub u8);
    #[typetag::serde]
    impl PruningMethod for SameName {
        fn pruning_type(&self) -> PruningType {
            PruningType::Unstructured
        }
        fn compute_mask(&self, s: ArrayViewD<'_, f32>, _: &Mask) -> Result<Mask> {
            Ok(Mask::from_fn(s, |x| *x > 0.0))
        }
    }
}
mod two {
    use super::*;

    #[derive(Debug, Clone, Serialize, Deserialize)]
    pub struct SameName(pub u8);
    #[typetag::serde]
    impl PruningMethod for SameName {
        fn pruning_type(&self) -> PruningType {
            PruningType::Unstructured
        }
        fn compute_mask(&self, s: ArrayViewD<'_, f32>, _: &Mask) -> Result<Mask> {
            Ok(Mask::from_fn(s, |x| *x < 0.0))
        }
    }
}

/// What saves must load: a name that two types share could be either.
#[test]
fn methods_of_one_name_are_refused_on_saving() {
    let saved = |methods: &[&dyn Fn() -> Box<dyn PruningMethod>]| {
        let mut linear = Linear::new(4, 4, &mut rng(1)).unwrap();
        for method in methods {
            prune::apply(&mut linear, "weight", method()).unwrap();
        }
        serde_json::to_string(&linear)
    };
    let own: &dyn Fn() -> Box<dyn PruningMethod> = &|| Box::new(one::SameName(1));
    let other: &dyn Fn() -> Box<dyn PruningMethod> = &|| Box::new(two::SameName(1));
    let l1: &dyn Fn() -> Box<dyn PruningMethod> = &|| Box::new(L1Unstructured::new(1).unwrap());
    assert!(saved(&[l1, l1]).is_ok());
    for methods in [&[own][..], &[other], &[l1, own], &[own, l1]] {
        let error = saved(methods).unwrap_err().to_string();
        assert!(
            error.contains("several types of methods are registered as `SameName`"),
            "{error}"
        );
    }
}

// ---- histories ----

/// A global call adds a few bytes to the history, whatever the size of the parameter, and one that prunes nothing
/// adds none.
#[test]
fn a_history_of_many_calls_is_small() {
    const ENTRIES: usize = 20_000;
    let mut rng = rng(1);
    let mut model = ArrayModel::new();
    let weights = Array1::from_shape_simple_fn(ENTRIES, || rng.random::<f32>());
    model.insert("w", weights).unwrap();
    for _ in 0..300 {
        prune::global_unstructured(&mut model, ["w"], L1Unstructured::new(10).unwrap()).unwrap();
    }
    let pruning = || to_bincode(model.view("w").unwrap().pruning().unwrap());
    let saved = pruning();
    assert!(
        saved.len() < ENTRIES / 8 * 5 / 4 + 300 * 5 + 300,
        "{} bytes",
        saved.len()
    );
    let loaded: Pruning = from_bincode(&saved).unwrap();
    assert_eq!(loaded.container().unwrap().len(), 300);
    assert_eq!(to_bincode(&loaded), saved);

    prune::global_unstructured(&mut model, ["w"], L1Unstructured::new(0).unwrap()).unwrap();
    prune::l1_unstructured(&mut model, "w", 0).unwrap();
    prune::custom_from_mask(&mut model, "w", Mask::ones(&[ENTRIES])).unwrap();
    prune::identity(&mut model, "w").unwrap();
    assert_eq!(to_bincode(model.view("w").unwrap().pruning().unwrap()), saved);
}

/// Records are joined only where they follow each other and are of one size.
#[test]
fn histories_keep_their_order() {
    let mut container = PruningContainer::new("w");
    let mut linear = Linear::new(4, 4, &mut rng(1)).unwrap();
    for round in 0..9 {
        if round % 4 == 2 {
            prune::l1_unstructured(&mut linear, "weight", 1).unwrap();
        } else {
            prune::global_unstructured(&mut linear, ["weight"], L1Unstructured::new(1).unwrap()).unwrap();
        }
    }
    let loaded: Linear = by_bincode(&linear);
    assert_eq!(portrait(&loaded), portrait(&linear));
    container.add("w", Identity).unwrap();
    assert_eq!(by_bincode::<_, PruningContainer>(&container).len(), 1);
}

// ---- trees ----

/// A module that two paths lead to.
struct Tied {
    shared: Linear,
    emb: Linear,
}
impl ParamTree for Tied {
    fn child_names(&self) -> Vec<String> {
        ["encoder", "decoder", "embed"].map(String::from).to_vec()
    }
    fn child(&self, n: &str) -> Option<&dyn ParamTree> {
        match n {
            "encoder" | "decoder" => Some(&self.shared),
            "embed" => Some(&self.emb),
            _ => None,
        }
    }
    fn child_mut(&mut self, n: &str) -> Option<&mut dyn ParamTree> {
        match n {
            "encoder" | "decoder" => Some(&mut self.shared),
            "embed" => Some(&mut self.emb),
            _ => None,
        }
    }
}

#[test]
fn tied_weights_count_once() {
    let layer = |seed| Linear::new(3, 3, &mut rng(seed)).unwrap();
    let mut tied = Tied {
        shared: layer(1),
        emb: layer(2),
    };
    let weights = prune::weights(&tied);
    assert_eq!(weights, ["encoder.weight"]);
    let l1 = || L1Unstructured::new(3).unwrap();
    let error = refused(&mut tied, |tied| {
        prune::global_unstructured(tied, ["encoder.weight", "decoder.weight"], l1())
    });
    assert!(matches!(error, Error::List(ListError::ListedTwice { path }) if path == "decoder.weight"));
    let report = prune::global_unstructured(&mut tied, &weights, l1()).unwrap();
    assert_eq!((report.pruned, report.entries), (3, 9));
    let masks = ["encoder.weight", "decoder.weight"].map(|path| prune::mask(&tied, path).unwrap());
    assert_eq!(masks[0], masks[1]);
    let state = state_dict(&tied);
    load_state_dict(&mut tied, &state).unwrap();
    assert_eq!(prune::remove_all(&mut tied).unwrap(), ["encoder.weight"]);
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    NoChildMut,
    NoStoreMut,
    Swapped,
    OtherStore,
    Missing,
    Cyclic,
    TwiceCyclic,
    NoStore,
}
struct Bad {
    own: ParamStore,
    spare: ParamStore,
    a: Linear,
    b: Linear,
    fault: Fault,
}
impl Bad {
    fn new(fault: Fault, pruned: bool) -> Self {
        let mut own = ParamStore::new();
        own.insert_parameter("weight", array![[1.0, 2.0], [3.0, 4.0]])
            .unwrap();
        let mut a = Linear::without_bias(2, 2, &mut rng(1)).unwrap();
        let mut b = Linear::without_bias(2, 2, &mut rng(2)).unwrap();
        struct S(ParamStore);
        secateurs::param_tree!(S { store: 0 });
        let mut own = S(own);
        if pruned {
            prune::l1_unstructured(&mut own, "weight", 1).unwrap();
            prune::l1_unstructured(&mut a, "weight", 1).unwrap();
            prune::l1_unstructured(&mut b, "weight", 1).unwrap();
        }
        Bad {
            spare: own.0.clone(),
            own: own.0,
            a,
            b,
            fault,
        }
    }
}
impl ParamTree for Bad {
    fn store(&self) -> Option<&ParamStore> {
        (self.fault != Fault::NoStore).then_some(&self.own)
    }
    fn store_mut(&mut self) -> Option<&mut ParamStore> {
        match self.fault {
            Fault::NoStoreMut => None,
            Fault::OtherStore => Some(&mut self.spare),
            _ => Some(&mut self.own),
        }
    }
    fn child_names(&self) -> Vec<String> {
        match self.fault {
            Fault::Cyclic => vec!["a".into(), "again".into()],
            Fault::TwiceCyclic => vec!["again".into(), "more".into()],
            _ => vec!["a".into(), "b".into()],
        }
    }
    fn child(&self, n: &str) -> Option<&dyn ParamTree> {
        match (n, self.fault) {
            ("b", Fault::Missing) => None,
            ("a", _) => Some(&self.a),
            ("b", _) => Some(&self.b),
            ("again" | "more", _) => Some(self),
            _ => None,
        }
    }
    fn child_mut(&mut self, n: &str) -> Option<&mut dyn ParamTree> {
        match (n, self.fault) {
            ("b", Fault::NoChildMut | Fault::Missing) => None,
            ("a", Fault::Swapped) => Some(&mut self.b),
            ("b", Fault::Swapped) => Some(&mut self.a),
            ("a", _) => Some(&mut self.a),
            ("b", _) => Some(&mut self.b),
            ("again" | "more", _) => Some(self),
            _ => None,
        }
    }
}
/// A store alone.
struct Leaf<'a>(&'a ParamStore);

impl ParamTree for Leaf<'_> {
    fn store(&self) -> Option<&ParamStore> {
        Some(self.0)
    }
}

impl Bad {
    /// All that it holds, seen from inside.
    fn picture(&self) -> [fixtures::Snapshot; 4] {
        [
            snapshot(&Leaf(&self.own)),
            snapshot(&Leaf(&self.spare)),
            snapshot(&self.a),
            snapshot(&self.b),
        ]
    }

    fn gradients(&self) -> secateurs::tensor::Gradients {
        let output = Tensor::new(Array2::ones((1, 2))).linear(&self.own.tensor("weight").unwrap(), None);
        let output = self.a.forward(&output.unwrap()).unwrap();
        self.b.forward(&output).unwrap().sum().backward().unwrap()
    }
}

/// What is about a whole model finds out that it contradicts itself, also where the parameters it is asked to change
/// do not; what is about one parameter looks at that one.
#[test]
fn trees_that_contradict_themselves() {
    let faults = [
        Fault::NoChildMut,
        Fault::NoStoreMut,
        Fault::Swapped,
        Fault::OtherStore,
        Fault::Missing,
        Fault::Cyclic,
        Fault::TwiceCyclic,
        Fault::NoStore,
    ];
    let l1 = || L1Unstructured::new(1).unwrap();
    let calls: [(&str, &dyn Fn(&mut Bad) -> Result<()>); 9] = [
        ("load_state_dict", &|bad| {
            let state = state_dict(bad);
            load_state_dict(bad, &state)
        }),
        ("load_state_dict_partial", &|bad| {
            let state = state_dict(bad);
            load_state_dict_partial(bad, &state).map(drop)
        }),
        ("load_state_dict_partial of nothing", &|bad| {
            load_state_dict_partial(bad, &StateDict::new()).map(drop)
        }),
        ("global_unstructured of all", &|bad| {
            let paths = bad.paths();
            prune::global_unstructured(bad, paths, l1()).map(drop)
        }),
        ("global_unstructured of one", &|bad| {
            let path = bad.paths().remove(0);
            prune::global_unstructured(bad, [path], l1()).map(drop)
        }),
        ("remove_all", &|bad| prune::remove_all(bad).map(drop)),
        ("Sgd::step", &|bad| {
            let gradients = bad.gradients();
            Sgd::new(0.1)?.step(bad, &gradients)
        }),
        ("Adam::step", &|bad| {
            let gradients = bad.gradients();
            Adam::new(0.1)?.step(bad, &gradients)
        }),
        ("check_whole", &|bad| bad.check_whole()),
    ];
    for fault in faults {
        for pruned in [false, true] {
            for (name, call) in calls {
                let mut bad = Bad::new(fault, pruned);
                let before = bad.picture();
                let result = call(&mut bad);
                assert!(
                    matches!(result, Err(Error::Model(ModelError::Inconsistent { .. }))),
                    "{name}, {fault:?}: {result:?}"
                );
                assert_eq!(bad.picture(), before, "{name}, {fault:?}");
            }
        }
    }
    // Of one parameter: only where that one is not the same both ways.
    for (fault, path) in [
        (Fault::NoChildMut, "b.weight"),
        (Fault::Swapped, "a.weight"),
        (Fault::OtherStore, "weight"),
        (Fault::NoStoreMut, "weight"),
    ] {
        let mut bad = Bad::new(fault, true);
        let before = bad.picture();
        let calls: [&dyn Fn(&mut Bad) -> Result<()>; 4] = [
            &|bad| prune::set_mask(bad, path, Mask::zeros(&[2, 2])).map(drop),
            &|bad| prune::l1_unstructured(bad, path, 1).map(drop),
            &|bad| prune::remove(bad, path),
            &|bad| prune::discard(bad, path),
        ];
        for call in calls {
            let error = call(&mut bad).unwrap_err();
            assert!(
                matches!(error, Error::Model(ModelError::Inconsistent { .. })),
                "{error}"
            );
            assert_eq!(bad.picture(), before);
        }
    }
}

/// Twice a child of itself: as many paths as there are subsets of its levels.
#[derive(Clone, Serialize, Deserialize)]
struct Loop {
    own: ParamStore,
}
impl ParamTree for Loop {
    fn store(&self) -> Option<&ParamStore> {
        Some(&self.own)
    }
    fn store_mut(&mut self) -> Option<&mut ParamStore> {
        Some(&mut self.own)
    }
    fn child_names(&self) -> Vec<String> {
        vec!["a".into(), "b".into()]
    }
    fn child(&self, _: &str) -> Option<&dyn ParamTree> {
        Some(self)
    }
    fn child_mut(&mut self, _: &str) -> Option<&mut dyn ParamTree> {
        Some(self)
    }
}
#[typetag::serde]
impl Module for Loop {
    fn compute(&self, i: &Tensor) -> Result<Tensor> {
        Ok(i.clone())
    }
}
#[test]
fn lists_of_a_cycle_end() {
    let module = BoxedModule::new(Loop {
        own: ParamStore::new(),
    });
    assert!(format!("{module:?}").len() < 10_000);
    assert_eq!(module.named_modules().len(), 257);
    assert!(module.parameter_paths().is_empty() && module.named_buffers().is_empty());
    assert!(state_dict(&module).is_empty());
}

// ---- sizes ----

#[test]
fn tensors_without_entries_whose_dimensions_are_endless() {
    let amount = Amount::fraction(0.5).unwrap();
    let random = &mut rng(1);
    let mut methods: Vec<Box<dyn PruningMethod>> = vec![
        Box::new(Identity),
        Box::new(L1Unstructured::new(amount).unwrap()),
        Box::new(RandomUnstructured::new(amount, random).unwrap()),
        Box::new(BlockStructured::new(amount, 3, 2, BlockRank::MeanSquare).unwrap()),
    ];
    for dim in 0..3 {
        methods.push(Box::new(LnStructured::new(amount, 2, dim).unwrap()));
        methods.push(Box::new(
            LnStructured::new(amount, f64::NEG_INFINITY, dim).unwrap(),
        ));
        methods.push(Box::new(RandomStructured::new(amount, dim, random).unwrap()));
        methods.push(Box::new(NmStructured::new(2, 4, dim).unwrap()));
    }
    let long = 1 << 44;
    for shape in [
        [0, long, 4],
        [long, 0, 4],
        [4, 0, long],
        [long, 4, 0],
        [0, 1 << 22, 1 << 22],
        [1 << 22, 1 << 22, 0],
    ] {
        let scores = ArrayD::<f32>::zeros(IxDyn(&shape));
        let ones = Mask::ones(&shape);
        for method in &methods {
            for prior in [None, Some(&ones)] {
                if let Ok(outcome) = mask::compute(&**method, &scores, prior) {
                    assert_eq!((outcome.pruned, outcome.mask.shape()), (0, &shape[..]));
                } else {
                    assert!(method.is::<NmStructured>(), "{method:?}"); // no multiple of 4
                }
            }
        }
    }
}

/// An error leaves the mask where it is.
#[test]
fn a_pruned_array_that_was_replaced_by_one_of_another_shape() {
    let mut model = ArrayModel::new();
    model.insert("w", array![[1.0_f32, 2.0], [3.0, 4.0]]).unwrap();
    prune::l1_unstructured(&mut model, "w", 1).unwrap();
    *model.array_mut("w").unwrap() = array![1.0_f32, 2.0, 3.0].into();
    let calls: [&dyn Fn(&mut ArrayModel) -> Result<()>; 5] = [
        &|m| prune::l1_unstructured(m, "w", 1).map(drop),
        &|m| prune::set_mask(m, "w", Mask::ones(&[3])).map(drop),
        &|m| prune::remove(m, "w"),
        &|m| prune::remove_all(m).map(drop),
        &|m| prune::global_unstructured(m, ["w"], L1Unstructured::new(1).unwrap()).map(drop),
    ];
    for call in calls {
        let error = call(&mut model).unwrap_err();
        assert!(
            error.to_string().contains("`w`") && error.to_string().contains("[3]"),
            "{error}"
        );
        assert!(prune::is_pruned(&model));
    }
    prune::discard(&mut model, "w").unwrap();
    prune::l1_unstructured(&mut model, "w", 1).unwrap();
}
