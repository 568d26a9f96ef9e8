//! Operators that pick, repeat, pad and interpolate.

use ndarray::{ArrayD, Axis, IxDyn};

use super::convolution::standard;
use super::{Inputs, unsupported};
use crate::error::Result;
use crate::shapes::{axis, slices, split_sizes};

impl Inputs<'_, '_> {
    /// The outputs of a `Split`.
    pub(super) fn split(&self) -> Result<Vec<ArrayD<f64>>> {
        let (node, array) = (self.node, self.get(0)?);
        let at = axis(node.int("axis").unwrap_or(0), array.ndim()).ok_or_else(|| self.misfit())?;
        let length = *array.shape().get(at).ok_or_else(|| self.misfit())?;
        let sizes = split_sizes(&self.known(), node, length).ok_or_else(|| self.misfit())?;
        let mut start = 0;
        let pieces = sizes.iter().map(|size| {
            let piece: Vec<usize> = (start..start + size).collect();
            start += size;
            array.select(Axis(at), &piece)
        });
        Ok(pieces.collect())
    }

    pub(super) fn gather(&self) -> Result<ArrayD<f64>> {
        let (array, indices) = (self.get(0)?, self.get(1)?);
        let at = axis(self.node.int("axis").unwrap_or(0), array.ndim()).ok_or_else(|| self.misfit())?;
        let length = *array.shape().get(at).ok_or_else(|| self.misfit())?;
        let chosen = indices.iter().map(|index| axis(*index as i64, length));
        let chosen = chosen.collect::<Option<Vec<_>>>().ok_or_else(|| self.misfit())?;
        if chosen.iter().any(|index| *index >= length) {
            return Err(self.misfit());
        }
        let picked = array.select(Axis(at), &chosen);
        let shape = [&array.shape()[..at], indices.shape(), &array.shape()[at + 1..]].concat();
        ArrayD::from_shape_vec(IxDyn(&shape), standard(&picked)).map_err(|_| self.misfit())
    }

    pub(super) fn slice(&self) -> Result<ArrayD<f64>> {
        let mut array = self.get(0)?.clone();
        let slices = slices(&self.known(), self.node, array.ndim());
        for slice in slices.ok_or_else(|| unsupported(self.node, "its limits"))? {
            let chosen = slice
                .indices(array.shape()[slice.dim])
                .ok_or_else(|| self.misfit())?;
            array = array.select(Axis(slice.dim), &chosen);
        }
        Ok(array)
    }

    /// Adds entries around, of a value, or by reflection or repetition.
    pub(super) fn pad(&self) -> Result<ArrayD<f64>> {
        let (node, mut array) = (self.node, self.get(0)?.clone());
        let ints = |number: usize| -> Option<Vec<i64>> {
            Some(self.optional(number)?.iter().map(|x| *x as i64).collect())
        };
        let pads = node.ints("pads").map(<[i64]>::to_vec).or_else(|| ints(1));
        let pads = pads.ok_or_else(|| self.misfit())?;
        let dims = ints(3).unwrap_or_else(|| (0..array.ndim() as i64).collect());
        let value = self.optional(2).and_then(|value| value.first().copied());
        let value = value.unwrap_or_else(|| f64::from(node.float("value").unwrap_or(0.0)));
        self.shape()?; // checks what is read below
        for (number, dim) in dims.iter().enumerate() {
            let dim = axis(*dim, array.ndim()).ok_or_else(|| self.misfit())?;
            let length = array.shape()[dim] as i64;
            let range = -pads[number]..length + pads[number + dims.len()];
            let place = |at: i64| match node.text("mode") {
                Some("reflect") if length > 1 => {
                    let period = 2 * (length - 1);
                    let at = at.rem_euclid(period);
                    Some(if at < length { at } else { period - at })
                }
                Some("edge") => Some(at.clamp(0, length - 1)),
                Some("wrap") => Some(at.rem_euclid(length)),
                _ => Some(at).filter(|at| (0..length).contains(at)),
            };
            let mut shape = array.shape().to_vec();
            shape[dim] = range.clone().count();
            let mut wide = ArrayD::from_elem(IxDyn(&shape), value);
            for (to, at) in range.enumerate() {
                if let Some(from) = place(at) {
                    let row = array.index_axis(Axis(dim), from as usize);
                    wide.index_axis_mut(Axis(dim), to).assign(&row);
                }
            }
            array = wide;
        }
        Ok(array)
    }

