//! Pooling over two spatial dimensions: the greatest or the mean entry of each window.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::mask::parallel::{Threads, vectorized};
use crate::tensor::error::TensorError;
use crate::tensor::graph::Tensor;
use crate::tensor::kernel::{build, slice, zeroed};

/// The windows of a pooling: kernel size, stride and padding in height and width.
///
/// ```
/// use secateurs::tensor::PoolOptions;
///
/// // PyTorch: MaxPool2d(3, stride=2, padding=1)
/// let options = PoolOptions::new([3, 3]).stride([2, 2]).padding([1, 1]);
/// assert_eq!(PoolOptions::new([2, 2]).stride, [2, 2]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolOptions {
    /// Size of a window.
    pub kernel: [usize; 2],
    /// Steps from one window to the next.
    pub stride: [usize; 2],
    /// Entries by which windows reach beyond both ends of the input: at most half a kernel.
    pub padding: [usize; 2],
}

impl PoolOptions {
    /// Windows of this size, side by side, without padding.
    pub fn new(kernel: [usize; 2]) -> Self {
        PoolOptions {
            kernel,
            stride: kernel,
            padding: [0, 0],
        }
    }

    /// With this stride.
    pub fn stride(mut self, stride: [usize; 2]) -> Self {
        self.stride = stride;
        self
    }

    /// With this padding.
    pub fn padding(mut self, padding: [usize; 2]) -> Self {
        self.padding = padding;
        self
    }

    /// What is wrong with the options, if anything.
    pub(crate) fn problem(&self) -> Option<&'static str> {
        let each = |wrong: fn(usize, usize, usize) -> bool| {
            (0..2).any(|d| wrong(self.kernel[d], self.stride[d], self.padding[d]))
        };
        if each(|kernel, _, _| kernel == 0) {
            Some("the kernel is empty; it needs at least one entry in each dimension")
        } else if each(|_, stride, _| stride == 0) {
            Some("the stride is 0; it must be at least 1")
        } else if each(|kernel, _, padding| padding > kernel / 2) {
            Some("the padding is more than half the kernel; use a smaller one")
        } else {
            None
        }
    }
}

/// The windows of one pooling. One of the output has the rows and columns of its position, without padding.
struct Windows {
    /// Images: all dimensions before the last two.
    images: usize,
    height: usize,
    width: usize,
    rows: Vec<Range<usize>>,
    columns: Vec<Range<usize>>,
}

impl Windows {
    /// The windows, and the shape of the result.
    fn new(
        op: &'static str,
        shape: &[usize],
        along: impl Fn(usize, usize) -> Result<Vec<Range<usize>>, &'static str>,
    ) -> Result<(Self, Vec<usize>)> {
        let fail = |reason: &str| {
            Error::Tensor(TensorError {
                op,
                reason: reason.to_owned(),
                shapes: vec![shape.to_vec()],
            })
        };
        let (&[.., height, width], 3 | 4) = (shape, shape.len()) else {
            return Err(fail("the input must have shape [N, C, H, W] or [C, H, W]"));
        };
        if height == 0 || width == 0 {
            return Err(fail(
                "the last two dimensions must not be 0: an empty image has nothing to pool",
            ));
        }
        let rows = along(0, height).map_err(fail)?;
        let columns = along(1, width).map_err(fail)?;
        let leading = &shape[..shape.len() - 2];
        let windows = Windows {
            // Images without entries are not visited, however many there are.
            images: if height * width == 0 {
                0
            } else {
                leading.iter().product()
            },
            height,
            width,
            rows,
            columns,
        };
        let result = [leading, &[windows.rows.len(), windows.columns.len()]].concat();
        Ok((windows, result))
    }

    fn of_options(op: &'static str, shape: &[usize], options: &PoolOptions) -> Result<(Self, Vec<usize>)> {
        Windows::new(op, shape, |d, len| {
            if let Some(problem) = options.problem() {
                return Err(problem);
            }
            let (kernel, stride, padding) = (options.kernel[d], options.stride[d], options.padding[d]);
            let padded = len
                .checked_add(2 * padding)
                .ok_or("the padding overflows; use a smaller one")?;
            let reach = padded
                .checked_sub(kernel)
                .ok_or("the kernel is longer than the padded input; pad more, or use a smaller kernel")?;
            let start = |number: usize| number * stride;
            let windows = (0..=reach / stride).map(|number| {
                let (from, to) = (start(number), start(number) + kernel);
                from.saturating_sub(padding)..(to - padding).min(len)
            });
            Ok(windows.collect())
        })
    }

