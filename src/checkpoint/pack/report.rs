//! The result of packing and unpacking.

use std::path::PathBuf;

use safetensors::Dtype;

/// The result of packing a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PackReport {
    /// The tensors that could be packed by their dtype, in the order of their names.
    pub tensors: Vec<PackedTensor>,
    /// Bytes of all files with tensors before, headers included.
    pub bytes_before: u64,
    /// Bytes of all files with tensors now, headers included.
    pub bytes_after: u64,
    /// The other files of the folder, copied as they are.
    pub copied: Vec<PathBuf>,
}

/// The result of packing a tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PackedTensor {
    /// Name of the tensor.
    pub name: String,
    /// Its type.
    pub dtype: Dtype,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Entries in all.
    pub entries: usize,
    /// Entries that count as absent.
    pub absent: usize,
    /// Entries that are −0.0 in the input.
    pub negative_zeros: usize,
    /// Bytes of the tensor.
    pub bytes: u64,
    /// Bytes of its packed parts; `None` where it is copied as it is, because packing would save nothing.
    pub packed_bytes: Option<u64>,
}

/// The result of unpacking a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnpackReport {
    /// Names of the tensors that were packed, in the order of their names.
    pub tensors: Vec<String>,
    /// Bytes of all files with tensors before, headers included.
    pub bytes_before: u64,
    /// Bytes of all files with tensors now, headers included.
    pub bytes_after: u64,
    /// The other files of the folder, copied as they are.
    pub copied: Vec<PathBuf>,
}

impl PackReport {
    /// The tensors that are packed.
    pub fn packed(&self) -> impl Iterator<Item = &PackedTensor> {
        self.tensors.iter().filter(|tensor| tensor.packed_bytes.is_some())
    }
}
