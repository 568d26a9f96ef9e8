//! Checkpoints: files of named tensors, pruned without loading them.
//!
//! A checkpoint is a `.safetensors` file, or a folder of several with an index (`model.safetensors.index.json`).
//! It is read by position, in chunks, and ranked while it is read: pruning takes the same small memory whatever its
//! size, and a global selection is exact over all of its files, across types by value.
//!
//! | | |
//! |---|---|
//! | [`Checkpoint::open`] | opens a file, a folder or an index, and checks every claim of their headers |
//! | [`Checkpoint::tensors`] | what there is |
//! | [`Checkpoint::prune`] | prunes some tensors by a method of the [mask layer](crate::mask) into a new checkpoint |
//! | [`Checkpoint::inspect`] | zeros, NaNs and patterns of a tensor |
//! | [`Checkpoint::apply_masks`] | puts masks of a file on a checkpoint |
//! | [`Checkpoint::write_masks`] | writes masks read off the zeros |
//! | [`Checkpoint::diff`] | what differs between two checkpoints, however they are sharded |
//! | [`Checkpoint::bake`] | makes plain weights of PyTorch's `*_orig` and `*_mask` pairs |
//! | [`Checkpoint::pack`], [`Checkpoint::unpack`] | stores zeros as bits, and gives every byte back: [`pack`] tells the layout |
//! | [`is_weight`] | which tensors are pruned unless others are named |
//!
//! # Safety of files
//!
//! The input is opened for reading only. Output is written under another name beside its place, flushed to the disk,
//! and renamed when it is whole, so that nothing partial is ever seen under its name; a folder is built as a sibling
//! and renamed in the same way. A run that is killed leaves a hidden file or folder behind whose name ends in
//! `.secateurs-partial`: the next run for the same output removes it. If a file of the input changes while it is
//! read, nothing is written.

mod apply;
mod bake;
mod crew;
pub(crate) mod damage;
mod diff;
mod draft;
mod erase;
mod error;
mod extent;
mod files;
mod find;
mod given;
mod header;
mod index;
mod infer;
mod inspect;
mod layout;
mod masking;
mod masks;
mod open;
mod others;
mod overlay;
pub mod pack;
mod positional;
mod prune;
mod report;
mod rewrite;
mod shard;
mod values;
mod work;

pub use crate::prunable::is_weight;
pub use damage::Damage;
pub use diff::{CheckpointDiff, Difference, MetadataDiff, TensorDiff};
pub use draft::Existing;
pub use error::CheckpointError;
pub use inspect::{ChannelPattern, GroupPattern, TensorStats};
pub use masking::{MaskedTensor, MaskingReport};
pub use open::{Checkpoint, TensorInfo};
pub use pack::{PackReport, PackedTensor, UnpackReport, Zeros};
pub use prune::{Pruning, Scope};
pub use report::{CheckpointReport, TensorReport, Unit};
pub use safetensors::Dtype;
pub use shard::Shard;
pub use work::{Phase, Progress};

#[cfg(test)]
mod tests;
