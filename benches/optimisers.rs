//! A step of each optimiser on a pruned parameter against the same step on a dense one: `cargo bench --bench optimisers`.
//!
//! Both are timed alternately, on one thread and on as many as there are; a line shows the medians and their ratio.

use std::time::{Duration, Instant};

use ndarray::{ArrayD, IxDyn};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use secateurs::nn::optim::{Adam, AdamW, Sgd};
use secateurs::nn::{ParamStore, ParamTreeExt};
use secateurs::prune;
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
                Ok(())
            })?;
    }
    Ok(())
}
