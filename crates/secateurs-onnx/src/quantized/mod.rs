//! Quantized models: integers that stand for numbers.

mod embeddings;
mod nodes;
mod weights;

use std::collections::HashMap;

pub use nodes::{Integers, Linear};
pub use weights::Source;

use crate::graph::{Graph, Node};
use crate::shapes::axis;
use crate::tensor::Constant;

/// How integers stand for numbers: a zero point is subtracted, and what is left is multiplied by a scale.
#[derive(Clone, Debug)]
pub struct Quantization {
    /// One for all, or one for each index of the axis.
    pub scale: Vec<f64>,
    /// The same of zero points.
    pub zero: Vec<f64>,
    /// The axis whose indices have scales and zero points of their own.
    pub axis: usize,
    /// The number of the type that nodes read.
    pub read_as: i64,
    /// The integers that there are, if the entries are the numbers and become integers only when the model runs.
    pub rounded_to: Option<Range>,
}

/// The least and the largest integer of a type.
pub type Range = (f64, f64);

/// What is this near to the middle between two integers is in the middle. Sums of a model and of a smaller one differ by
/// less, as they are added in another order, and would be rounded to different integers otherwise.
const MIDDLE: f64 = 1e-9;

impl Quantization {
    /// That of a constant of this scale and zero point, whose axis of scales has this length.
    fn of(
        graph: &Graph<'_>,
        (scale, zero): (Option<&str>, Option<&str>),
        (axis, length): (usize, Option<usize>),
        read_as: i64,
    ) -> Option<Self> {
        let list = |name: Option<&str>, none: f64| match name {
            Some(name) => parameters(graph, name, length),
            None => Some(vec![none]),
        };
        Some(Quantization {
            scale: list(scale, 1.0)?,
            zero: list(zero, 0.0)?,
            axis,
            read_as,
            rounded_to: None,
        })
    }

    /// Makes numbers of entries that begin at this place of a tensor of this shape.
    pub fn numbers(&self, dims: &[usize], at: usize, entries: &mut [f64]) {
        let number = |entry: f64, scale: f64, zero: f64| match self.rounded_to {
            Some(range) => (quantize(entry, scale, zero, range) - zero) * scale,
            None => (entry - zero) * scale,
        };
        let lists = (&self.scale[..], &self.zero[..]);
        each(lists, (self.axis, dims), at, entries, number);
    }

    /// The entry that stands for zero, at an index of the axis.
    pub fn zero_entry(&self, index: usize) -> f64 {
        match self.rounded_to {
            Some(_) => 0.0,
            None => one_of(&self.zero, index),
        }
    }

    /// Whether all indices have the same entry for zero.
    pub fn has_one_zero_entry(&self) -> bool {
        self.rounded_to.is_some() || self.zero.iter().all(|zero| *zero == self.zero[0])
    }
}

/// Makes something of entries that begin at this place of a tensor of this shape, each with its scale and zero point: one for
/// all, or one for each index of an axis.
pub fn each(
    (scales, zeros): (&[f64], &[f64]),
    (axis, dims): (usize, &[usize]),
    at: usize,
    entries: &mut [f64],
    of: impl Fn(f64, f64, f64) -> f64,
) {
    // Entries that follow each other and have the same index: all of them, where there is one scale for all.
    let for_all = scales.len() == 1 && zeros.len() == 1;
    let inner: usize = dims.iter().skip(axis + 1).product();
    let inner = if for_all { usize::MAX } else { inner.max(1) };
    let length = dims.get(axis).copied().unwrap_or(1).max(1);
    let (mut index, mut left) = (at / inner % length, inner - at % inner);
    if inner == 1 {
        for entry in entries {
            *entry = of(*entry, one_of(scales, index), one_of(zeros, index));
            index = if index + 1 == length { 0 } else { index + 1 };
        }
        return;
    }
    let mut rest = entries;
    while !rest.is_empty() {
        let (run, others) = rest.split_at_mut(left.min(rest.len()));
        let (scale, zero) = (one_of(scales, index), one_of(zeros, index));
        run.iter_mut().for_each(|entry| *entry = of(*entry, scale, zero));
        (index, left, rest) = ((index + 1) % length, inner, others);
    }
}

/// The axis that a node has scales along, of a tensor of this rank. `None` if they are those of blocks.
pub fn axis_of_scales(node: &Node<'_>, rank: usize) -> Option<usize> {
    let in_blocks = node.int("block_size").unwrap_or(0) != 0;
    // One scale for all has no axis, and any will do.
    (!in_blocks).then(|| axis(node.int("axis").unwrap_or(1), rank).unwrap_or(0))
}

/// The entry of an index, of a list that has one for each, or one for all.
fn one_of(list: &[f64], index: usize) -> f64 {
    list.get(index).or(list.first()).copied().unwrap_or(0.0)
}

/// The integer that stands for a number.
pub fn quantize(x: f64, scale: f64, zero: f64, (least, largest): Range) -> f64 {
    let exact = x / scale;
    let middle = exact.floor() + 0.5;
    let exact = if (exact - middle).abs() < MIDDLE {
        middle
    } else {
        exact
    };
    (exact.round_ties_even() + zero).clamp(least, largest)
}

/// The integers of a type, by its number; `None` for those that nothing is quantized to, or that are not understood.
pub fn range(dtype: i64) -> Option<Range> {
    Some(match dtype {
        2 => (0.0, 255.0),
        3 => (-128.0, 127.0),
        4 => (0.0, 65_535.0),
        5 => (-32_768.0, 32_767.0),
        6 => (-2_147_483_648.0, 2_147_483_647.0),
        _ => return None,
    })
}

