//! The mask layer: scores and a prior mask in, a mask out. No modules, no gradients, no files.
//!
//! Four things are kept apart, and any one combines with any other:
//!
//! - the *score*, what is important: an array, the tensor itself unless you give another;
//! - the *pattern*, which shapes may fall: a [`PruningMethod`];
//! - the *scope*, one tensor or many: [`compute`], or [`compute_global`] and its [`GlobalOptions`];
//! - the *amount*, how much: an [`Amount`].
//!
//! | method | falls | ranked by | PyTorch |
//! |---|---|---|---|
//! | [`Identity`] | nothing | | `Identity` |
//! | [`RandomUnstructured`] | entries | chance | `RandomUnstructured` |
//! | [`L1Unstructured`] | entries | absolute value | `L1Unstructured` |
//! | [`ScoreUnstructured`] | entries | value | |
//! | [`RandomStructured`] | channels | chance | `RandomStructured` |
//! | [`LnStructured`] | channels | [`Norm`] | `LnStructured` |
//! | [`NmStructured`] | all but n of each m consecutive entries | absolute value | |
//! | [`BlockStructured`] | tiles of the last two dimensions | mean square, or largest absolute value | |
//! | [`CustomFromMask`] | what a mask says | | `CustomFromMask` |
//! | [`PruningContainer`] | what its last method says | | `PruningContainer` |

mod amount;
pub(crate) mod bits;
pub(crate) mod blocks;
mod channels;
mod container;
mod effective;
mod engine;
mod error;
pub(crate) mod groups;
pub(crate) mod lanes;
mod method;
mod methods;
pub(crate) mod norm;
pub(crate) mod normalize;
mod nuclear;
mod options;
mod packed;
pub(crate) mod parallel;
mod plan;
pub(crate) mod random;
pub mod select;
#[allow(dead_code)] // its users follow
pub(crate) mod strided;

pub use amount::{Amount, AmountError};
pub use container::PruningContainer;
pub use engine::{GlobalOutcome, Outcome, Ranked, compute, compute_global, compute_global_with};
pub(crate) use engine::{compute_effective, compute_global_effective};
pub use error::{MaskError, PatternError};
pub use method::{IntoMethod, PruningMethod, PruningType};
pub use methods::*;
pub use norm::{Norm, NormError};
pub use options::GlobalOptions;
pub use packed::{Iter, Mask};
pub use plan::{BlockRank, ChannelRank, EntryRank, Plan};
