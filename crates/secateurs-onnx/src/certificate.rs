//! The certificate: a JSON file that says what was cut from where, by which rules, and what was verified.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crc32fast::Hasher;
use serde::Serialize;

use crate::cost::Cost;
use crate::couple::{Couplings, Labels};
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::options::Options;
use crate::report::{Report, Runtime};
use crate::verify;

/// The version of the format, which changes with the meaning of a field.
const FORMAT: u32 = 1;

/// What is written. The crate's README describes the fields.
#[derive(Serialize)]
struct Certificate<'c> {
    format: u32,
    secateurs: &'static str,
    inputs: &'c [Part],
    outputs: &'c [Part],
    options: BTreeMap<&'static str, String>,
    before: Costs,
    after: Costs,
    verified: Option<Verified<'c>>,
    cuts: Vec<Cut<'c>>,
    held: BTreeMap<&'c str, usize>,
}

/// A file: its name, its length, and the CRC-32 of its bytes, by which files are told apart.
#[derive(Serialize)]
pub struct Part {
    name: String,
    bytes: u64,
    crc32: String,
}

#[derive(Serialize)]
struct Costs {
    parameters: u64,
    bytes: u64,
    macs: Option<u64>,
    activation_bytes: Option<u64>,
}

/// How the masked and the smaller model were compared, and how much their outputs differ, relative to the largest one.
#[derive(Serialize)]
struct Verified<'c> {
    inputs: Vec<RandomInput<'c>>,
    deviation: f64,
    tolerance: f64,
    /// After an inexact cut: from the masked model whose norms look at all channels.
    accepted_deviation: Option<f64>,
    inexact: &'c BTreeMap<String, usize>,
    deviation_in_f32: Option<f64>,
}

/// An input of random numbers.
#[derive(Serialize)]
struct RandomInput<'c> {
    name: &'c str,
    shape: Vec<usize>,
    seed: u64,
}

/// A dimension of a weight that was cut.
#[derive(Serialize)]
struct Cut<'c> {
    weight: &'c str,
    dim: usize,
    length: usize,
    removed: Vec<usize>,
    /// The operators that its channels go through, whose rules say that they go together, and that nothing else changes.
    operators: BTreeSet<&'c str>,
}

impl Part {
    /// Of a file whose bytes `each` gives in order.
    pub fn of(name: String, each: impl FnOnce(&mut dyn FnMut(&[u8])) -> Result<()>) -> Result<Self> {
        let (mut hasher, mut bytes) = (Hasher::new(), 0);
        each(&mut |chunk| {
            hasher.update(chunk);
            bytes += chunk.len() as u64;
        })?;
        let crc32 = format!("{:08x}", hasher.finalize());
        Ok(Part { name, bytes, crc32 })
    }
}

impl From<&Cost> for Costs {
    fn from(cost: &Cost) -> Self {
        Costs {
            parameters: cost.parameters,
            bytes: cost.bytes,
            macs: cost.macs,
            activation_bytes: cost.activations,
        }
    }
}

/// The text of a certificate.
pub fn certificate(
    (inputs, outputs): (&[Part], &[Part]),
    graph: &Graph<'_>,
    (couplings, removed): (&Couplings<'_>, &HashSet<u32>),
    (options, report): (&Options, &Report),
    tolerance: f64,
) -> Result<Vec<u8>> {
    let verified = report.deviation.map(|deviation| Verified {
        inputs: graph
            .inputs
            .iter()
            .enumerate()
            .map(|(seed, input)| RandomInput {
                name: input.name,
                shape: verify::lengths(&input.shape, verify::BATCH),
                seed: seed as u64,
            })
            .collect(),
        deviation,
        tolerance,
        accepted_deviation: report.accepted_deviation,
        inexact: &report.inexact,
        deviation_in_f32: match &report.runtime {
            Some(Runtime::Ran { deviation, .. }) => *deviation,
            _ => None,
        },
    });
    let certificate = Certificate {
        format: FORMAT,
        secateurs: env!("CARGO_PKG_VERSION"),
        inputs,
        outputs,
        options: options.described(),
        before: (&report.before).into(),
        after: (&report.after).into(),
        verified,
        cuts: cuts(graph, couplings, removed),
        held: report.held(),
    };
    let mut text = serde_json::to_vec_pretty(&certificate).map_err(|error| Error::Options {
        reason: format!("the certificate cannot be written: {error}"),
    })?;
    text.push(b'\n');
    Ok(text)
}

/// All dimensions of weights that were cut, in the order of their names.
fn cuts<'c>(graph: &Graph<'c>, couplings: &'c Couplings<'c>, removed: &HashSet<u32>) -> Vec<Cut<'c>> {
    let through = operators(graph, couplings, removed);
    let mut weights: Vec<_> = couplings.parameters.iter().collect();
    weights.sort_by_key(|(name, _)| **name);
    let mut cuts = Vec::new();
    for (weight, axes) in weights {
        for (dim, labels) in axes
            .iter()
            .enumerate()
            .filter_map(|(dim, labels)| Some((dim, labels.as_ref()?)))
        {
            let roots = labels.iter().map(|unit| couplings.units.root(*unit));
            let gone: Vec<(usize, u32)> = roots
                .enumerate()
                .filter(|(_, root)| removed.contains(root))
                .collect();
            if gone.is_empty() {
                continue;
            }
            let operators = gone.iter().flat_map(|(_, root)| &through[root]).copied();
            cuts.push(Cut {
                weight: graph.original(weight),
                dim,
                length: labels.len(),
                operators: operators.collect(),
                removed: gone.iter().map(|(index, _)| *index).collect(),
            });
        }
    }
    cuts
}

/// Of each unit that is removed, the operators that it goes through.
fn operators<'c>(
    graph: &Graph<'c>,
    couplings: &Couplings<'_>,
    removed: &HashSet<u32>,
) -> HashMap<u32, BTreeSet<&'c str>> {
    let mut through: HashMap<u32, BTreeSet<&str>> =
        removed.iter().map(|unit| (*unit, BTreeSet::new())).collect();
    let axes = |name: &str| -> Vec<&Labels> {
        let values = couplings.labels.get(name).into_iter().flatten().flatten();
        let weights = couplings.parameters.get(name).into_iter().flatten().flatten();
        values.chain(weights).collect()
    };
    for node in &graph.nodes {
        let names = node.inputs.iter().chain(&node.outputs);
        for unit in names.flat_map(|name| axes(name)).flat_map(|labels| labels.iter()) {
            if let Some(operators) = through.get_mut(&couplings.units.root(*unit)) {
                operators.insert(node.op);
            }
        }
    }
    through
}
