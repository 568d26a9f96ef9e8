//! Removes whole channels from ONNX models, and proves that the smaller model computes the same.
//!
//! Zeros make nothing smaller or faster. What does is removing whole channels, with everything that is coupled to them:
//! the weights that make a channel, those that read it, the batch norm between, and the channels that are added to it
//! elsewhere. [`shrink`] finds these couplings, removes the least important channels, and runs the smaller model beside
//! the one in which the same channels are masked.
//!
//! ```no_run
//! use secateurs_onnx::{Options, shrink};
//!
//! let model = std::fs::read("resnet50.onnx")?;
//! let smaller = shrink(&model, &Options::new(0.5)?)?;
//! println!("{}", smaller.report);
//! std::fs::write("small.onnx", &smaller.bytes)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is coupled
//!
#![doc = include_str!("rules.md")]
//!
//! # Features
//!
//! - `nn`: `export` writes a network of `secateurs::nn` as an ONNX model, and `shrink_module` makes it smaller.
//! - `runtime` (Rust 1.89): both models are run in f32 as well, by a runtime that others keep, and latency is measured.
//!
//! # What is removed exactly
//!
//! A model with channels removed computes what the same model computes with all weights of these channels set to zero,
//! but for the order in which floats are added. That holds where a removed channel is zero wherever it is read. Where it
//! is not, as behind a sigmoid, or where an operator looks at all channels together, as layer norm does, channels are
//! held, and the report says by what. [`Options::inexact`] lets go of those of some operators, with the deviation in the
//! report; everything else stays exact and proven.

mod bias;
mod budget;
mod certificate;
mod cost;
mod couple;
mod entries;
mod error;
mod external;
mod fold;
mod graph;
mod importance;
mod input_file;
#[cfg(feature = "nn")]
mod modules;
mod options;
mod proto;
mod quantized;
mod reference;
mod report;
#[cfg(feature = "runtime")]
mod runtime;
mod select;
mod sent;
mod shapes;
mod shared;
mod shrink;
mod skeleton;
mod sums;
mod tensor;
#[cfg(test)]
mod tests;
mod verify;
mod write;

pub use cost::Cost;
pub use error::{Error, Result};
#[cfg(feature = "nn")]
pub use modules::{SmallerModule, export, shrink_module};
pub use options::{Importance, Inexact, Options, Reduction, Resource, Scope, ScoreError, ScoreFunction};
pub use report::{Latency, Report, Runtime};
pub use select::GroupReport;
pub use shrink::{Outputs, Smaller, plan, plan_file, shrink, shrink_file, weight_names};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