    /// Interpolates along one dimension after the other: the nearest entry, or between two.
    pub(super) fn resize(&self) -> Result<ArrayD<f64>> {
        let (node, mut array) = (self.node, self.get(0)?.clone());
        let shape = self.shape()?;
        let nearest = match node.text("mode") {
            None | Some("nearest") => true,
            Some("linear") => false,
            _ => return Err(unsupported(node, "cubic interpolation")),
        };
        let transform = node
            .text("coordinate_transformation_mode")
            .unwrap_or("half_pixel");
        for (dim, &length) in shape.iter().enumerate() {
            let before = array.shape()[dim];
            if before == length || before == 0 {
                continue;
            }
            // The factor that was given, which the rounded length need not be.
            let factor = match (self.optional(2), node.ints("axes")) {
                (Some(factors), None) if factors.len() == shape.len() => factors[[dim]],
                _ => length as f64 / before as f64,
            };
            let source = |to: usize| -> Result<f64> {
                let to = to as f64;
                Ok(match transform {
                    "asymmetric" => to / factor,
                    "align_corners" if length > 1 => to * (before - 1) as f64 / (length - 1) as f64,
                    "align_corners" => 0.0,
                    "pytorch_half_pixel" if length == 1 => 0.0,
                    "half_pixel" | "pytorch_half_pixel" => (to + 0.5) / factor - 0.5,
                    _ => return Err(unsupported(node, "its transformation of coordinates")),
                })
            };
            let mut wide_shape = array.shape().to_vec();
            wide_shape[dim] = length;
            let mut wide = ArrayD::zeros(IxDyn(&wide_shape));
            let last = before as f64 - 1.0;
            for to in 0..length {
                let at = source(to)?;
                let mut target = wide.index_axis_mut(Axis(dim), to);
                if nearest {
                    let rounded = match node.text("nearest_mode").unwrap_or("round_prefer_floor") {
                        "floor" => at.floor(),
                        "ceil" => at.ceil(),
                        "round_prefer_ceil" => (at + 0.5).floor(),
                        _ => (at - 0.5).ceil(),
                    };
                    target.assign(&array.index_axis(Axis(dim), rounded.clamp(0.0, last) as usize));
                } else {
                    let at = at.clamp(0.0, last);
                    let (low, share) = (at.floor(), at - at.floor());
                    let high = (low + 1.0).min(last);
                    target.scaled_add(1.0 - share, &array.index_axis(Axis(dim), low as usize));
                    target.scaled_add(share, &array.index_axis(Axis(dim), high as usize));
                }
            }
            array = wide;
        }
        Ok(array)
    }

    pub(super) fn depth_to_space(&self) -> Result<ArrayD<f64>> {
        let (node, array, shape) = (self.node, self.get(0)?, self.shape()?);
        let block = node.int("blocksize").unwrap_or(1).max(1) as usize;
        let [batch, channels, height, width] = array.shape()[..] else {
            return Err(self.misfit());
        };
        let outputs = channels / (block * block);
        let (split, order) = match node.text("mode") {
            Some("CRD") => ([batch, outputs, block, block, height, width], [0, 1, 4, 2, 5, 3]),
            _ => ([batch, block, block, outputs, height, width], [0, 3, 4, 1, 5, 2]),
        };
        let split = ArrayD::from_shape_vec(IxDyn(&split), standard(array)).map_err(|_| self.misfit())?;
        let moved = standard(&split.permuted_axes(IxDyn(&order)));
        ArrayD::from_shape_vec(IxDyn(&shape), moved).map_err(|_| self.misfit())
    }

    pub(super) fn range(&self) -> Result<ArrayD<f64>> {
        let one = |number: usize| -> Result<f64> {
            self.get(number)?.first().copied().ok_or_else(|| self.misfit())
        };
        let (start, limit, step) = (one(0)?, one(1)?, one(2)?);
        let count = ((limit - start) / step).ceil().max(0.0);
        if !count.is_finite() || count > 1e8 {
            return Err(self.misfit());
        }
        let values = (0..count as usize).map(|index| start + index as f64 * step);
        Ok(values.collect::<ndarray::Array1<f64>>().into_dyn())
    }

