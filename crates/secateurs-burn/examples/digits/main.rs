//! Trains two networks on real handwritten digits, prunes them in steps to 90 % and beyond with fine-tuning, and saves
//! and loads the one with 90 %:
//!
//! ```text
//! cargo run --release -p secateurs-burn --example digits                # a table
//! cargo run --release -p secateurs-burn --example digits -- --seeds 5   # means of five networks
//! ```
//!
//! The networks in `networks.rs` and the training in `train.rs` are burn as anyone writes it. Pruning is in `prune`,
//! below, and nowhere else.

mod data;
mod networks;
mod train;

use std::error::Error;

use burn::store::ModuleRecord;
use burn::tensor::Device;
use secateurs::prune::{self, Amount, L1Unstructured};
use secateurs_burn::BurnModel;

use data::Digits;
use networks::{Classifier, Cnn, Mlp};
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
    let (train, test) = Digits::load()?.split();
    let sparsities = [0.0].into_iter().chain(SPARSITIES);
    println!("accuracy on {} test images, %, mean of {seeds}", test.len());
    println!(
        "sparsity {}",
        columns(sparsities.map(|s| format!("{:.0} %", 100.0 * s)))
    );
    row("MLP", seeds, |seed| prune::<Mlp>(seed, &train, &test))?;
    row("CNN", seeds, |seed| prune::<Cnn>(seed, &train, &test))
}

/// Trains a network, prunes it step by step, and returns its accuracy at each sparsity.
fn prune<M: Classifier>(seed: u64, train: &Digits, test: &Digits) -> Result<Vec<f64>> {
    let device = Device::flex().autodiff();
    device.seed(seed);
    let network = fit(M::new(&device), train, TRAINING, seed);
    let mut accuracies = vec![accuracy(&network, test)];

    let mut model = BurnModel::new(network);
    let weights = prune::weights(&model); // all but biases
    for sparsity in SPARSITIES {
        let method = L1Unstructured::new(Amount::until(sparsity)?)?;
        prune::global_unstructured(&mut model, &weights, method)?;
        model.module = fit(model.module, train, FINE_TUNING, seed);
        accuracies.push(accuracy(&model.module, test));
        if sparsity == 0.9 {
            check_file(&model, test)?;
        }
    }
    prune::remove_all(&mut model)?; // a plain network with zeros in it
    assert_eq!(accuracies.last(), Some(&accuracy(&model.module, test)));
    Ok(accuracies)
}

/// Saves a network with its masks, loads it into a new one, and checks that it is the same.
fn check_file<M: Classifier>(model: &BurnModel<M>, test: &Digits) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("digits.bpk");
    model.module.clone().save_file(&file)?;

    let mut loaded = BurnModel::new(M::new(&Device::flex().autodiff()));
    loaded.load_record(ModuleRecord::load(&file)?)?;
    assert_eq!(accuracy(&loaded.module, test), accuracy(&model.module, test));
    for path in prune::weights(model) {
        assert_eq!(prune::mask(&loaded, &path)?, prune::mask(model, &path)?);
    }
    Ok(())
}

/// The means over several networks.
fn row(name: &str, seeds: u64, accuracies: impl Fn(u64) -> Result<Vec<f64>>) -> Result<()> {
    let mut sums = vec![0.0; 1 + SPARSITIES.len()];
    for seed in 0..seeds {
        for (sum, accuracy) in sums.iter_mut().zip(accuracies(seed)?) {
            *sum += 100.0 * accuracy / seeds as f64;
        }
    }
    println!(
        "{name:8} {}",
        columns(sums.iter().map(|mean| format!("{mean:.2}")))
    );
    Ok(())
}

fn columns(cells: impl Iterator<Item = String>) -> String {
    cells.map(|cell| format!("{cell:>8}")).collect()
}
