//! Normalisation of each channel, by the statistics of the batch or by given ones.

use crate::error::{Error, Result};
use crate::tensor::error::TensorError;
use crate::tensor::graph::Tensor;
use crate::tensor::kernel::{Shared, build, slice, total, zeroed};

/// Mean and variance of each channel of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchStatistics {
    /// The mean of each channel.
    pub mean: Vec<f32>,
    /// The biased variance of each channel: the mean of squared differences from the mean.
    pub variance: Vec<f32>,
    /// The number of entries of each channel.
    pub count: usize,
}

/// A tensor `[samples, channels, …]` as blocks of `inner` entries, and the affine part of its normalisation.
struct Channels {
    samples: usize,
    channels: usize,
    inner: usize,
}

impl Channels {
    fn new(x: &Tensor, others: &[(&str, Option<&[usize]>)]) -> Result<Self> {
        let fail = |reason: String| {
            let shapes = others.iter().filter_map(|(_, shape)| *shape);
            Error::Tensor(TensorError {
                op: "batch_norm",
                reason,
                shapes: [x.shape()]
                    .into_iter()
                    .chain(shapes)
                    .map(<[usize]>::to_vec)
                    .collect(),
            })
        };
        let &[samples, channels, ref spatial @ ..] = x.shape() else {
            return Err(fail("the input must have shape [N, C, …]".to_owned()));
        };
        if let Some((what, _)) = others
            .iter()
            .find(|(_, shape)| shape.is_some_and(|shape| shape != [channels]))
        {
            return Err(fail(format!(
                "the {what} must have shape [{channels}], an entry for each channel"
            )));
        }
        let inner = if x.is_empty() { 0 } else { spatial.iter().product() };
        Ok(Channels {
            samples,
            channels,
            inner,
        })
    }

    /// Entries of each channel.
    fn count(&self) -> usize {
        self.samples * self.inner
    }

    /// The sum over all entries of a channel of what `f` makes of each block: samples in order.
    fn sum(&self, channel: usize, f: impl Fn(std::ops::Range<usize>) -> f64) -> f64 {
        (0..self.samples)
            .map(|sample| f(self.block(sample, channel)))
            .sum()
    }

    fn block(&self, sample: usize, channel: usize) -> std::ops::Range<usize> {
        let start = (sample * self.channels + channel) * self.inner;
        start..start + self.inner
    }

    /// Calls `visit` with each channel and each of its blocks.
    fn for_each(&self, mut visit: impl FnMut(usize, std::ops::Range<usize>)) {
        if self.inner == 0 {
            return;
        }
        for sample in 0..self.samples {
            for channel in 0..self.channels {
                visit(channel, self.block(sample, channel));
            }
        }
    }
}

impl Tensor {
    /// Each channel of `[N, C, …]` minus its mean, divided by `√(variance + eps)`, both over the batch; then times the
    /// channel's weight, plus its bias. Also gives the statistics, which sums in f64 make.
    ///
    /// PyTorch: `torch.nn.functional.batch_norm(x, None, None, weight, bias, training=True, eps=eps)`.
    ///
    /// ```
    /// use ndarray::arr2;
    /// use secateurs::tensor::Tensor;
    ///
    /// let x = Tensor::new(arr2(&[[1.0, 0.0], [3.0, 0.0]]));
    /// let (y, statistics) = x.batch_norm(None, None, 0.0)?;
    /// assert_eq!((&statistics.mean[..], &statistics.variance[..]), (&[2.0, 0.0][..], &[1.0, 0.0][..]));
    /// assert_eq!(y.value()[[0, 0]], -1.0);
    /// assert_eq!(x.batch_norm_with(&statistics, None, None, 0.0)?.value()[[1, 0]], 1.0);
    /// # Ok::<(), secateurs::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`TensorError`](crate::error::TensorError) if a shape does not fit, or if a channel has fewer than two entries.
    pub fn batch_norm(
        &self,
        weight: Option<&Tensor>,
        bias: Option<&Tensor>,
        eps: f64,
    ) -> Result<(Tensor, BatchStatistics)> {
        let channels = Channels::new(self, &affine_shapes(weight, bias))?;
        let count = channels.count();
        if count < 2 {
            return Err(Error::Tensor(TensorError {
                op: "batch_norm",
                reason: "a channel needs at least two entries, or its variance says nothing; use a larger batch, or \
                         `eval`"
                    .to_owned(),
                shapes: vec![self.shape().to_vec()],
            }));
        }
        let x = slice(&self.0.value);
        let moments: Vec<(f64, f64)> = (0..channels.channels)
            .map(|channel| {
                let mean = channels.sum(channel, |block| total(&x[block])) / count as f64;
                let squares = channels.sum(channel, |block| {
                    let squares = x[block]
                        .iter()
                        .map(|&x| (f64::from(x) - mean) * (f64::from(x) - mean));
                    squares.sum()
                });
                (mean, squares / count as f64)
            })
            .collect();
        let statistics = BatchStatistics {
            mean: moments.iter().map(|&(mean, _)| mean as f32).collect(),
            variance: moments.iter().map(|&(_, variance)| variance as f32).collect(),
            count,
        };
        let result = self.normalised(channels, &moments, weight, bias, eps, true)?;
        Ok((result, statistics))
    }