    /// Where tuples of indices point to: offsets into an array of this shape, and the number of entries behind each.
    fn pointed(&self, shape: &[usize], indices: &ArrayD<f64>) -> Result<(Vec<usize>, usize)> {
        let depth = *indices.shape().last().ok_or_else(|| self.misfit())?;
        if depth == 0 || depth > shape.len() || self.node.int("batch_dims").unwrap_or(0) != 0 {
            return Err(unsupported(self.node, "indices of this shape"));
        }
        let behind: usize = shape[depth..].iter().product();
        let tuples = standard(indices);
        let offsets = tuples.chunks(depth).map(|tuple| {
            tuple.iter().zip(shape).try_fold(0, |offset, (index, length)| {
                let index = axis(*index as i64, *length).filter(|index| index < length)?;
                Some(offset * length + index)
            })
        });
        let offsets: Option<Vec<usize>> = offsets.collect();
        let offsets = offsets.ok_or_else(|| self.misfit())?;
        Ok((
            offsets.into_iter().map(|offset| offset * behind).collect(),
            behind,
        ))
    }

    pub(super) fn gather_nd(&self) -> Result<ArrayD<f64>> {
        let (array, indices) = (self.get(0)?, self.get(1)?);
        let (offsets, behind) = self.pointed(array.shape(), indices)?;
        let (values, shape) = (standard(array), self.shape()?);
        let picked = offsets
            .into_iter()
            .flat_map(|offset| values[offset..offset + behind].to_vec());
        ArrayD::from_shape_vec(IxDyn(&shape), picked.collect()).map_err(|_| self.misfit())
    }

    pub(super) fn scatter_nd(&self) -> Result<ArrayD<f64>> {
        let (array, indices, updates) = (self.get(0)?, self.get(1)?, standard(self.get(2)?));
        if !matches!(self.node.text("reduction"), None | Some("none")) {
            return Err(unsupported(self.node, "a reduction"));
        }
        let (offsets, behind) = self.pointed(array.shape(), indices)?;
        let mut values = standard(array);
        if updates.len() != offsets.len() * behind {
            return Err(self.misfit());
        }
        for (offset, update) in offsets.into_iter().zip(updates.chunks(behind.max(1))) {
            values[offset..offset + behind].copy_from_slice(update);
        }
        ArrayD::from_shape_vec(array.raw_dim(), values).map_err(|_| self.misfit())
    }

    pub(super) fn cumulative_sum(&self) -> Result<ArrayD<f64>> {
        let mut array = self.get(0)?.clone();
        let at = self.get(1)?.first().and_then(|at| axis(*at as i64, array.ndim()));
        let at = at.ok_or_else(|| self.misfit())?;
        if self.node.int("exclusive") == Some(1) || self.node.int("reverse") == Some(1) {
            return Err(unsupported(self.node, "its direction"));
        }
        array.accumulate_axis_inplace(Axis(at), |before, x| *x += before);
        Ok(array)
    }

    pub(super) fn tile(&self) -> Result<ArrayD<f64>> {
        let mut array = self.get(0)?.clone();
        let repeats = standard(self.get(1)?);
        if repeats.len() != array.ndim() || repeats.iter().product::<f64>() * array.len() as f64 > 1e9 {
            return Err(self.misfit());
        }
        for (dim, times) in repeats.iter().enumerate() {
            let length = array.shape()[dim];
            let all: Vec<usize> = (0..length * *times as usize)
                .map(|at| at % length.max(1))
                .collect();
            array = array.select(Axis(dim), &all);
        }
        Ok(array)
    }

    /// The upper or lower triangle of matrices; zeros elsewhere.
    pub(super) fn triangle(&self) -> Result<ArrayD<f64>> {
        let mut array = self.get(0)?.clone();
        let rank = array.ndim();
        let shift = self
            .optional(1)
            .and_then(|shift| shift.first().copied())
            .unwrap_or(0.0) as i64;
        let upper = self.node.int("upper") != Some(0);
        if rank < 2 {
            return Err(self.misfit());
        }
        for (at, value) in array.indexed_iter_mut() {
            let distance = at[rank - 1] as i64 - at[rank - 2] as i64;
            if if upper { distance < shift } else { distance > shift } {
                *value = 0.0;
            }
        }
        Ok(array)
    }
}
