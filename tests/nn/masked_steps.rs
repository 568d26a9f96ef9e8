//! Optimisers leave pruned entries alone, and entries that are kept again start afresh.

use ndarray::{ArrayD, IxDyn};
use secateurs::nn::optim::{Adam, AdamW, OptimiserState, Sgd};
use secateurs::nn::{ParamStore, ParamTreeExt};
use secateurs::prune::{self, Mask};
use secateurs::tensor::{Gradients, Tensor};

use crate::fixtures::{bits, by_json};

#[derive(Clone)]
struct Model {
    store: ParamStore,
}

secateurs::param_tree!(Model { store: store });

/// Numbers of both signs, the same for the same seed.
fn numbers(shape: &[usize], seed: u32) -> ArrayD<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9) ^ 0xD1B5_4A32;
    ArrayD::from_shape_simple_fn(IxDyn(shape), || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    })
}

/// Every third entry is pruned, and of whole words one is kept and one is pruned.
fn mask(shape: &[usize], which: usize) -> Mask {
    let mut index = 0;
    Mask::from_bool(
        ArrayD::from_shape_simple_fn(IxDyn(shape), || {
            index += 1;
            match (index - 1) / 64 {
                1 => true,
                2 => false,
                _ => index % 3 != which,
            }
        })
        .view(),
    )
}

impl Model {
    fn new(shape: &[usize]) -> Self {
        let mut store = ParamStore::new();
        store.insert_parameter("weight", numbers(shape, 1)).unwrap();
        Model { store }
    }

    fn original(&self) -> ArrayD<f32> {
        self.parameter("weight").unwrap().original().to_owned()
    }

    /// These gradients of the weight, where it is kept.
    fn gradients(&self, given: &ArrayD<f32>) -> Gradients {
        let weight = self.store.tensor("weight").unwrap();
        let loss = weight.mul(&Tensor::new(given.clone())).unwrap().sum();
        loss.backward().unwrap()
    }
}

/// Sizes with and without whole words, an empty one, and one that several threads share.
const SHAPES: [&[usize]; 6] = [&[3], &[64], &[5, 13], &[10, 30], &[0, 2], &[513, 513]];

trait Optimiser: Clone {
    fn step(&mut self, model: &mut Model, gradients: &Gradients);
    fn state(&self, model: &Model) -> OptimiserState;
    fn load(&mut self, model: &Model, state: OptimiserState);
}

macro_rules! optimiser {
    ($type:ident) => {
        impl Optimiser for $type {
            fn step(&mut self, model: &mut Model, gradients: &Gradients) {
                $type::step(self, model, gradients).unwrap();
            }

            fn state(&self, model: &Model) -> OptimiserState {
                $type::state(self, model)
            }

            fn load(&mut self, model: &Model, state: OptimiserState) {
                $type::load_state(self, model, state).unwrap();
            }
        }
    };
}

optimiser!(Sgd);
optimiser!(Adam);
optimiser!(AdamW);

fn sgd() -> Sgd {
    let sgd = Sgd::new(0.1).unwrap().momentum(0.9).unwrap();
    sgd.nesterov().unwrap().weight_decay(0.1).unwrap()
}

fn adam() -> Adam {
    Adam::new(0.1).unwrap().weight_decay(0.1).unwrap()
}

fn adamw() -> AdamW {
    AdamW::new(0.1).unwrap().weight_decay(0.5).unwrap()
}

/// Pruned originals stay bit for bit, and kept entries are those of a model that was never pruned.
fn leaves_pruned_entries_alone(optimiser: impl Optimiser) {
    for shape in SHAPES {
        let (mut pruned, mut dense) = (Model::new(shape), Model::new(shape));
        // Values that arithmetic would destroy.
        for (index, special) in [(0, f32::NAN), (2, -0.0)] {
            if let Some(x) = pruned
                .store
                .parameter_mut("weight")
                .unwrap()
                .original_mut()
                .get_mut(IxDyn(&[index]))
            {
                *x = special;
            }
        }
        let mask = mask(shape, 1);
        prune::custom_from_mask(&mut pruned, "weight", mask.clone()).unwrap();
        let before = pruned.original();
        let (mut of_pruned, mut of_dense) = (optimiser.clone(), optimiser.clone());
        for step in 0..3 {
            let given = numbers(shape, 2 + step);
            let gradients = pruned.gradients(&given);
            of_pruned.step(&mut pruned, &gradients);
            let gradients = dense.gradients(&given);
            of_dense.step(&mut dense, &gradients);
        }
        let (now, dense) = (pruned.original(), dense.original());
        for (index, kept) in mask.iter().enumerate() {
            let at = |array: &ArrayD<f32>| array.iter().nth(index).unwrap().to_bits();
            if !kept {
                assert_eq!(at(&now), at(&before), "{shape:?}, entry {index}");
            } else if shape.len() != 1 {
                assert_eq!(at(&now), at(&dense), "{shape:?}, entry {index}");
            }
            if index > 1000 {
                break; // `nth` is slow
            }
        }
        assert_eq!(
            mask.not().apply(now.view()).unwrap().mapv(f32::to_bits),
            mask.not().apply(before.view()).unwrap().mapv(f32::to_bits)
        );
    }
}

