//! How important each unit is.

use std::collections::{HashMap, HashSet};

use ndarray::ArrayD;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::couple::Couplings;
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::options::{Importance, Options, Reduction};
use crate::sums::{MOST, Sums};

/// What takes the values of a weight, [`MOST`] at once.
type Take<'t> = dyn FnMut(&[f64]) + 't;

/// The importance of each unit that has any.
pub fn importance(
    graph: &Graph<'_>,
    couplings: &Couplings<'_>,
    options: &Options,
) -> Result<HashMap<u32, f64>> {
    let norms = |squared: bool, only: Option<&HashSet<&str>>| {
        let values = |name: &str, take: &mut Take<'_>| {
            only.is_none_or(|only| only.contains(name)) && graph.constants[name].for_each_chunk(MOST, take)
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
            let values = |name: &str, take: &mut Take<'_>| {
                let Some(scores) = scores.get(name) else {
                    return false;
                };
                let all: Vec<f64> = scores.iter().map(|x| f64::from(*x)).collect();
                all.chunks(MOST).for_each(take);
                true
            };
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
    values: impl Fn(&str, &mut Take<'_>) -> bool,
) -> HashMap<u32, f64> {
    let root = |sum: f64| if squared { sum.sqrt() } else { sum };
    let mut all: HashMap<u32, (f64, u32)> = HashMap::new();
    let mut names: Vec<&&str> = couplings.parameters.keys().collect();
    names.sort(); // sums have one order
    for name in names {
        let axes = &couplings.parameters[*name];
        let dims = axes.iter().enumerate().filter(|(_, labels)| labels.is_some());
        let mut sums = Sums::new(&graph.constants[*name].dims, dims.map(|(dim, _)| dim), squared);
        if !values(name, &mut |values| sums.add(values)) {
            continue;
        }
        for (labels, own) in axes.iter().flatten().zip(sums.finish()) {
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
