//! This crate's part of `compare.py`, which measures training steps of this crate and of PyTorch alternately.
//!
//! Reads jobs from standard input, one line of JSON each. Answers each by a line of JSON: the seconds of every call, and
//! the losses of the steps. Models, data and gradients are those of a user: modules, tensors, an optimiser.

use std::collections::HashMap;
use std::error::Error;
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;
use std::{fs, hint, io, mem};

use ndarray::{ArrayD, IxDyn};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use secateurs::Result;
use secateurs::nn::optim::Adam;
use secateurs::nn::{
    Conv2d, ConvConfig, Flatten, Linear, Lstm, LstmConfig, MaxPool2d, Module, ParamTreeExt, Relu, Sequential,
    loss,
};
use secateurs::tensor::{Tensor, no_grad};
use serde::Deserialize;

type Outcome<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const LEARNING_RATE: f64 = 1e-3;

#[derive(Deserialize)]
struct Job {
    /// Tells jobs apart: those of the same name share a model, which goes on learning.
    name: String,
    model: Model,
    /// Of the input.
    shape: Vec<usize>,
    /// Little-endian floats: every parameter in order, then the input.
    floats: PathBuf,
    targets: Vec<usize>,
    what: What,
    calls: usize,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum Model {
    Mlp,
    #[serde(rename = "lenet")]
    LeNet,
    Lstm {
        hidden: usize,
    },
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum What {
    /// Without recording, as for evaluation.
    Forward,
    /// Forward, backward and Adam.
    Step,
}

/// A model, its optimiser, and the batch on which it is trained.
struct Training {
    model: Box<dyn Module>,
    optimiser: Adam,
    input: Tensor,
    targets: Vec<usize>,
}

/// An LSTM, of whose last output a linear layer makes the classes.
#[derive(Clone, Debug, serde::Serialize, Deserialize)]
struct Classifier {
    lstm: Lstm,
    head: Linear,
}

secateurs::param_tree!(Classifier {
    children: [lstm, head]
});

#[typetag::serde(name = "train_steps::Classifier")]
impl Module for Classifier {
    fn compute(&self, input: &Tensor) -> Result<Tensor> {
        let outputs = self.lstm.forward(input)?;
        self.head.forward(&outputs.select(0, outputs.shape()[0] - 1)?)
    }
}

fn main() -> Outcome<()> {
    if std::env::args().any(|arg| arg == "--bench" || arg == "--test") {
        println!("this is one side of benches/train_steps/compare.py, which starts it");
        return Ok(());
    }
    // Once it has freed as much at once, glibc keeps what a step frees, and the next step need not ask the system for
    // memory again. `compare.py` does the same.
    drop(hint::black_box(vec![0u8; 31 << 20]));
    // In the pool, as the documentation of the feature `rayon` advises.
    rayon::scope(|_| answer_jobs())
}

fn answer_jobs() -> Outcome<()> {
    let mut trainings = HashMap::new();
    for line in io::stdin().lock().lines() {
        let mut job: Job = serde_json::from_str(&line?)?;
        let training = match trainings.get_mut(&job.name) {
            Some(training) => training,
            None => {
                let training = training(&mut job)?;
                trainings.entry(mem::take(&mut job.name)).or_insert(training)
            }
        };
        let (mut seconds, mut losses) = (Vec::new(), Vec::new());
        for _ in 0..job.calls {
            let start = Instant::now();
            let loss = training.call(job.what)?;
            seconds.push(start.elapsed().as_secs_f64());
            losses.extend(loss);
        }
        let answer = serde_json::json!({ "seconds": seconds, "losses": losses });
        writeln!(io::stdout(), "{answer}")?;
        io::stdout().flush()?;
    }
    Ok(())
}

impl Training {
    /// What is timed. A step gives its loss.
    fn call(&mut self, what: What) -> Result<Option<f32>> {
        match what {
            What::Forward => {
                no_grad(|| self.model.forward(&self.input))?;
                Ok(None)
            }
            What::Step => {
                let loss = loss::cross_entropy(&self.model.forward(&self.input)?, &self.targets)?;
                self.optimiser.step(&mut *self.model, &loss.backward()?)?;
                Ok(Some(loss.item()?))
            }
        }
    }
}

fn training(job: &mut Job) -> Outcome<Training> {
    let mut model = model(job)?;
    let floats = read(&job.floats)?;
    let mut rest = &floats[..];
    for path in model.parameter_paths() {
        let parameter = model.parameter_mut(&path)?;
        let values;
        (values, rest) = rest.split_at(parameter.len());
        let values = ArrayD::from_shape_vec(IxDyn(parameter.shape()), values.to_vec())?;
        parameter.original_mut().assign(&values);
    }
    Ok(Training {
        model,
        optimiser: Adam::new(LEARNING_RATE)?,
        input: Tensor::new(ArrayD::from_shape_vec(IxDyn(&job.shape), rest.to_vec())?),
        targets: mem::take(&mut job.targets),
    })
}

fn model(job: &Job) -> Result<Box<dyn Module>> {
    let rng = &mut ChaCha8Rng::seed_from_u64(0);
    Ok(match job.model {
        Model::Mlp => Box::new(
            Sequential::new()
                .push(Linear::new(64, 300, rng)?)
                .push(Relu::new())
                .push(Linear::new(300, 100, rng)?)
                .push(Relu::new())
                .push(Linear::new(100, 10, rng)?),
        ),
        Model::LeNet => Box::new(
            Sequential::new()
                .push(Conv2d::new(ConvConfig::new(1, 6, 5).padding(2), rng)?)
                .push(Relu::new())
                .push(MaxPool2d::new(2)?)
                .push(Conv2d::new(ConvConfig::new(6, 16, 5), rng)?)
                .push(Relu::new())
                .push(MaxPool2d::new(2)?)
                .push(Flatten::new())
                .push(Linear::new(400, 120, rng)?)
                .push(Relu::new())
                .push(Linear::new(120, 84, rng)?)
                .push(Relu::new())
                .push(Linear::new(84, 10, rng)?),
        ),
        Model::Lstm { hidden } => Box::new(Classifier {
            lstm: Lstm::new(LstmConfig::new(job.shape[2], hidden), rng)?,
            head: Linear::new(hidden, 10, rng)?,
        }),
    })
}

fn read(path: &Path) -> io::Result<Vec<f32>> {
    let bytes = fs::read(path)?;
    let floats = bytes.as_chunks().0.iter().map(|four| f32::from_le_bytes(*four));
    Ok(floats.collect())
}
