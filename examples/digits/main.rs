//! Trains a network on real handwritten digits, prunes it to 50, 80, 90, 95 and 98 % sparsity in three ways, and
//! compares them:
//!
//! ```text
//! cargo run --release --example digits                  # one network, a table and a plot
//! cargo run --release --example digits -- --seed 7      # another network
//! cargo run --release --example digits -- --seeds 16    # sixteen networks, and how much accuracy pruning costs
//! ```
//!
//! Progress goes to stderr, the result to stdout. Everything is seeded: two runs print the same.

#[path = "../common/data.rs"]
mod data;
mod experiment;
mod plot;
mod pruning;
mod report;
mod size;
#[path = "../common/train.rs"]
mod train;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

use indicatif::{ProgressBar, ProgressStyle};
use secateurs::nn::{self, StateDict};

use data::Digits;
use experiment::{Epochs, generator, run};
use pruning::SPARSITIES;
use report::{Comparison, Losses};
use train::{accuracy, network};

const EPOCHS: Epochs = Epochs {
    training: 60,
    fine_tuning: 20,
};
/// Of one experiment in all.
const TOTAL: usize = EPOCHS.training + 2 * SPARSITIES.len() * EPOCHS.fine_tuning;
/// The sparsity at which a network is saved.
const SAVED: f64 = 0.90;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (train, test) = Digits::load()?.split();
    match arguments[..] {
        [] => one(0, &train, &test),
        ["--seed", seed] => one(seed.parse()?, &train, &test),
        ["--seeds", number] => several(number.parse()?, &train, &test),
        _ => Err("the arguments are `--seed N` or `--seeds N`, or none".into()),
    }
}

/// One network: the table, a plot, and a file of the network at 90 % sparsity.
fn one(seed: u64, train: &Digits, test: &Digits) -> Result<(), Box<dyn Error>> {
    let progress = progress_bar(TOTAL)?;
    let comparison = run(seed, EPOCHS, train, test, &progress)?;
    progress.finish_and_clear();
    println!(
        " {} handwritten digits to train on, {} to test on",
        train.len(),
        test.len()
    );
    println!(" 64-300-100-10 network with ReLU, its weights pruned globally\n");
    println!("{comparison}");

    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/digits");
    fs::create_dir_all(&folder)?;
    let picture = folder.join("accuracy.svg");
    plot::draw(&comparison, &picture)?;
    println!(" plot:  {}", short(&picture).display());

    // The file holds plain weights under PyTorch's names. A program that loads it need not know about pruning.
    let saved = comparison
        .magnitude
        .iter()
        .find(|stage| stage.sparsity == SAVED)
        .ok_or("nothing to save")?;
    let file = folder.join("digits-90.safetensors");
    nn::state_dict(&saved.baked).save_safetensors(&file)?;
    let mut loaded = network(&mut generator(seed, 3))?;
    nn::load_state_dict(&mut loaded, &StateDict::load_safetensors(&file)?)?;
    let again = accuracy(&loaded, test)?;
    assert_eq!(again, saved.accuracy, "a network is loaded as it was saved");
    println!(
        " model: {}, {:.2} % when loaded back",
        short(&file).display(),
        100.0 * again
    );
    Ok(())
}

/// Networks of the seeds 0 to `number` − 1, and what pruning by magnitude costs them.
fn several(number: u64, train: &Digits, test: &Digits) -> Result<(), Box<dyn Error>> {
    let progress = progress_bar(number as usize * TOTAL)?;
    let comparisons: Vec<Comparison> = (0..number)
        .map(|seed| run(seed, EPOCHS, train, test, &progress))
        .collect::<secateurs::Result<_>>()?;
    progress.finish_and_clear();
    println!("{}", Losses(&comparisons));
    Ok(())
}

/// A bar on stderr, or nothing if stderr is not a terminal.
fn progress_bar(epochs: usize) -> Result<ProgressBar, Box<dyn Error>> {
    let style = ProgressStyle::with_template("{msg:20}  {bar:40.green/dim}  {pos}/{len} epochs, {elapsed}")?;
    Ok(ProgressBar::new(epochs as u64).with_style(style.progress_chars("━━─")))
}

/// The path relative to the current folder, if it lies below that.
fn short(path: &Path) -> PathBuf {
    let here = env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path).to_owned()
}
