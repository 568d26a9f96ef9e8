//! Training and evaluation mode, and the state that forward changes: running statistics and the calls of dropout.

use ndarray::{Array1, Array2, Array4};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use secateurs::nn::{
    self, BatchNorm1d, BatchNorm2d, BatchNormConfig, BoxedModule, Dropout, Group, Linear, Module, ParamTree,
    ParamTreeExt, Sequential,
};
use secateurs::tensor::Tensor;
use secateurs::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::fixtures::{bits, by_bincode, by_json, rng, to_bincode};

/// A user's own module without a store, with children of both kinds.
#[derive(Clone, Serialize, Deserialize)]
struct Block {
    norm: BatchNorm1d,
    inner: BoxedModule,
    optional: Option<Dropout>,
}

secateurs::param_tree!(Block {
    children: [norm, inner, optional]
});

#[typetag::serde]
impl Module for Block {
    fn compute(&self, input: &Tensor) -> Result<Tensor> {
        let hidden = self.inner.forward(&self.norm.forward(input)?)?;
        match &self.optional {
            Some(dropout) => dropout.forward(&hidden),
            None => Ok(hidden),
        }
    }
}

fn dropout(p: f64) -> Dropout {
    Dropout::new(p, &mut rng(7)).unwrap()
}

fn model() -> Sequential {
    let block = Block {
        norm: BatchNorm1d::new(3).unwrap(),
        inner: BoxedModule::new(Sequential::new().push(dropout(0.5))),
        optional: Some(dropout(0.25)),
    };
    Sequential::new()
        .push(Linear::new(4, 3, &mut rng(0)).unwrap())
        .push(block)
}

/// The modes of all stores of a tree.
fn modes(tree: &impl ParamTree) -> Vec<bool> {
    let modules = tree.named_modules();
    modules
        .iter()
        .filter_map(|(_, module)| Some(module.store()?.is_training()))
        .collect()
}

fn input() -> Tensor {
    Tensor::new(Array2::from_shape_fn((5, 4), |(i, j)| {
        ((i * 7 + j * 3) % 11) as f32 - 4.0
    }))
}

#[test]
fn the_mode_reaches_every_module() {
    let mut model = model();
    assert_eq!(modes(&model), [true; 6]);
    model.eval().unwrap();
    assert_eq!(modes(&model), [false; 6]);
    assert_eq!(modes(&model.clone()), [false; 6]);
    assert_eq!(modes(&by_json::<_, Sequential>(&model)), [false; 6]);
    assert_eq!(modes(&by_bincode::<_, Sequential>(&model)), [false; 6]);
    model.train().unwrap();
    assert_eq!(modes(&model), [true; 6]);
    let mut boxed = BoxedModule::new(model);
    boxed.eval().unwrap();
    assert_eq!(modes(&boxed), [false; 6]);
    Group::new().with("part", &mut boxed).unwrap().train().unwrap();
    assert_eq!(modes(&boxed), [true; 6]);
}

#[test]
fn evaluation_changes_nothing_and_is_the_same_each_time() {
    let mut model = model();
    model.forward(&input()).unwrap();
    model.eval().unwrap();
    let state = nn::state_dict(&model);
    let saved = to_bincode(&model);
    let (first, second) = (model.forward(&input()).unwrap(), model.forward(&input()).unwrap());
    assert_eq!(first.value(), second.value());
    assert_eq!(to_bincode(&model), saved);
    assert_eq!(format!("{state:?}"), format!("{:?}", nn::state_dict(&model)));
}

#[test]
fn a_model_that_is_loaded_goes_on_as_if_never_stopped() {
    let original = model();
    for _ in 0..3 {
        original.forward(&input()).unwrap();
    }
    let copies: [Sequential; 3] = [by_json(&original), by_bincode(&original), original.clone()];
    let after = |model: &Sequential| {
        let outputs: Vec<_> = (0..3)
            .map(|_| bits(&model.forward(&input()).unwrap().to_array()))
            .collect();
        assert_ne!(outputs[0], outputs[1], "each call drops others");
        (outputs, to_bincode(model))
    };
    let expected = after(&original);
    for copy in copies {
        assert_eq!(after(&copy), expected);
    }
}

#[test]
fn dropout_drops_its_share_and_scales_the_rest() {
    for p in [0.0, 0.1, 0.5, 0.9, 1.0] {
        let layer = dropout(p);
        let ones = Tensor::variable(Array1::ones(20_000));
        let output = layer.forward(&ones).unwrap();
        let gradients = output.sum().backward().unwrap();
        let scale = if p < 1.0 { (1.0 / (1.0 - p)) as f32 } else { 0.0 };
        assert!(output.value().iter().all(|&x| x.to_bits() == 0 || x == scale));
        assert_eq!(gradients.wrt(&ones).unwrap(), output.value());
        let dropped = output.value().iter().filter(|&&x| x == 0.0).count() as f64 / 20_000.0;
        assert!((dropped - p).abs() < 0.02, "{p}: {dropped}");
    }
    let hidden = Tensor::new(Array1::from_elem(100, f32::NAN));
    let output = dropout(0.5).forward(&hidden).unwrap();
    assert!(output.value().iter().any(|x| x.to_bits() == 0));
    for p in [-0.1, 1.1, f64::NAN] {
        assert!(Dropout::new(p, &mut rng(0)).is_err());
    }
    // The generator is not touched by what is refused.
    let mut a = rng(3);
    assert!(Dropout::new(2.0, &mut a).is_err());
    assert_eq!(format!("{a:?}"), format!("{:?}", rng(3)));
}