#[test]
fn pruned_entries_are_left_alone() {
    leaves_pruned_entries_alone(sgd());
    leaves_pruned_entries_alone(Sgd::new(0.1).unwrap().weight_decay(0.1).unwrap());
    leaves_pruned_entries_alone(adam());
    leaves_pruned_entries_alone(adamw());
}

/// The running arrays of a state, by name.
fn arrays(state: &OptimiserState) -> Vec<Vec<f64>> {
    let json = serde_json::to_value(state).unwrap();
    let arrays = json["arrays"]["weight"].as_object().unwrap();
    let entries = arrays.values().map(|array| {
        let entries = array["entries"].as_array().unwrap().iter();
        entries.map(|x| x.as_f64().unwrap()).collect()
    });
    entries.collect()
}

/// Under the mask, moments are +0.0 from the next step on, with or without a gradient, in states too.
fn forgets_pruned_entries(optimiser: impl Optimiser) {
    for with_gradient in [true, false] {
        let shape = &[10, 30];
        let (mut model, mut optimiser) = (Model::new(shape), optimiser.clone());
        let gradients = model.gradients(&numbers(shape, 2));
        optimiser.step(&mut model, &gradients);
        let mask = mask(shape, 2);
        prune::custom_from_mask(&mut model, "weight", mask.clone()).unwrap();
        let gradients = match with_gradient {
            true => model.gradients(&numbers(shape, 3)),
            false => Gradients::default(),
        };
        optimiser.step(&mut model, &gradients);
        for array in arrays(&optimiser.state(&model)) {
            for (x, kept) in array.iter().zip(&mask) {
                assert_eq!(!kept, x.to_bits() == 0, "{x}");
            }
        }
    }
}

#[test]
fn moments_of_pruned_entries_are_zero() {
    forgets_pruned_entries(sgd());
    forgets_pruned_entries(adam());
    forgets_pruned_entries(adamw());
}

#[test]
fn an_entry_that_is_kept_again_starts_afresh() {
    // By hand: lr 0.5, momentum 0.5, gradient 1 in every step.
    let shape = &[2];
    let mut store = ParamStore::new();
    store
        .insert_parameter("weight", ArrayD::<f32>::zeros(IxDyn(shape)))
        .unwrap();
    let mut model = Model { store };
    let mut sgd = Sgd::new(0.5).unwrap().momentum(0.5).unwrap();
    let ones = ArrayD::ones(IxDyn(shape));
    let mut step = |model: &mut Model| {
        let gradients = model.gradients(&ones);
        sgd.step(model, &gradients).unwrap();
        model.original().into_raw_vec_and_offset().0
    };
    let keep = |bits: [bool; 2]| Mask::from_bool(ndarray::arr1(&bits).view());
    assert_eq!(step(&mut model), [-0.5, -0.5]);
    prune::set_mask(&mut model, "weight", keep([true, false])).unwrap();
    assert_eq!(step(&mut model), [-1.25, -0.5]); // velocity 1.5
    prune::set_mask(&mut model, "weight", keep([true, true])).unwrap();
    assert_eq!(step(&mut model), [-2.125, -1.0]); // velocities 1.75 and, fresh, 1
    prune::set_mask(&mut model, "weight", keep([false, true])).unwrap();
    assert_eq!(step(&mut model), [-2.125, -1.75]); // 1.5
}

/// Steps, each under another mask.
fn run(model: &mut Model, optimiser: &mut impl Optimiser, steps: std::ops::Range<usize>) {
    let shape = model.original().shape().to_vec();
    for step in steps {
        prune::set_mask(model, "weight", mask(&shape, step % 3)).unwrap();
        let gradients = model.gradients(&numbers(&shape, step as u32));
        optimiser.step(model, &gradients);
    }
}

/// A resumed run goes on bit for bit, through pruning and regrowth.
fn resumes<O: Optimiser>(mut optimiser: O, mut resumed: O) {
    let shape = &[10, 30];
    let mut model = Model::new(shape);
    prune::set_mask(&mut model, "weight", mask(shape, 0)).unwrap();
    run(&mut model, &mut optimiser, 0..2);
    let mut copy = model.clone();
    resumed.load(&copy, by_json(&optimiser.state(&model)));
    run(&mut model, &mut optimiser, 2..5);
    run(&mut copy, &mut resumed, 2..5);
    assert_eq!(bits(&model.original()), bits(&copy.original()));
}

#[test]
fn a_masked_run_that_is_resumed_goes_on_as_if_never_stopped() {
    resumes(sgd(), Sgd::new(1.0).unwrap());
    resumes(adam(), Adam::new(1.0).unwrap());
    resumes(adamw(), AdamW::new(1.0).unwrap());
}

#[test]
fn adam_and_adamw_refuse_the_state_of_each_other() {
    let model = Model::new(&[3]);
    let error = adam().load_state(&model, adamw().state(&model)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the state is that of AdamW; load it into AdamW, not into Adam"
    );
    assert!(adamw().load_state(&model, adam().state(&model)).is_err());
    assert_eq!(
        AdamW::new(0.1).unwrap().settings(),
        adamw().weight_decay(0.01).unwrap().settings()
    );
}
