//! Trains a network on real handwritten digits, prunes it to 50, 80, 90, 95 and 98 % sparsity in three ways, and
//! compares them:
//!
//! ```text
//! cargo run --release --example digits
//! ```
//!
//! Progress goes to stderr, the result to stdout. Everything is seeded: two runs print the same, and a number as
//! argument (`-- 7`) is another seed.

mod data;
mod plot;
mod pruning;
mod report;
mod size;
mod train;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

use indicatif::{ProgressBar, ProgressStyle};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use secateurs::nn::{self, Sequential, StateDict};
use secateurs::prune::{L1Unstructured, RandomUnstructured};

use data::Digits;
use pruning::{SPARSITIES, gradually};
use report::Comparison;
use train::{accuracy, fit, network};

/// Passes over the training images at first,
const EPOCHS: usize = 60;
/// and after each pruning.
const FINE_TUNING: usize = 20;
/// The sparsity at which a network is saved.
const SAVED: f64 = 0.90;

fn main() -> Result<(), Box<dyn Error>> {
    let seed = env::args().nth(1).map_or(Ok(0), |seed| seed.parse())?;
    let progress = progress_bar(EPOCHS + 2 * SPARSITIES.len() * FINE_TUNING)?;
    let (train, test) = Digits::load()?.split();

    progress.set_message("training");
    let mut rng = generator(seed, 0);
    let mut dense = network(&mut rng);
    fit(&mut dense, &train, EPOCHS, &mut rng, &progress)?;

    let fine_tuning = |method: &'static str| {
        progress.set_message(method);
        let (mut rng, train, progress) = (generator(seed, 1), &train, &progress); // the same batches for each
        move |model: &mut Sequential| fit(model, train, FINE_TUNING, &mut rng, progress)
    };
    let mut random = generator(seed, 2);
    let comparison = Comparison {
        magnitude: gradually(
            &dense,
            &test,
            L1Unstructured::new,
            fine_tuning("pruning by magnitude"),
        )?,
        random: gradually(
            &dense,
            &test,
            |amount| RandomUnstructured::new(amount, &mut random),
            fine_tuning("pruning at random"),
        )?,
        untuned: gradually(&dense, &test, L1Unstructured::new, |_| Ok(()))?,
    };
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

    // The file holds plain weights under PyTorch's names: whoever loads it need not know of pruning.
    let saved = comparison
        .magnitude
        .iter()
        .find(|stage| stage.sparsity == SAVED)
        .ok_or("nothing to save")?;
    let file = folder.join("digits-90.safetensors");
    nn::state_dict(&saved.baked).save_safetensors(&file)?;
    let mut loaded = network(&mut generator(seed, 3));
    nn::load_state_dict(&mut loaded, &StateDict::load_safetensors(&file)?)?;
    let again = accuracy(&loaded, &test)?;
    assert_eq!(again, saved.accuracy, "a network is loaded as it was saved");
    println!(
        " model: {}, {:.2} % when loaded back",
        short(&file).display(),
        100.0 * again
    );
    Ok(())
}

/// One of the independent random sequences of a seed.
fn generator(seed: u64, stream: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    rng
}

/// A bar on stderr, or nothing where stderr is no terminal.
fn progress_bar(epochs: usize) -> Result<ProgressBar, Box<dyn Error>> {
    let style = ProgressStyle::with_template("{msg:20}  {bar:40.green/dim}  {pos}/{len} epochs, {elapsed}")?;
    Ok(ProgressBar::new(epochs as u64).with_style(style.progress_chars("━━─")))
}

/// The path as seen from the present folder, where it lies below that.
fn short(path: &Path) -> PathBuf {
    let here = env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path).to_owned()
}
