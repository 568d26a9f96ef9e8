//! Trains a network on real handwritten digits, prunes it to 50, 80, 90, 95 and 98 % sparsity in three ways, and
//! compares them:
//!
//! ```text
//! cargo run --release --example digits
//! ```
//!
//! Progress goes to stderr, the result to stdout. Everything is seeded: two runs print the same.

mod data;
mod plot;
mod pruning;
mod report;
mod size;
mod train;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs, thread};

use indicatif::{ProgressBar, ProgressStyle};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use secateurs::nn::{self, StateDict};
use secateurs::prune::{L1Unstructured, RandomUnstructured};

use data::Digits;
use pruning::{Stage, gradually};
use report::Comparison;
use train::{accuracy, fit, network};

/// The shares of the weights to prune, one after the other.
const SPARSITIES: [f64; 5] = [0.50, 0.80, 0.90, 0.95, 0.98];
/// Which of the pruned networks is saved: the one of 90 %.
const SAVED: usize = 2;
/// Passes over the training images at first,
const EPOCHS: usize = 30;
/// and after each pruning.
const FINE_TUNING: usize = 15;

fn main() -> Result<(), Box<dyn Error>> {
    let (train, test) = &Digits::load()?.split();
    let progress = &progress_bar(EPOCHS + 2 * SPARSITIES.len() * FINE_TUNING)?;

    progress.set_message("training");
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut dense = network(&mut rng);
    fit(&mut dense, train, EPOCHS, &mut rng, progress)?;

    progress.set_message("pruning and fine-tuning");
    let data = (train, test);
    let by_magnitude = |epochs| {
        gradually(
            &dense,
            &SPARSITIES,
            |amount| L1Unstructured::new(amount),
            epochs,
            data,
            progress,
        )
    };
    let by_chance = || {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let method = |amount| RandomUnstructured::new(amount, &mut rng);
        gradually(&dense, &SPARSITIES, method, FINE_TUNING, data, progress)
    };
    let (random, magnitude) = thread::scope(|scope| {
        let random = scope.spawn(by_chance);
        let magnitude = by_magnitude(FINE_TUNING);
        (random.join().expect("the thread does not panic"), magnitude)
    });
    let comparison = Comparison {
        magnitude: magnitude?,
        random: random?,
        untuned: by_magnitude(0)?,
        dense: Stage::of(&dense, test)?,
    };
    progress.finish_and_clear();
    print!("{comparison}");

    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/digits");
    fs::create_dir_all(&folder)?;
    let picture = folder.join("accuracy.svg");
    plot::draw(&comparison, &picture)?;

    // What is saved holds plain weights under PyTorch's names: whoever loads it need not know of pruning.
    let file = folder.join("digits-90.safetensors");
    let best = &comparison.magnitude[SAVED];
    nn::state_dict(&best.baked).save_safetensors(&file)?;
    let mut loaded = network(&mut ChaCha8Rng::seed_from_u64(4));
    nn::load_state_dict(&mut loaded, &StateDict::load_safetensors(&file)?)?;
    let accuracy = accuracy(&loaded, test)?;
    assert_eq!(
        accuracy, best.accuracy,
        "a loaded network is the one that was saved"
    );

    println!("plot     {}", short(&picture).display());
    println!(
        "model    {}, {:.2} % when saved and {:.2} % loaded back",
        short(&file).display(),
        100.0 * best.accuracy,
        100.0 * accuracy
    );
    Ok(())
}

/// A bar on stderr, or nothing where stderr is no terminal.
fn progress_bar(epochs: usize) -> Result<ProgressBar, Box<dyn Error>> {
    let style = ProgressStyle::with_template("{msg:24} {bar:40.green/dim} {pos}/{len} epochs, {elapsed}")?;
    Ok(ProgressBar::new(epochs as u64).with_style(style.progress_chars("━━─")))
}

/// The path from the present folder, where it lies below.
fn short(path: &Path) -> PathBuf {
    let here = env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path).to_owned()
}
