//! The lottery ticket hypothesis (Frankle and Carbin 2019) on handwritten digits: in ten rounds, a network is trained,
//! a third of its remaining weights is pruned, and the rest is rewound to its initial values. Does the sparse network
//! that is left, trained again, do better than
//!
//! - the same sparse network with other initial values, and
//! - one that is found in a single round?
//!
//! ```text
//! cargo run --release --example lottery_ticket                 # five networks, a table and a plot
//! cargo run --release --example lottery_ticket -- --seeds 10   # more networks
//! ```

#[path = "common/data.rs"]
mod data;
#[path = "common/train.rs"]
mod train;
#[path = "common/trials.rs"]
mod trials;

use std::error::Error;
use std::path::Path;
use std::{env, fs};

use indicatif::{ProgressBar, ProgressStyle};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use secateurs::nn::Sequential;
use secateurs::prune::{self, Amount, L1Unstructured};
use secateurs::train::Snapshot;

use data::Digits;
use train::{accuracy, fit, network};
use trials::Trials;

const ROUNDS: usize = 10;
/// What is pruned of the remaining weights in each round.
const SHARE: f64 = 1.0 / 3.0;
const EPOCHS: usize = 15;

fn main() -> std::result::Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let seeds: u64 = match arguments[..] {
        [] => 5,
        ["--seeds", seeds] => seeds.parse()?,
        _ => return Err("the arguments are `--seeds N`, or none".into()),
    };
    let (train, test) = Digits::load()?.split();
    let progress = ProgressBar::new(seeds * (EPOCHS * (1 + 3 * ROUNDS)) as u64);
    progress.set_style(ProgressStyle::with_template(
        "{msg:20}  {bar:40.green/dim}  {pos}/{len} epochs, {elapsed}",
    )?);

    let mut trials = Trials {
        sparsities: Vec::new(),
        dense: Vec::new(),
        ways: ["ticket", "reinitialised", "in one round"]
            .map(|name| (name, vec![Vec::new(); ROUNDS]))
            .to_vec(),
    };
    for seed in 0..seeds {
        progress.set_message(format!("network {} of {seeds}", seed + 1));
        let fit = |model: &mut Sequential| fit(model, &train, EPOCHS, &mut generator(seed, 1), &progress);
        let mut model = network(&mut generator(seed, 0))?;
        let start = Snapshot::of(&model)?;
        let other = Snapshot::of(&network(&mut generator(seed, 2))?)?;
        fit(&mut model)?;
        let dense = model.clone();
        trials.dense.push(accuracy(&dense, &test)?);
        trials.sparsities.clear();
        for round in 0..ROUNDS {
            let weights = prune::weights(&model);
            let report = prune::global_unstructured(&mut model, &weights, L1Unstructured::new(SHARE)?)?;
            trials.sparsities.push(report.sparsity());

            let mut reinitialised = model.clone();
            other.rewind(&mut reinitialised)?;
            fit(&mut reinitialised)?;

            let mut one_round = dense.clone();
            let method = L1Unstructured::new(Amount::until(report.sparsity())?)?;
            prune::global_unstructured(&mut one_round, &weights, method)?;
            start.rewind(&mut one_round)?;
            fit(&mut one_round)?;

            start.rewind(&mut model)?;
            fit(&mut model)?;
            for (way, model) in trials.ways.iter_mut().zip([&model, &reinitialised, &one_round]) {
                way.1[round].push(accuracy(model, &test)?);
            }
        }
    }
    progress.finish_and_clear();
    println!("{trials}");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/lottery_ticket");
    fs::create_dir_all(&folder)?;
    let title = "Handwritten digits: lottery tickets of a 64-300-100-10 network";
    fs::write(folder.join("accuracy.svg"), trials.to_svg(title)?)?;
    println!(" plot: target/lottery_ticket/accuracy.svg");
    Ok(())
}

/// One of several independent random sequences of a seed: 0 and 2 for initial weights, 1 for the batches.
fn generator(seed: u64, stream: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    rng
}
