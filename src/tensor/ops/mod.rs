//! Operations on tensors, one idea per file.

mod activation;
mod arithmetic;
mod conv;
mod join;
mod loss;
mod matmul;
mod part;
mod reduce;
mod shape;

pub use conv::ConvOptions;
