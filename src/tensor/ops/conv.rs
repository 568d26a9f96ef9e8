//! Convolution over any number of spatial dimensions.
//!
//! Each sample is unfolded into a matrix with a column for every position of the kernel (im2col), and a matrix
//! product does the rest. Where each row of that matrix comes from is the same for every channel and sample, so it
//! is worked out once, in a table; the table is also all that knows how many spatial dimensions there are.
//!
//! Threads share the samples. The gradient of the weight is a sum over samples, so it is made of sums over parts of
//! them, which are the same however many threads there are.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::mask::parallel::Threads;
use crate::tensor::error::TensorError;
use crate::tensor::graph::Tensor;
use crate::tensor::kernel::{build, checked_len, slice, sum_steps, too_large, zeroed};
use crate::tensor::product::{Matrix, Right, threads_for};

/// The options of a convolution: stride, padding and dilation for each spatial dimension, and the number of groups.
///
/// ```
/// use secateurs::tensor::ConvOptions;
///
/// // PyTorch: Conv2d(..., stride=2, padding=1)
/// let options = ConvOptions::new(2).stride(&[2, 2]).padding(&[1, 1]);
/// assert_eq!(options.dilation, [1, 1]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConvOptions {
    /// Steps from one position of the kernel to the next.
    pub stride: Vec<usize>,
    /// Zeros added at both ends of the input.
    pub padding: Vec<usize>,
    /// Steps from one entry of the kernel to the next.
    pub dilation: Vec<usize>,
    /// Number of groups of channels; each output channel reads only the input channels of its own group.
    pub groups: usize,
}

impl ConvOptions {
    /// For this many spatial dimensions: stride 1, no padding, dilation 1, one group.
    pub fn new(spatial: usize) -> Self {
        ConvOptions {
            stride: vec![1; spatial],
            padding: vec![0; spatial],
            dilation: vec![1; spatial],
            groups: 1,
        }
    }

    /// With this stride.
    pub fn stride(mut self, stride: &[usize]) -> Self {
        self.stride = stride.to_vec();
        self
    }

    /// With this padding.
    pub fn padding(mut self, padding: &[usize]) -> Self {
        self.padding = padding.to_vec();
        self
    }

    /// With this dilation.
    pub fn dilation(mut self, dilation: &[usize]) -> Self {
        self.dilation = dilation.to_vec();
        self
    }

    /// With this many groups.
    pub fn groups(mut self, groups: usize) -> Self {
        self.groups = groups;
        self
    }
}

/// Parts of the samples of which each makes a sum for the gradient of the weight.
const PARTS: usize = 8;

/// The numbers of one convolution.
struct Plan {
    samples: usize,
    groups: usize,
    /// Input channels of a group.
    inputs: usize,
    /// Output channels of a group.
    outputs: usize,
    /// Entries of a kernel, of one channel.
    kernel: usize,
    /// Elements of one channel of the input.
    input_len: usize,
    /// Elements of one channel of the output.
    output_len: usize,
    /// How a channel is unfolded; `None` where it need not be.
    taps: Option<Taps>,
}

