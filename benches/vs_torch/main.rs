//! This crate's part of `compare.py`, which measures this crate and PyTorch alternately.
//!
//! Reads jobs from standard input, one line of JSON each. Answers each by a line of JSON: the seconds of every call,
//! and by how many bytes the process grew at most during the first one. It times what a user calls, on modules.

use std::collections::HashMap;
use std::error::Error;
use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::time::Instant;
use std::{fs, io};

use ndarray::{Array, IxDyn};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use secateurs::nn::{Conv2d, ConvConfig, Linear, ParamTreeExt, Sequential};
use secateurs::prune::{self, L1Unstructured, Mask};
use serde::Deserialize;

#[derive(Deserialize)]
struct Job {
    call: Call,
    /// Of the weight of each layer: two sizes for a linear one, four for a convolution.
    shape: Vec<usize>,
    layers: usize,
    amount: f64,
    #[serde(default)]
    dim: isize,
    /// Little-endian floats of all layers, one after the other.
    weights: PathBuf,
    /// A packed mask that prunes the layer beforehand.
    prior: Option<PathBuf>,
    /// Where to write the packed masks of all layers, one after the other.
    masks: PathBuf,
    /// What happens to the pruned weight, which is otherwise made when forward needs it.
    #[serde(default)]
    then: Then,
    calls: usize,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum Call {
    L1Unstructured,
    GlobalUnstructured,
    RandomUnstructured,
    LnStructured,
}

#[derive(Deserialize, Clone, Copy, Default, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Then {
    /// Nothing: it is deferred.
    #[default]
    Defer,
    /// It is made, as PyTorch makes it in its call.
    Weight,
    /// The mask is baked in, by `remove`.
    Remove,
}

fn main() -> Result<(), Box<dyn Error>> {
    if std::env::args().any(|arg| arg == "--bench" || arg == "--test") {
        println!("this is one side of benches/vs_torch/compare.py, which starts it");
        return Ok(());
    }
    let mut weights_of = HashMap::new();
    for line in io::stdin().lock().lines() {
        let job: Job = serde_json::from_str(&line?)?;
        let weights = match weights_of.get(&job.weights) {
            Some(weights) => weights,
            None => {
                let floats = fs::read(&job.weights)?
                    .chunks_exact(4)
                    .map(|four| f32::from_le_bytes(four.try_into().expect("four bytes")))
                    .collect::<Vec<_>>();
                weights_of.entry(job.weights.clone()).or_insert(floats)
            }
        };
        let answer = run(&job, weights)?;
        writeln!(io::stdout(), "{answer}")?;
        io::stdout().flush()?;
    }
    Ok(())
}

fn run(job: &Job, weights: &[f32]) -> Result<serde_json::Value, Box<dyn Error>> {
    let (mut seconds, mut grown) = (Vec::new(), 0);
    for number in 0..job.calls {
        let mut model = model(job, weights)?;
        let before = (number == 0).then(memory::mark);
        let start = Instant::now();
        prune(job, &mut model)?;
        seconds.push(start.elapsed().as_secs_f64());
        if let Some(before) = before {
            grown = memory::peak().saturating_sub(before);
            write_masks(job, &model)?;
        }
    }
    Ok(serde_json::json!({ "seconds": seconds, "grown": grown }))
}

fn model(job: &Job, weights: &[f32]) -> Result<Sequential, Box<dyn Error>> {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut model = Sequential::new();
    for weight in weights.chunks_exact(job.shape.iter().product()) {
        let weight = Array::from_shape_vec(IxDyn(&job.shape), weight.to_vec())?;
        model = match job.shape[..] {
            [_, _] => model.push(Linear::from_arrays(weight.into_dimensionality()?, None)?),
            [out, channels, height, width] => {
                let config = ConvConfig::new(channels, out, [height, width]).without_bias();
                let mut conv = Conv2d::new(config, &mut rng)?;
                conv.parameter_mut("weight")?.original_mut().assign(&weight);
                model.push(conv)
            }
            _ => return Err("a weight has two or four dimensions".into()),
        };
    }
    if let Some(prior) = &job.prior {
        let words = fs::read(prior)?;
        let words = words
            .chunks_exact(8)
            .map(|eight| u64::from_le_bytes(eight.try_into().expect("eight bytes")));
        prune::custom_from_mask(
            &mut model,
            "0.weight",
            Mask::from_words(&job.shape, words.collect())?,
        )?;
    }
    Ok(model)
}

fn prune(job: &Job, model: &mut Sequential) -> secateurs::Result<()> {
    let amount = job.amount;
    match job.call {
        Call::L1Unstructured => prune::l1_unstructured(model, "0.weight", amount)?,
        Call::RandomUnstructured => {
            let mut rng = ChaCha8Rng::seed_from_u64(1);
            prune::random_unstructured(model, "0.weight", amount, &mut rng)?
        }
        Call::LnStructured => prune::ln_structured(model, "0.weight", amount, 2, job.dim)?,
        Call::GlobalUnstructured => {
            let paths = prune::weights(model);
            prune::global_unstructured(model, paths, L1Unstructured::new(amount)?)?
        }
    };
    match job.then {
        Then::Defer => {}
        Then::Weight => {
            for layer in 0..job.layers {
                model.parameter(&format!("{layer}.weight"))?.effective();
            }
        }
        Then::Remove => {
            prune::remove_all(model)?;
        }
    }
    Ok(())
}

fn write_masks(job: &Job, model: &Sequential) -> Result<(), Box<dyn Error>> {
    let mut file = io::BufWriter::new(fs::File::create(&job.masks)?);
    for layer in 0..job.layers {
        let path = format!("{layer}.weight");
        let mask = match prune::mask(model, &path)? {
            Some(mask) => mask,
            // Baked in: random weights are not zero unless they are pruned.
            None => Mask::from_fn(model.parameter(&path)?.original(), |x| *x != 0.0).into(),
        };
        for word in mask.as_words() {
            file.write_all(&word.to_le_bytes())?;
        }
    }
    Ok(file.flush()?)
}

/// The memory of this process, as Linux counts it; 0 elsewhere.
mod memory {
    use std::fs;

    /// Resets the highest size, and returns the present one, in bytes.
    pub fn mark() -> u64 {
        let _ = fs::write("/proc/self/clear_refs", "5");
        status("VmRSS:")
    }

    /// The highest size since the last mark, in bytes.
    pub fn peak() -> u64 {
        status("VmHWM:")
    }

    fn status(field: &str) -> u64 {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let kilobytes = status
            .lines()
            .find_map(|line| line.strip_prefix(field)?.split_whitespace().next()?.parse().ok());
        kilobytes.unwrap_or(0) * 1024
    }
}
