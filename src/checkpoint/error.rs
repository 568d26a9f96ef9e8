//! [`CheckpointError`]: what keeps a checkpoint from being read, pruned or written.

use std::path::PathBuf;

use super::damage::Damage;
use super::distributed::DistributedError;
use super::io::OutputError;
use super::pack::PackError;
use super::write::mask_tensor::MaskTensorError;
use crate::error::Error;
use crate::prunable::hint;

/// A checkpoint that cannot be read, pruned or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// A path that leads to no checkpoint.
    #[error("{path} is not a safetensors checkpoint: {reason}", path = path.display())]
    NotCheckpoint {
        /// The path that was given.
        path: PathBuf,
        /// Why not, and what to do.
        reason: String,
    },
    /// A checkpoint of which a file does not hold what it claims.
    #[error("{path}: {damage}", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        damage: Box<Damage>,
    },
    /// A checkpoint that another program changed while it was being read.
    #[error(
        "{path} changed while it was being read; nothing was written: try again when nothing writes to it",
        path = path.display()
    )]
    ChangedMeanwhile {
        /// The file that changed.
        path: PathBuf,
    },
    /// A tensor that the checkpoint does not hold.
    #[error("there is no tensor `{name}` in the checkpoint{}", hint(nearest))]
    UnknownTensor {
        /// The name that was given.
        name: String,
        /// The names of the checkpoint that are most like it, at most three.
        nearest: Vec<String>,
    },
    /// A tensor whose type cannot be pruned.
    #[error(
        "tensor `{name}` has dtype {dtype}, which cannot be pruned; F64, F32, F16 and BF16 can: leave it out"
    )]
    NotPrunable {
        /// Name of the tensor.
        name: String,
        /// Its type.
        dtype: String,
    },
    /// A tensor whose type a state dict, which is of f32, cannot hold.
    #[error(
        "tensor `{name}` has dtype {dtype}, which a state dict cannot hold; \
         floats of 16 to 64 bits, integers and booleans can be loaded"
    )]
    NotLoadable {
        /// Name of the tensor.
        name: String,
        /// Its type.
        dtype: String,
    },
    /// An integer that has no equal among f32, so that it cannot be loaded into a state dict.
    #[error(
        "tensor `{name}` of dtype {dtype} holds {value} at index {index}, which f32 cannot represent; \
         a state dict holds f32 only, so leave the tensor out of the file or store it as a float"
    )]
    InexactInteger {
        /// Name of the tensor.
        name: String,
        /// Its type.
        dtype: String,
        /// Row-major index of the entry.
        index: usize,
        /// The entry.
        value: i128,
    },
    /// A name that is reserved in safetensors files.
    #[error(
        "`{name}` cannot be the name of a tensor in a safetensors file, which keeps it for metadata; rename it"
    )]
    ReservedName {
        /// The name.
        name: String,
    },
    /// A tensor that is too large for any file.
    #[error("a tensor of shape {shape:?} is too large for a file")]
    TooLarge {
        /// Its shape.
        shape: Vec<usize>,
    },
    /// An output that cannot be written where it was requested.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// Tensors that cannot serve as masks, or originals without masks.
    #[error(transparent)]
    Masks(#[from] MaskTensorError),
    /// Counts, or parts of a checkpoint, that do not fit together.
    #[error(transparent)]
    Distributed(#[from] DistributedError),
    /// A checkpoint that cannot be packed or unpacked.
    #[error(transparent)]
    Pack(#[from] PackError),
}

impl From<OutputError> for Error {
    fn from(error: OutputError) -> Self {
        Error::Checkpoint(error.into())
    }
}

impl From<MaskTensorError> for Error {
    fn from(error: MaskTensorError) -> Self {
        Error::Checkpoint(error.into())
    }
}

impl From<DistributedError> for Error {
    fn from(error: DistributedError) -> Self {
        Error::Checkpoint(error.into())
    }
}

impl From<PackError> for Error {
    fn from(error: PackError) -> Self {
        Error::Checkpoint(error.into())
    }
}