impl Plan {
    /// The plan, and the shape of the result.
    fn new(
        x: &[usize],
        w: &[usize],
        bias: Option<&[usize]>,
        options: &ConvOptions,
    ) -> Result<(Plan, Vec<usize>)> {
        let fail = |reason: String| {
            Error::Tensor(TensorError {
                op: "conv",
                reason,
                shapes: [Some(x), Some(w), bias]
                    .into_iter()
                    .flatten()
                    .map(<[usize]>::to_vec)
                    .collect(),
            })
        };
        let (&[samples, channels, ref input @ ..], &[filters, inputs, ref kernel @ ..]) = (x, w) else {
            return Err(fail(
                "the input must have shape [N, C, spatial...], the weight [O, C / groups, kernel...]"
                    .to_owned(),
            ));
        };
        let dims = input.len();
        if dims == 0 || kernel.len() != dims {
            return Err(fail(
                "input and weight must have the same spatial dimensions, at least 1".to_owned(),
            ));
        }
        let ConvOptions {
            stride,
            padding,
            dilation,
            groups,
        } = options;
        for (setting, numbers, least) in [
            ("stride", stride, 1),
            ("padding", padding, 0),
            ("dilation", dilation, 1),
        ] {
            if numbers.len() != dims || numbers.iter().any(|&n| n < least) {
                return Err(fail(format!(
                    "{setting} is {numbers:?}; give one number for each of {dims} spatial dimensions, at least {least}"
                )));
            }
        }
        if *groups == 0 {
            return Err(fail("groups is 0; give at least 1".to_owned()));
        }
        if channels % groups != 0 || filters % groups != 0 {
            return Err(fail(format!(
                "{groups} groups do not divide {channels} input and {filters} output channels; the number of groups must divide both"
            )));
        }
        if inputs != channels / groups {
            return Err(fail(format!(
                "the weight is for {inputs} input channels in each of {groups} groups; the input must have {}, and has {channels}",
                inputs.saturating_mul(*groups)
            )));
        }
        if bias.is_some_and(|bias| bias != [filters]) {
            return Err(fail(format!("the bias must have shape [{filters}]")));
        }

        let mut output = Vec::with_capacity(dims);
        for d in 0..dims {
            if kernel[d] == 0 {
                return Err(fail(format!(
                    "the kernel is empty in spatial dimension {d}; it needs at least one entry"
                )));
            }
            // One entry, and as many steps as there are further entries.
            let reach = (kernel[d] - 1).checked_mul(dilation[d]);
            let padded = padding[d]
                .checked_mul(2)
                .and_then(|both| both.checked_add(input[d]));
            let (Some(reach), Some(padded)) = (reach, padded) else {
                return Err(fail(format!(
                    "dilation or padding overflows in spatial dimension {d}; use a smaller one"
                )));
            };
            if padded <= reach {
                return Err(fail(format!(
                    "in spatial dimension {d} the kernel is longer than the padded input, {padded}; pad more, or use a smaller kernel"
                )));
            }
            output.push((padded - reach - 1) / stride[d] + 1);
        }
        let shape = [&[samples, filters], &output[..]].concat();
        checked_len("conv", &shape)?;
        // One sample, unfolded.
        checked_len("conv", &[&[inputs], kernel, &output[..]].concat())?;

        let identity = kernel.iter().all(|&k| k == 1)
            && stride.iter().all(|&s| s == 1)
            && padding.iter().all(|&p| p == 0);
        let taps = if identity {
            None
        } else {
            Some(Taps::new(input, kernel, &output, options)?)
        };
        let plan = Plan {
            samples,
            groups: *groups,
            inputs,
            outputs: filters / groups,
            kernel: kernel.iter().product(),
            input_len: input.iter().product(),
            output_len: output.iter().product(),
            taps,
        };
        Ok((plan, shape))
    }

    /// Rows of an unfolded group.
    fn rows(&self) -> usize {
        self.inputs * self.kernel
    }

    /// The shape of one unfolded group; nothing where nothing is unfolded.
    fn unfolded(&self) -> [usize; 2] {
        match self.taps {
            None => [0, 0],
            Some(_) => [self.rows(), self.output_len],
        }
    }

    /// The input channels of a group as a matrix with one column for each position of the kernel. `scratch` is for the
    /// unfolding of this convolution only, and zeros at first.
    fn unfold<'a>(&self, channels: &'a [f32], scratch: &'a mut [f32]) -> &'a [f32] {
        let Some(taps) = &self.taps else { return channels };
        if scratch.is_empty() || self.input_len == 0 {
            // Without input there is padding only.
            return scratch;
        }
        let channels = channels.chunks_exact(self.input_len);
        for (channel, unfolded) in channels.zip(scratch.chunks_exact_mut(self.kernel * self.output_len)) {
            for (run, to) in taps.runs.iter().zip(unfolded.chunks_exact_mut(taps.row)) {
                // The others are padding, and zeros still.
                let to = &mut to[run.start..run.start + run.len];
                if taps.stride == 1 {
                    to.copy_from_slice(&channel[run.from..][..run.len]);
                } else {
                    for (to, &from) in to.iter_mut().zip(channel[run.from..].iter().step_by(taps.stride)) {
                        *to = from;
                    }
                }
            }
        }
        scratch
    }

