//! [`CheckpointError`]: what keeps a checkpoint from being read, pruned or written.

use std::path::PathBuf;

use super::damage::Damage;

/// A checkpoint that cannot be read, pruned or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
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
    /// A tensor in a file whose type cannot be loaded.
    #[error("tensor `{name}` has dtype {dtype}, which cannot be loaded here; f32, f16 and bf16 can")]
    Dtype {
        /// Name of the tensor.
        name: String,
        /// Its type.
        dtype: String,
    },
    /// A file whose content is not what its name says.
    #[error("{path}: {reason}", path = path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}
