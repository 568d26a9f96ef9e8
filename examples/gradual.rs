//! Three ways to a sparse network, with the same number of steps of training each, on handwritten digits:
//!
//! - gradually: pruned by a cubic schedule while it trains (Zhu and Gupta 2017);
//! - at once: trained dense, pruned in one shot, fine-tuned;
//! - RigL: sparse from the start, weak entries exchanged for promising ones (Evci et al. 2020).
//!
//! ```text
//! cargo run --release --example gradual                      # five networks, a table and a plot
//! cargo run --release --example gradual -- --seeds 10        # more networks
//! cargo run --release --example gradual -- --export FOLDER   # what scripts/gradual.py compares with PyTorch
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
use secateurs::nn::{ParamTreeExt, Sequential, state_dict};
use secateurs::prune;
use secateurs::tensor::Gradients;
use secateurs::train::{DynamicPruner, Pruner, Schedule, erdos_renyi_kernel};
use secateurs::{Prunable, Result};

use data::Digits;
use train::{accuracy, fit, fit_with, network};
use trials::Trials;

const SPARSITIES: [f64; 3] = [0.90, 0.95, 0.98];
const EPOCHS: usize = 40;
/// Steps of an epoch: 1347 images in batches of 32.
const EPOCH: u64 = 43;
/// Masks change from here to there; then follow ten epochs of fine-tuning.
const PRUNING: std::ops::RangeInclusive<u64> = 5 * EPOCH..=30 * EPOCH;

fn main() -> std::result::Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (seeds, export) = match arguments[..] {
        [] => (5, None),
        ["--seeds", seeds] => (seeds.parse()?, None),
        ["--export", folder] => (10, Some(Path::new(folder))),
        _ => return Err("the arguments are `--seeds N` or `--export FOLDER`, or none".into()),
    };
    let (train, test) = Digits::load()?.split();
    let progress = ProgressBar::new(seeds * (EPOCHS * (1 + 3 * SPARSITIES.len())) as u64);
    progress.set_style(ProgressStyle::with_template(
        "{msg:20}  {bar:40.green/dim}  {pos}/{len} epochs, {elapsed}",
    )?);

    let mut dense = Vec::new();
    let mut ways = ["gradually", "at once", "RigL"].map(|name| (name, vec![Vec::new(); SPARSITIES.len()]));
    for seed in 0..seeds {
        progress.set_message(format!("network {} of {seeds}", seed + 1));
        let mut model = network(&mut generator(seed, 0))?;
        fit(&mut model, &train, EPOCHS, &mut generator(seed, 1), &progress)?;
        dense.push(accuracy(&model, &test)?);
        for (row, sparsity) in SPARSITIES.into_iter().enumerate() {
            let folder = export.map(|folder| folder.join(format!("{seed}-{sparsity}")));
            let networks = [
                gradually(seed, sparsity, &train, &progress, folder.as_deref())?,
                at_once(seed, sparsity, &train, &progress)?,
                rigl(seed, sparsity, &train, &progress)?,
            ];
            for (way, model) in ways.iter_mut().zip(networks) {
                way.1[row].push(accuracy(&model, &test)?);
            }
        }
    }
    progress.finish_and_clear();
    let trials = Trials {
        sparsities: SPARSITIES.to_vec(),
        dense,
        ways: ways.to_vec(),
    };
    println!("{trials}");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/gradual");
    fs::create_dir_all(&folder)?;
    fs::write(
        folder.join("accuracy.svg"),
        trials.to_svg("Handwritten digits: three ways to a sparse 64-300-100-10 network")?,
    )?;
    println!(" plot: target/gradual/accuracy.svg");
    Ok(())
}

