//! Runs the masked and the smaller model on the same inputs.

use std::collections::{HashMap, HashSet};

use ndarray::{ArrayD, IxDyn};

use crate::bias::{NewBias, Shifts, dimension};
use crate::couple::{Change, Couplings, Labels, epsilon_of_fewer, factor_of_fewer};
use crate::error::{Error, Result};
use crate::graph::{Graph, Input};
use crate::reference::{self, Adjusted, Kept, from_constant};
use crate::tensor::rounded;

/// The length that a dimension of any length gets: the first one, which is the batch, and others.
pub(crate) const BATCH: usize = 2;
const ANY: usize = 32;
/// Most entries of an input.
const MOST_ENTRIES: usize = 1 << 28;

/// The largest differences between outputs, relative to the largest output.
pub struct Deviations {
    /// Of the smaller model from the masked one.
    pub deviation: f64,
    /// Of the smaller model from the plain masked one, if they differ by the user's choice.
    pub accepted: Option<f64>,
}

/// How far the smaller model is from the masked one. In the masked model, all entries of parameters that belong to `masked`
/// units are zero, biases that take up constants are rounded as they are written, and operators range over the channels that are not `removed` where the user accepted that.
pub fn deviations(
    graph: &Graph<'_>,
    couplings: &Couplings<'_>,
    masked: &HashSet<u32>,
    (removed, shifts): (&HashSet<u32>, &Shifts),
    smaller: (&Graph<'_>, &Couplings<'_>),
) -> Result<Deviations> {
    let mut parameters: HashMap<&str, ArrayD<f64>> = couplings.computed.clone();
    for (name, axes) in &couplings.parameters {
        let Some(mut array) = from_constant(&graph.constants[name]) else {
            continue;
        };
        for (dim, labels) in axes.iter().enumerate() {
            for (index, unit) in labels.iter().flat_map(|labels| labels.iter().enumerate()) {
                if masked.contains(&couplings.units.root(*unit)) {
                    array.index_axis_mut(ndarray::Axis(dim), index).fill(0.0);
                }
            }
        }
        parameters.insert(name, array);
    }
    for Input { name, shape, .. } in &graph.inputs {
        // One that a real model has fits in memory many times.
        let entries = lengths(shape, BATCH)
            .into_iter()
            .try_fold(1_usize, usize::checked_mul);
        if entries.is_none_or(|entries| entries > MOST_ENTRIES) {
            return Err(Error::Unsupported {
                what: "to verify the result, an input of this size would be needed".into(),
                at: Some((*name).to_owned()),
            });
        }
    }
    let inputs: HashMap<&str, ArrayD<f64>> = graph
        .inputs
        .iter()
        .enumerate()
        .map(|(number, input)| (input.name, noise(input, number as u64, BATCH)))
        .collect();
    let mut adjusted = adjusted(graph, couplings, removed, &mut parameters);
    for (number, shift) in shifts {
        let node = &graph.nodes[*number];
        let rank = node
            .output()
            .and_then(|output| couplings.labels.get(output))
            .map_or(0, Vec::len);
        let rounding = NewBias::of(graph, node, shift).map(|new| new.rounding());
        adjusted.entry(*number).or_default().shift =
            rounding.map(|rounding| (dimension(node, rank), rounding));
    }
    let (expected, got) = rayon::join(
        || reference::run(graph, &inputs, &parameters, &couplings.tied, &adjusted),
        || {
            reference::run(
                smaller.0,
                &inputs,
                &smaller.1.computed,
                &HashMap::new(),
                &HashMap::new(),
            )
        },
    );
    let (expected, got) = (expected?, got?);
    // Of NaN, nothing can be said.
    for (name, output) in graph.outputs.iter().zip(&expected) {
        if output.iter().any(|x| x.is_nan()) {
            return Err(Error::Unsupported {
                what: "the model gives NaN for the random inputs that the result is verified with".into(),
                at: Some((*name).to_owned()),
            });
        }
    }
    let deviation = difference(&expected, &got);
    let mut accepted = None;
    if adjusted.values().any(|node| node.kept.is_some()) {
        adjusted.retain(|_, node| node.kept.is_none());
        let plain = reference::run(graph, &inputs, &parameters, &couplings.tied, &adjusted)?;
        accepted = Some(difference(&plain, &got));
    }
    Ok(Deviations { deviation, accepted })
}

