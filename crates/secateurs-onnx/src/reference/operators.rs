//! What each operator computes.

use std::borrow::Cow;

use ndarray::{ArrayD, Axis, IxDyn, concatenate};

use super::convolution::standard;
use super::{Inputs, unsupported};
use crate::error::Result;
use crate::shapes::{Integers, Shape, axes, axis, infer, permutation, reduced, reshape};

/// A function of one entry.
type Function = Box<dyn Fn(f64) -> f64>;

impl Inputs<'_, '_> {
    /// The first output of the node.
    pub(super) fn compute(&self) -> Result<ArrayD<f64>> {
        let node = self.node;
        if let Some(function) = self.function()? {
            return Ok(self.get(0)?.mapv(function));
        }
        match node.op {
            "Add" => self.binary(|a, b| a + b),
            "Sub" => self.binary(|a, b| a - b),
            "Mul" => self.binary(|a, b| a * b),
            "Div" if self.integers => self.binary(|a, b| (a / b).trunc()),
            "Div" => self.binary(|a, b| a / b),
            "Pow" => self.binary(libm::pow),
            "PRelu" => self.binary(|x, slope| if x < 0.0 { slope * x } else { x }),
            "Conv" => self.conv(),
            "MaxPool" => self.pool(|values, _| values.fold(f64::NEG_INFINITY, f64::max)),
            "AveragePool" => {
                let padding_counts = node.int("count_include_pad") == Some(1);
                if padding_counts && node.int("ceil_mode") == Some(1) {
                    return Err(unsupported(node, "padding that counts, with rounding up"));
                }
                self.pool(move |values, size| {
                    let (sum, count) = values.fold((0.0, 0), |(sum, count), x| (sum + x, count + 1));
                    sum / if padding_counts { size } else { count } as f64
                })
            }
            "GlobalAveragePool" => self.over((2..self.get(0)?.ndim()).collect(), true),
            "GlobalMaxPool" => {
                let mut array = self.get(0)?.clone();
                for dim in 2..array.ndim() {
                    let highest = array.fold_axis(Axis(dim), f64::NEG_INFINITY, |a, b| a.max(*b));
                    array = highest.insert_axis(Axis(dim));
                }
                Ok(array)
            }
            "ReduceMean" => {
                let array = self.get(0)?;
                let axes = reduced(&Integers::of(self.graph), node, array.ndim());
                let axes = axes.ok_or_else(|| unsupported(node, "axes that are computed"))?;
                self.over(axes, node.int("keepdims") != Some(0))
            }
            "BatchNormalization" => self.batch_norm(),
            "LayerNormalization" => self.layer_norm(),
            "Softmax" => self.softmax(),
            "Gemm" => self.gemm(),
            "MatMul" => self.matmul(),
            "Concat" => {
                let views: Vec<_> = (0..node.inputs.len())
                    .map(|i| Ok(self.get(i)?.view()))
                    .collect::<Result<_>>()?;
                let at = node
                    .int("axis")
                    .and_then(|at| axis(at, views[0].ndim()))
                    .ok_or_else(|| self.misfit())?;
                concatenate(Axis(at), &views).map_err(|_| self.misfit())
            }
            "Transpose" => {
                let array = self.get(0)?;
                let order = permutation(node, array.ndim()).ok_or_else(|| self.misfit())?;
                Ok(array
                    .view()
                    .permuted_axes(order)
                    .as_standard_layout()
                    .into_owned())
            }
            "Flatten" | "Reshape" => {
                let array = self.get(0)?;
                let shape: Shape = array.shape().iter().map(|length| Some(*length)).collect();
                let shape = match node.op {
                    "Flatten" => infer(&Integers::of(self.graph), node, &[Some(shape)]),
                    _ => {
                        let target: Vec<i64> = self.get(1)?.iter().map(|length| *length as i64).collect();
                        reshape(&shape, &target, node.int("allowzero") == Some(1))
                    }
                };
                let shape = shape.and_then(|shape| shape.into_iter().collect::<Option<Vec<_>>>());
                let shape = shape.ok_or_else(|| self.misfit())?;
                ArrayD::from_shape_vec(IxDyn(&shape), standard(array)).map_err(|_| self.misfit())
            }
            "Shape" => Ok(self
                .get(0)?
                .shape()
                .iter()
                .map(|length| *length as f64)
                .collect::<ndarray::Array1<_>>()
                .into_dyn()),
            "Expand" => {
                let (array, target) = (self.get(0)?, standard(self.get(1)?));
                let target: Vec<usize> = target.iter().map(|length| *length as usize).collect();
                let ones = ArrayD::from_elem(IxDyn(&target), 1.0);
                self.combine(array, &ones, |x, _| x)
            }
            "Where" => {
                let (condition, a, b) = (self.get(0)?, self.get(1)?, self.get(2)?);
                let a = self.combine(
                    condition,
                    a,
                    |condition, a| if condition != 0.0 { a } else { 0.0 },
                )?;
                let b = self.combine(
                    condition,
                    b,
                    |condition, b| if condition == 0.0 { b } else { 0.0 },
                )?;
                self.combine(&a, &b, |a, b| a + b)
            }
            "Equal" => self.binary(|a, b| f64::from(u8::from(a == b))),
            "ConstantOfShape" => {
                let shape: Vec<usize> = self.get(0)?.iter().map(|length| *length as usize).collect();
                let value = node
                    .tensor("value")
                    .map(crate::tensor::Constant::read)
                    .transpose()?;
                let value = value.and_then(|value| super::from_constant(&value)?.first().copied());
                Ok(ArrayD::from_elem(IxDyn(&shape), value.unwrap_or(0.0)))
            }
            "Gather" => self.gather(),
            "Slice" => self.slice(),
            "Squeeze" | "Unsqueeze" => {
                let mut array = self.get(0)?.clone();
                let list = axes(&Integers::of(self.graph), node)
                    .ok_or_else(|| unsupported(node, "axes that are computed"))?;
                let inserts = node.op == "Unsqueeze";
                let rank = array.ndim() + if inserts { list.len() } else { 0 };
                let dims = list
                    .into_iter()
                    .map(|each| axis(each, rank))
                    .collect::<Option<Vec<_>>>();
                let mut dims = dims.ok_or_else(|| self.misfit())?;
                dims.sort_unstable();
                match inserts {
                    true => dims
                        .into_iter()
                        .for_each(|dim| array.insert_axis_inplace(Axis(dim))),
                    false => {
                        for dim in dims.into_iter().rev() {
                            array = array.index_axis_move(Axis(dim), 0);
                        }
                    }
                }
                Ok(array)
            }
            _ => Err(unsupported(node, "this operator is not known")),
        }
    }

