//! This crate's part of `scripts/sparsegpt.py`, which measures this crate and the authors' implementation alternately.
//!
//! Reads jobs from standard input, one line of JSON each. Answers each by a line of JSON: the seconds of summing XᵀX
//! and of pruning, and the squared error of the output as this crate computes it.

use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;
use std::{fs, io};

use ndarray::Array2;
use secateurs::criteria::sparse_gpt::{Hessian, SparseGpt};
use serde::Deserialize;

#[derive(Deserialize)]
struct Job {
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

    let start = Instant::now();
    let mut hessian = Hessian::new(columns);
    hessian.add(&inputs)?;
    let hessian_seconds = start.elapsed().as_secs_f64();

    let start = Instant::now();
    let settings = match job.pattern {
        Some([keep, of]) => SparseGpt::semi_structured(keep, of)?,
        None => SparseGpt::unstructured(job.amount)?,
    };
    let pruned = settings.prune(&weight, &hessian, None)?;
    let prune_seconds = start.elapsed().as_secs_f64();

    let bytes: Vec<u8> = pruned.weight.iter().flat_map(|x| x.to_le_bytes()).collect();
    fs::write(&job.updated, bytes)?;
    Ok(serde_json::json!({ "hessian": hessian_seconds, "prune": prune_seconds, "loss": pruned.loss }))
}

fn read(file: &Path, rows: usize, columns: usize) -> Result<Array2<f32>, Box<dyn Error>> {
    let bytes = fs::read(file)?;
    let floats = bytes.as_chunks().0.iter().map(|four| f32::from_le_bytes(*four));
    Ok(Array2::from_shape_vec((rows, columns), floats.collect())?)
}
