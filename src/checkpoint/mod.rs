//! Checkpoints: files of named tensors, pruned without loading them.
//!
//! A checkpoint is a `.safetensors` file, or a folder of several with an index (`model.safetensors.index.json`).
//! It is read by position, in chunks, and ranked while it is read: pruning takes the same small memory whatever its
//! size, and a global selection is exact over all of its files, across types by value.
//!
//! | | |
//! |---|---|
//! | [`Checkpoint::open`] | opens a file, a folder or an index, and checks every claim of the headers |
//! | [`Checkpoint::tensors`] | the tensors, by name |
//! | [`Checkpoint::prune`] | prunes some tensors by a method of the [mask layer](crate::mask) into a new checkpoint |
//! | [`Checkpoint::inspect`] | zeros, NaNs and sparsity patterns of tensors |
//! | [`Checkpoint::apply_masks`] | applies the masks of a file to a checkpoint |
//! | [`Checkpoint::write_masks`] | writes masks that are inferred from zeros |
//! | [`Checkpoint::diff`] | the differences between two checkpoints, however they are sharded |
//! | [`Checkpoint::bake`] | turns PyTorch's `*_orig` and `*_mask` pairs into plain weights |
//! | [`Checkpoint::pack`], [`Checkpoint::unpack`] | stores zeros as bits, and restores every byte: [`pack`] has the layout |
//! | [`distributed`] | prunes a checkpoint whose files lie on several machines, with the same result |
//! | [`save_masks`], [`load_masks`] | the masks of a model in memory, in a file of masks |
//! | [`save_tensors`] | tensors in memory as a safetensors file |
//! | [`is_weight`] | which tensors are pruned by default |
//!
//! # Safety of files
//!
//! Inputs are opened for reading only. No output may be, replace or lie inside an input, however its path is spelled.
//!
//! Outputs are written under other names, flushed to the disk, and renamed into place when all outputs of a call are
//! complete. A folder is written beside its place and renamed as a whole. If an input changes while it is read, nothing
//! is written. Output files have the permissions of the input.
//!
//! A process that is killed leaves a hidden folder behind whose name ends in `.secateurs-partial`. The next run for the
//! same output removes it. It never touches that of a run that is still alive, which holds a lock on it. A program
//! that handles signals calls [`discard_staged`] before it exits.

// Each folder uses only those before it: io, format, stream, report, write. The operations use all of them.
mod apply;
mod apply_selection;
mod bake;
pub(crate) mod damage;
mod diff;
pub mod distributed;
mod error;
pub(crate) mod format;
mod infer;
mod inspect;
pub(crate) mod io;
mod job;
mod listing;
mod model_masks;
mod open;
pub mod pack;
mod prune;
mod reading;
mod report;
mod select;
mod stream;
mod write;

pub use crate::prunable::is_weight;
pub use damage::Damage;
pub use diff::{CheckpointDiff, DiffOptions, Difference, Figures, MetadataDiff, TensorDiff};
pub use error::CheckpointError;
pub use format::{Shard, TensorInfo};
pub use inspect::{ChannelPattern, GroupPattern, TensorStats};
pub use io::{Existing, OutputError, discard_staged};
pub use model_masks::{load_masks, save_masks};
pub use open::Checkpoint;
pub use pack::{PackError, PackReport, PackedTensor, UnpackReport, Zeros};
pub use prune::{PruneJob, Scope};
pub use report::{CheckpointReport, MaskedTensor, MaskingReport, TensorReport, Unit};
pub use safetensors::Dtype;
pub use stream::{Phase, Progress};
pub use write::mask_tensor::MaskTensorError;
pub use write::{SavedFile, save_files, save_tensors};

#[cfg(test)]
mod tests;