    /// The function of an operator that works on each entry by itself.
    fn function(&self) -> Result<Option<Function>> {
        let node = self.node;
        let float = |name: &str, default: f32| f64::from(node.float(name).unwrap_or(default));
        let sigmoid = |x: f64| 1.0 / (1.0 + libm::exp(-x));
        Ok(Some(match node.op {
            "Relu" => Box::new(|x| if x > 0.0 { x } else { 0.0 }),
            "LeakyRelu" => {
                let alpha = float("alpha", 0.01);
                Box::new(move |x| if x < 0.0 { alpha * x } else { x })
            }
            "Elu" => {
                let alpha = float("alpha", 1.0);
                Box::new(move |x| if x < 0.0 { alpha * (libm::exp(x) - 1.0) } else { x })
            }
            "Sigmoid" => Box::new(sigmoid),
            "Tanh" => Box::new(libm::tanh),
            "Erf" => Box::new(libm::erf),
            "Exp" => Box::new(libm::exp),
            "Sqrt" => Box::new(f64::sqrt),
            "Abs" => Box::new(f64::abs),
            "Neg" => Box::new(|x| -x),
            "Softplus" => Box::new(|x| libm::log1p(libm::exp(x))),
            "Identity" | "Dropout" | "Cast" => Box::new(|x| x),
            "HardSigmoid" => {
                let (alpha, beta) = (float("alpha", 0.2), float("beta", 0.5));
                Box::new(move |x| (alpha * x + beta).clamp(0.0, 1.0))
            }
            "HardSwish" => Box::new(|x| x * (x / 6.0 + 0.5).clamp(0.0, 1.0)),
            "Swish" => {
                let alpha = float("alpha", 1.0);
                Box::new(move |x| x * sigmoid(alpha * x))
            }
            "Mish" => Box::new(|x| x * libm::tanh(libm::log1p(libm::exp(x)))),
            "Gelu" => match node.text("approximate") {
                None | Some("none") => {
                    Box::new(|x| 0.5 * x * (1.0 + libm::erf(x / std::f64::consts::SQRT_2)))
                }
                _ => Box::new(|x| {
                    let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x * x * x);
                    0.5 * x * (1.0 + libm::tanh(inner))
                }),
            },
            "Clip" => {
                let limit = |name: &str, number: usize, none: f64| match node.float(name) {
                    Some(limit) => f64::from(limit),
                    None => self
                        .optional(number)
                        .and_then(|limit| limit.first().copied())
                        .unwrap_or(none),
                };
                let (low, high) = (limit("min", 1, f64::NEG_INFINITY), limit("max", 2, f64::INFINITY));
                Box::new(move |x: f64| x.max(low).min(high))
            }
            _ => return Ok(None),
        }))
    }

    fn binary(&self, op: impl Fn(f64, f64) -> f64) -> Result<ArrayD<f64>> {
        self.combine(self.get(0)?, self.get(1)?, op)
    }

    /// Two arrays, entry by entry, each repeated along the dimensions that it lacks.
    fn combine(&self, a: &ArrayD<f64>, b: &ArrayD<f64>, op: impl Fn(f64, f64) -> f64) -> Result<ArrayD<f64>> {
        let rank = a.ndim().max(b.ndim());
        let padded = |array: &ArrayD<f64>| {
            let mut array = array.view().into_dyn();
            while array.ndim() < rank {
                array.insert_axis_inplace(Axis(0));
            }
            array.into_owned()
        };
        let (a, b) = (padded(a), padded(b));
        let shape: Vec<usize> = a
            .shape()
            .iter()
            .zip(b.shape())
            .map(|(a, b)| if *a == 1 { *b } else { *a })
            .collect();
        let views = a.broadcast(IxDyn(&shape)).zip(b.broadcast(IxDyn(&shape)));
        let (a, b) = views.ok_or_else(|| self.misfit())?;
        let values = a.iter().zip(b.iter()).map(|(a, b)| op(*a, *b)).collect();
        ArrayD::from_shape_vec(IxDyn(&shape), values).map_err(|_| self.misfit())
    }

    /// The mean over some dimensions.
    fn over(&self, mut axes: Vec<usize>, keep: bool) -> Result<ArrayD<f64>> {
        let mut array = Cow::Borrowed(self.get(0)?);
        axes.sort_unstable();
        for dim in axes.into_iter().rev() {
            let mean = array.mean_axis(Axis(dim)).ok_or_else(|| self.misfit())?;
            array = Cow::Owned(if keep { mean.insert_axis(Axis(dim)) } else { mean });
        }
        Ok(array.into_owned())
    }

    fn batch_norm(&self) -> Result<ArrayD<f64>> {
        let mut array = self.get(0)?.clone();
        let [scale, shift, mean, variance] = [self.get(1)?, self.get(2)?, self.get(3)?, self.get(4)?];
        let epsilon = f64::from(self.node.float("epsilon").unwrap_or(1e-5));
        let channels = array.shape().get(1).copied().unwrap_or(0);
        if [scale, shift, mean, variance]
            .iter()
            .any(|each| each.shape() != [channels])
        {
            return Err(self.misfit());
        }
        for (channel, mut values) in array.axis_iter_mut(Axis(1)).enumerate() {
            let factor = scale[[channel]] / (variance[[channel]] + epsilon).sqrt();
            values.mapv_inplace(|x| (x - mean[[channel]]) * factor + shift[[channel]]);
        }
        Ok(array)
    }

    fn layer_norm(&self) -> Result<ArrayD<f64>> {
        let array = self.get(0)?;
        let at = axis(self.node.int("axis").unwrap_or(-1), array.ndim()).ok_or_else(|| self.misfit())?;
        let epsilon = f64::from(self.node.float("epsilon").unwrap_or(1e-5));
        let length: usize = array.shape()[at..].iter().product();
        let (scale, shift) = (standard(self.get(1)?), self.optional(2).map(standard));
        if scale.len() != length || shift.as_ref().is_some_and(|shift| shift.len() != length) {
            return Err(self.misfit());
        }
        let mut values = standard(array);
        for row in values.chunks_mut(length.max(1)) {
            let mean = row.iter().sum::<f64>() / length as f64;
            let variance = row.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / length as f64;
            for (index, x) in row.iter_mut().enumerate() {
                let shift = shift.as_ref().map_or(0.0, |shift| shift[index]);
                *x = (*x - mean) / (variance + epsilon).sqrt() * scale[index] + shift;
            }
        }
        ArrayD::from_shape_vec(array.raw_dim(), values).map_err(|_| self.misfit())
    }

    fn softmax(&self) -> Result<ArrayD<f64>> {
        let mut array = self.get(0)?.clone();
        let at = axis(self.node.int("axis").unwrap_or(-1), array.ndim()).ok_or_else(|| self.misfit())?;
        for mut lane in array.lanes_mut(Axis(at)) {
            let highest = lane.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            lane.mapv_inplace(|x| libm::exp(x - highest));
            let sum = lane.sum();
            lane.mapv_inplace(|x| x / sum);
        }
        Ok(array)
    }

    fn gemm(&self) -> Result<ArrayD<f64>> {
        let node = self.node;
        let matrix = |number: usize, transposed: &str| -> Result<ndarray::Array2<f64>> {
            let matrix = self
                .get(number)?
                .view()
                .into_dimensionality::<ndarray::Ix2>()
                .map_err(|_| self.misfit())?;
            Ok(if node.int(transposed) == Some(1) {
                matrix.t().to_owned()
            } else {
                matrix.to_owned()
            })
        };
        let (a, b) = (matrix(0, "transA")?, matrix(1, "transB")?);
        if a.ncols() != b.nrows() {
            return Err(self.misfit());
        }
        let mut out = (a.dot(&b) * f64::from(node.float("alpha").unwrap_or(1.0))).into_dyn();
        if let Some(c) = self.optional(2) {
            let c = c.broadcast(out.raw_dim()).ok_or_else(|| self.misfit())?;
            out.scaled_add(f64::from(node.float("beta").unwrap_or(1.0)), &c);
        }
        Ok(out)
    }

    fn matmul(&self) -> Result<ArrayD<f64>> {
        let (a, b) = (self.get(0)?, self.get(1)?);
        if a.ndim() < 2 || b.ndim() < 2 {
            return Err(unsupported(self.node, "a vector"));
        }
        let (rows, inner) = (a.shape()[a.ndim() - 2], a.shape()[a.ndim() - 1]);
        let (other, columns) = (b.shape()[b.ndim() - 2], b.shape()[b.ndim() - 1]);
        if inner != other {
            return Err(self.misfit());
        }
        let rank = a.ndim().max(b.ndim()) - 2;
        let batch_of = |array: &ArrayD<f64>| -> Vec<usize> {
            let own = &array.shape()[..array.ndim() - 2];
            std::iter::repeat_n(1, rank - own.len())
                .chain(own.iter().copied())
                .collect()
        };
        let (batch_a, batch_b) = (batch_of(a), batch_of(b));
        let batch: Vec<usize> = batch_a
            .iter()
            .zip(&batch_b)
            .map(|(a, b)| if *a == 1 { *b } else { *a })
            .collect();
        let spread = |array: &ArrayD<f64>, own: Vec<usize>, ends: [usize; 2]| -> Result<Vec<f64>> {
            let shaped = ArrayD::from_shape_vec(IxDyn(&[&own[..], &ends].concat()), standard(array));
            let shaped = shaped.map_err(|_| self.misfit())?;
            let wide = shaped
                .broadcast(IxDyn(&[&batch[..], &ends].concat()))
                .ok_or_else(|| self.misfit())?;
            Ok(wide.iter().copied().collect())
        };
        let (a, b) = (
            spread(a, batch_a, [rows, inner])?,
            spread(b, batch_b, [inner, columns])?,
        );
        let mut out = Vec::new();
        for (a, b) in a
            .chunks((rows * inner).max(1))
            .zip(b.chunks((inner * columns).max(1)))
        {
            let a = ndarray::ArrayView2::from_shape((rows, inner), a).map_err(|_| self.misfit())?;
            let b = ndarray::ArrayView2::from_shape((inner, columns), b).map_err(|_| self.misfit())?;
            out.extend(a.dot(&b));
        }
        ArrayD::from_shape_vec(IxDyn(&[&batch[..], &[rows, columns]].concat()), out)
            .map_err(|_| self.misfit())
    }

    /// The outputs of a `Split`.
    pub(super) fn split(&self) -> Result<Vec<ArrayD<f64>>> {
        let (node, array) = (self.node, self.get(0)?);
        let at = axis(node.int("axis").unwrap_or(0), array.ndim()).ok_or_else(|| self.misfit())?;
        let (length, parts) = (array.shape()[at], node.outputs.len().max(1));
        let sizes: Vec<usize> = match (node.ints("split"), self.optional(1)) {
            (Some(sizes), _) => sizes.iter().map(|size| *size as usize).collect(),
            (None, Some(sizes)) => sizes.iter().map(|size| *size as usize).collect(),
            (None, None) => {
                let size = length.div_ceil(parts);
                (0..parts)
                    .map(|part| size.min(length.saturating_sub(part * size)))
                    .collect()
            }
        };
        if sizes.iter().try_fold(0_usize, |sum, size| sum.checked_add(*size)) != Some(length) {
            return Err(self.misfit());
        }
        let mut start = 0;
        let pieces = sizes.iter().map(|size| {
            let piece: Vec<usize> = (start..start + size).collect();
            start += size;
            array.select(Axis(at), &piece)
        });
        Ok(pieces.collect())
    }

    fn gather(&self) -> Result<ArrayD<f64>> {
        let (array, indices) = (self.get(0)?, self.get(1)?);
        let at = axis(self.node.int("axis").unwrap_or(0), array.ndim()).ok_or_else(|| self.misfit())?;
        let chosen = indices.iter().map(|index| axis(*index as i64, array.shape()[at]));
        let chosen = chosen.collect::<Option<Vec<_>>>().ok_or_else(|| self.misfit())?;
        if chosen.iter().any(|index| *index >= array.shape()[at]) {
            return Err(self.misfit());
        }
        let picked = array.select(Axis(at), &chosen);
        let shape = [&array.shape()[..at], indices.shape(), &array.shape()[at + 1..]].concat();
        ArrayD::from_shape_vec(IxDyn(&shape), standard(&picked)).map_err(|_| self.misfit())
    }

    fn slice(&self) -> Result<ArrayD<f64>> {
        let mut array = self.get(0)?.clone();
        let list = |number: usize| -> Option<Vec<i64>> {
            Some(self.optional(number)?.iter().map(|x| *x as i64).collect())
        };
        let missing = || unsupported(self.node, "limits that are attributes");
        let (starts, ends) = (list(1).ok_or_else(missing)?, list(2).ok_or_else(missing)?);
        let dims = list(3).unwrap_or_else(|| (0..starts.len() as i64).collect());
        let steps = list(4).unwrap_or_else(|| vec![1; starts.len()]);
        for (((start, end), dim), step) in starts.into_iter().zip(ends).zip(dims).zip(steps) {
            if step < 1 {
                return Err(unsupported(self.node, "steps backwards"));
            }
            let dim = axis(dim, array.ndim()).ok_or_else(|| self.misfit())?;
            let length = array.shape()[dim] as i64;
            let counted = |index: i64| {
                if index < 0 {
                    index.saturating_add(length)
                } else {
                    index
                }
                .clamp(0, length) as usize
            };
            let chosen: Vec<usize> = (counted(start)..counted(end)).step_by(step as usize).collect();
            array = array.select(Axis(dim), &chosen);
        }
        Ok(array)
    }
}