/// Word `i` of the stream of seed and call decides on entry `i`. A change would alter resumed runs.
#[test]
fn the_entries_that_dropout_drops_are_those_of_a_stream() {
    let seed = rng(7).next_u64();
    for (p, layer) in [(0.5, dropout(0.5)), (0.1, dropout(0.1))] {
        for call in 0..3_u64 {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&seed.to_le_bytes());
            key[8..16].copy_from_slice(&call.to_le_bytes());
            key[24..].copy_from_slice(b"dropout.");
            let mut stream = ChaCha8Rng::from_seed(key);
            let output = layer.forward(&Tensor::new(Array2::ones((30, 50)))).unwrap();
            for &x in output.value() {
                assert_eq!(x != 0.0, f64::from(stream.next_u32()) >= p * 2_f64.powi(32));
            }
        }
    }
}

#[test]
fn threads_share_a_model_in_training() {
    let model = Sequential::new()
        .push(BatchNorm2d::new(BatchNormConfig::new(2).cumulative()).unwrap())
        .push(dropout(0.5));
    let images = |shift: f32| {
        Tensor::new(Array4::from_shape_fn((4, 2, 3, 3), |(n, c, i, j)| {
            (n + c + i * j) as f32 + shift
        }))
    };
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (model, images) = (&model, images(thread as f32));
            scope.spawn(move || (0..25).for_each(|_| drop(model.forward(&images).unwrap())));
        }
    });
    let state = nn::state_dict(&model);
    assert_eq!(state.get("0.num_batches_tracked").unwrap()[[]], 100.0);
    // The mean over all batches, in whatever order they came.
    let means: Vec<f32> = (0..4)
        .map(|thread| {
            images(thread as f32)
                .value()
                .index_axis(ndarray::Axis(1), 0)
                .mean()
                .unwrap()
        })
        .collect();
    let expected = means.iter().sum::<f32>() / 4.0;
    assert!((state.get("0.running_mean").unwrap()[[0]] - expected).abs() < 1e-4);
}

#[test]
fn a_tree_that_contradicts_itself_keeps_its_mode() {
    struct Broken(Linear);

    impl ParamTree for Broken {
        fn child_names(&self) -> Vec<String> {
            vec!["0".into(), "1".into()]
        }

        fn child(&self, name: &str) -> Option<&dyn ParamTree> {
            (name == "0").then_some(&self.0 as _)
        }

        fn child_mut(&mut self, name: &str) -> Option<&mut dyn ParamTree> {
            (name == "0").then_some(&mut self.0 as _)
        }
    }

    let mut tree = Broken(Linear::new(1, 1, &mut rng(0)).unwrap());
    assert!(matches!(tree.eval(), Err(Error::Model(_))));
    assert!(tree.0.store().unwrap().is_training());
}

#[test]
fn damaged_layers_are_refused() {
    let json = |layer: &dyn Module| serde_json::to_string(layer).unwrap();
    for (layer, from, to) in [
        (json(&dropout(0.5)), "0.5", "1.5"),
        (json(&BatchNorm1d::new(2).unwrap()), "running_var", "running_vax"),
        (
            json(&BatchNorm1d::new(2).unwrap()),
            r#""momentum":0.1"#,
            r#""momentum":7"#,
        ),
        (
            json(&BatchNorm1d::new(2).unwrap()),
            r#""eps":0.00001"#,
            r#""eps":-1"#,
        ),
        (
            json(&BatchNorm1d::new(2).unwrap()),
            "num_batches_tracked",
            "batches",
        ),
        (
            json(&nn::MaxPool2d::new(2).unwrap()),
            r#""stride":[2,2]"#,
            r#""stride":[2,0]"#,
        ),
        (
            json(&nn::Embedding::new(2, 1, &mut rng(0)).unwrap()),
            r#""shape":[2,1]"#,
            r#""shape":[2]"#,
        ),
    ] {
        let damaged = layer.replacen(from, to, 1);
        assert!(damaged != layer, "{layer} has no {from}");
        assert!(
            serde_json::from_str::<BoxedModule>(&damaged).is_err(),
            "{damaged}"
        );
        assert!(serde_json::from_str::<BoxedModule>(&layer).is_ok(), "{layer}");
    }
}
