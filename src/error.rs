//! The one error type of the crate.

use std::path::PathBuf;

use crate::damage::Damage;

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can be wrong with what a caller hands over.
///
/// An error names what was wrong, where, and what was there instead. Whatever returned it changed nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // ---- amounts ----
    /// A fraction that is NaN or outside [0, 1].
    #[error("amount {value} is not a fraction in [0, 1]; a number of units is written as an integer")]
    FractionOutOfRange {
        /// The value that was given.
        value: f64,
    },
    /// A negative count of units.
    #[error("amount {value} is negative; a count of units is 0 or more")]
    NegativeCount {
        /// The value that was given.
        value: i128,
    },
    /// Text that is no amount.
    #[error(
        "`{text}` is not an amount; write a fraction (`0.5`), a percentage (`50%`), a count (`12`) or `until 90%`"
    )]
    AmountSyntax {
        /// The text that was given.
        text: String,
    },
    /// More units asked for than are left to prune.
    #[error("asked to prune {asked} units, but only {left} are left unpruned")]
    AmountTooLarge {
        /// Units asked for.
        asked: usize,
        /// Units not yet pruned.
        left: usize,
    },

    // ---- norms and dimensions ----
    /// A norm order that is NaN.
    #[error("the order of a norm cannot be NaN")]
    NormIsNan,
    /// Text that is no norm.
    #[error("`{text}` is not a norm; write a number, `inf`, `-inf`, `fro` or `nuc`")]
    NormSyntax {
        /// The text that was given.
        text: String,
    },
    /// The nuclear norm of channels that are no matrices.
    #[error(
        "the nuclear norm needs channels that are matrices, so a tensor of 3 dimensions; this one has shape {shape:?}"
    )]
    NuclearNorm {
        /// Shape of the tensor.
        shape: Vec<usize>,
    },
    /// A dimension that the tensor does not have.
    #[error("dimension {dim} is out of range for shape {shape:?}; it runs from -{} to {}", shape.len(), shape.len().saturating_sub(1))]
    DimOutOfRange {
        /// The dimension that was asked for.
        dim: isize,
        /// Shape of the tensor.
        shape: Vec<usize>,
    },
    /// A structured method on a tensor without channels.
    #[error("structured pruning needs a tensor of at least 2 dimensions; this one has shape {shape:?}")]
    NoChannels {
        /// Shape of the tensor.
        shape: Vec<usize>,
    },

    // ---- patterns ----
    /// A pattern of groups that cannot be.
    #[error(
        "cannot keep {keep} of each {of} entries; \"2 of each 4\" is written as 2, 4, and keeps at most all of them"
    )]
    GroupPattern {
        /// Entries to keep of each group.
        keep: usize,
        /// Entries of a group.
        of: usize,
    },
    /// A dimension that cannot be divided into groups.
    #[error("dimension {dim} of shape {shape:?} cannot be divided into groups of {of}")]
    Groups {
        /// The dimension, from the end where negative.
        dim: isize,
        /// Shape of the tensor.
        shape: Vec<usize>,
        /// Entries of a group.
        of: usize,
    },
    /// A block without entries.
    #[error("a block has at least 1 row and 1 column; this one has {height} and {width}")]
    BlockSize {
        /// Rows of a block.
        height: usize,
        /// Columns of a block.
        width: usize,
    },
    /// Caps that leave less to prune than was asked for.
    #[error(
        "asked to prune {asked} entries, but a cap of {max_sparsity} on each parameter's sparsity leaves only {reachable} to prune; raise the cap or ask for less"
    )]
    Capped {
        /// Entries asked for.
        asked: usize,
        /// Entries that can still be pruned under the caps.
        reachable: usize,
        /// The cap: the share of a parameter's entries that may be pruned at most.
        max_sparsity: f64,
    },

    // ---- masks and scores ----
    /// Two shapes that had to be equal.
    #[error("{what} has shape {got:?}, but {expected:?} was expected")]
    ShapeMismatch {
        /// What has the wrong shape.
        what: &'static str,
        /// The shape that was needed.
        expected: Vec<usize>,
        /// The shape that was given.
        got: Vec<usize>,
    },
    /// A mask value that is neither 0 nor 1.
    #[error("a mask holds 0 and 1 only; the entry at row-major index {index} is {value}")]
    MaskNotBinary {
        /// Row-major index of the first such entry.
        index: usize,
        /// The value there.
        value: String,
    },
    /// A NaN among the entries to be ranked.
    #[error("cannot rank NaN: {}entry {index} (row-major) is NaN", parameter.as_ref().map(|p| format!("in `{p}` ")).unwrap_or_default())]
    NanScore {
        /// Path of the parameter, where one is known.
        parameter: Option<String>,
        /// Row-major index of the first NaN among the entries that are ranked.
        index: usize,
    },
    /// A method that cannot be used for what was asked.
    #[error("{method} cannot do this: {reason}")]
    Unsupported {
        /// The method.
        method: String,
        /// Why not, and what can.
        reason: &'static str,
    },
    /// A method added to the container of another tensor.
    #[error("this container prunes `{expected}`; a method bound to `{got}` cannot join it")]
    OtherTensor {
        /// The tensor of the container.
        expected: String,
        /// The tensor of the method.
        got: String,
    },
    /// A user's own method failed.
    #[error("the pruning method failed: {0}")]
    Method(#[source] Box<dyn std::error::Error + Send + Sync>),

    // ---- tensors ----
    /// An operation on tensors whose shapes do not fit.
    #[error("{op}: {reason}; the shapes are {shapes:?}")]
    Op {
        /// The operation.
        op: &'static str,
        /// What does not fit.
        reason: String,
        /// Shapes of the operands.
        shapes: Vec<Vec<usize>>,
    },

    // ---- modules, paths, names ----
    /// A path that leads to no parameter.
    #[error("there is no parameter `{path}`; there are: {}", known.join(", "))]
    UnknownParameter {
        /// The path that was given.
        path: String,
        /// Paths of the parameters that there are.
        known: Vec<String>,
    },
    /// A name that cannot be used.
    #[error("`{name}` cannot be the name of a {what}: {reason}")]
    BadName {
        /// What was to be named.
        what: &'static str,
        /// The name.
        name: String,
        /// Why it cannot be used.
        reason: &'static str,
    },
    /// A parameter that had to be pruned and is not.
    #[error("parameter `{path}` is not pruned")]
    NotPruned {
        /// Path of the parameter.
        path: String,
    },
    /// An empty list of parameters.
    #[error("no parameter was listed; global pruning ranks at least one")]
    NoParameters,
    /// A parameter listed twice.
    #[error("parameter `{path}` is listed twice")]
    ListedTwice {
        /// Path of the parameter.
        path: String,
    },
    /// Scores for a parameter that is not being pruned.
    #[error("scores were given for `{path}`, which is not in the list of parameters")]
    UnexpectedScores {
        /// Path of the parameter.
        path: String,
    },
    /// An error about one parameter.
    #[error("parameter `{path}`: {source}")]
    Parameter {
        /// Path of the parameter.
        path: String,
        /// What was wrong with it.
        #[source]
        source: Box<Error>,
    },
    /// A setting of a layer, loss or optimiser that makes no sense.
    #[error("{what}: {setting} = {value}: {reason}")]
    Setting {
        /// The layer, loss or optimiser.
        what: &'static str,
        /// The setting.
        setting: &'static str,
        /// The value given.
        value: String,
        /// What it has to be.
        reason: &'static str,
    },

    // ---- state ----
    /// A state dict whose keys are not those of the model.
    #[error("the state dict does not fit: missing {missing:?}, unexpected {unexpected:?}")]
    StateKeys {
        /// Keys that the model needs and the state lacks.
        missing: Vec<String>,
        /// Keys that the state has and the model does not know.
        unexpected: Vec<String>,
    },
    /// A tensor in a file whose type cannot be loaded.
    #[error("tensor `{name}` has dtype {dtype}, which cannot be loaded here; f32, f16 and bf16 can")]
    Dtype {
        /// Name of the tensor.
        name: String,
        /// Its type.
        dtype: String,
    },
    /// A file that could not be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A file whose content is not what its name says.
    #[error("{path}: {reason}", path = path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },

    // ---- checkpoints ----
    /// A checkpoint of which a file does not hold what it claims.
    #[error("{path}: {damage}", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        damage: Box<Damage>,
    },
    /// A path that leads to no checkpoint.
    #[error("{path} is no safetensors checkpoint: {reason}", path = path.display())]
    NotCheckpoint {
        /// The path that was given.
        path: PathBuf,
        /// Why not, and what to do.
        reason: String,
    },
    /// A tensor that the checkpoint does not hold.
    #[error("there is no tensor `{name}` in the checkpoint")]
    UnknownTensor {
        /// The name that was asked for.
        name: String,
    },
    /// A tensor whose type has no zeros to prune to.
    #[error("tensor `{name}` has dtype {dtype}, which cannot be pruned; F64, F32, F16 and BF16 can")]
    NotPrunable {
        /// Name of the tensor.
        name: String,
        /// Its type.
        dtype: String,
    },
    /// A tensor that cannot serve as a mask.
    #[error("`{name}` is no mask that can be applied: {reason}")]
    NotMask {
        /// Name of the tensor.
        name: String,
        /// Why not.
        reason: &'static str,
    },
    /// A file of masks that holds none.
    #[error("{path} holds no masks; masks are tensors named `NAME_mask`", path = path.display())]
    NoMasks {
        /// The file.
        path: PathBuf,
    },
    /// A checkpoint without anything that PyTorch's pruning left.
    #[error("{path} holds no `*_orig` and `*_mask` pairs, so there is nothing to bake", path = path.display())]
    NoPairs {
        /// The checkpoint.
        path: PathBuf,
    },
    /// The original of a pruned weight whose mask is not there.
    #[error("`{name}` is the original of a weight that was pruned, but there is no `{mask}` beside it")]
    Unpaired {
        /// Name of the original.
        name: String,
        /// Name that its mask should have.
        mask: String,
    },
    /// A weight that is there already, beside its own original and mask.
    #[error("`{name}` cannot become `{weight}`: there is a tensor of this name already")]
    NameTaken {
        /// Name of the original.
        name: String,
        /// Name that the weight would have.
        weight: String,
    },
    /// A checkpoint that was to be packed, and is packed.
    #[error("{path} is packed already; unpack it first", path = path.display())]
    PackedAlready {
        /// The file that is packed.
        path: PathBuf,
    },
    /// A checkpoint that was to be unpacked, and is not packed.
    #[error("{path} is not packed, so there is nothing to unpack", path = path.display())]
    NotPacked {
        /// The checkpoint.
        path: PathBuf,
    },
    /// A tensor whose packed bytes did not give it back, which they always should.
    #[error(
        "packing `{name}` could not be verified: the chunk at entry {first} did not come back; nothing was written"
    )]
    NotReproduced {
        /// Name of the tensor.
        name: String,
        /// Row-major index of the first entry of the chunk.
        first: usize,
    },
    /// A checkpoint that another program changed while it was being read.
    #[error("{path} changed while it was being read; nothing was written", path = path.display())]
    ChangedMeanwhile {
        /// The file that changed.
        path: PathBuf,
    },
    /// An output that is there already.
    #[error("{path} exists already; nothing was written", path = path.display())]
    OutputExists {
        /// The output that was asked for.
        path: PathBuf,
    },
    /// An output that cannot be written where it was asked for.
    #[error("cannot write {path}: {reason}", path = path.display())]
    BadOutput {
        /// The output that was asked for.
        path: PathBuf,
        /// Why not, and what can be done.
        reason: &'static str,
    },
}

impl Error {
    /// Names the parameter that an error is about, where it does not say so yet.
    pub(crate) fn at(self, path: &str) -> Self {
        match self {
            unnamed if path.is_empty() => unnamed,
            Error::NanScore {
                parameter: None,
                index,
            } => Error::NanScore {
                parameter: Some(path.to_owned()),
                index,
            },
            named @ (Error::NanScore { .. } | Error::Parameter { .. }) => named,
            of_a_file @ (Error::Io { .. } | Error::ChangedMeanwhile { .. }) => of_a_file,
            other => Error::Parameter {
                path: path.to_owned(),
                source: Box::new(other),
            },
        }
    }
}

/// Lets a conversion that cannot fail stand where one that can is asked for.
impl From<std::convert::Infallible> for Error {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}
