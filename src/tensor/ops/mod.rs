//! Operations on tensors, one idea per file.

mod activation;
mod arithmetic;
mod batch_norm;
mod conv;
mod dropout;
mod join;
mod loss;
mod lstm;
mod matmul;
mod part;
mod pool;
mod reduce;
mod shape;

pub use batch_norm::BatchStatistics;
pub use conv::ConvOptions;
pub(crate) use lstm::LstmLayer;
pub use pool::PoolOptions;
