//! The shapes that may be pruned (entries, channels, blocks and groups): how each is scored, chosen and applied.
//!
//! Each is written once, for tensors in memory and for streamed files. A pattern says which [`Piece`]s it needs and
//! in which order, is fed their entries, and then says which units are pruned. A tensor in memory has about one piece
//! per thread, a file many.

pub(crate) mod blocks;
pub(crate) mod channels;
pub(crate) mod entries;
pub(crate) mod floats;
pub(crate) mod fold;
pub(crate) mod groups;
mod lanes;
mod nuclear;
pub(crate) mod piece;
pub(crate) mod read;

pub(crate) use floats::{Floats, Wide, with_floats};
pub(crate) use piece::Piece;

#[cfg(test)]
mod tests;