/// How nodes of the masked model compute: they range over what is kept where the user accepted that, and constants of the
/// smaller model that cannot be written exactly are taken as they are, in scales of norms, too.
fn adjusted(
    graph: &Graph<'_>,
    couplings: &Couplings<'_>,
    removed: &HashSet<u32>,
    parameters: &mut HashMap<&str, ArrayD<f64>>,
) -> HashMap<usize, Adjusted> {
    let kept = |labels: &Labels| couplings.kept(labels, removed);
    let mut nodes = HashMap::new();
    for (node, over) in &couplings.over_kept {
        let indices = kept(&over.labels);
        if indices.len() < over.labels.len() {
            let kept = Some(Kept {
                dim: over.dim,
                indices,
            });
            nodes.insert(
                *node,
                Adjusted {
                    kept,
                    ..Adjusted::default()
                },
            );
        }
    }
    for follow in &couplings.follows {
        let adjusted = match &follow.change {
            Change::Mean { labels, dtype } => {
                let share = kept(labels).len() as f64 / labels.len() as f64;
                let factor = rounded(*dtype, share) / share;
                Adjusted {
                    factor,
                    ..Adjusted::default()
                }
            }
            Change::Rms {
                labels,
                scale,
                epsilon,
            } => {
                let (all, kept) = (labels.len(), kept(labels).len());
                if all == kept {
                    continue;
                }
                let factor = factor_of_fewer(all, kept);
                let name = graph.nodes[follow.node].input(*scale);
                if let Some(name) = name
                    && let Some(values) = parameters.get_mut(name)
                {
                    let dtype = graph.constants[name].dtype.number();
                    values.mapv_inplace(|x| rounded(dtype, x * factor) / factor);
                }
                let of_fewer = f64::from(epsilon_of_fewer(*epsilon, all, kept));
                Adjusted {
                    epsilon: Some(of_fewer * kept as f64 / all as f64),
                    ..Adjusted::default()
                }
            }
            _ => continue,
        };
        nodes.insert(follow.node, adjusted);
    }
    nodes
}

/// The largest difference, relative to the largest expected entry; NaN if shapes or entries cannot be compared.
fn difference(expected: &[ArrayD<f64>], got: &[ArrayD<f64>]) -> f64 {
    let (mut difference, mut largest) = (0.0_f64, 0.0_f64);
    for (expected, got) in expected.iter().zip(got) {
        if expected.shape() != got.shape() {
            return f64::NAN;
        }
        for (expected, got) in expected.iter().zip(got) {
            let each = (expected - got).abs();
            // A NaN in one of them is a difference.
            difference = if each.is_nan() {
                f64::NAN
            } else {
                difference.max(each)
            };
            largest = largest.max(expected.abs());
        }
    }
    difference / largest.max(f64::MIN_POSITIVE)
}

/// An input of pseudo-random numbers between −1 and 1, or of integers, which may be indices: only 0 and 1.
pub(crate) fn noise(input: &Input<'_>, seed: u64, batch: usize) -> ArrayD<f64> {
    let dims = lengths(&input.shape, batch);
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5eca_7e05;
    ArrayD::from_shape_simple_fn(IxDyn(&dims), || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        match input.dtype {
            0 | 1 | 10 | 11 | 16 => (state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0,
            _ => (state >> 63) as f64,
        }
    })
}

/// A length for each dimension, with this one for a batch of any size.
pub(crate) fn lengths(shape: &[Option<usize>], batch: usize) -> Vec<usize> {
    let any = |dim| if dim == 0 { batch } else { ANY };
    shape
        .iter()
        .enumerate()
        .map(|(dim, length)| length.unwrap_or(any(dim)))
        .collect()
}
