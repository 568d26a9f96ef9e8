//! This crate's part of `scripts/sparsegpt.py`, which measures SparseGPT and Wanda of this crate and of their
//! authors alternately.
//!
//! Reads jobs from standard input, one line of JSON each. Answers each by a line of JSON: the seconds of
//! summing XᵀX or norms, and of pruning, and for SparseGPT the squared error of the output.

use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;
use std::{fs, io};

use ndarray::Array2;
use secateurs::criteria::sparse_gpt::{Hessian, SparseGpt};
use secateurs::criteria::{InputNorms, per_output, wanda};
use secateurs::mask::{self, NmStructured};
use serde::Deserialize;

#[derive(Deserialize)]
struct Job {
    method: Method,
    /// Rows and columns of the weight.
    shape: [usize; 2],
    /// Little-endian f32.
    weight: PathBuf,
    /// Little-endian f32, a row for each sample.
    inputs: PathBuf,
    /// The share of entries to prune, unless a pattern is given.
    amount: f64,
    /// N and M.
    pattern: Option<[usize; 2]>,
    /// Where to write the updated weight, in little-endian f32.
    updated: PathBuf,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum Method {
    SparseGpt,
    Wanda,
}

fn main() -> Result<(), Box<dyn Error>> {
    if std::env::args().any(|arg| arg == "--bench" || arg == "--test") {
        println!("this is one side of scripts/sparsegpt.py, which starts it");
        return Ok(());
    }
    for line in io::stdin().lines() {
        writeln!(io::stdout(), "{}", run(&serde_json::from_str(&line?)?)?)?;
        io::stdout().flush()?;
    }
    Ok(())
}

fn run(job: &Job) -> Result<serde_json::Value, Box<dyn Error>> {
    let [rows, columns] = job.shape;
    let weight = read(&job.weight, rows, columns)?;
    let inputs = fs::metadata(&job.inputs)?.len() as usize / 4 / columns;
    let inputs = read(&job.inputs, inputs, columns)?;

    let (updated, answer) = match job.method {
        Method::SparseGpt => sparse_gpt(job, &weight, &inputs)?,
        Method::Wanda => by_wanda(job, &weight, &inputs)?,
    };
    let bytes: Vec<u8> = updated.iter().flat_map(|x| x.to_le_bytes()).collect();
    fs::write(&job.updated, bytes)?;
    Ok(answer)
}

fn sparse_gpt(
    job: &Job,
    weight: &Array2<f32>,
    inputs: &Array2<f32>,
) -> secateurs::Result<(Array2<f32>, serde_json::Value)> {
    let start = Instant::now();
    let mut hessian = Hessian::new(weight.ncols());
    hessian.add(inputs)?;
    let inputs_seconds = start.elapsed().as_secs_f64();

    let start = Instant::now();
    let settings = match job.pattern {
        Some([keep, of]) => SparseGpt::semi_structured(keep, of)?,
        None => SparseGpt::unstructured(job.amount)?,
    };
    let pruned = settings.prune(weight, &hessian, None)?;
    let prune_seconds = start.elapsed().as_secs_f64();
    let answer = serde_json::json!({ "inputs": inputs_seconds, "prune": prune_seconds, "loss": pruned.loss });
    Ok((pruned.weight, answer))
}

fn by_wanda(
    job: &Job,
    weight: &Array2<f32>,
    inputs: &Array2<f32>,
) -> Result<(Array2<f32>, serde_json::Value), Box<dyn Error>> {
    let start = Instant::now();
    let mut norms = InputNorms::new(weight.ncols());
    norms.add(inputs)?;
    let inputs_seconds = start.elapsed().as_secs_f64();

    let start = Instant::now();
    let scores = wanda(weight, &norms.norms())?;
    let method = match job.pattern {
        Some([keep, of]) => NmStructured::new(keep, of, 1)?,
        None => per_output(weight.shape(), job.amount)?,
    };
    let mask = mask::compute(&method, &scores, None)?.mask;
    let pruned = mask.apply(weight.view().into_dyn())?;
    let prune_seconds = start.elapsed().as_secs_f64();
    let answer = serde_json::json!({ "inputs": inputs_seconds, "prune": prune_seconds });
    Ok((pruned.into_dimensionality()?, answer))
}

fn read(file: &Path, rows: usize, columns: usize) -> Result<Array2<f32>, Box<dyn Error>> {
    let bytes = fs::read(file)?;
    let floats = bytes.as_chunks().0.iter().map(|four| f32::from_le_bytes(*four));
    Ok(Array2::from_shape_vec((rows, columns), floats.collect())?)
}
