//! [`Hessian`]: what SparseGPT knows of the inputs of a layer.

use std::fmt;

use ndarray::{Array2, ArrayBase, ArrayView2, Data, Dimension};

use super::error::SparseGptError;
use super::linalg::strips::{STRIP, Strip, add_square, threads};
use crate::error::{Error, MaskError, Result};
use crate::mask::Float;

/// Samples that are added at a time.
const SAMPLES: usize = 512;

/// How far the halves of a matrix given as XᵀX may differ, relative to the geometric mean of the two entries
/// on its diagonal. Sums in f32 differ by less.
const ASYMMETRY: f64 = 1e-3;

/// H = Xᵀ × X of the inputs X of a linear layer, one row for each sample or token, summed in f64 over
/// batches.
///
/// Up to a factor, it is the Hessian of the squared error of the layer's output with respect to a row of its
/// weight. It takes 8 bytes times the square of the number of inputs.
///
/// Each entry is one sum in the order of the samples. So it depends neither on how they are divided into
/// batches, nor on the number of threads, nor on the machine. Batches of some hundred samples are added
/// fastest.
///
/// ```
/// use ndarray::array;
/// use secateurs::criteria::sparse_gpt::Hessian;
///
/// let mut hessian = Hessian::new(2);
/// hessian.add(&array![[1.0_f32, 2.0], [0.0, 1.0]])?;
/// hessian.add(&array![[3.0_f32, 0.0]])?;
/// assert_eq!(hessian.samples(), 3);
/// assert_eq!(hessian.to_matrix(), array![[10.0, 2.0], [2.0, 5.0]]);
/// # Ok::<(), secateurs::Error>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct Hessian {
    inputs: usize,
    samples: usize,
    /// Rows and columns in reverse order, which is the matrix that is factorised. Only the lower triangle has
    /// meaning.
    reversed: Vec<f64>,
}

impl Hessian {
    /// That of a layer with this many inputs, before any sample.
    ///
    /// # Panics
    ///
    /// If a matrix of this size overflows memory, as an array of that shape would.
    pub fn new(inputs: usize) -> Self {
        let entries = inputs.checked_mul(inputs);
        Hessian {
            inputs,
            samples: 0,
            reversed: vec![0.0; entries.expect("the number of entries overflows usize")],
        }
    }

    /// That of XᵀX computed elsewhere. A factor, such as 2 / samples, changes neither masks nor weights, only
    /// the loss.
    ///
    /// # Errors
    ///
    /// - [`MaskError::ShapeMismatch`] if the matrix is not square;
    /// - [`SparseGptError::NotFinite`] for NaN and ∞;
    /// - [`SparseGptError::NotSymmetric`] where two mirrored entries differ by more than f32 arithmetic makes
    ///   of them.
    pub fn from_matrix(matrix: ArrayView2<'_, f64>) -> Result<Self> {
        let inputs = matrix.ncols();
        if matrix.nrows() != inputs {
            return Err(shape_mismatch("XᵀX", &[inputs, inputs], matrix.shape()));
        }
        for ((row, column), &value) in matrix.indexed_iter() {
            if !value.is_finite() {
                return Err(not_finite("XᵀX", row, column, value));
            }
        }
        let diagonal = matrix.diag();
        for ((row, column), &value) in matrix.indexed_iter() {
            let mirrored = matrix[[column, row]];
            let scale = (diagonal[row].abs() * diagonal[column].abs()).sqrt();
            if (value - mirrored).abs() > ASYMMETRY * scale {
                return Err(Error::from(SparseGptError::NotSymmetric {
                    row,
                    column,
                    value,
                    mirrored,
                }));
            }
        }
        let mut reversed: Vec<f64> = matrix.iter().copied().collect();
        reversed.reverse();
        Ok(Hessian {
            inputs,
            samples: 0,
            reversed,
        })
    }

