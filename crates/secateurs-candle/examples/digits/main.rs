//! Trains two networks on real handwritten digits, prunes them in steps to 90 % and beyond with fine-tuning, and saves
//! and loads the one with 90 %:
//!
//! ```text
//! cargo run --release -p secateurs-candle --example digits                # a table
//! cargo run --release -p secateurs-candle --example digits -- --seeds 5   # means of five networks
//! ```
//!
//! The networks in `networks.rs` and the training in `train.rs` are candle as anyone writes it. Pruning is in `prune`,
//! below, and in the step of the optimiser.

mod data;
mod networks;
mod train;

use std::error::Error;

use candle_core::Module;
use candle_nn::VarMap;
use secateurs::checkpoint::{load_masks, save_masks};
use secateurs::prune::{self, Amount, L1Unstructured};
use secateurs_candle::CandleModel;

use data::Digits;
use train::{accuracy, fit};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const TRAINING: usize = 60;
const FINE_TUNING: usize = 20;
const SPARSITIES: [f64; 5] = [0.50, 0.80, 0.90, 0.95, 0.98];

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let seeds: u64 = match arguments[..] {
        [] => 1,
        ["--seeds", number] => number.parse()?,
        _ => return Err("the argument is `--seeds N`, or none".into()),
    };
    let (train, test) = Digits::load()?.split()?;
    println!("accuracy on {} test images, %, mean of {seeds}", test.len());
    println!(
        "sparsity {}",
        columns(
            [0.0]
                .into_iter()
                .chain(SPARSITIES)
                .map(|s| format!("{:.0} %", 100.0 * s))
        )
    );
    for (name, build) in networks::ALL {
        let mut sums = vec![0.0; 1 + SPARSITIES.len()];
        for seed in 0..seeds {
            for (sum, accuracy) in sums.iter_mut().zip(prune(build, seed, &train, &test)?) {
                *sum += 100.0 * accuracy / seeds as f64;
            }
        }
        println!(
            "{name:8} {}",
            columns(sums.iter().map(|mean| format!("{mean:.2}")))
        );
    }
    Ok(())
}

/// Trains a network, prunes it step by step, and returns its accuracy at each sparsity.
fn prune(build: networks::Build, seed: u64, train: &Digits, test: &Digits) -> Result<Vec<f64>> {
    let vars = VarMap::new();
    let network = build(&vars, seed)?;
    let mut model = CandleModel::new(&vars);
    fit(&*network, &model, train, TRAINING, seed)?;
    let mut accuracies = vec![accuracy(&*network, test)?];

    let weights = prune::weights(&model); // all but biases
    for sparsity in SPARSITIES {
        prune::global_unstructured(
            &mut model,
            &weights,
            L1Unstructured::new(Amount::until(sparsity)?)?,
        )?;
        fit(&*network, &model, train, FINE_TUNING, seed)?;
        accuracies.push(accuracy(&*network, test)?);
        if sparsity == 0.9 {
            check_files(build, &model, test, accuracies[accuracies.len() - 1])?;
        }
    }
    Ok(accuracies)
}

/// Saves weights and masks, loads them into a new network, and checks that it is as accurate.
fn check_files(build: networks::Build, model: &CandleModel, test: &Digits, expected: f64) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (weights, masks) = (
        folder.path().join("digits.safetensors"),
        folder.path().join("masks.safetensors"),
    );
    model.save(&weights)?;
    save_masks(model, &masks)?;

    let mut vars = VarMap::new();
    let network: Box<dyn Module> = build(&vars, u64::MAX)?;
    vars.load(&weights)?;
    load_masks(&mut CandleModel::new(&vars), &masks)?;
    assert_eq!(
        accuracy(&*network, test)?,
        expected,
        "a network is loaded as it was saved"
    );
    Ok(())
}

fn columns(cells: impl Iterator<Item = String>) -> String {
    cells.map(|cell| format!("{cell:>8}")).collect()
}
