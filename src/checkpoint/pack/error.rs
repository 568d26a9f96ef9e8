//! [`PackError`]: a checkpoint that cannot be packed or unpacked.

use std::path::PathBuf;

/// A checkpoint that cannot be packed or unpacked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackError {
    /// A packed checkpoint that was to be used as if it were not.
    #[error("{path} is packed already; unpack it first: secateurs unpack IN -o OUT", path = path.display())]
    PackedAlready {
        /// The file that is packed.
        path: PathBuf,
    },
    /// A checkpoint that was to be unpacked, and is not packed.
    #[error("{path} is not packed, so there is nothing to unpack; use it as it is", path = path.display())]
    NotPacked {
        /// The checkpoint.
        path: PathBuf,
    },
    /// A tensor of a name that packed files need.
    #[error("a tensor is named `{name}`, which packed files keep for checksums; rename it")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// A tensor whose packed bytes did not give it back, which they always should.
    #[error(
        "packing `{name}` could not be verified: the chunk at entry {first} did not come back; nothing was written: \
         please report this as a bug"
    )]
    NotReproduced {
        /// Name of the tensor.
        name: String,
        /// Row-major index of the first entry of the chunk.
        first: usize,
    },
}
