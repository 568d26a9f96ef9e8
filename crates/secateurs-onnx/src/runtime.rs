//! Runs the masked and the smaller model in f32, by a runtime that others keep: a second opinion, and latency.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rten::{Model, ModelOptions, NodeId, RunOptions, ThreadPool, Value};
use rten_tensor::prelude::*;

use crate::couple::Couplings;
use crate::error::{Error, Result};
use crate::graph::{Graph, Input};
use crate::report::{Latency, Runtime};
use crate::verify::{BATCH, noise};
use crate::write::{Written, mask};

/// What the models may differ by in f32, relative to the largest output. Sums in another order made 1.2e-6 at most of 45
/// architectures, of which networks that are trained may make more; a wrong channel makes a difference of the order of 1.
const TOLERANCE: f64 = 1e-4;
/// Most bytes of a model, which the runtime holds in memory.
const MOST_BYTES: u64 = 1 << 31;
/// Runs that are timed of each model: at least the first, and until the time is over or the second is reached.
const RUNS: (usize, usize) = (5, 101);
const TIME: Duration = Duration::from_secs(3);

/// Runs both models on the inputs of the verification in f64, and measures their latency if that is wanted.
/// Weights in a file of their own are at `location`. Only models that are to compute the same are compared.
pub(crate) fn run(
    graph: &Graph<'_>,
    (masked, smaller): (&Written<'_>, &Written<'_>),
    location: &str,
    exact: bool,
    time: bool,
) -> Result<Runtime> {
    if masked.len()? > MOST_BYTES {
        return Ok(Runtime::Unable {
            reason: "the model is larger than 2 GiB".into(),
        });
    }
    let models = (Files::of(masked)?, Files::of(smaller)?);
    // A model that a runtime does not understand is no reason to lose what was verified, even if it panics.
    let ran = catch_unwind(AssertUnwindSafe(|| compare(graph, models, location, exact, time)));
    match ran.unwrap_or_else(|_| Err("it panicked".into())) {
        Ok((Some(deviation), _)) if deviation.is_nan() || deviation > TOLERANCE => Err(Error::NotExact {
            deviation,
            tolerance: TOLERANCE,
        }),
        Ok((deviation, latency)) => Ok(Runtime::Ran { deviation, latency }),
        Err(reason) => Ok(Runtime::Unable { reason }),
    }
}

/// Compares the latency of smaller models with that of the model.
pub(crate) struct Stopwatch<'s> {
    model: Loaded,
    inputs: Vec<Value>,
    graph: &'s Graph<'s>,
    location: &'s str,
}

impl<'s> Stopwatch<'s> {
    /// Weights in a file of their own are at `location`.
    pub(crate) fn of<'a: 's>(
        model: &'s crate::graph::Model<'a>,
        couplings: &Couplings<'a>,
        location: &'s str,
    ) -> Result<Self> {
        let whole = mask(model, couplings, &HashSet::new(), location)?;
        let graph = &model.graph;
        let loaded = Loaded::of(graph, Files::of(&whole)?, location);
        let inputs = values(graph, 1);
        match (loaded, inputs) {
            (Ok(model), Ok(inputs)) => Ok(Stopwatch {
                model,
                inputs,
                graph,
                location,
            }),
            (Err(reason), _) | (_, Err(reason)) => Err(cannot_time(&reason)),
        }
    }

    /// The share of the model's latency that a smaller one takes.
    pub(crate) fn share(&self, smaller: &Written<'_>) -> Result<f64> {
        let files = Files::of(smaller)?;
        let share = || -> Ran<f64> {
            let smaller = Loaded::of(self.graph, files, self.location)?;
            let Latency { before, after, .. } = latency(&self.model, &smaller, &self.inputs)?;
            Ok(after.as_secs_f64() / before.as_secs_f64().max(f64::MIN_POSITIVE))
        };
        let share = catch_unwind(AssertUnwindSafe(share)).unwrap_or_else(|_| Err("it panicked".into()));
        share.map_err(|reason| cannot_time(&reason))
    }
}

fn cannot_time(reason: &str) -> Error {
    Error::Options {
        reason: format!(
            "latency cannot be measured, because the runtime cannot run the model ({reason}); give an amount, or a budget \
             of parameters, multiply-adds or bytes"
        ),
    }
}

/// A model and its weights in memory.
struct Files {
    model: Vec<u8>,
    data: Vec<u8>,
}

impl Files {
    fn of(written: &Written<'_>) -> Result<Self> {
        let (mut model, mut data) = (Vec::new(), Vec::new());
        written.model.for_each_chunk(&mut |chunk| {
            model.extend_from_slice(chunk);
            Ok(())
        })?;
        for piece in written.data.pieces() {
            piece.for_each_chunk(&mut |chunk| {
                data.extend_from_slice(chunk);
                Ok(())
            })?;
        }
        Ok(Files { model, data })
    }
}

type Ran<T> = std::result::Result<T, String>;

fn compare(
    graph: &Graph<'_>,
    models: (Files, Files),
    location: &str,
    exact: bool,
    time: bool,
) -> Ran<(Option<f64>, Option<Latency>)> {
    let masked = Loaded::of(graph, models.0, location)?;
    let smaller = Loaded::of(graph, models.1, location)?;
    let deviation = match exact {
        true => {
            let inputs = values(graph, BATCH)?;
            Some(difference(masked.run(&inputs)?, smaller.run(&inputs)?)?)
        }
        false => None,
    };
    let latency = match time {
        true => Some(latency(&masked, &smaller, &values(graph, 1)?)?),
        false => None,
    };
    Ok((deviation, latency))
}

