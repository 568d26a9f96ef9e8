//! What is read and written piece by piece: chunks, their values, and the workers that share them.

pub(super) mod chunk;
pub(super) mod pipeline;
pub(super) mod values;
pub(super) mod workers;

pub(super) use chunk::Chunk;
pub(super) use pipeline::ordered;
pub use workers::{Phase, Progress};
