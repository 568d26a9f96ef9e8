//! The built-in methods, one per file.

mod block_structured;
mod custom_from_mask;
mod identity;
mod l1_unstructured;
mod ln_structured;
mod merged_mask;
mod nm_structured;
mod random_structured;
mod random_unstructured;
mod score_unstructured;

pub use block_structured::BlockStructured;
pub use custom_from_mask::CustomFromMask;
pub use identity::Identity;
pub use l1_unstructured::L1Unstructured;
pub use ln_structured::LnStructured;
pub use merged_mask::MergedMask;
pub(super) use merged_mask::MergedMasks;
pub use nm_structured::NmStructured;
pub use random_structured::RandomStructured;
pub use random_unstructured::RandomUnstructured;
pub use score_unstructured::ScoreUnstructured;
