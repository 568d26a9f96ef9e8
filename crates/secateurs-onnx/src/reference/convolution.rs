//! Windows that slide: convolutions and pools, over any number of spatial dimensions.

use ndarray::{Array2, ArrayD, ArrayView3, IxDyn};

use super::{Inputs, unsupported};
use crate::error::Result;
use crate::shapes::{numbers, pads};

/// Most places of a window and of its kernel together.
const MOST_STEPS: usize = 1 << 31;

/// How a window slides over the spatial dimensions.
struct Window {
    kernel: Vec<usize>,
    strides: Vec<usize>,
    dilations: Vec<usize>,
    pads: Vec<(usize, usize)>,
    input: Vec<usize>,
    output: Vec<usize>,
}

impl Window {
    /// For each place of the output in row-major order, the places of the kernel and of the input that meet there. What
    /// lies in the padding is left out.
    fn places(&self) -> Vec<Vec<(usize, usize)>> {
        let steps = |lengths: &[usize]| -> Vec<Vec<usize>> {
            let mut all = vec![vec![]];
            for length in lengths {
                let longer = all.iter().flat_map(|start: &Vec<usize>| {
                    (0..*length).map(move |step| start.iter().copied().chain([step]).collect())
                });
                all = longer.collect();
            }
            all
        };
        let kernel = steps(&self.kernel);
        let meets = |output: &Vec<usize>| {
            let pairs = kernel.iter().enumerate().filter_map(|(number, within)| {
                let mut place = 0;
                for dim in 0..within.len() {
                    let padded = output[dim] * self.strides[dim] + within[dim] * self.dilations[dim];
                    let index = padded
                        .checked_sub(self.pads[dim].0)
                        .filter(|index| *index < self.input[dim])?;
                    place = place * self.input[dim] + index;
                }
                Some((number, place))
            });
            pairs.collect()
        };
        steps(&self.output).iter().map(meets).collect()
    }
}

impl Inputs<'_, '_> {
    fn window(&self, kernel: Vec<usize>) -> Result<(Window, Vec<usize>)> {
        let (node, input) = (self.node, self.get(0)?);
        let shape = self
            .shape()
            .map_err(|_| unsupported(node, "its window or its padding"))?;
        let dims = kernel.len();
        if input.ndim() != dims + 2 {
            return Err(self.misfit());
        }
        let known = numbers(node, "strides", dims)
            .zip(numbers(node, "dilations", dims))
            .zip(pads(node, dims));
        let ((strides, dilations), pads) =
            known.ok_or_else(|| unsupported(node, "its window or its padding"))?;
        let window = Window {
            kernel,
            strides,
            dilations,
            pads,
            input: input.shape()[2..].to_vec(),
            output: shape[2..].to_vec(),
        };
        // What no model has, and no memory holds.
        let steps = [&window.kernel[..], &window.output].concat();
        if steps
            .iter()
            .try_fold(1_usize, |product, length| product.checked_mul(*length))
            .is_none_or(|steps| steps > MOST_STEPS)
        {
            return Err(unsupported(node, "a window of this size"));
        }
        Ok((window, shape))
    }

    /// A convolution.
    pub(super) fn conv(&self) -> Result<ArrayD<f64>> {
        let (input, weight) = (self.get(0)?, self.get(1)?);
        if weight.ndim() < 3 {
            return Err(self.misfit());
        }
        let (window, shape) = self.window(weight.shape()[2..].to_vec())?;
        let groups = self.node.int("group").unwrap_or(1).max(1) as usize;
        let (outputs, of_group) = (weight.shape()[0], weight.shape()[1]);
        if input.shape()[1] != groups * of_group || !outputs.is_multiple_of(groups) {
            return Err(self.misfit());
        }
        let (input, weight) = (standard(input), standard(weight));
        let bias = self.optional(2).map(standard);
        if bias.as_ref().is_some_and(|bias| bias.len() != outputs) {
            return Err(self.misfit());
        }
        let (area, kernel) = (
            window.input.iter().product::<usize>(),
            window.kernel.iter().product::<usize>(),
        );
        let places = window.places();
        let (channels, filters) = (groups * of_group, outputs / groups);
        let weight = ArrayView3::from_shape((groups, filters, of_group * kernel), &weight)
            .map_err(|_| self.misfit())?;
        let mut out = Vec::with_capacity(shape.iter().product());
        for sample in input.chunks((channels * area).max(1)).take(shape[0]) {
            for (group, weight) in weight.outer_iter().enumerate() {
                // A column for each place: what the kernel sees there.
                let mut columns = Array2::zeros((of_group * kernel, places.len()));
                for channel in 0..of_group {
                    let plane = &sample[(group * of_group + channel) * area..][..area];
                    for (column, pairs) in places.iter().enumerate() {
                        for (within, place) in pairs {
                            columns[[channel * kernel + within, column]] = plane[*place];
                        }
                    }
                }
                let mut product = weight.dot(&columns);
                for (filter, mut row) in product.outer_iter_mut().enumerate() {
                    let bias = bias.as_ref().map_or(0.0, |bias| bias[group * filters + filter]);
                    row += bias;
                }
                out.extend(product);
            }
        }
        ArrayD::from_shape_vec(IxDyn(&shape), out).map_err(|_| self.misfit())
    }