    /// The greatest entry of each window of an image, and its position.
    fn greatest(&self, image: &[f32], options: &PoolOptions, out: &mut [f32], at: &mut [u32]) {
        let width = self.columns.len();
        let lines = out.chunks_exact_mut(width).zip(at.chunks_exact_mut(width));
        for (rows, (out, at)) in self.rows.iter().zip(lines) {
            let start = rows.start * self.width;
            // The most frequent options, for which the compiler makes better instructions.
            if (options.kernel, options.stride, options.padding) == ([2, 2], [2, 2], [0, 0]) {
                let lines = &image[start..start + 2 * self.width];
                if !lines.iter().fold(false, |nan, x| nan | x.is_nan()) {
                    let (upper, lower) = lines.split_at(self.width);
                    greatest_of_four(upper, lower, start as u32, out, at);
                    continue;
                }
            }
            for ((out, at), columns) in out.iter_mut().zip(at).zip(&self.columns) {
                // No window is only padding. Where nothing is greater than −∞, the first entry counts. As in PyTorch, a
                // NaN takes the place of any other, and of equal entries the first stays.
                let (mut greatest, mut place) = (f32::NEG_INFINITY, start + columns.start);
                for row in rows.clone() {
                    let start = row * self.width;
                    for column in columns.clone() {
                        let x = image[start + column];
                        if x > greatest || x.is_nan() {
                            (greatest, place) = (x, start + column);
                        }
                    }
                }
                (*out, *at) = (greatest, place as u32);
            }
        }
    }

    /// Calls `visit` with each window, in the order of the output's entries.
    #[inline(always)]
    fn for_each(&self, mut visit: impl FnMut(usize, Window)) {
        let mut position = 0;
        for image in 0..self.images {
            for rows in &self.rows {
                for columns in &self.columns {
                    let start = (image * self.height + rows.start) * self.width;
                    let window = Window {
                        rows: rows.len(),
                        width: self.width,
                        first: start + columns.start..start + columns.end,
                    };
                    visit(position, window);
                    position += 1;
                }
            }
        }
    }
}

/// The greatest of two entries of the upper and two of the lower row each, and its position. None is NaN.
fn greatest_of_four(upper: &[f32], lower: &[f32], start: u32, out: &mut [f32], at: &mut [u32]) {
    let width = upper.len() as u32;
    vectorized(
        #[inline(always)]
        move || {
            let pairs = upper.as_chunks::<2>().0.iter().zip(lower.as_chunks::<2>().0);
            let mut first = start;
            for ((out, at), (upper, lower)) in out.iter_mut().zip(at).zip(pairs) {
                let (mut greatest, mut place) = (upper[0], first);
                let others = [
                    (upper[1], first + 1),
                    (lower[0], first + width),
                    (lower[1], first + width + 1),
                ];
                for (x, position) in others {
                    // Selected, because processors cannot foresee branches here.
                    let better = x > greatest;
                    greatest = if better { x } else { greatest };
                    place = if better { position } else { place };
                }
                (*out, *at) = (greatest, place);
                first += 2;
            }
        },
    );
}

/// One window, without padding.
struct Window {
    /// Number of rows.
    rows: usize,
    /// Steps from one row to the next.
    width: usize,
    /// The positions of the first row in the input.
    first: Range<usize>,
}

impl Window {
    /// The positions of its entries in the input, row by row.
    #[inline(always)]
    fn rows(&self) -> impl Iterator<Item = Range<usize>> {
        let (width, first) = (self.width, self.first.clone());
        (0..self.rows).map(move |row| first.start + row * width..first.end + row * width)
    }

    /// Number of entries.
    fn len(&self) -> usize {
        self.rows * self.first.len()
    }
}

