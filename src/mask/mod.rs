//! Masks from scores: scores and a prior mask in, a new mask out. No models, no gradients, no files.
//!
//! Four choices are independent of each other:
//!
//! - the *score*, what is important: the tensor itself, or an array of scores that you give;
//! - the *pattern*, what is pruned as a unit (entries, channels, blocks): a [`PruningMethod`];
//! - the *scope*, one tensor or many ranked together: [`compute`], or [`compute_global`] and its [`GlobalOptions`];
//! - the *amount*, how much: an [`Amount`].
//!
//! Arrays may be of `f32`, `f64`, `f16` or `bf16`, and of any rank and memory layout ([`FloatView`]).
//!
//! | method | prunes | ranked by | PyTorch |
//! |---|---|---|---|
//! | [`Identity`] | nothing | | `Identity` |
//! | [`RandomUnstructured`] | entries | random keys | `RandomUnstructured` |
//! | [`L1Unstructured`] | entries | absolute value | `L1Unstructured` |
//! | [`ScoreUnstructured`] | entries | value | |
//! | [`RandomStructured`] | channels | random keys | `RandomStructured` |
//! | [`LnStructured`] | channels | [`Norm`] | `LnStructured` |
//! | [`NmStructured`] | all but n of each m consecutive entries (N:M) | absolute value | |
//! | [`BlockStructured`] | tiles of the last two dimensions | mean square, or largest absolute value | |
//! | [`CustomFromMask`] | what a given mask prunes | | `CustomFromMask` |
//! | [`PruningContainer`] | what its last method prunes | | `PruningContainer` |

mod amount;
pub(crate) mod bits;
mod compute;
mod container;
mod error;
mod float_array;
mod float_view;
mod method;
mod methods;
pub(crate) mod norm;
mod options;
mod packed;
pub(crate) mod parallel;
pub(crate) mod patterns;
mod plan;
pub(crate) mod random;
pub mod select;
pub(crate) mod strided;

pub use amount::{Amount, AmountError};
pub use compute::{GlobalOutcome, Outcome, Ranked, compute, compute_global, compute_global_with};
pub(crate) use compute::{Tensor, check_scores, compute_tensor, compute_tensors};
pub use container::PruningContainer;
pub use error::{ListError, MaskError, PatternError};
pub use float_array::{ArrayElement, FloatArray};
pub use float_view::{Float, FloatType, FloatView};
pub use method::{IntoMethod, PruningMethod, PruningType};
pub use methods::*;
pub use norm::{Norm, NormError};
pub use options::GlobalOptions;
pub use packed::{Iter, Mask};
pub(crate) use patterns::read::Masked;
pub use plan::{BlockRank, ChannelRank, EntryRank, Plan};