    /// A transposed convolution: each entry of the input adds the kernel to the output around its place.
    pub(super) fn conv_transpose(&self) -> Result<ArrayD<f64>> {
        let (input, weight) = (self.get(0)?, self.get(1)?);
        if weight.ndim() < 3 || input.ndim() != weight.ndim() {
            return Err(self.misfit());
        }
        let shape = self.shape()?;
        let dims = input.ndim() - 2;
        let known = numbers(self.node, "strides", dims)
            .zip(numbers(self.node, "dilations", dims))
            .zip(pads(self.node, dims));
        let ((strides, dilations), pads) =
            known.ok_or_else(|| unsupported(self.node, "its window or its padding"))?;
        // The same window as of the convolution that goes the other way.
        let window = Window {
            kernel: weight.shape()[2..].to_vec(),
            strides,
            dilations,
            pads,
            input: shape[2..].to_vec(),
            output: input.shape()[2..].to_vec(),
        };
        let groups = self.node.int("group").unwrap_or(1).max(1) as usize;
        let (inputs, filters) = (weight.shape()[0], weight.shape()[1]);
        if input.shape()[1] != inputs || !inputs.is_multiple_of(groups) {
            return Err(self.misfit());
        }
        let (samples, of_group, outputs) = (input.shape()[0], inputs / groups, filters * groups);
        let (input, weight, bias) = (standard(input), standard(weight), self.optional(2).map(standard));
        let area: usize = window.output.iter().product();
        let (wide, kernel): (usize, usize) = (window.input.iter().product(), window.kernel.iter().product());
        if bias.as_ref().is_some_and(|bias| bias.len() != outputs) {
            return Err(self.misfit());
        }
        let places = window.places();
        let mut out = vec![0.0; samples * outputs * wide];
        for sample in 0..samples {
            for output in 0..outputs {
                let group = output / filters;
                let plane = &mut out[(sample * outputs + output) * wide..][..wide];
                plane.fill(bias.as_ref().map_or(0.0, |bias| bias[output]));
                for channel in group * of_group..(group + 1) * of_group {
                    let from = &input[(sample * inputs + channel) * area..][..area];
                    let filter = &weight[(channel * filters + output % filters) * kernel..][..kernel];
                    for (x, pairs) in from.iter().zip(&places) {
                        pairs
                            .iter()
                            .for_each(|(within, place)| plane[*place] += x * filter[*within]);
                    }
                }
            }
        }
        ArrayD::from_shape_vec(IxDyn(&shape), out).map_err(|_| self.misfit())
    }

    /// A pool: `fold` gives the value of a window from its entries and the size of the kernel.
    pub(super) fn pool(
        &self,
        fold: impl Fn(&mut dyn Iterator<Item = f64>, usize) -> f64,
    ) -> Result<ArrayD<f64>> {
        let kernel = self.node.ints("kernel_shape").unwrap_or_default();
        let kernel: Vec<usize> = kernel.iter().map(|length| *length as usize).collect();
        let size = kernel.iter().product();
        let (window, shape) = self.window(kernel)?;
        let input = standard(self.get(0)?);
        let area = window.input.iter().product::<usize>().max(1);
        let places = window.places();
        let out = input.chunks(area).flat_map(|plane| {
            let values = places
                .iter()
                .map(|pairs| fold(&mut pairs.iter().map(|(_, place)| plane[*place]), size));
            values.collect::<Vec<_>>()
        });
        ArrayD::from_shape_vec(IxDyn(&shape), out.collect()).map_err(|_| self.misfit())
    }
}

/// The entries in row-major order.
pub(super) fn standard(array: &ArrayD<f64>) -> Vec<f64> {
    array.iter().copied().collect()
}