    /// Adds an unfolded gradient to that of the input channels of a group.
    fn fold(&self, unfolded: &[f32], channels: &mut [f32]) {
        let Some(taps) = &self.taps else { return };
        if unfolded.is_empty() || self.input_len == 0 {
            return;
        }
        let channels = channels.chunks_exact_mut(self.input_len);
        for (channel, unfolded) in channels.zip(unfolded.chunks_exact(self.kernel * self.output_len)) {
            for (run, from) in taps.runs.iter().zip(unfolded.chunks_exact(taps.row)) {
                let from = &from[run.start..run.start + run.len];
                let to = &mut channel[run.from..];
                if taps.stride == 1 {
                    to.iter_mut().zip(from).for_each(|(to, &from)| *to += from);
                } else {
                    let to = to.iter_mut().step_by(taps.stride);
                    to.zip(from).for_each(|(to, &from)| *to += from);
                }
            }
        }
    }

    /// How many threads share a product for each sample and group.
    fn threads(&self) -> Threads {
        let product = self.outputs * self.output_len;
        let samples = self.samples.saturating_mul(self.groups);
        threads_for(product.saturating_mul(self.rows()).saturating_mul(samples))
    }

    /// For every group of these samples: its range in the input, the weight and the output.
    fn blocks(&self, samples: Range) -> impl Iterator<Item = (Range, Range, Range)> {
        let input = self.inputs * self.input_len;
        let weight = self.outputs * self.rows();
        let output = self.outputs * self.output_len;
        let groups = self.groups;
        // Without output channels anything divides them, so groups may be any number, and there is nothing to do.
        let samples = if self.outputs == 0 { 0..0 } else { samples };
        (samples.start * groups..samples.end * groups).map(move |block| {
            let range = |i: usize, len: usize| i * len..(i + 1) * len;
            (
                range(block, input),
                range(block % groups, weight),
                range(block, output),
            )
        })
    }

    /// An array `[N, …]` as parts of as many samples, each with the numbers of its samples.
    fn parts<'a>(&self, samples: usize, array: &'a mut [f32]) -> Vec<(Range, &'a mut [f32])> {
        let of_sample = array.len() / self.samples.max(1);
        if of_sample == 0 {
            return Vec::new();
        }
        let parts = array.chunks_mut(samples * of_sample).enumerate();
        parts
            .map(|(number, part)| {
                let start = number * samples;
                (start..start + part.len() / of_sample, part)
            })
            .collect()
    }
}

type Range = std::ops::Range<usize>;

/// How a channel is unfolded: for each entry of the kernel and each row of the output, a run of the input.
struct Taps {
    runs: Vec<Run>,
    /// Length of a row of the output.
    row: usize,
    /// Steps from one element of a run to the next.
    stride: usize,
}

/// What a row of the output reads of a channel; before it and after it is padding.
struct Run {
    start: usize,
    len: usize,
    /// The first element of the channel that is read.
    from: usize,
}

