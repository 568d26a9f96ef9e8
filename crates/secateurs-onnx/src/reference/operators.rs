//! What each operator computes.

use std::borrow::Cow;

use ndarray::{ArrayD, Axis, IxDyn, concatenate};

use super::convolution::standard;
use super::fused::{gelu, gelu_by_tanh};
use super::{Inputs, unsupported};
use crate::error::Result;
use crate::external::External;
use crate::shapes::{axis, permutation, reduced};

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
            "Min" => self.all(f64::min),
            "Max" => self.all(f64::max),
            "Sum" => self.all(|a, b| a + b),
            "Less" => self.binary(|a, b| f64::from(u8::from(a < b))),
            "Greater" => self.binary(|a, b| f64::from(u8::from(a > b))),
            "LessOrEqual" => self.binary(|a, b| f64::from(u8::from(a <= b))),
            "GreaterOrEqual" => self.binary(|a, b| f64::from(u8::from(a >= b))),
            "And" => self.binary(|a, b| f64::from(u8::from(a != 0.0 && b != 0.0))),
            "Or" => self.binary(|a, b| f64::from(u8::from(a != 0.0 || b != 0.0))),
            "PRelu" => self.binary(|x, slope| if x < 0.0 { slope * x } else { x }),
            "QuantizeLinear" => self.quantize_linear(),
            "DequantizeLinear" => self.dequantize_linear(),
            "Conv" => self.conv(),
            "MaxPool" => self.pool(|values, _| values.fold(f64::NEG_INFINITY, f64::max)),
            "LpPool" => {
                let p = node.int("p").unwrap_or(2) as f64;
                self.pool(move |values, _| {
                    let sum: f64 = values.map(|x| libm::pow(x.abs(), p)).sum();
                    libm::pow(sum, 1.0 / p)
                })
            }
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
            "GlobalAveragePool" => self.mean(self.get(0)?, (2..self.get(0)?.ndim()).collect(), true),
            "GlobalMaxPool" => {
                let mut array = self.get(0)?.clone();
                for dim in 2..array.ndim() {
                    let highest = array.fold_axis(Axis(dim), f64::NEG_INFINITY, |a, b| a.max(*b));
                    array = highest.insert_axis(Axis(dim));
                }
                Ok(array)
            }
            "ReduceMean" | "ReduceSum" | "ReduceSumSquare" | "ReduceL1" | "ReduceL2" | "ReduceMax"
            | "ReduceMin" => self.reduce(),
            "InstanceNormalization" => self.instance_norm(),
            "GroupNormalization" => self.group_norm(),
            "ConvTranspose" => self.conv_transpose(),
            "Einsum" => self.einsum(),
            "Pad" => self.pad(),
            "Resize" => self.resize(),
            "DepthToSpace" => self.depth_to_space(),
            "GatherND" => self.gather_nd(),
            "ScatterND" => self.scatter_nd(),
            "Range" => self.range(),
            "CumSum" => self.cumulative_sum(),
            "Mod" => self.binary(|a, b| {
                if node.int("fmod") == Some(1) {
                    a % b
                } else {
                    a - (a / b).floor() * b
                }
            }),
            "Constant" => {
                let float = node.float("value_float").map(f64::from);
                let one = float.or_else(|| node.int("value_int").map(|int| int as f64));
                let list = || Some(node.ints("value_ints")?.iter().map(|int| *int as f64).collect());
                let list: Option<ndarray::Array1<f64>> = if one.is_none() { list() } else { None };
                let value = one
                    .map(|one| ndarray::arr0(one).into_dyn())
                    .or(list.map(|list| list.into_dyn()));
                value.ok_or_else(|| unsupported(node, "a value of this type"))
            }
            "Tile" => self.tile(),
            "Trilu" => self.triangle(),
            "LogSoftmax" => Ok(self.softmax()?.mapv(libm::log)),
            "BatchNormalization" => self.batch_norm(),
            "LayerNormalization" => self.layer_norm(self.get(0)?, self.get(1)?, self.optional(2)),
            "RMSNormalization" | "SimplifiedLayerNormalization" => self.rms_norm(self.get(0)?, self.get(1)?),
            "BiasGelu" => Ok(self.biased()?.mapv(gelu)),
            "FastGelu" => Ok(self.biased()?.mapv(gelu_by_tanh)),
            "Attention" => self.attention(),
            "RotaryEmbedding" => self.rotary(),
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
                let shape = self.shape()?;
                ArrayD::from_shape_vec(IxDyn(&shape), standard(self.get(0)?)).map_err(|_| self.misfit())
            }
            "Shape" => Ok(self
                .get(0)?
                .shape()
                .iter()
                .map(|length| *length as f64)
                .collect::<ndarray::Array1<_>>()
                .into_dyn()),
            "Expand" => {
                let (array, shape) = (self.get(0)?, self.shape()?);
                self.check_size(&shape)?;
                let wide = array.broadcast(IxDyn(&shape)).ok_or_else(|| self.misfit())?;
                Ok(wide.as_standard_layout().into_owned())
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
                self.check_size(&shape)?;
                let value = node
                    .tensor("value")
                    .map(|value| crate::tensor::Constant::read(value, &[], &External::default()))
                    .transpose()?;
                let value = value.and_then(|value| super::from_constant(&value)?.first().copied());
                Ok(ArrayD::from_elem(IxDyn(&shape), value.unwrap_or(0.0)))
            }
            "Gather" => self.gather(),
            "Slice" => self.slice(),
            "Squeeze" | "Unsqueeze" => {
                let shape = self.shape()?;
                ArrayD::from_shape_vec(IxDyn(&shape), standard(self.get(0)?)).map_err(|_| self.misfit())
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
            "Log" => Box::new(libm::log),
            "Sin" => Box::new(libm::sin),
            "Cos" => Box::new(libm::cos),
            "Reciprocal" => Box::new(|x| 1.0 / x),
            "Not" => Box::new(|x| f64::from(u8::from(x == 0.0))),
            "IsNaN" => Box::new(|x: f64| f64::from(u8::from(x.is_nan()))),
            "Floor" => Box::new(f64::floor),
            "Ceil" => Box::new(f64::ceil),
            "Round" => Box::new(f64::round_ties_even),
            "Sign" => Box::new(|x| if x == 0.0 { 0.0 } else { x.signum() }),
            "Softsign" => Box::new(|x: f64| x / (1.0 + x.abs())),
            "Selu" => {
                let (alpha, gamma) = (float("alpha", 1.673_263_2), float("gamma", 1.050_701));
                Box::new(move |x| gamma * if x > 0.0 { x } else { alpha * (libm::exp(x) - 1.0) })
            }
            "Celu" => {
                let alpha = float("alpha", 1.0);
                Box::new(move |x: f64| x.max(0.0) + (alpha * (libm::exp(x / alpha) - 1.0)).min(0.0))
            }
            "ThresholdedRelu" => {
                let alpha = float("alpha", 1.0);
                Box::new(move |x| if x > alpha { x } else { 0.0 })
            }
            "Sqrt" => Box::new(f64::sqrt),
            "Abs" => Box::new(f64::abs),
            "Neg" => Box::new(|x| -x),
            "Softplus" => Box::new(|x| libm::log1p(libm::exp(x))),
            "Cast" if matches!(node.int("to"), Some(2..=8 | 12 | 13)) => Box::new(f64::trunc),
            "Cast" if node.int("to") == Some(9) => Box::new(|x| f64::from(u8::from(x != 0.0))),
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
                None | Some("none") => Box::new(gelu),
                _ => Box::new(gelu_by_tanh),
            },
            "QuickGelu" => {
                let alpha = float("alpha", 1.702);
                Box::new(move |x| x * sigmoid(alpha * x))
            }
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

    /// Refuses a shape that no memory holds, as that of a damaged model.
    fn check_size(&self, shape: &[usize]) -> Result<()> {
        /// Entries of the largest value that is made.
        const MOST: usize = 1 << 30;
        let entries = shape
            .iter()
            .try_fold(1_usize, |entries, length| entries.checked_mul(*length));
        match entries.is_some_and(|entries| entries <= MOST) {
            true => Ok(()),
            false => Err(unsupported(self.node, "a value of this size")),
        }
    }

    /// All inputs, entry by entry.
    fn all(&self, op: impl Fn(f64, f64) -> f64) -> Result<ArrayD<f64>> {
        let mut array = self.get(0)?.clone();
        for number in 1..self.node.inputs.len() {
            array = self.combine(&array, self.get(number)?, &op)?;
        }
        Ok(array)
    }

    fn reduce(&self) -> Result<ArrayD<f64>> {
        let (node, mut array) = (self.node, self.get(0)?.clone());
        if let Some(kept) = self.kept() {
            array = array.select(Axis(kept.dim), &kept.indices);
        }
        let axes = reduced(&self.known(), node, array.ndim());
        let mut axes = axes.ok_or_else(|| unsupported(node, "axes that are computed"))?;
        let keep = node.int("keepdims") != Some(0);
        match node.op {
            "ReduceMean" => return self.mean(&array, axes, keep),
            "ReduceSumSquare" | "ReduceL2" => array.mapv_inplace(|x| x * x),
            "ReduceL1" => array.mapv_inplace(f64::abs),
            _ => {}
        }
        axes.sort_unstable();
        for dim in axes.into_iter().rev() {
            let folded = match node.op {
                "ReduceMax" => array.fold_axis(Axis(dim), f64::NEG_INFINITY, |a, b| a.max(*b)),
                "ReduceMin" => array.fold_axis(Axis(dim), f64::INFINITY, |a, b| a.min(*b)),
                _ => array.sum_axis(Axis(dim)),
            };
            array = if keep {
                folded.insert_axis(Axis(dim))
            } else {
                folded
            };
        }
        if node.op == "ReduceL2" {
            array.mapv_inplace(f64::sqrt);
        }
        Ok(array)
    }

    fn instance_norm(&self) -> Result<ArrayD<f64>> {
        let mut array = self.get(0)?.clone();
        let (scale, shift) = (self.get(1)?, self.get(2)?);
        let epsilon = f64::from(self.node.float("epsilon").unwrap_or(1e-5));
        let channels = array.shape().get(1).copied().unwrap_or(0);
        if scale.shape() != [channels] || shift.shape() != [channels] {
            return Err(self.misfit());
        }
        for mut sample in array.axis_iter_mut(Axis(0)) {
            for (channel, mut values) in sample.axis_iter_mut(Axis(0)).enumerate() {
                let mean = values.mean().ok_or_else(|| self.misfit())?;
                let variance = values.mapv(|x| (x - mean) * (x - mean)).mean().unwrap_or(0.0);
                let factor = scale[[channel]] / (variance + epsilon).sqrt();
                values.mapv_inplace(|x| (x - mean) * factor + shift[[channel]]);
            }
        }
        Ok(array)
    }

    /// Groups of channels as channels, and then scale and shift of each channel, or of each group.
    fn group_norm(&self) -> Result<ArrayD<f64>> {
        let (first, scale, shift) = (self.get(0)?, self.get(1)?, self.get(2)?);
        let epsilon = f64::from(self.node.float("epsilon").unwrap_or(1e-5));
        let groups = self
            .node
            .int("num_groups")
            .and_then(|groups| usize::try_from(groups).ok());
        let groups = groups.filter(|groups| *groups > 0).ok_or_else(|| self.misfit())?;
        let channels = first.shape().get(1).copied().unwrap_or(0);
        let fits = |vector: &ArrayD<f64>| vector.shape() == [channels] || vector.shape() == [groups];
        if channels == 0 || !channels.is_multiple_of(groups) || !fits(scale) || !fits(shift) {
            return Err(self.misfit());
        }
        let each = channels / groups;
        let of = |vector: &ArrayD<f64>, channel: usize| match vector.len() == channels {
            true => vector[[channel]],
            false => vector[[channel / each]],
        };
        let mut array = first.clone();
        for mut sample in array.axis_iter_mut(Axis(0)) {
            for group in 0..groups {
                let from = group * each;
                let mut part = sample.slice_axis_mut(Axis(0), (from..from + each).into());
                let mean = part.mean().ok_or_else(|| self.misfit())?;
                let variance = part.mapv(|x| (x - mean) * (x - mean)).mean().unwrap_or(0.0);
                for (place, mut values) in part.axis_iter_mut(Axis(0)).enumerate() {
                    let factor = of(scale, from + place) / (variance + epsilon).sqrt();
                    let shift = of(shift, from + place);
                    values.mapv_inplace(|x| (x - mean) * factor + shift);
                }
            }
        }
        Ok(array)
    }

    pub(super) fn binary(&self, op: impl Fn(f64, f64) -> f64) -> Result<ArrayD<f64>> {
        self.combine(self.get(0)?, self.get(1)?, op)
    }

    /// Two arrays, entry by entry, each repeated along the dimensions that it lacks.
    pub(super) fn combine(
        &self,
        a: &ArrayD<f64>,
        b: &ArrayD<f64>,
        op: impl Fn(f64, f64) -> f64,
    ) -> Result<ArrayD<f64>> {
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
    fn mean(&self, array: &ArrayD<f64>, mut axes: Vec<usize>, keep: bool) -> Result<ArrayD<f64>> {
        let mut array = Cow::Borrowed(array);
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

    pub(super) fn layer_norm(
        &self,
        array: &ArrayD<f64>,
        scale: &ArrayD<f64>,
        shift: Option<&ArrayD<f64>>,
    ) -> Result<ArrayD<f64>> {
        let at = axis(self.node.int("axis").unwrap_or(-1), array.ndim()).ok_or_else(|| self.misfit())?;
        let epsilon = f64::from(self.node.float("epsilon").unwrap_or(1e-5));
        let length: usize = array.shape()[at..].iter().product();
        let (scale, shift) = (standard(scale), shift.map(standard));
        if scale.len() != length || shift.as_ref().is_some_and(|shift| shift.len() != length) {
            return Err(self.misfit());
        }
        let all: Vec<usize> = (0..length).collect();
        // Only the last dimension is ever cut.
        let over = self.kept().map_or(&all, |kept| &kept.indices);
        let mut values = standard(array);
        for row in values.chunks_mut(length.max(1)) {
            let mean_of = |of: &dyn Fn(f64) -> f64| {
                over.iter().map(|index| of(row[*index])).sum::<f64>() / over.len() as f64
            };
            let mean = mean_of(&|x| x);
            let variance = mean_of(&|x| (x - mean) * (x - mean));
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
}
