//! Dense linear algebra in f64, with one order of operations on every machine and for every number of
//! threads.
//!
//! It is our own, because libraries choose their kernels by processor: `matrixmultiply`, which ndarray's
//! `dot` uses, and faer round differently where there is a fused multiply-add. And because every entry is one
//! sum in one order, tests compare with loops of the textbook bit for bit.

pub mod cholesky;
pub mod panels;
pub mod strips;
mod tile;
pub mod triangle;
