//! Whether operations are recorded.

use std::cell::Cell;

thread_local! {
    static RECORDING: Cell<bool> = const { Cell::new(true) };
}

/// Runs `f` without recording: what it computes on this thread has no graph and needs no gradient.
///
/// It is for evaluation, and for anything else that is not differentiated: no intermediate value outlives its use.
/// Calls nest. When `f` returns or panics, recording is as it was before. Leaves made inside still need a gradient.
/// Other threads are not affected, not even those started by `f`.
///
/// PyTorch: `with torch.no_grad():`.
///
/// ```
/// use ndarray::arr1;
/// use secateurs::tensor::{Tensor, no_grad};
///
/// let w = Tensor::variable(arr1(&[1.0, 2.0]));
/// assert!(w.square().requires_grad());
/// assert!(!no_grad(|| w.square()).requires_grad());
/// ```
pub fn no_grad<T>(f: impl FnOnce() -> T) -> T {
    /// Puts the flag back however `f` ends.
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            RECORDING.set(self.0);
        }
    }
    let _restore = Restore(RECORDING.replace(false));
    f()
}

/// Whether operations on this thread are recorded: `false` inside [`no_grad`].
///
/// PyTorch: `torch.is_grad_enabled()`.
pub fn is_grad_enabled() -> bool {
    RECORDING.get()
}
