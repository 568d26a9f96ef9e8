//! What pruning did to a model, and what it would cost: reports to print, to serialise and to plot.
//!
//! | to | use |
//! |---|---|
//! | see how sparse each parameter is, and what that saves | [`SparsityReport`] |
//! | find out which parameters can be pruned most | [`SensitivityAnalysis`] |
//! | plot either, or curves of your own, as SVG | `to_svg` of both, `SparsityCurves` (feature `plot`) |
//!
//! ```
//! use ndarray::Array2;
//! use secateurs::analysis::{SensitivityAnalysis, SparsityReport};
//! use secateurs::{ArrayModel, FloatArray, prune};
//!
//! let mut model = ArrayModel::new();
//! model.insert("0.weight", Array2::from_shape_fn((8, 16), |(i, j)| (i * 16 + j) as f32 - 60.0))?;
//! model.insert("1.weight", Array2::from_shape_fn((4, 8), |(i, j)| (i + j) as f32 / 10.0))?;
//!
//! // Which of them can take it? The closure computes the loss of a model, here the distance from the dense one.
//! let dense = model.clone();
//! let analysis = SensitivityAnalysis::new(&[0.5, 0.9])?;
//! let sensitivity = analysis.run(&mut model, ["0.weight", "1.weight"], |model| {
//!     let sum = |model: &ArrayModel, name: &str| match model.effective(name) {
//!         Ok(FloatArray::F32(array)) => f64::from(array.mapv(f32::abs).sum()),
//!         _ => f64::NAN,
//!     };
//!     Ok(["0.weight", "1.weight"].iter().map(|name| sum(&dense, name) - sum(model, name)).sum())
//! })?;
//! println!("{sensitivity}");
//!
//! prune::l1_unstructured(&mut model, "0.weight", 0.9)?;
//! println!("{}", SparsityReport::of(&model)?);
//! # Ok::<(), secateurs::Error>(())
//! ```

mod error;
#[cfg(feature = "plot")]
mod plot;
mod sensitivity;
mod sparsity;
mod table;

pub use error::AnalysisError;
#[cfg(feature = "plot")]
pub use plot::{CurvePoint, SparsityCurves};
pub use sensitivity::{ParameterSensitivity, Sensitivity, SensitivityAnalysis};
pub use sparsity::{ParameterSparsity, SparsityReport};