impl Taps {
    /// Built up dimension by dimension.
    fn new(input: &[usize], kernel: &[usize], output: &[usize], options: &ConvOptions) -> Result<Taps> {
        let table = [kernel, output].concat();
        checked_len("conv", &table)?;
        let reserved = |len: usize| {
            let mut list = Vec::new();
            let done = list.try_reserve_exact(len);
            done.map(|()| list).map_err(|_| too_large("conv", &table))
        };
        let last = input.len() - 1;
        // For each entry of the kernel and each position, without the last dimension: the row of the channel, or padding.
        let mut rows = vec![Some(0)];
        let (mut entries, mut positions) = (1, 1);
        for d in 0..last {
            let mut next = reserved(entries * positions * kernel[d] * output[d])?;
            for entry in 0..entries {
                for k in 0..kernel[d] {
                    for position in 0..positions {
                        let before = rows[entry * positions + position];
                        next.extend((0..output[d]).map(|o| {
                            let at = (o * options.stride[d] + k * options.dilation[d])
                                .checked_sub(options.padding[d])
                                .filter(|&at| at < input[d]);
                            before
                                .zip(at)
                                .map(|(before, at): (usize, usize)| before * input[d] + at)
                        }));
                    }
                }
            }
            rows = next;
            entries *= kernel[d];
            positions *= output[d];
        }
        let (stride, padding) = (options.stride[last], options.padding[last]);
        let mut runs = Vec::new();
        let reserved = runs.try_reserve_exact(rows.len() * kernel[last]);
        reserved.map_err(|_| too_large("conv", &table))?;
        for of_entry in rows.chunks_exact(positions) {
            for k in 0..kernel[last] {
                // Element `o · stride + shift − padding` for output `o`, as far as there is one.
                let shift = k * options.dilation[last];
                let start = padding.saturating_sub(shift).div_ceil(stride);
                let end = (input[last] + padding).saturating_sub(shift).div_ceil(stride);
                let len = end.min(output[last]).saturating_sub(start);
                runs.extend(of_entry.iter().map(|row| match row {
                    Some(row) if len > 0 => Run {
                        start,
                        len,
                        from: row * input[last] + start * stride + shift - padding,
                    },
                    _ => Run {
                        start: 0,
                        len: 0,
                        from: 0,
                    },
                }));
            }
        }
        Ok(Taps {
            runs,
            row: output[last],
            stride,
        })
    }
}