    /// As [`batch_norm`](Self::batch_norm), by given statistics, which count as constants.
    ///
    /// PyTorch: `torch.nn.functional.batch_norm(x, mean, variance, weight, bias, training=False, eps=eps)`.
    ///
    /// # Errors
    ///
    /// [`TensorError`](crate::error::TensorError) if a shape does not fit.
    pub fn batch_norm_with(
        &self,
        statistics: &BatchStatistics,
        weight: Option<&Tensor>,
        bias: Option<&Tensor>,
        eps: f64,
    ) -> Result<Tensor> {
        let (mean, variance) = ([statistics.mean.len()], [statistics.variance.len()]);
        let [of_weight, of_bias] = affine_shapes(weight, bias);
        let shapes = [
            of_weight,
            of_bias,
            ("mean", Some(&mean[..])),
            ("variance", Some(&variance[..])),
        ];
        let channels = Channels::new(self, &shapes)?;
        let moments = statistics.mean.iter().zip(&statistics.variance);
        let moments: Vec<_> = moments.map(|(&m, &v)| (f64::from(m), f64::from(v))).collect();
        self.normalised(channels, &moments, weight, bias, eps, false)
    }

    /// `of_batch` says whether the moments depend on this tensor, and gradients flow through them.
    fn normalised(
        &self,
        channels: Channels,
        moments: &[(f64, f64)],
        weight: Option<&Tensor>,
        bias: Option<&Tensor>,
        eps: f64,
        of_batch: bool,
    ) -> Result<Tensor> {
        let x = slice(&self.0.value);
        let scales: Vec<f64> = moments
            .iter()
            .map(|(_, variance)| 1.0 / (variance + eps).sqrt())
            .collect();
        let mut normal = zeroed("batch_norm", self.shape())?;
        channels.for_each(|channel, block| {
            let (mean, scale) = (moments[channel].0, scales[channel]);
            for (to, &from) in normal[block.clone()].iter_mut().zip(&x[block]) {
                *to = ((f64::from(from) - mean) * scale) as f32;
            }
        });
        let (weights, biases) = (weight.map(Tensor::shared), bias.map(Tensor::shared));
        let of = |affine: &Option<Shared>, channel: usize, none: f32| {
            affine.as_ref().map_or(none, |a| slice(a)[channel])
        };
        let mut out = normal.clone();
        channels.for_each(|channel, block| {
            let (weight, bias) = (of(&weights, channel, 1.0), of(&biases, channel, 0.0));
            out[block].iter_mut().for_each(|x| *x = *x * weight + bias);
        });

        let normal = std::sync::Arc::new(normal);
        let channels = std::sync::Arc::new(channels);
        // Of each channel, the sums of the gradient, and of the gradient times what was normalised.
        let plain = |channels: &Channels, g: &[f32], channel| channels.sum(channel, |block| total(&g[block]));
        let weighted = |channels: &Channels, g: &[f32], normal: &[f32], channel| {
            channels.sum(channel, |block| {
                let products = g[block.clone()].iter().zip(&normal[block]);
                products.map(|(&g, &n)| f64::from(g) * f64::from(n)).sum()
            })
        };
        let of_x = self.edge(|| {
            let (channels, normal, scales) = (channels.clone(), normal.clone(), scales.clone());
            move |g, slot| {
                let (g, into, count) = (slice(&g), slot.slice_mut(), channels.count() as f64);
                let means: Vec<(f64, f64)> = (0..channels.channels)
                    .map(|channel| match of_batch {
                        true => (
                            plain(&channels, g, channel) / count,
                            weighted(&channels, g, &normal, channel) / count,
                        ),
                        false => (0.0, 0.0),
                    })
                    .collect();
                channels.for_each(|channel, block| {
                    let factor = f64::from(of(&weights, channel, 1.0)) * scales[channel];
                    let (mean, slope) = means[channel];
                    let entries = into[block.clone()].iter_mut().zip(&g[block.clone()]);
                    for ((to, &g), &n) in entries.zip(&normal[block]) {
                        *to += (factor * (f64::from(g) - mean - f64::from(n) * slope)) as f32;
                    }
                });
            }
        });
        let of_weight = weight.and_then(|weight| {
            weight.edge(|| {
                let (channels, normal) = (channels.clone(), normal.clone());
                move |g, slot| {
                    let sums =
                        (0..channels.channels).map(|c| weighted(&channels, slice(&g), &normal, c) as f32);
                    slot.add(build(&[channels.channels], sums.collect()));
                }
            })
        });
        let of_bias = bias.and_then(|bias| {
            bias.edge(|| {
                let channels = channels.clone();
                move |g, slot| {
                    let sums =
                        (0..channels.channels).map(|channel| plain(&channels, slice(&g), channel) as f32);
                    slot.add(build(&[channels.channels], sums.collect()));
                }
            })
        });
        Ok(Tensor::derived(
            build(self.shape(), out),
            [of_x, of_weight, of_bias],
        ))
    }
}

fn affine_shapes<'a>(
    weight: Option<&'a Tensor>,
    bias: Option<&'a Tensor>,
) -> [(&'static str, Option<&'a [usize]>); 2] {
    [
        ("weight", weight.map(Tensor::shape)),
        ("bias", bias.map(Tensor::shape)),
    ]
}
