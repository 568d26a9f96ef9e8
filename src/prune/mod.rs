//! Functions that prune the parameters of a model: `torch.nn.utils.prune`, in Rust.
//!
//! Each function takes a model and the path of a parameter, such as `weight` or `encoder.0.weight`. A model is
//! anything that implements [`Prunable`](crate::Prunable): modules of [`nn`](crate::nn), an
//! [`ArrayModel`](crate::ArrayModel), or a model of your own or of another framework. A call either succeeds as a
//! whole and returns a [`Report`], or returns an error and changes nothing.
//!
//! ```
//! use ndarray::array;
//! use secateurs::ArrayModel;
//! use secateurs::prune::{self, L1Unstructured};
//!
//! let mut model = ArrayModel::new();
//! model.insert("0.weight", array![[0.1, -3.0], [2.0, -0.2]])?;
//! model.insert("1.weight", array![[0.3, 0.4]])?;
//!
//! prune::ln_structured(&mut model, "0.weight", 1, 2.0, 0)?;
//! let paths = prune::weights(&model);
//! let report = prune::global_unstructured(&mut model, paths, L1Unstructured::new(0.5)?)?;
//! println!("{report}");
//!
//! prune::remove_all(&mut model)?;
//! assert!(!prune::is_pruned(&model));
//! # Ok::<(), secateurs::Error>(())
//! ```
//!
//! | to | call |
//! |---|---|
//! | prune one parameter | [`l1_unstructured`], [`ln_structured`], [`random_unstructured`], [`random_structured`], [`nm_structured`], [`block_structured`], [`custom_from_mask`], [`identity`]; [`apply`] for any method |
//! | rank by scores of your own | [`l1_unstructured_with_scores`], [`ln_structured_with_scores`], [`apply_with_scores`] |
//! | prune several, ranked together | [`global_unstructured`] |
//! | … with scores, with caps on the sparsity of each, or ranked by norms | [`global_unstructured_with`] |
//! | replace a mask, also to bring entries back | [`set_mask`] |
//! | make pruning permanent | [`remove`], [`remove_all`] |
//! | drop the mask and get the original back | [`discard`] |
//! | see what is pruned | [`is_pruned`], [`mask`](fn@mask), [`hook`], [`container`] |

mod apply;
mod by_name;
mod global;
mod lookup;
pub(crate) mod model;
mod report;
mod undo;

pub use crate::mask::*;
pub use apply::{apply, apply_with_scores, set_mask};
pub(crate) use apply::{of_zeros, ranks_nothing};
pub use by_name::{
    block_structured, custom_from_mask, identity, l1_unstructured, l1_unstructured_with_scores,
    ln_structured, ln_structured_with_scores, nm_structured, random_structured, random_unstructured,
};
pub use global::{global_unstructured, global_unstructured_with};
pub use lookup::{container, hook, is_pruned, mask, weights};
pub use report::{ParameterReport, Report};
pub use undo::{discard, remove, remove_all};