impl Tensor {
    /// A convolution (as everywhere in neural networks, a cross-correlation) over 1, 2, 3 or more spatial
    /// dimensions.
    ///
    /// This is the input, `[N, C, spatial...]`; the weight is `[O, C / groups, kernel...]`, the bias `[O]`. The
    /// result is `[N, O, spatial'...]`, with
    /// `spatial' = (spatial + 2 · padding − dilation · (kernel − 1) − 1) / stride + 1`, rounded down.
    ///
    /// PyTorch: `torch.nn.functional.conv1d`, `conv2d`, `conv3d`.
    ///
    /// ```
    /// use ndarray::{Array4, arr1};
    /// use secateurs::tensor::{ConvOptions, Tensor};
    ///
    /// let images = Tensor::new(Array4::ones((8, 1, 28, 28)));
    /// let weight = Tensor::variable(Array4::ones((6, 1, 5, 5)));
    /// let bias = Tensor::variable(arr1(&[0.0; 6]));
    /// let y = images.conv(&weight, Some(&bias), &ConvOptions::new(2).padding(&[2, 2]))?;
    /// assert_eq!(y.shape(), [8, 6, 28, 28]);
    /// # Ok::<(), secateurs::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`TensorError`](crate::error::TensorError) if the shapes do not fit, the groups do not divide the channels,
    /// the kernel is empty or longer than the padded input, or an array would not fit in memory; if stride, padding
    /// or dilation does not have one number for each spatial dimension; or if stride, dilation or groups is 0.
    pub fn conv(&self, weight: &Tensor, bias: Option<&Tensor>, options: &ConvOptions) -> Result<Tensor> {
        let (plan, shape) = Plan::new(self.shape(), weight.shape(), bias.map(Tensor::shape), options)?;
        let filters = shape[1];
        let mut out = zeroed("conv", &shape)?;
        if let Some(bias) = bias.filter(|_| plan.output_len > 0) {
            let bias = slice(&bias.0.value).iter().cycle();
            for (channel, &bias) in out.chunks_exact_mut(plan.output_len).zip(bias) {
                channel.fill(bias);
            }
        }
        let (x, w) = (self.shared(), weight.shared());
        // Threads work on samples, or if there is but one, on parts of its product.
        let threads = plan.threads();
        let (of_part, within) = match plan.samples {
            1 => (1, threads),
            samples => (samples.div_ceil(threads.tasks()), Threads::One),
        };
        let mut parts = Vec::new();
        for (samples, output) in plan.parts(of_part, &mut out) {
            parts.push((samples, output, zeroed("conv", &plan.unfolded())?));
        }
        threads.each(&mut parts, |(samples, output, scratch)| {
            let blocks = output.chunks_exact_mut(plan.outputs * plan.output_len);
            for ((input, filter, _), output) in plan.blocks(samples.clone()).zip(blocks) {
                let unfolded = plan.unfold(&slice(&x)[input], scratch);
                Right::new(Matrix::new(unfolded, plan.rows(), plan.output_len)).add_product(
                    within,
                    Matrix::new(&slice(&w)[filter], plan.outputs, plan.rows()),
                    output,
                );
            }
        });
        drop(parts);

        let plan = Arc::new(plan);
        let samples = plan.samples;
        let positions = plan.output_len;
        let of_x = self.edge(|| {
            let plan = plan.clone();
            move |g, slot| {
                let mut parts = plan.parts(of_part, slot.slice_mut());
                threads.each(&mut parts, |(samples, into)| {
                    let mut unfolded = vec![0.0; plan.unfolded().iter().product()];
                    let blocks = into.chunks_exact_mut(plan.inputs * plan.input_len);
                    for ((_, filter, output), into) in plan.blocks(samples.clone()).zip(blocks) {
                        let w = Matrix::new(&slice(&w)[filter], plan.outputs, plan.rows()).t();
                        let g = Matrix::new(&slice(&g)[output], plan.outputs, plan.output_len);
                        if plan.taps.is_none() {
                            Right::new(g).add_product(within, w, into);
                        } else {
                            unfolded.fill(0.0);
                            Right::new(g).add_product(within, w, &mut unfolded);
                            plan.fold(&unfolded, into);
                        }
                    }
                });
            }
        });
        let of_weight = weight.edge(|| {
            let plan = plan.clone();
            move |g, slot| {
                let of_part = plan.samples.div_ceil(PARTS).max(1);
                let starts = (0..plan.samples).step_by(of_part);
                let mut parts: Vec<_> = starts
                    .map(|start| (start..plan.samples.min(start + of_part), Vec::new()))
                    .collect();
                let len = slot.slice_mut().len();
                threads.each(&mut parts, |(samples, sum)| {
                    sum.resize(len, 0.0);
                    let mut scratch = vec![0.0; plan.unfolded().iter().product()];
                    for (input, filter, output) in plan.blocks(samples.clone()) {
                        let unfolded = plan.unfold(&slice(&x)[input], &mut scratch);
                        Right::new(Matrix::new(unfolded, plan.rows(), plan.output_len).t()).add_product(
                            within,
                            Matrix::new(&slice(&g)[output], plan.outputs, plan.output_len),
                            &mut sum[filter],
                        );
                    }
                });
                let into = slot.slice_mut();
                for (_, sum) in parts {
                    into.iter_mut().zip(sum).for_each(|(into, sum)| *into += sum);
                }
            }
        });
        let of_bias = bias.and_then(|bias| {
            bias.edge(|| {
                move |g, slot| {
                    let by_channel = sum_steps(slice(&g), samples * filters, positions, 1);
                    slot.add(build(&[filters], sum_steps(&by_channel, 1, samples, filters)));
                }
            })
        });
        Ok(Tensor::derived(build(&shape, out), [of_x, of_weight, of_bias]))
    }
}