    /// Adds a batch of inputs of the layer. The last dimension is that of the inputs; all others, such as
    /// batch and sequence, count samples.
    ///
    /// # Errors
    ///
    /// [`MaskError::ShapeMismatch`] if the last dimension does not have the layer's number of inputs;
    /// [`SparseGptError::NotFinite`] for NaN and ∞. Then nothing is added.
    pub fn add<T: Float, S: Data<Elem = T>, D: Dimension>(&mut self, batch: &ArrayBase<S, D>) -> Result<()> {
        let inputs = self.inputs;
        if batch.shape().last() != Some(&inputs) {
            let mut expected = batch.shape().to_vec();
            expected.pop();
            expected.push(inputs);
            return Err(shape_mismatch("the batch of inputs", &expected, batch.shape()));
        }
        let standard = batch.as_standard_layout();
        let values = standard
            .as_slice()
            .expect("an array in standard layout is a slice");
        // All first, which vectors do fast, and only then one by one.
        if !values.iter().fold(true, |finite, x| finite & x.as_().is_finite())
            && let Some(at) = values.iter().position(|x| !x.as_().is_finite())
        {
            let (row, column) = (at / inputs, at % inputs);
            return Err(not_finite("the batch of inputs", row, column, values[at].as_()));
        }
        self.samples += values.len() / inputs.max(1);
        let mut chunk = Vec::with_capacity(values.len().min(SAMPLES * inputs));
        for values in values.chunks((SAMPLES * inputs).max(1)) {
            chunk.clear();
            chunk.extend(values.iter().rev().map(|x| -> f64 { x.as_() }));
            self.add_chunk(&chunk);
        }
        Ok(())
    }

    /// Adds samples of which everything is reversed, samples and inputs.
    fn add_chunk(&mut self, chunk: &[f64]) {
        let inputs = self.inputs;
        let samples = chunk.len() / inputs;
        let mut firsts: Vec<_> = (0..inputs).step_by(STRIP).collect();
        let strips = threads(chunk.len()).each(&mut firsts, |first| {
            let rows = STRIP.min(inputs - *first);
            Strip::from_columns(rows, samples, |sample| {
                &chunk[(samples - 1 - sample) * inputs + *first..][..rows]
            })
        });
        add_square(&mut self.reversed, inputs, 0, &strips, samples);
    }

    /// Number of inputs of the layer: rows and columns of the matrix.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Number of samples that were added. 0 for a matrix that was given as a whole.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// The diagonal of XᵀX: the sum of squares of each input. Its square roots are the norms that Wanda
    /// takes.
    pub fn diagonal(&self) -> Vec<f64> {
        let n = self.inputs;
        (0..n).rev().map(|i| self.reversed[i * n + i]).collect()
    }

    /// XᵀX itself.
    pub fn to_matrix(&self) -> Array2<f64> {
        let last = self.inputs.wrapping_sub(1);
        Array2::from_shape_fn((self.inputs, self.inputs), |(row, column)| {
            let (low, high) = (row.min(column), row.max(column));
            self.reversed[(last - low) * self.inputs + (last - high)]
        })
    }

    /// The matrix with rows and columns in reverse order, row-major. Only its lower triangle has meaning.
    pub(super) fn reversed(&self) -> &[f64] {
        &self.reversed
    }
}

impl fmt::Debug for Hessian {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hessian")
            .field("inputs", &self.inputs)
            .field("samples", &self.samples)
            .finish_non_exhaustive()
    }
}

pub(super) fn shape_mismatch(what: &'static str, expected: &[usize], got: &[usize]) -> Error {
    Error::Mask(MaskError::ShapeMismatch {
        what,
        expected: expected.to_vec(),
        got: got.to_vec(),
    })
}

pub(super) fn not_finite(what: &'static str, row: usize, column: usize, value: f64) -> Error {
    Error::from(SparseGptError::NotFinite {
        what,
        row,
        column,
        value,
    })
}