/// Pruned while it trains: all weights ranked together, masks recomputed from the hidden originals.
fn gradually(
    seed: u64,
    sparsity: f64,
    train: &Digits,
    progress: &ProgressBar,
    export: Option<&Path>,
) -> Result<Sequential> {
    let mut model = network(&mut generator(seed, 0))?;
    let schedule = Schedule::cubic(0.0, sparsity, PRUNING)?.every(EPOCH)?;
    let mut pruner = Pruner::new(&model, prune::weights(&model), schedule)?
        .global()
        .recompute(true);
    if let Some(folder) = export {
        save(&model, folder, "initial")?;
        save_order(train, seed, folder)?;
    }
    fit_with(
        &mut model,
        train,
        EPOCHS,
        &mut generator(seed, 1),
        progress,
        |model, step, _| {
            let before = export.map(|_| state_dict(model));
            if pruner.step(model, step)?.is_some()
                && let (Some(folder), Some(before)) = (export, before)
            {
                before.save_safetensors(folder.join(format!("step-{step}-before.safetensors")))?;
                save(model, folder, &format!("step-{step}-after"))?;
            }
            Ok(())
        },
    )?;
    if let Some(folder) = export {
        save(&model, folder, "final")?;
    }
    Ok(model)
}

/// Trained dense for as long as the others are being pruned, then pruned and fine-tuned.
fn at_once(seed: u64, sparsity: f64, train: &Digits, progress: &ProgressBar) -> Result<Sequential> {
    let mut model = network(&mut generator(seed, 0))?;
    let schedule = Schedule::milestones([(*PRUNING.end(), sparsity)])?;
    let mut pruner = Pruner::new(&model, prune::weights(&model), schedule)?.global();
    fit_with(
        &mut model,
        train,
        EPOCHS,
        &mut generator(seed, 1),
        progress,
        |model, step, _| pruner.step(model, step).map(drop),
    )?;
    Ok(model)
}

/// Sparse from the start, with densities by the Erdős–Rényi kernel rule.
fn rigl(seed: u64, sparsity: f64, train: &Digits, progress: &ProgressBar) -> Result<Sequential> {
    let mut model = network(&mut generator(seed, 0))?;
    let weights = prune::weights(&model);
    let shapes = weights.iter().map(|path| Ok(model.view(path)?.shape().to_vec()));
    let shapes: Vec<Vec<usize>> = shapes.collect::<Result<_>>()?;
    let shapes: Vec<&[usize]> = shapes.iter().map(Vec::as_slice).collect();
    let schedule = Schedule::cosine(0.3, 0.0, EPOCH..=*PRUNING.end())?.every(EPOCH)?;
    let mut pruner = DynamicPruner::new(&model, &weights, schedule)?.seed(seed);
    pruner.start(&mut model, &erdos_renyi_kernel(&shapes, sparsity)?)?;
    let ids = weights
        .iter()
        .map(|path| Ok((path.clone(), model.parameter(path)?.id())));
    let ids = ids.collect::<Result<std::collections::HashMap<_, _>>>()?;
    let exchange = |model: &mut Sequential, step: u64, gradients: &Gradients| {
        let dense = |path: &str| {
            gradients
                .dense(ids[path])
                .expect("every weight takes part")
                .to_owned()
        };
        let update = pruner.step_with_gradients(model, step, |view| Ok(dense(view.path()).into()));
        update.map(drop)
    };
    fit_with(
        &mut model,
        train,
        EPOCHS,
        &mut generator(seed, 1),
        progress,
        exchange,
    )?;
    Ok(model)
}

/// One of several independent random sequences of a seed: 0 for the initial weights, 1 for the batches.
fn generator(seed: u64, stream: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    rng
}

fn save(model: &Sequential, folder: &Path, name: &str) -> Result<()> {
    fs::create_dir_all(folder).map_err(failed)?;
    state_dict(model).save_safetensors(folder.join(format!("{name}.safetensors")))
}

/// The images of each epoch in the order in which they come, a line each.
fn save_order(train: &Digits, seed: u64, folder: &Path) -> Result<()> {
    let rng = &mut generator(seed, 1);
    let mut text = String::new();
    for _ in 0..EPOCHS {
        let order: Vec<String> = train.order(rng).iter().map(usize::to_string).collect();
        text += &(order.join(" ") + "\n");
    }
    fs::write(folder.join("order.txt"), text).map_err(failed)
}

fn failed(error: std::io::Error) -> secateurs::Error {
    secateurs::Error::Framework(error.into())
}