impl Tensor {
    /// The greatest entry of each window of the last two dimensions. The input is `[N, C, H, W]` or `[C, H, W]`; the
    /// result has `(size + 2 · padding − kernel) / stride + 1`, rounded down, entries along each of H and W. Padding
    /// never is the greatest; a NaN always is.
    ///
    /// The gradient goes to the greatest entry; of equal ones, to the first.
    ///
    /// PyTorch: `torch.nn.functional.max_pool2d`.
    ///
    /// ```
    /// use ndarray::{arr2, Axis};
    /// use secateurs::tensor::{PoolOptions, Tensor};
    ///
    /// let image = arr2(&[[1.0, 2.0, 5.0, 0.0], [3.0, 4.0, 0.0, 1.0]]).insert_axis(Axis(0));
    /// let image = Tensor::new(image);
    /// let pooled = image.max_pool2d(&PoolOptions::new([2, 2]))?;
    /// assert_eq!(pooled.to_array(), arr2(&[[4.0, 5.0]]).insert_axis(Axis(0)).into_dyn());
    /// let pooled = image.avg_pool2d(&PoolOptions::new([2, 2]))?;
    /// assert_eq!(pooled.to_array(), arr2(&[[2.5, 1.5]]).insert_axis(Axis(0)).into_dyn());
    /// # Ok::<(), secateurs::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`TensorError`](crate::error::TensorError) if the input has another number of dimensions, if kernel or stride is
    /// 0, if the padding is more than half the kernel, or if the kernel is longer than the padded input.
    pub fn max_pool2d(&self, options: &PoolOptions) -> Result<Tensor> {
        let op = "max_pool2d";
        let (windows, shape) = Windows::of_options(op, self.shape(), options)?;
        let image = windows.height * windows.width;
        if u32::try_from(image).is_err() {
            return Err(Error::Tensor(TensorError {
                op,
                reason: "an image must have fewer than 2³² entries; cut it into parts".to_owned(),
                shapes: vec![self.shape().to_vec()],
            }));
        }
        let mut out = zeroed(op, &shape)?;
        let mut greatest_at = vec![0u32; out.len()];
        let of_image = (windows.rows.len() * windows.columns.len()).max(1);
        let images = slice(&self.0.value).chunks_exact(image);
        let outputs = out
            .chunks_exact_mut(of_image)
            .zip(greatest_at.chunks_exact_mut(of_image));
        let mut images: Vec<_> = images.zip(outputs).collect();
        let threads = Threads::of(self.len());
        let share = images.len().div_ceil(threads.tasks()).max(1);
        let mut tasks: Vec<_> = images.chunks_mut(share).collect();
        threads.each(&mut tasks, |images| {
            for (image, (out, at)) in images.iter_mut() {
                windows.greatest(image, options, out, at);
            }
        });
        let edge = self.edge(|| {
            move |g, slot| {
                let images = slot.slice_mut().chunks_exact_mut(image);
                let of_outputs = slice(&g).chunks_exact(of_image);
                let mut images: Vec<_> = images
                    .zip(of_outputs.zip(greatest_at.chunks_exact(of_image)))
                    .collect();
                let mut tasks: Vec<_> = images.chunks_mut(share).collect();
                threads.each(&mut tasks, |images| {
                    for (into, (g, at)) in images.iter_mut() {
                        for (g, &at) in g.iter().zip(*at) {
                            into[at as usize] += g;
                        }
                    }
                });
            }
        });
        Ok(Tensor::derived(build(&shape, out), [edge]))
    }

    /// The mean of each window of the last two dimensions. Input and result are those of
    /// [`max_pool2d`](Self::max_pool2d). Padding counts as zeros.
    ///
    /// PyTorch: `torch.nn.functional.avg_pool2d`.
    ///
    /// # Errors
    ///
    /// As [`max_pool2d`](Self::max_pool2d).
    pub fn avg_pool2d(&self, options: &PoolOptions) -> Result<Tensor> {
        let (windows, shape) = Windows::of_options("avg_pool2d", self.shape(), options)?;
        let entries = options.kernel[0].saturating_mul(options.kernel[1]);
        self.means("avg_pool2d", windows, shape, move |_| entries)
    }

    /// The means of as many windows of the last two dimensions as `size` says, which cover the input evenly. Window `i`
    /// of `n` reaches from `⌊i · len / n⌋` to `⌈(i + 1) · len / n⌉`.
    ///
    /// PyTorch: `torch.nn.functional.adaptive_avg_pool2d`.
    ///
    /// # Errors
    ///
    /// [`TensorError`](crate::error::TensorError) if the input is not `[N, C, H, W]` or `[C, H, W]`, if H or W is 0, or if
    /// the result does not fit in memory.
    pub fn adaptive_avg_pool2d(&self, size: [usize; 2]) -> Result<Tensor> {
        let op = "adaptive_avg_pool2d";
        let (windows, shape) = Windows::new(op, self.shape(), |d, len| {
            let n = size[d];
            if len == 0 {
                return Err(
                    "there are no entries to take the mean of; the last two dimensions must not be 0",
                );
            }
            if n.checked_mul(len).is_none() {
                return Err("the size of the result overflows; use a smaller one");
            }
            let mut windows = Vec::new();
            let reserved = windows.try_reserve_exact(n);
            reserved.map_err(|_| "the result does not fit in memory; use a smaller size")?;
            windows.extend((0..n).map(|i| i * len / n..((i + 1) * len).div_ceil(n)));
            Ok(windows)
        })?;
        self.means(op, windows, shape, |entries| entries)
    }

    /// The sums of windows, divided by what `divisor` makes of the number of their entries.
    fn means(
        &self,
        op: &'static str,
        windows: Windows,
        shape: Vec<usize>,
        divisor: impl Fn(usize) -> usize + Send + Sync + 'static,
    ) -> Result<Tensor> {
        let x = slice(&self.0.value);
        let mut out = zeroed(op, &shape)?;
        windows.for_each(|position, window| {
            let rows = window
                .rows()
                .map(|row| x[row].iter().map(|&x| f64::from(x)).sum::<f64>());
            let sum = rows.fold(0.0, |sum, row| sum + row);
            out[position] = (sum / divisor(window.len()) as f64) as f32;
        });
        let edge = self.edge(|| {
            move |g, slot| {
                let (g, into) = (slice(&g), slot.slice_mut());
                windows.for_each(|position, window| {
                    let share = g[position] / divisor(window.len()) as f32;
                    for row in window.rows() {
                        into[row].iter_mut().for_each(|x| *x += share);
                    }
                });
            }
        });
        Ok(Tensor::derived(build(&shape, out), [edge]))
    }
}
