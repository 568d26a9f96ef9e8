//! Who a parameter is.

use std::sync::atomic::{AtomicU64, Ordering};

/// The identity of a parameter: what gradients and optimiser state are filed under.
///
/// It says nothing of the value, which changes at every step, nor of the tensor that carries it through one
/// forward pass. It lasts as long as the process: a model that is loaded gets fresh ids.
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
