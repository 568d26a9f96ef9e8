//! How important each unit is.

use std::collections::{HashMap, HashSet};

use ndarray::ArrayD;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::couple::Couplings;
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::options::{Importance, Options, Reduction};

/// The importance of each unit that has any.
pub fn importance(
    graph: &Graph<'_>,
    couplings: &Couplings<'_>,
    options: &Options,
) -> Result<HashMap<u32, f64>> {
    let norms = |squared: bool, only: Option<&HashSet<&str>>| {
        let values = |name: &str| {
            let values = graph.constants[name].floats()?;
            only.is_none_or(|only| only.contains(name)).then_some(values)
        };
        reduced(graph, couplings, options.reduction, squared, values)
    };
    Ok(match &options.importance {
        Importance::L1 => norms(false, None),
        Importance::L2 => norms(true, None),
        Importance::BatchNorm => norms(false, Some(&scales(graph))),
        Importance::Random(seed) => {
            let mut random = ChaCha8Rng::seed_from_u64(*seed);
            let mut units: Vec<u32> = couplings.weighted_units().into_iter().collect();
            units.sort_unstable();
            let draw = |unit| (unit, (random.next_u64() >> 11) as f64);
            units.into_iter().map(draw).collect()
        }
        Importance::Scores(scores) => {
            for (name, scores) in scores.iter() {
                check(graph, name, scores)?;
            }
            let values = |name: &str| Some(scores.get(name)?.iter().map(|x| f64::from(*x)).collect());
            reduced(graph, couplings, options.reduction, false, values)
        }
    })
}

fn check(graph: &Graph<'_>, name: &str, scores: &ArrayD<f32>) -> Result<()> {
    let constant = graph.constants.get(name);
    let constant = constant.filter(|_| graph.initializers.contains(name));
    let reason = match constant {
        None => format!("there are scores for `{name}`, but the model has no weight of this name"),
        Some(constant) if constant.dims != scores.shape() => format!(
            "the scores for `{name}` have shape {:?}, but the weight has {:?}",
            scores.shape(),
            constant.dims
        ),
        Some(_) if scores.iter().any(|score| score.is_nan()) => {
            format!("the scores for `{name}` contain NaN")
        }
        Some(_) => return Ok(()),
    };
    Err(Error::Options { reason })
}

/// The scales of all batch norms.
fn scales<'a>(graph: &Graph<'a>) -> HashSet<&'a str> {
    let norms = graph.nodes.iter().filter(|node| node.op == "BatchNormalization");
    norms.filter_map(|node| node.input(1)).collect()
}

/// The norms of the weights of each unit, reduced.
fn reduced(
    graph: &Graph<'_>,
    couplings: &Couplings<'_>,
    reduction: Reduction,
    squared: bool,
    values: impl Fn(&str) -> Option<Vec<f64>>,
) -> HashMap<u32, f64> {
    let root = |sum: f64| if squared { sum.sqrt() } else { sum };
    let mut all: HashMap<u32, (f64, u32)> = HashMap::new();
    let mut names: Vec<&&str> = couplings.parameters.keys().collect();
    names.sort(); // sums have one order
    for name in names {
        let Some(values) = values(name) else { continue };
        let dims = &graph.constants[*name].dims;
        for (dim, labels) in couplings.parameters[*name].iter().enumerate() {
            let Some(labels) = labels else { continue };
            let inner: usize = dims[dim + 1..].iter().product();
            let mut own = vec![0.0; labels.len()];
            for (number, run) in values.chunks(inner.max(1)).enumerate() {
                own[number % labels.len()] += match squared {
                    false => run.iter().map(|x| x.abs()).sum::<f64>(),
                    true => run.iter().map(|x| x * x).sum::<f64>(),
                };
            }
            let mut of_units: HashMap<u32, f64> = HashMap::new();
            for (unit, sum) in labels.iter().zip(own) {
                *of_units.entry(couplings.units.root(*unit)).or_insert(0.0) += sum;
            }
            for (unit, sum) in of_units {
                let (total, count) = all.entry(unit).or_insert((0.0, 0));
                *total = match reduction {
                    Reduction::Sum => *total + sum,
                    Reduction::Mean => *total + root(sum),
                    Reduction::Max => total.max(root(sum)),
                };
                *count += 1;
            }
        }
    }
    let finish = |(unit, (total, count)): (u32, (f64, u32))| {
        let value = match reduction {
            Reduction::Sum => root(total),
            Reduction::Mean => total / f64::from(count),
            Reduction::Max => total,
        };
        (unit, value)
    };
    all.into_iter().map(finish).collect()
}