/// Finds the quantized weights of a graph, and the operators that compute with integers.
pub fn read(graph: &mut Graph<'_>) {
    let quantizes = |op: &str| op.contains("Linear") || op.contains("Integer") || op == "QGemm";
    if !graph.nodes.iter().any(|node| quantizes(node.op)) {
        return;
    }
    // Integers in `Constant` nodes are as good as initializers.
    for (number, node) in graph.nodes.iter().enumerate() {
        let (Some(output), "Constant") = (node.output(), node.op) else {
            continue;
        };
        let constant = graph
            .constants
            .get(output)
            .filter(|constant| !constant.dims.is_empty());
        if constant.is_some_and(|constant| range(constant.dtype.number()).is_some()) {
            graph.initializers.insert(output);
            graph.copies.insert(output, number);
        }
    }
    let mut readers: HashMap<&str, usize> = HashMap::new();
    let inputs = graph.nodes.iter().flat_map(|node| &node.inputs);
    for name in inputs.chain(&graph.outputs) {
        *readers.entry(name).or_insert(0) += 1;
    }
    weights::read(graph, &readers);
    embeddings::read(graph, &readers);
    nodes::read(graph, &readers);
}

/// Notes that the constant in a weight's source is, by this name, what its entries stand for.
fn note<'a>(graph: &mut Graph<'a>, name: &'a str, quantization: Quantization, source: Source<'a>) {
    let constant = graph.constants[source.entries].clone().named(name);
    if !constant.dims.is_empty() {
        graph.initializers.insert(name);
    }
    graph.constants.insert(name, constant.quantized(quantization));
    graph.quantized.insert(name, source);
}

/// Whether a graph quantizes values when it runs.
#[cfg(feature = "runtime")]
pub fn is_quantized(graph: &Graph<'_>) -> bool {
    graph.nodes.iter().any(|node| {
        let quantizes = matches!(
            node.op,
            "QuantizeLinear" | "DequantizeLinear" | "DynamicQuantizeLinear"
        );
        quantizes || node.integers.is_some()
    })
}

/// The constant of this name whose entries nothing else reads.
fn own<'g, 'a>(graph: &'g Graph<'a>, readers: &HashMap<&str, usize>, name: &str) -> Option<&'g Constant<'a>> {
    let constant = graph.constants.get(name)?;
    let is_own = graph.initializers.contains(name);
    (is_own && constant.quantization.is_none() && readers.get(name) == Some(&1)).then_some(constant)
}

/// The numbers of a scale or of a zero point: one for all, or one for each index of an axis of this length.
fn parameters(graph: &Graph<'_>, name: &str, length: Option<usize>) -> Option<Vec<f64>> {
    let constant = graph.constants.get(name)?;
    let fits = constant.len() == 1 || (constant.dims.len() == 1 && Some(constant.dims[0]) == length);
    let integers = || Some(constant.integers()?.into_iter().map(|x| x as f64).collect());
    let numbers: Vec<f64> = match fits {
        true => constant.floats().or_else(integers)?,
        false => return None,
    };
    numbers.iter().all(|x| x.is_finite()).then_some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_each_entry_wherever_it_is_cut() {
        let dims = [3, 4, 5];
        for (axis, scales, zeros) in [(0, 3, 3), (1, 4, 1), (2, 1, 5), (2, 5, 5), (1, 1, 1)] {
            let list = |len: usize, from: f64| (0..len).map(|i| from + i as f64).collect::<Vec<f64>>();
            for rounded_to in [None, range(3)] {
                let quantization = Quantization {
                    scale: list(scales, 2.0),
                    zero: list(zeros, -1.0),
                    axis,
                    read_as: 1,
                    rounded_to,
                };
                let entries: Vec<f64> = (0..60).map(|i| f64::from(i * 37 % 23) - 9.0).collect();
                let expected: Vec<f64> = (0..60)
                    .map(|place: usize| {
                        let index = [place / 20, place / 5 % 4, place % 5][axis];
                        let scale = quantization.scale[index % scales];
                        let zero = quantization.zero[index % zeros];
                        let integer = match rounded_to {
                            None => entries[place],
                            Some(_) => (entries[place] / scale).round_ties_even() + zero,
                        };
                        (integer - zero) * scale
                    })
                    .collect();
                for step in [1, 7, 60] {
                    let mut got = entries.clone();
                    for (number, chunk) in got.chunks_mut(step).enumerate() {
                        quantization.numbers(&dims, number * step, chunk);
                    }
                    assert_eq!(got, expected, "{axis} {scales} {zeros} {step}");
                }
            }
        }
    }

    #[test]
    fn numbers_are_rounded_to_the_nearest_integer_of_the_type() {
        let byte = range(2).unwrap();
        for (x, integer) in [
            (0.0, 10.0),
            (0.49, 10.0),
            (0.51, 11.0),
            // Halves become even, also where a sum in another order is just beside the middle.
            (0.5, 10.0),
            (0.5 + 1e-12, 10.0),
            (0.5 - 1e-12, 10.0),
            (1.5 - 1e-12, 12.0),
            (-2.5, 8.0),
            (1e30, 255.0),
            (f64::NEG_INFINITY, 0.0),
        ] {
            assert_eq!(quantize(x, 1.0, 10.0, byte), integer, "{x}");
        }
        assert!(quantize(f64::NAN, 1.0, 10.0, byte).is_nan());
    }
}
