//! Products that sum over axes: matrix products of any shape, and what `Einsum` says.

use super::elementwise::is_constant_at_zero;
use super::{FIXED, Labels, Tracked, Walk, not_zero};
use crate::graph::Node;
use crate::shapes::Shape;

impl<'a> Walk<'a, '_> {
    pub(super) fn gemm(&mut self, node: &Node<'a>, shape: Shape) -> Option<Tracked> {
        let letters = |transposed: &str, [rows, columns]: [char; 2]| match node.int(transposed) {
            Some(1) => vec![columns, rows],
            _ => vec![rows, columns],
        };
        let letters = [letters("transA", ['m', 'k']), letters("transB", ['k', 'n'])];
        let mut output = self.contract(node, &letters, &['m', 'n'], shape)?;
        let Some(bias) = node.input(2) else {
            return Some(output);
        };
        let dims = self.value(bias).shape?;
        let rank = dims.len();
        for dim in 0..2 {
            let Some(own) = (dim + rank).checked_sub(2).filter(|own| dims[*own] != Some(1)) else {
                // The same is added to all, also to what is removed.
                if output.units(dim).is_some() && !self.is_zeros(bias) {
                    output.not_zero = Some(node.op.to_owned());
                }
                continue;
            };
            match output.units(dim).cloned() {
                Some(labels) => self.cut_along(bias, own, &labels, node.op),
                None => self.fix(bias, own, FIXED),
            }
        }
        Some(output)
    }

    pub(super) fn matmul(&mut self, node: &Node<'a>, shape: Shape) -> Option<Tracked> {
        let ranks = [0, 1].map(|place| node.input(place).map_or(0, |name| self.value(name).labels.len()));
        if ranks[0] < 2 || ranks[1] < 2 {
            return None;
        }
        let batch: Vec<char> = ('A'..='Z').take(ranks[0].max(ranks[1]) - 2).collect();
        let letters = |rank: usize, ends: [char; 2]| -> Vec<char> {
            let own = &batch[batch.len().saturating_sub(rank - 2)..];
            own.iter().copied().chain(ends).collect()
        };
        let out: Vec<char> = batch.iter().copied().chain(['m', 'n']).collect();
        let letters = [letters(ranks[0], ['m', 'k']), letters(ranks[1], ['k', 'n'])];
        (out.len() == shape.len()).then_some(())?;
        self.contract(node, &letters, &out, shape)
    }

    pub(super) fn einsum(&mut self, node: &Node<'a>, shape: Shape) -> Option<Tracked> {
        let (letters, out) = equation(node)?;
        self.contract(node, &letters, &out, shape)
    }

    /// A product of values whose dimensions have letters: equal letters run together, and those that the output does not
    /// have are summed over.
    fn contract(
        &mut self,
        node: &Node<'a>,
        letters: &[Vec<char>],
        out: &[char],
        shape: Shape,
    ) -> Option<Tracked> {
        let names: Vec<&'a str> = (0..letters.len())
            .map(|place| node.input(place))
            .collect::<Option<_>>()?;
        let sides: Vec<Tracked> = names.iter().map(|name| self.value(name)).collect();
        if sides
            .iter()
            .zip(letters)
            .any(|(side, letters)| side.labels.len() != letters.len())
        {
            return None;
        }
        let mut all: Vec<char> = Vec::new();
        for letter in letters.iter().flatten() {
            if !all.contains(letter) {
                all.push(*letter);
            }
        }
        let mut labels = vec![None; out.len()];
        let mut not_zeros = None;
        for letter in all {
            let joined = self.joined(node, letter, &names, &sides, letters);
            let Some(joined) = joined else { continue };
            // A product is zero where one of its factors is.
            let with = (0..sides.len()).filter(|side| letters[*side].contains(&letter));
            let mut zero = with.filter(|side| {
                sides[*side].not_zero.is_none() && {
                    let dim = letters[*side].iter().position(|own| *own == letter);
                    dim.is_some_and(|dim| self.is_weight(names[*side]) || sides[*side].units(dim).is_some())
                }
            });
            let zero = zero.next().is_some();
            let op = || sides.iter().find_map(|side| side.not_zero.clone());
            let op = || op().unwrap_or_else(|| node.op.to_owned());
            match out.iter().position(|own| *own == letter) {
                Some(dim) => {
                    labels[dim] = Some(joined);
                    if !zero {
                        not_zeros.get_or_insert_with(op);
                    }
                }
                None if !zero => self.units.hold(&joined, &not_zero(&op())),
                None => {
                    let with = (0..sides.len()).filter(|side| letters[*side].contains(&letter));
                    let values = with.filter(|side| !self.is_weight(names[*side]));
                    let ops: Vec<Option<&str>> = values.map(|side| sides[side].not_zero.as_deref()).collect();
                    self.hold_constants(&joined, &ops);
                }
            }
        }
        Some(Tracked {
            shape: Some(shape),
            labels,
            not_zero: not_zeros,
            dtype: 0,
        })
    }

    /// Holds units that are summed over if all values that have them are a constant there, by these operators: the weights that
    /// read it are masked with it, but the constant would be lost.
    fn hold_constants(&mut self, labels: &Labels, ops: &[Option<&str>]) {
        let all = ops.iter().all(|op| op.is_some_and(is_constant_at_zero));
        if let Some(Some(op)) = ops.first().filter(|_| all && !self.choice.as_they_are) {
            self.units.hold(labels, &not_zero(op));
        }
    }

    /// The units of all dimensions that have a letter. Dimensions of length 1 are repeated.
    fn joined(
        &mut self,
        node: &Node<'a>,
        letter: char,
        names: &[&'a str],
        sides: &[Tracked],
        letters: &[Vec<char>],
    ) -> Option<Labels> {
        let places: Vec<(usize, usize)> = (0..sides.len())
            .flat_map(|side| {
                let own = letters[side]
                    .iter()
                    .enumerate()
                    .filter(move |(_, own)| **own == letter);
                own.map(move |(dim, _)| (side, dim))
            })
            .filter(|(side, dim)| sides[*side].len(*dim) != Some(1))
            .collect();
        let values: Vec<(usize, usize)> = places
            .iter()
            .copied()
            .filter(|(side, _)| !self.is_weight(names[*side]))
            .collect();
        let weights: Vec<(usize, usize)> = places
            .iter()
            .copied()
            .filter(|(side, _)| self.is_weight(names[*side]))
            .collect();
        let units: Vec<Labels> = values
            .iter()
            .filter_map(|(side, dim)| sides[*side].units(*dim).cloned())
            .collect();
        let fits = units.len() == values.len() && units.iter().all(|labels| labels.len() == units[0].len());
        if !fits {
            units.iter().for_each(|labels| self.units.hold(labels, node.op));
            weights
                .iter()
                .for_each(|(side, dim)| self.fix(names[*side], *dim, FIXED));
            return None;
        }
        let joined = match (units.first(), weights.first()) {
            (Some(labels), _) => labels.clone(),
            // Only weights have it: what the layer makes.
            (None, Some((side, dim))) => self.own_units(names[*side], *dim, node.op)?,
            (None, None) => return None,
        };
        units.iter().for_each(|labels| self.units.tie(&joined, labels));
        for (side, dim) in weights {
            self.cut_along(names[side], dim, &joined, node.op);
        }
        Some(joined)
    }
}

/// The letters of each operand and of the output of an `Einsum`, which has to say all of them.
pub fn equation(node: &Node<'_>) -> Option<(Vec<Vec<char>>, Vec<char>)> {
    let equation: String = node.text("equation")?.split_whitespace().collect();
    let (operands, out) = equation.split_once("->")?;
    let letters = |text: &str| -> Option<Vec<char>> {
        let letters: Vec<char> = text.chars().collect();
        letters.iter().all(char::is_ascii_alphabetic).then_some(letters)
    };
    let operands: Vec<Vec<char>> = operands.split(',').map(letters).collect::<Option<_>>()?;
    let out = letters(out)?;
    let known = out
        .iter()
        .all(|letter| operands.iter().flatten().any(|own| own == letter));
    let once = (0..out.len()).all(|dim| !out[..dim].contains(&out[dim]));
    (known && once && operands.len() == node.inputs.len()).then_some((operands, out))
}
