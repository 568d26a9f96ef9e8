//! A step of each optimiser on a pruned parameter against the same step on a dense one, and whole training steps of pruned
//! networks against those of dense ones: `cargo bench --bench optimisers`.
//!
//! Both are timed alternately, on one thread and on as many as there are; a line shows the medians and their ratio.

use std::time::{Duration, Instant};

use ndarray::{ArrayD, IxDyn};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use secateurs::nn::optim::{Adam, AdamW, Sgd};
use secateurs::nn::{
    Conv2d, ConvConfig, Flatten, Linear, MaxPool2d, Module, ParamStore, ParamTreeExt, Relu, Sequential, loss,
};
use secateurs::prune::{self, Amount, L1Unstructured};
use secateurs::tensor::{Gradients, Tensor};

const CALLS: usize = 101;

struct Model {
    store: ParamStore,
}

secateurs::param_tree!(Model { store: store });

fn uniform(side: usize, seed: u64) -> ArrayD<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    ArrayD::from_shape_simple_fn(IxDyn(&[side, side]), || rng.random_range(-1.0..1.0))
}

/// A square parameter of which a share is pruned at random, and gradients of it.
fn model(side: usize, pruned: Option<f64>) -> secateurs::Result<(Model, Gradients)> {
    let mut store = ParamStore::new();
    store.insert_parameter("weight", uniform(side, 0))?;
    let mut model = Model { store };
    if let Some(share) = pruned {
        prune::random_unstructured(&mut model, "weight", share, &mut ChaCha8Rng::seed_from_u64(1))?;
    }
    let weight = model.parameter("weight")?.tensor();
    let gradients = weight.mul(&Tensor::new(uniform(side, 2)))?.sum().backward()?;
    Ok((model, gradients))
}

fn time(call: &mut dyn FnMut()) -> Duration {
    let start = Instant::now();
    call();
    start.elapsed()
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e6
}

/// The steps of one kind of optimiser: dense, and with each share of pruned entries.
macro_rules! compare {
    ($name:literal, $side:expr, $new:expr) => {{
        let shares = [None, Some(0.5), Some(0.9)];
        let mut runs = Vec::new();
        for share in shares {
            let (mut model, gradients) = model($side, share)?;
            let mut optimiser = $new;
            runs.push(move || {
                optimiser
                    .step(&mut model, &gradients)
                    .expect("the tree is consistent")
            });
        }
        let mut times = [const { Vec::new() }; 3];
        for _ in 0..CALLS {
            for (times, run) in times.iter_mut().zip(&mut runs) {
                times.push(time(run));
            }
        }
        let [dense, half, most] = times.map(median);
        println!(
            "| {} | {}×{} | {} | {dense:.1} µs | {half:.1} µs | {:.2} | {most:.1} µs | {:.2} |",
            $name,
            $side,
            $side,
            rayon::current_num_threads(),
            half / dense,
            most / dense
        );
    }};
}

/// Networks, and the shapes of their batches.
fn networks() -> secateurs::Result<[(&'static str, Sequential, Vec<usize>); 2]> {
    let rng = &mut ChaCha8Rng::seed_from_u64(0);
    let mlp = Sequential::new()
        .push(Linear::new(64, 300, rng)?)
        .push(Relu::new())
        .push(Linear::new(300, 100, rng)?)
        .push(Relu::new())
        .push(Linear::new(100, 10, rng)?);
    let lenet = Sequential::new()
        .push(Conv2d::new(ConvConfig::new(1, 6, 5).padding(2), rng)?)
        .push(Relu::new())
        .push(MaxPool2d::new(2)?)
        .push(Conv2d::new(ConvConfig::new(6, 16, 5), rng)?)
        .push(Relu::new())
        .push(MaxPool2d::new(2)?)
        .push(Flatten::new())
        .push(Linear::new(400, 120, rng)?)
        .push(Relu::new())
        .push(Linear::new(120, 84, rng)?)
        .push(Relu::new())
        .push(Linear::new(84, 10, rng)?);
    Ok([
        ("MLP 64-300-100-10, batch 64", mlp, vec![64, 64]),
        ("LeNet-5 28×28, batch 32", lenet, vec![32, 1, 28, 28]),
    ])
}

/// Whole training steps with Adam: forward, cross-entropy, backward, the optimiser; dense, and with all weights pruned
/// together.
fn compare_training() -> secateurs::Result<()> {
    for (name, network, shape) in networks()? {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let input = ArrayD::from_shape_simple_fn(IxDyn(&shape), || rng.random_range(-1.0..1.0_f32));
        let (input, classes) = (
            Tensor::new(input),
            (0..shape[0]).map(|i| i % 10).collect::<Vec<_>>(),
        );
        let mut times = [const { Vec::new() }; 3];
        let mut trained = Vec::new();
        for share in [None, Some(0.5), Some(0.9)] {
            let mut model = network.clone();
            if let Some(share) = share {
                let weights = prune::weights(&model);
                prune::global_unstructured(&mut model, weights, L1Unstructured::new(Amount::until(share)?)?)?;
            }
            trained.push((model, Adam::new(1e-6)?));
        }
        for _ in 0..CALLS {
            for (times, (model, optimiser)) in times.iter_mut().zip(&mut trained) {
                let start = Instant::now();
                let gradients = loss::cross_entropy(&model.forward(&input)?, &classes)?.backward()?;
                optimiser.step(model, &gradients)?;
                times.push(start.elapsed());
            }
        }
        let [dense, half, most] = times.map(median);
        println!(
            "| training, Adam | {name} | {} | {dense:.0} µs | {half:.0} µs | {:.2} | {most:.0} µs | {:.2} |",
            rayon::current_num_threads(),
            half / dense,
            most / dense
        );
    }
    Ok(())
}

fn main() -> secateurs::Result<()> {
    if std::env::args().any(|arg| arg == "--test") {
        return Ok(());
    }
    println!("| step | parameter | threads | dense | 0.5 pruned | ÷ dense | 0.9 pruned | ÷ dense |");
    println!("|---|---|---|---|---|---|---|---|");
    for threads in [1, std::thread::available_parallelism().map_or(1, usize::from)] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.expect("threads can be started")
            .install(|| -> secateurs::Result<()> {
                for side in [256, 2048] {
                    compare!("SGD", side, Sgd::new(1e-6)?);
                    let sgd = || Sgd::new(1e-6)?.momentum(0.9)?.nesterov()?.weight_decay(1e-4);
                    compare!("SGD, Nesterov, decay", side, sgd()?);
                    compare!("Adam, decay", side, Adam::new(1e-6)?.weight_decay(1e-4)?);
                    compare!("AdamW", side, AdamW::new(1e-6)?);
                }
                compare_training()
            })?;
    }
    Ok(())
}
