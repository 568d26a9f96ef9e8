//! [`SparseGptError`]: settings, weights or calibration data that SparseGPT cannot use.

/// Settings, weights or calibration data that [`SparseGpt`](super::SparseGpt) cannot use.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SparseGptError {
    /// A dampening that is NaN, infinite or negative.
    #[error(
        "dampening {value} is not a share of the mean diagonal; give a finite number of 0 or more, such as 0.01"
    )]
    Dampening {
        /// The value that was given.
        value: f64,
    },
    /// A block without columns.
    #[error("a block needs at least 1 column, but 0 were requested; 128 are usual")]
    EmptyBlock,
    /// A NaN or an infinity.
    #[error(
        "{what} holds {value} at row {row}, column {column}; SparseGPT needs finite numbers, so find out where \
         that came from"
    )]
    NotFinite {
        /// Which array holds it.
        what: &'static str,
        /// Its row: of inputs, the number of the sample in its batch.
        row: usize,
        /// Its column.
        column: usize,
        /// The value.
        value: f64,
    },
    /// A matrix given as XᵀX that is not symmetric.
    #[error(
        "XᵀX is symmetric, but this matrix holds {value} at row {row}, column {column}, and {mirrored} at the \
         mirrored place"
    )]
    NotSymmetric {
        /// Row of the first entry that differs.
        row: usize,
        /// Its column.
        column: usize,
        /// The value there.
        value: f64,
        /// The value at the mirrored place.
        mirrored: f64,
    },
    /// No input that was ever other than zero.
    #[error("there is no calibration data: every entry of XᵀX is 0; add batches of the layer's inputs first")]
    NoCalibration,
    /// XᵀX, with dampening, that is not positive definite.
    #[error(
        "XᵀX is not positive definite: in the Cholesky factorisation, which goes from the last column to the first, \
         the pivot of column {column} is {pivot}; increase the dampening, or calibrate with more samples"
    )]
    NotPositiveDefinite {
        /// The column of the pivot, which is a column of the weight.
        column: usize,
        /// The pivot: 0 or less, or not finite.
        pivot: f64,
    },
}
