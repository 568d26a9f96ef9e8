//! A network that really gets smaller: trained on handwritten digits, pruned gradually by channels while it trains, and
//! then without the pruned channels.
//!
//! ```text
//! cargo run --release -p secateurs-onnx --features nn --example shrink             # a table
//! cargo run --release -p secateurs-onnx --features nn --example shrink -- FOLDER   # and the three as ONNX files
//! ```

#[path = "../../../examples/common/data.rs"]
mod data;

use std::error::Error;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use std::{env, fs};

use indicatif::{ProgressBar, ProgressStyle};
use ndarray::Array1;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use secateurs::nn::optim::AdamW;
use secateurs::nn::{
    BatchNorm2d, Conv2d, ConvConfig, Flatten, Linear, MaxPool2d, Module, ParamTreeExt, Relu, Sequential, loss,
};
use secateurs::prune::{self, LnStructured};
use secateurs::tensor::{Tensor, no_grad};
use secateurs::train::{Pruner, Schedule};
use secateurs_onnx::{Cost, Options, export, shrink_module};

use data::{CLASSES, Digits};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The shape of one image.
const IMAGE: [usize; 3] = [1, 8, 8];
/// Convolutions with the batch norm that follows each.
const BLOCKS: [(&str, &str); 3] = [("0", "1"), ("3", "4"), ("7", "8")];
const EPOCHS: usize = 16;
/// Steps of an epoch: 1347 images in batches of 32.
const EPOCH: u64 = 43;
/// Channels are pruned from here to there; then follow six epochs of fine-tuning.
const PRUNING: std::ops::RangeInclusive<u64> = EPOCH..=10 * EPOCH;
/// The share of the channels of each convolution that is pruned.
const SPARSITY: f64 = 0.5;

fn network(rng: &mut impl Rng) -> secateurs::Result<Sequential> {
    let mut conv = |inputs, outputs| {
        let config = ConvConfig::new(inputs, outputs, 3).padding(1);
        Conv2d::new(config.without_bias(), rng)
    };
    let model = Sequential::new()
        .push(conv(1, 32)?)
        .push(BatchNorm2d::new(32)?)
        .push(Relu::new())
        .push(conv(32, 64)?)
        .push(BatchNorm2d::new(64)?)
        .push(Relu::new())
        .push(MaxPool2d::new(2)?)
        .push(conv(64, 64)?)
        .push(BatchNorm2d::new(64)?)
        .push(Relu::new())
        .push(MaxPool2d::new(2)?)
        .push(Flatten::new());
    Ok(model.push(Linear::new(64 * 4, CLASSES, rng)?))
}

/// A batch of rows of 64 pixels as images.
fn images(rows: &Tensor) -> secateurs::Result<Tensor> {
    rows.reshape(&[rows.shape()[0], IMAGE[0], IMAGE[1], IMAGE[2]])
}

/// Trains, and calls `after_step` after each step.
fn fit(
    model: &mut Sequential,
    data: &Digits,
    progress: &ProgressBar,
    mut after_step: impl FnMut(&mut Sequential, u64) -> secateurs::Result<()>,
) -> secateurs::Result<()> {
    let rng = &mut ChaCha8Rng::seed_from_u64(1);
    let mut optimiser = AdamW::new(2e-3)?;
    model.train()?;
    let mut step = 0;
    for _ in 0..EPOCHS {
        for (rows, labels) in data.batches(32, rng) {
            let loss = loss::cross_entropy(&model.forward(&images(&rows)?)?, &labels)?;
            optimiser.step(model, &loss.backward()?)?;
            after_step(model, step)?;
            step += 1;
        }
        progress.inc(1);
    }
    model.eval()
}

/// Prunes whole channels of all convolutions while the network trains.
fn gradually(model: &mut Sequential, data: &Digits, progress: &ProgressBar) -> secateurs::Result<()> {
    let paths = BLOCKS.map(|(conv, _)| format!("{conv}.weight"));
    let schedule = Schedule::cubic(0.0, SPARSITY, PRUNING)?.every(EPOCH)?;
    let mut pruner = Pruner::new(model, paths, schedule)?.method(|amount, _| LnStructured::new(amount, 2, 0));
    fit(model, data, progress, |model, step| {
        if pruner.step(model, step)?.is_some() {
            mask_shifts(model)?;
        }
        Ok(())
    })
}

