//! [`MaskError`], [`PatternError`] and [`ListError`]: what does not fit a tensor or a list of tensors.

/// A mask, an array of scores or a method that does not fit what it is used for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MaskError {
    /// Two shapes that had to be equal.
    #[error("{what} has shape {got:?}, but shape {expected:?} is needed")]
    ShapeMismatch {
        /// What has the wrong shape.
        what: &'static str,
        /// The shape that was needed.
        expected: Vec<usize>,
        /// The shape that was given.
        got: Vec<usize>,
    },
    /// A mask value that is neither 0 nor 1.
    #[error("a mask holds 0 and 1 only, but the entry at row-major index {index} is {value}")]
    NotBinary {
        /// Row-major index of the first such entry.
        index: usize,
        /// The value there.
        value: String,
    },
    /// A NaN among the entries to be ranked.
    #[error(
        "cannot rank NaN: {}entry {index} (row-major) is NaN; NaN weights mostly come from a training run that \
         diverged, so check its loss, or give importance scores without NaN",
        parameter.as_ref().map(|p| format!("in `{p}` ")).unwrap_or_default()
    )]
    NanScore {
        /// Path of the parameter, where one is known.
        parameter: Option<String>,
        /// Row-major index of the first NaN among the entries that are ranked.
        index: usize,
    },
    /// A method that cannot be used in this way.
    #[error("{method} cannot be used here: {reason}")]
    Unsupported {
        /// The method.
        method: String,
        /// Why not, and what can.
        reason: &'static str,
    },
    /// A method added to the container of another tensor.
    #[error("this container prunes `{expected}`; a method for `{got}` cannot be added to it")]
    WrongTensor {
        /// The tensor of the container.
        expected: String,
        /// The tensor of the method.
        got: String,
    },
    /// A user's own method failed.
    #[error("the pruning method failed: {0}")]
    Method(Box<dyn std::error::Error + Send + Sync>),
}

/// A dimension, or a pattern of channels, groups or blocks, that a tensor does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// A dimension that the tensor does not have.
    #[error(
        "dimension {dim} is out of range for shape {shape:?}, whose dimensions run from -{} to {}",
        shape.len(),
        shape.len().saturating_sub(1)
    )]
    DimOutOfRange {
        /// The requested dimension.
        dim: isize,
        /// Shape of the tensor.
        shape: Vec<usize>,
    },
    /// A structured method on a tensor without channels.
    #[error(
        "structured pruning needs a tensor of at least 2 dimensions, but this one has shape {shape:?}; prune it by an \
         unstructured method"
    )]
    NoChannels {
        /// Shape of the tensor.
        shape: Vec<usize>,
    },
    /// An N:M pattern that keeps more entries than a group has, or whose groups are empty.
    #[error("cannot keep {keep} of each {of} entries; for 2:4, write 2 and 4")]
    KeepOf {
        /// Entries to keep of each group.
        keep: usize,
        /// Entries of a group.
        of: usize,
    },
    /// A dimension that cannot be divided into groups.
    #[error(
        "dimension {dim} of shape {shape:?} cannot be divided into groups of {of}; choose a group size that divides its length"
    )]
    Indivisible {
        /// The dimension; negative values count from the end.
        dim: isize,
        /// Shape of the tensor.
        shape: Vec<usize>,
        /// Entries of a group.
        of: usize,
    },
    /// A block without entries.
    #[error("a block needs at least 1 row and 1 column, but {height} × {width} was requested")]
    BlockSize {
        /// Rows of a block.
        height: usize,
        /// Columns of a block.
        width: usize,
    },
}

/// An invalid list of parameters to be pruned together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ListError {
    /// An empty list of parameters.
    #[error("no parameter was listed; list at least one")]
    NoParameters,
    /// A parameter listed twice, perhaps by two paths that lead to it.
    #[error("parameter `{path}` is listed twice; list each parameter once")]
    ListedTwice {
        /// Path of the parameter.
        path: String,
    },
    /// A list of settings that is not as long as the list of parameters.
    #[error("{got} settings were given for {expected} parameters; give one for each, in the same order")]
    OtherLength {
        /// Number of parameters.
        expected: usize,
        /// Number of settings.
        got: usize,
    },
    /// Scores for a parameter that is not being pruned.
    #[error(
        "scores were given for `{path}`, which is not in the list of parameters; list it, or drop the scores"
    )]
    UnexpectedScores {
        /// Path of the parameter.
        path: String,
    },
    /// A cap for a parameter that is not being pruned.
    #[error("a cap was given for `{path}`, which is not in the list of parameters; list it, or drop the cap")]
    UnexpectedCap {
        /// Path of the parameter.
        path: String,
    },
}
