//! [`ParamId`]: the identity of a parameter.

use std::sync::atomic::{AtomicU64, Ordering};

/// The identity of a parameter. Gradients and optimiser state are stored by it.
///
/// It does not depend on the value, which changes at every step, nor on the tensor that represents the parameter in
/// one forward pass. It is valid in one process: a loaded model gets fresh ids.
///
/// ```
/// use secateurs::tensor::ParamId;
///
/// let (a, b) = (ParamId::fresh(), ParamId::fresh());
/// assert_ne!(a, b);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParamId(u64);

impl ParamId {
    /// An id that no other parameter of this process has. Later ids are greater.
    pub fn fresh() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        ParamId(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// The id as a number.
    pub(crate) fn number(self) -> u64 {
        self.0
    }
}
