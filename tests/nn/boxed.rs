//! Boxed modules nest to a limit, the same for saving and loading, and are told apart by their names.

use secateurs::Result;
use secateurs::nn::{BoxedModule, Linear, Module, Relu, Sequential};
use secateurs::prune;
use secateurs::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::fixtures::{from_bincode, rng, to_bincode};

/// The documented limit.
const LIMIT: usize = 16;

/// A user-defined module that holds any other.
#[derive(Clone, Debug, Serialize, Deserialize)]
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

fn nested(levels: usize) -> BoxedModule {
    let innermost = BoxedModule::new(Linear::new(2, 2, &mut rng(0)).unwrap());
    (1..levels).fold(innermost, |inner, _| BoxedModule::new(Wrap { inner }))
}

#[test]
fn what_saves_can_be_loaded() {
    for levels in [1, 2, LIMIT] {
        let module = nested(levels);
        let json = serde_json::to_string(&module).unwrap();
        let loaded: BoxedModule = serde_json::from_str(&json).unwrap();
        assert_eq!(serde_json::to_string(&loaded).unwrap(), json);
        let loaded: BoxedModule = from_bincode(&to_bincode(&module)).unwrap();
        assert_eq!(serde_json::to_string(&loaded).unwrap(), json);
    }
}

#[test]
fn the_innermost_module_may_have_a_history() {
    let mut linear = Linear::new(2, 2, &mut rng(0)).unwrap();
    prune::l1_unstructured(&mut linear, "weight", 1).unwrap();
    prune::random_unstructured(&mut linear, "weight", 1, &mut rng(1)).unwrap();
    assert!(prune::container(&linear, "weight").unwrap().is_some());
    let module = (1..LIMIT).fold(BoxedModule::new(linear), |inner, _| {
        BoxedModule::new(Wrap { inner })
    });
    let json = serde_json::to_string(&module).unwrap();
    assert_eq!(serde_json::to_string(&from_json(&json)).unwrap(), json);
    let loaded: BoxedModule = from_bincode(&to_bincode(&module)).unwrap();
    assert_eq!(serde_json::to_string(&loaded).unwrap(), json);
}

fn from_json(json: &str) -> BoxedModule {
    serde_json::from_str(json).unwrap()
}

#[test]
fn what_is_too_deep_is_not_saved() {
    for levels in [LIMIT + 1, 200] {
        let module = nested(levels);
        let error = serde_json::to_string(&module).unwrap_err().to_string();
        assert!(error.contains("nested too deeply: at most 16 levels"), "{error}");
        let encoded = bincode::serde::encode_to_vec(&module, bincode::config::standard());
        assert!(encoded.unwrap_err().to_string().contains("nested too deeply"));
    }
    // The same after an error.
    assert!(serde_json::to_string(&nested(LIMIT)).is_ok());
}

#[test]
fn what_is_too_deep_is_not_loaded() {
    let module = serde_json::to_string(&nested(1)).unwrap();
    let json = format!("{}{module}{}", r#"{"Wrap":{"inner":"#.repeat(40), "}}".repeat(40));
    let error = serde_json::from_str::<BoxedModule>(&json)
        .unwrap_err()
        .to_string();
    assert!(error.contains("nested too deeply"), "{error}");
    assert!(error.len() < 10_000, "a message of {} bytes", error.len());
    assert!(serde_json::from_str::<BoxedModule>(&module).is_ok());
}

#[test]
fn damaged_bytes_give_a_short_error() {
    // What one level of `Wrap` looks like: a map of one entry and a name, and then the next level.
    let bytes = to_bincode(&nested(2));
    let one = to_bincode(&nested(1));
    let level = &bytes[..bytes.len() - one.len()];
    for levels in [10, 100, 10_000] {
        for end in [&b""[..], b"\x01\x04Warp", b"\x01\x04\"\\\"\\", b"\xff\xff\xff"] {
            let bytes = [&level.repeat(levels), end].concat();
            for error in [
                from_bincode::<BoxedModule>(&bytes).unwrap_err().to_string(),
                from_bincode::<Wrap>(&bytes)
                    .map(drop)
                    .map_or_else(|e| e.to_string(), |()| String::new()),
                from_bincode::<Sequential>(&bytes).unwrap_err().to_string(),
            ] {
                assert!(error.len() < 10_000, "a message of {} bytes", error.len());
            }
        }
    }
}

mod one {
    use super::*;

    #[derive(Clone, Serialize, Deserialize)]
    pub struct Same;

    secateurs::param_tree!(Same { children: [] });

    #[typetag::serde]
    impl Module for Same {
        fn compute(&self, input: &Tensor) -> Result<Tensor> {
            Ok(input.clone())
        }
    }
}

mod other {
    use super::*;

    #[derive(Clone, Serialize, Deserialize)]
    pub struct Same;

    secateurs::param_tree!(Same { children: [] });

    #[typetag::serde]
    impl Module for Same {
        fn compute(&self, input: &Tensor) -> Result<Tensor> {
            Ok(input.clone())
        }
    }
}

#[test]
fn two_types_of_one_name_are_not_saved() {
    for model in [
        Sequential::new().push(Relu::new()).push(one::Same),
        Sequential::new().push(other::Same),
    ] {
        let error = serde_json::to_string(&model).unwrap_err().to_string();
        assert!(
            error.contains("several types of modules are registered as `Same`"),
            "{error}"
        );
    }
}

#[test]
fn a_boxed_module_shows_what_it_holds() {
    let text = format!("{:?}", nested(2));
    assert_eq!(
        text,
        r#"Wrap {"inner": {"weight": parameter [2, 2], "bias": parameter [2]}}"#
    );
    let model = Sequential::new().push(Linear::without_bias(3, 2, &mut rng(0)).unwrap());
    assert!(format!("{model:?}").contains(r#"secateurs::Linear {"weight": parameter [2, 3]}"#));
}
