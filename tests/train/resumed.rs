//! Runs of modules that are killed and resumed, and replicas that train together.
#![cfg(feature = "nn")]

use ndarray::Array2;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use secateurs::nn::optim::{Adam, OptimiserState};
use secateurs::nn::{Linear, Module, ParamTreeExt, Relu, Sequential, loss};
use secateurs::prune::{self, RandomUnstructured};
use secateurs::tensor::Tensor;
use secateurs::train::{DynamicPruner, Pruner, PrunerState, Schedule};
use secateurs::{Prunable, mask::FloatView};

const WEIGHTS: [&str; 2] = ["0.weight", "2.weight"];

fn network() -> Sequential {
    let rng = &mut ChaCha8Rng::seed_from_u64(5);
    let model = Sequential::new()
        .push(Linear::new(8, 16, rng).unwrap())
        .push(Relu::new());
    model.push(Linear::new(16, 3, rng).unwrap())
}

/// The batch of a step.
fn batch(step: u64) -> (Tensor, Vec<usize>) {
    let noise = |i: u64| ((i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f32 / (1 << 23) as f32) - 1.0;
    let images = Array2::from_shape_fn((6, 8), |(i, j)| noise(step * 100 + 8 * i as u64 + j as u64));
    let labels = images
        .outer_iter()
        .map(|row| usize::from(row[0] > 0.0) + usize::from(row[1] > 0.0));
    let labels = labels.collect();
    (Tensor::new(images), labels)
}

fn bits(model: &Sequential) -> Vec<u32> {
    let mut bits = Vec::new();
    for path in model.paths() {
        let view = model.view(&path).unwrap();
        let FloatView::F32(values) = view.values().unwrap() else {
            panic!()
        };
        bits.extend(values.iter().map(|x| x.to_bits()));
        bits.extend(view.mask().iter().flat_map(|mask| mask.iter()).map(u32::from));
    }
    bits
}

/// All that a run is: saved and loaded in the middle of it.
struct Run {
    model: Sequential,
    optimiser: Adam,
    pruner: Pruner,
}

impl Run {
    fn new(model: Sequential, recompute: bool) -> Self {
        let schedule = Schedule::cubic(0.0, 0.9, 2..=17).unwrap().every(3).unwrap();
        let pruner = Pruner::new(&model, WEIGHTS, schedule)
            .unwrap()
            .seed(9)
            .recompute(recompute);
        let pruner = match recompute {
            true => pruner.global(),
            false => pruner.method(RandomUnstructured::new),
        };
        Run {
            model,
            optimiser: Adam::new(0.01).unwrap().weight_decay(0.01).unwrap(),
            pruner,
        }
    }

    fn step(&mut self, step: u64) {
        let (images, labels) = batch(step);
        let loss = loss::cross_entropy(&self.model.forward(&images).unwrap(), &labels).unwrap();
        self.optimiser
            .step(&mut self.model, &loss.backward().unwrap())
            .unwrap();
        self.pruner.step(&mut self.model, step).unwrap();
    }

    /// Through bytes, into a new process, as it were.
    fn reloaded(self, recompute: bool) -> Self {
        let state = (
            self.model.clone(),
            self.optimiser.state(&self.model),
            self.pruner.state(),
        );
        let config = bincode::config::standard();
        let bytes = bincode::serde::encode_to_vec(&state, config).unwrap();
        let (state, _): ((Sequential, OptimiserState, PrunerState), _) =
            bincode::serde::decode_from_slice(&bytes, config).unwrap();
        let mut run = Run::new(state.0, recompute);
        run.optimiser.load_state(&run.model, state.1).unwrap();
        run.pruner.load_state(state.2);
        run
    }
}

// S24
#[test]
fn a_run_that_is_killed_at_any_step_and_resumed_ends_with_the_same_bits() {
    const STEPS: u64 = 20;
    for recompute in [false, true] {
        let mut unbroken = Run::new(network(), recompute);
        (0..STEPS).for_each(|step| unbroken.step(step));
        let sparsity = prune::mask(&unbroken.model, WEIGHTS[0])
            .unwrap()
            .unwrap()
            .sparsity();
        assert!(sparsity > 0.8);
        for killed in 0..STEPS {
            let mut run = Run::new(network(), recompute);
            (0..=killed).for_each(|step| run.step(step));
            let mut run = run.reloaded(recompute);
            // The last step is asked for again, as a loop does that was saved before it counted.
            run.pruner.step(&mut run.model, killed).unwrap();
            (killed + 1..STEPS).for_each(|step| run.step(step));
            assert_eq!(
                bits(&run.model),
                bits(&unbroken.model),
                "killed after step {killed}"
            );
        }
    }
}

// S25
#[test]
fn replicas_with_summed_gradients_never_differ() {
    let mut replicas: Vec<_> = (0..2)
        .map(|_| {
            let model = network();
            let (first, second) = ([WEIGHTS[0]], [WEIGHTS[1]]);
            let gradual = Schedule::linear(0.0, 0.8, 0..=20).unwrap().every(4).unwrap();
            let random = Pruner::new(&model, first, gradual).unwrap().seed(1);
            let random = random.method(RandomUnstructured::new);
            let exchange = Schedule::cosine(0.5, 0.0, 1..=20).unwrap().every(3).unwrap();
            let rigl = DynamicPruner::new(&model, second, exchange).unwrap().seed(2);
            (model, Adam::new(0.01).unwrap(), random, rigl)
        })
        .collect();
    for (model, _, _, rigl) in &mut replicas {
        rigl.start(model, &[0.6]).unwrap();
    }
    let (mut grown, mut pruned) = (0, 0);
    for step in 0..25 {
        // Each has a batch of its own; what both optimisers see is the sum of the losses' gradients.
        let shared: Vec<_> = (0..2).map(|replica| batch(2 * step + replica)).collect();
        for (model, optimiser, random, rigl) in &mut replicas {
            let losses = shared.iter().map(|(images, labels)| {
                let output = model.forward(images).unwrap();
                loss::cross_entropy(&output, labels).unwrap()
            });
            let loss = losses.reduce(|a, b| a.add(&b).unwrap()).unwrap();
            let gradients = loss.backward_dense().unwrap();
            let id = model.parameter(WEIGHTS[1]).unwrap().id();
            optimiser.step(model, &gradients).unwrap();
            pruned += random
                .step(model, step)
                .unwrap()
                .map_or(0, |update| update.pruned());
            let update = rigl
                .step_with_gradients(model, step, |_| {
                    Ok(gradients.dense(id).unwrap().to_owned().into())
                })
                .unwrap();
            grown += update.map_or(0, |update| update.regrown());
        }
        assert_eq!(bits(&replicas[0].0), bits(&replicas[1].0), "step {step}");
    }
    assert!(grown > 0 && pruned > 0);
}
