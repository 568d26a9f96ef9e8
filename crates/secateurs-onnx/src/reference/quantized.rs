//! Operators that quantize, and those that compute with integers that stand for numbers.

use std::collections::HashMap;

use ndarray::{ArrayD, arr0};

use super::convolution::standard;
use super::{Inputs, from_constant, unsupported};
use crate::error::Result;
use crate::graph::{Graph, Node};
use crate::quantized::{Linear, Range, axis_of_scales, each, quantize, range};
use crate::tensor::UINT8;

/// What the output of a node stands for, rounded to it, if it is quantized with a scale that is fixed.
pub fn as_quantized<'a>(graph: &Graph<'a>, node: &Node<'a>, mut numbers: ArrayD<f64>) -> ArrayD<f64> {
    let output = match (node.op, &node.integers) {
        (_, Some(integers)) => integers.output,
        ("QuantizeLinear", None) => Some(Linear {
            place: 0,
            scale: node.input(1),
            zero: node.input(2),
        }),
        _ => None,
    };
    let Some(output) = output else {
        return numbers;
    };
    let constants = output.scale.into_iter().chain(output.zero);
    let values = constants.filter_map(|name| Some((name, from_constant(graph.constants.get(name)?)?)));
    let (values, integers, adjusted) = (values.collect(), false, None);
    let inputs = Inputs {
        graph,
        node,
        values: &values,
        integers,
        adjusted,
    };
    match (inputs.scale_and_zero(&output), inputs.range_of(output.zero)) {
        (Ok((scale, zero)), Ok(range)) => {
            numbers.mapv_inplace(|x| (quantize(x, scale, zero, range) - zero) * scale);
        }
        _ => numbers.mapv_inplace(|x| if x == 0.0 { x } else { f64::NAN }),
    }
    numbers
}

impl Inputs<'_, '_> {
    /// An operator on integers: on the numbers that they stand for, whose result is quantized.
    pub(super) fn on_integers(&self) -> Result<ArrayD<f64>> {
        let node = self.node;
        let Some(integers) = &node.integers else {
            return self.compute();
        };
        let mut values = HashMap::new();
        for (name, linear) in node.inputs.iter().zip(&integers.inputs) {
            let value = self.values.get(name).ok_or_else(|| self.misfit())?;
            // Weights are what they stand for already.
            let value = match self.graph.quantized.contains_key(name) {
                true => value.clone(),
                false => {
                    let (scale, zero) = self.scale_and_zero(linear)?;
                    value.mapv(|x| (x - zero) * scale)
                }
            };
            values.insert(*name, value);
        }
        let numbers = Inputs {
            values: &values,
            ..*self
        }
        .compute()?;
        let Some(output) = integers.output else {
            return Ok(numbers);
        };
        let (scale, zero) = self.scale_and_zero(&output)?;
        let range = self.range_of(output.zero)?;
        Ok(numbers.mapv(|x| quantize(x, scale, zero, range)))
    }

    fn scale_and_zero(&self, linear: &Linear<'_>) -> Result<(f64, f64)> {
        let one = |name: Option<&str>, none: f64| match name {
            None => Some(none),
            Some(name) => self.values.get(name)?.first().copied(),
        };
        let both = one(linear.scale, 1.0).zip(one(linear.zero, 0.0));
        both.ok_or_else(|| self.misfit())
    }

    /// The integers of the type that a zero point has.
    fn range_of(&self, zero: Option<&str>) -> Result<Range> {
        let dtype = match zero {
            None => self.node.int("output_dtype").unwrap_or(UINT8),
            Some(name) => self
                .graph
                .constants
                .get(name)
                .map_or(0, |zero| zero.dtype.number()),
        };
        range(dtype).ok_or_else(|| unsupported(self.node, "integers of this type"))
    }

    pub(super) fn quantize_linear(&self) -> Result<ArrayD<f64>> {
        let range = self.range_of(self.node.input(2))?;
        self.linear(|x, scale, zero| quantize(x, scale, zero, range))
    }

    pub(super) fn dequantize_linear(&self) -> Result<ArrayD<f64>> {
        self.linear(|x, scale, zero| (x - zero) * scale)
    }

    /// Each entry, with its scale and its zero point.
    fn linear(&self, of: impl Fn(f64, f64, f64) -> f64) -> Result<ArrayD<f64>> {
        let array = self.get(0)?;
        let axis = axis_of_scales(self.node, array.ndim()).ok_or_else(|| unsupported(self.node, "blocks"))?;
        let length = array.shape().get(axis).copied();
        let list = |list: &ArrayD<f64>| -> Result<Vec<f64>> {
            let fits = list.len() == 1 || (list.ndim() == 1 && Some(list.len()) == length);
            let list = list.iter().copied().collect();
            fits.then_some(list).ok_or_else(|| self.misfit())
        };
        let (scales, zeros) = (list(self.get(1)?)?, self.optional(2).map_or(Ok(vec![0.0]), list)?);
        let mut entries = standard(array);
        each((&scales, &zeros), (axis, array.shape()), 0, &mut entries, of);
        ArrayD::from_shape_vec(array.raw_dim(), entries).map_err(|_| self.misfit())
    }

    /// Integers, scale and zero point, by the range of the entries and of zero.
    pub(super) fn quantize_by_range(&self) -> Result<Vec<ArrayD<f64>>> {
        let array = self.get(0)?;
        let least = array.iter().copied().fold(0.0, f64::min);
        let largest = array.iter().copied().fold(0.0, f64::max);
        let bytes = (0.0, 255.0);
        let scale = if largest > least {
            (largest - least) / 255.0
        } else {
            1.0
        };
        let zero = quantize(-least, scale, 0.0, bytes);
        let integers = array.mapv(|x| quantize(x, scale, zero, bytes));
        let scalar = |x: f64| arr0(x).into_dyn();
        Ok(vec![integers, scalar(scale), scalar(zero)])
    }
}