/// Masks scale and shift of the batch norm of each channel that is masked: a channel whose shift is still read sends
/// a constant, and cannot be removed.
fn mask_shifts(model: &mut Sequential) -> secateurs::Result<()> {
    for (conv, norm) in BLOCKS {
        let weight = model.parameter(&format!("{conv}.weight"))?.effective().to_owned();
        let kept: Vec<bool> = weight
            .outer_iter()
            .map(|channel| channel.iter().any(|x| *x != 0.0))
            .collect();
        for name in ["weight", "bias"] {
            let mask = Array1::from_vec(kept.clone());
            prune::set_mask(model, &format!("{norm}.{name}"), mask)?;
        }
    }
    Ok(())
}

fn accuracy(model: &Sequential, data: &Digits) -> secateurs::Result<f64> {
    let logits = no_grad(|| model.forward(&images(&data.images())?))?;
    let logits = logits.value();
    let right = logits.outer_iter().zip(data.labels()).filter(|(row, label)| {
        let best = row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
        best.map(|(class, _)| class) == Some(**label)
    });
    Ok(right.count() as f64 / data.len() as f64)
}

/// The median time of all images in one batch, for one image.
fn time(model: &Sequential, data: &Digits) -> secateurs::Result<Duration> {
    let batch = images(&data.images())?;
    let mut times = Vec::new();
    for _ in 0..31 {
        let begin = Instant::now();
        no_grad(|| model.forward(&batch))?;
        times.push(begin.elapsed());
    }
    times.sort_unstable();
    Ok(times[times.len() / 2] / data.len() as u32)
}

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let folder = match &arguments[..] {
        [] => None,
        [folder] => Some(PathBuf::from(folder)),
        _ => return Err("the argument is a folder for the ONNX files, or none".into()),
    };
    let (train, test) = Digits::load()?.split();
    let progress = ProgressBar::new(2 * EPOCHS as u64);
    progress.set_style(ProgressStyle::with_template(
        "{msg:20}  {bar:40.green/dim}  {pos}/{len} epochs, {elapsed}",
    )?);

    let untrained = network(&mut ChaCha8Rng::seed_from_u64(0))?;
    progress.set_message("dense");
    let mut dense = untrained.clone();
    fit(&mut dense, &train, &progress, |_, _| Ok(()))?;
    progress.set_message("pruned gradually");
    let mut masked = untrained;
    gradually(&mut masked, &train, &progress)?;
    progress.finish_and_clear();

    // What is masked is removed, and nothing else: the smaller network computes the same.
    let smaller = shrink_module(&masked, &IMAGE, &Options::masked())?;
    let (shrunk, report) = (smaller.module, smaller.report);

    println!(
        "half of the channels of three convolutions, accuracy on {} test images",
        test.len()
    );
    println!();
    println!("          accuracy  ONNX file  parameters  multiply-adds  time per image");
    println!("{}", "─".repeat(72));
    let rows: [(&str, &Sequential, Cost); 3] = [
        ("dense", &dense, report.before),
        ("masked", &masked, report.before),
        ("shrunk", &shrunk, report.after),
    ];
    for (name, model, cost) in rows {
        let onnx = export(model, &IMAGE)?;
        println!(
            "{name:8} {:>7.2} % {:>8.1} kB {:>11} {:>14} {:>12.1} µs",
            100.0 * accuracy(model, &test)?,
            onnx.len() as f64 / 1e3,
            thousands(cost.parameters),
            thousands(cost.macs.unwrap_or_default()),
            time(model, &test)?.as_secs_f64() * 1e6,
        );
        if let Some(folder) = &folder {
            fs::create_dir_all(folder)?;
            fs::write(folder.join(format!("{name}.onnx")), onnx)?;
        }
    }
    println!("{}", "─".repeat(72));
    if let Some(deviation) = report.deviation {
        println!(
            "the shrunk network differs from the masked one by {deviation:.0e} of its largest output, in f64"
        );
    }
    Ok(())
}

/// A number with a comma before each three digits.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let comma = |place: usize| place > 0 && (digits.len() - place).is_multiple_of(3);
    digits
        .chars()
        .enumerate()
        .flat_map(|(place, digit)| comma(place).then_some(',').into_iter().chain([digit]))
        .collect()
}
