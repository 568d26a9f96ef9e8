//! How important each unit is.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use ndarray::ArrayD;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::couple::Couplings;
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::options::{Importance, Options, Reduction, ScoreFunction};
use crate::sums::{MOST, Norm, Sums};

/// What takes the values of a weight, [`MOST`] at once.
type Take<'t> = dyn FnMut(&[f64]) + 't;

/// The importance of each unit that has any.
pub fn importance(
    graph: &Graph<'_>,
    couplings: &Couplings<'_>,
    options: &Options,
) -> Result<HashMap<u32, f64>> {
    let norms = |norm: Norm, only: Option<&HashSet<&str>>| {
        let values = |name: &str, take: &mut Take<'_>| {
            only.is_none_or(|only| only.contains(name)) && graph.constants[name].for_each_chunk(MOST, take)
        };
        reduced(graph, couplings, options.reduction, norm, values)
    };
    Ok(match &options.importance {
        Importance::L1 => norms(Norm(1.0), None),
        Importance::L2 => norms(Norm(2.0), None),
        Importance::Norm(order) if *order > 0.0 => norms(Norm(*order), None),
        Importance::Norm(order) => {
            return Err(Error::Options {
                reason: format!("{order} is not a valid order of a norm; give a number above 0, or infinity"),
            });
        }
        Importance::BatchNorm => norms(Norm(1.0), Some(&scales(graph))),
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
                scores
                    .get(graph.original(name))
                    .is_some_and(|scores| give(scores, take))
            };
            reduced(graph, couplings, options.reduction, Norm(1.0), values)
        }
        Importance::Function(function) => {
            let failed: RefCell<Option<Error>> = RefCell::new(None);
            let values = |name: &str, take: &mut Take<'_>| {
                if failed.borrow().is_some() {
                    return false;
                }
                match of_function(graph, name, function) {
                    Ok(Some(scores)) => give(&scores, take),
                    Ok(None) => false,
                    Err(error) => {
                        failed.replace(Some(error));
                        false
                    }
                }
            };
            let importance = reduced(graph, couplings, options.reduction, Norm(1.0), values);
            match failed.into_inner() {
                Some(error) => return Err(error),
                None => importance,
            }
        }
    })
}

/// The scores that a function has for a weight, if it has any.
fn of_function(graph: &Graph<'_>, name: &str, function: &ScoreFunction) -> Result<Option<ArrayD<f32>>> {
    let constant = &graph.constants[name];
    let weight = constant.floats().and_then(|values| {
        let values = values.into_iter().map(|x| x as f32).collect();
        ArrayD::from_shape_vec(constant.dims.as_slice(), values).ok()
    });
    let Some(weight) = weight else {
        return Ok(None);
    };
    let name = graph.original(name);
    let scores = (function.0)(name, weight.view()).map_err(|error| Error::Scores {
        weight: name.to_owned(),
        error,
    })?;
    let Some(scores) = scores else {
        return Ok(None);
    };
    check(graph, name, &scores)?;
    Ok(Some(scores))
}

/// Gives scores to what takes values; always `true`.
fn give(scores: &ArrayD<f32>, take: &mut Take<'_>) -> bool {
    let all: Vec<f64> = scores.iter().map(|x| f64::from(*x)).collect();
    all.chunks(MOST).for_each(take);
    true
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
    norm: Norm,
    values: impl Fn(&str, &mut Take<'_>) -> bool,
) -> HashMap<u32, f64> {
    // By the number of the unit; there are too many to hash one by one.
    let mut all = vec![(0.0_f64, 0_u32); couplings.units.len()];
    let mut of_axis: Vec<Option<f64>> = vec![None; couplings.units.len()];
    let mut names: Vec<&&str> = couplings.parameters.keys().collect();
    names.sort(); // sums have one order
    for name in names {
        let axes = &couplings.parameters[*name];
        let dims = axes.iter().enumerate().filter(|(_, labels)| labels.is_some());
        let mut sums = Sums::new(&graph.constants[*name].dims, dims.map(|(dim, _)| dim), norm);
        if !values(name, &mut |values| sums.add(values)) {
            continue;
        }
        for (labels, own) in axes.iter().flatten().zip(sums.finish()) {
            for (unit, sum) in labels.iter().zip(own) {
                let total = of_axis[couplings.units.root(*unit) as usize].get_or_insert(0.0);
                *total = norm.add(*total, sum);
            }
            for unit in labels.iter().map(|unit| couplings.units.root(*unit) as usize) {
                let Some(sum) = of_axis[unit].take() else { continue };
                let (total, count) = &mut all[unit];
                *total = match reduction {
                    Reduction::Sum => norm.add(*total, sum),
                    Reduction::Mean => *total + norm.root(sum),
                    Reduction::Max => total.max(norm.root(sum)),
                };
                *count += 1;
            }
        }
    }
    let finish = |(unit, (total, count)): (usize, (f64, u32))| {
        let value = match reduction {
            Reduction::Sum => norm.root(total),
            Reduction::Mean => total / f64::from(count),
            Reduction::Max => total,
        };
        (unit as u32, value)
    };
    let some = all.into_iter().enumerate().filter(|(_, (_, count))| *count > 0);
    some.map(finish).collect()
}