/// A model that is ready to run.
struct Loaded {
    model: Model,
    inputs: Vec<NodeId>,
    outputs: Vec<NodeId>,
    one_thread: Arc<ThreadPool>,
}

impl Loaded {
    fn of(graph: &Graph<'_>, files: Files, location: &str) -> Ran<Self> {
        let mut options = ModelOptions::with_all_ops();
        if !files.data.is_empty() {
            options.external_data(location, files.data);
        }
        let model = options.load(files.model).map_err(|error| error.to_string())?;
        let id = |name: &str| model.node_id(name).map_err(|error| error.to_string());
        let inputs = graph.inputs.iter().map(|input| id(input.name));
        let inputs = inputs.collect::<Ran<_>>()?;
        let outputs = graph.outputs.iter().map(|name| id(name));
        let outputs = outputs.collect::<Ran<_>>()?;
        Ok(Loaded {
            inputs,
            outputs,
            model,
            one_thread: Arc::new(ThreadPool::with_num_threads(1)),
        })
    }

    fn run(&self, inputs: &[Value]) -> Ran<Vec<Value>> {
        let pairs = self.inputs.iter().zip(inputs);
        let pairs = pairs.map(|(id, value)| (*id, value.into())).collect();
        let options = RunOptions::default().with_thread_pool(Some(self.one_thread.clone()));
        self.model
            .run(pairs, &self.outputs, Some(options))
            .map_err(|error| error.to_string())
    }
}

/// The inputs of the verification in f64, for this number of samples where a model leaves it open.
fn values(graph: &Graph<'_>, batch: usize) -> Ran<Vec<Value>> {
    let value = |(number, input): (usize, &Input<'_>)| {
        let array = noise(input, number as u64, batch);
        let shape = array.shape().to_vec();
        match input.dtype {
            1 => Value::from_shape(shape, array.iter().map(|x| *x as f32).collect())
                .map_err(|error| error.to_string()),
            // The runtime has one type for indices and truth values.
            6 | 7 | 9 => Value::from_shape(shape, array.iter().map(|x| *x as i32).collect())
                .map_err(|error| error.to_string()),
            _ => Err(format!("the type of the input `{}`", input.name)),
        }
    };
    graph.inputs.iter().enumerate().map(value).collect()
}

/// The largest difference, relative to the largest output; NaN if shapes differ.
fn difference(expected: Vec<Value>, got: Vec<Value>) -> Ran<f64> {
    let (mut difference, mut largest) = (0.0_f64, f64::MIN_POSITIVE);
    for (expected, got) in expected.into_iter().zip(got) {
        let ((shape, expected), (same, got)) = (entries(expected)?, entries(got)?);
        if shape != same {
            return Ok(f64::NAN);
        }
        for (expected, got) in expected.into_iter().zip(got) {
            if !expected.is_finite() {
                return Err("outputs are not finite in f32".into());
            }
            largest = largest.max(expected.abs());
            let each = (expected - got).abs();
            if each.is_nan() {
                return Ok(f64::NAN);
            }
            difference = difference.max(each);
        }
    }
    Ok(difference / largest)
}

/// The shape and the entries of an output.
fn entries(value: Value) -> Ran<(Vec<usize>, Vec<f64>)> {
    match value {
        Value::FloatTensor(tensor) => {
            let shape = tensor.shape().to_vec();
            Ok((shape, tensor.into_data().into_iter().map(f64::from).collect()))
        }
        Value::Int32Tensor(tensor) => {
            let shape = tensor.shape().to_vec();
            Ok((shape, tensor.into_data().into_iter().map(f64::from).collect()))
        }
        _ => Err("the type of an output".into()),
    }
}

/// The median time of one sample. The models take turns, so that whatever else the machine does meets both.
fn latency(masked: &Loaded, smaller: &Loaded, inputs: &[Value]) -> Ran<Latency> {
    let time = |model: &Loaded| -> Ran<Duration> {
        let begin = Instant::now();
        model.run(inputs)?;
        Ok(begin.elapsed())
    };
    // The first run prepares what later ones use again.
    time(masked)?;
    time(smaller)?;
    let (mut before, mut after) = (Vec::new(), Vec::new());
    let begin = Instant::now();
    while before.len() < RUNS.0 || (before.len() < RUNS.1 && begin.elapsed() < TIME) {
        before.push(time(masked)?);
        after.push(time(smaller)?);
    }
    let runs = before.len();
    let median = |mut times: Vec<Duration>| {
        times.sort_unstable();
        times[times.len() / 2]
    };
    Ok(Latency {
        before: median(before),
        after: median(after),
        runs,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_relative_and_what_cannot_be_compared_is_no_agreement() {
        let value = |shape: &[usize], data: &[f32]| vec![Value::from_shape(shape, data.to_vec()).unwrap()];
        let expected = || value(&[2], &[-4.0, 1.0]);
        assert_eq!(difference(expected(), expected()), Ok(0.0));
        assert_eq!(difference(expected(), value(&[2], &[-4.0, 2.0])), Ok(0.25));
        assert!(
            difference(expected(), value(&[1, 2], &[-4.0, 1.0]))
                .unwrap()
                .is_nan()
        );
        assert!(
            difference(expected(), value(&[2], &[f32::NAN, 1.0]))
                .unwrap()
                .is_nan()
        );
        assert!(difference(value(&[1], &[f32::INFINITY]), value(&[1], &[0.0])).is_err());
    }
}
