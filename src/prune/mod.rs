//! Functions that prune the parameters of modules: `torch.nn.utils.prune`, in Rust.
//!
//! Each takes a module (any [`ParamTree`](crate::nn::ParamTree): a layer, a network, a
//! [`Group`](crate::nn::Group) of them) and the path of a parameter, `weight` or `encoder.0.weight`. A call does
//! all of what it says or, on any error, nothing (S11), and reports what it did ([`Report`]).
//!
//! ```
//! use rand::SeedableRng;
//! use secateurs::nn::{Linear, Relu, Sequential};
//! use secateurs::prune::{self, L1Unstructured};
//!
//! let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(0);
//! let mut model =
//!     Sequential::new().push(Linear::new(8, 16, &mut rng)).push(Relu::new()).push(Linear::new(16, 4, &mut rng));
//!
//! prune::random_unstructured(&mut model, "0.weight", 0.25, &mut rng)?;
//! prune::ln_structured(&mut model, "0.weight", 2, 2.0, 0)?;
//! let paths = prune::weights(&model);
//! let report = prune::global_unstructured(&mut model, paths, L1Unstructured::new(0.5)?)?;
//! println!("{report}");
//!
//! prune::remove_all(&mut model);
//! assert!(!prune::is_pruned(&model));
//! # Ok::<(), secateurs::Error>(())
//! ```
//!
//! | to | call |
//! |---|---|
//! | prune one parameter | [`l1_unstructured`], [`ln_structured`], [`random_unstructured`], [`random_structured`], [`nm_structured`], [`block_structured`], [`custom_from_mask`], [`identity`]; [`apply`] for any method |
//! | rank by scores of your own | [`l1_unstructured_with_scores`], [`ln_structured_with_scores`], [`apply_with_scores`] |
//! | prune several, ranked together | [`global_unstructured`], [`global_unstructured_with_scores`] |
//! | cap the sparsity of each of these, or rank by norms | [`global_unstructured_with`], [`global_unstructured_with_scores_and_options`] |
//! | set a mask, growth allowed | [`set_mask`] |
//! | bake masks in | [`remove`], [`remove_all`] |
//! | get the original back | [`discard`] |
//! | look | [`is_pruned`], [`mask`](fn@mask), [`hook`], [`container`], [`weights`] |

mod apply;
mod by_name;
mod global;
mod lookup;
mod report;
mod undo;

pub use crate::mask::*;
pub use apply::{apply, apply_with_scores, set_mask};
pub use by_name::{
    block_structured, custom_from_mask, identity, l1_unstructured, l1_unstructured_with_scores,
    ln_structured, ln_structured_with_scores, nm_structured, random_structured, random_unstructured,
};
pub use global::{
    global_unstructured, global_unstructured_with, global_unstructured_with_scores,
    global_unstructured_with_scores_and_options,
};
pub use lookup::{container, hook, is_pruned, mask, weights};
pub use report::{ParameterReport, Report};
pub use undo::{discard, remove, remove_all};
