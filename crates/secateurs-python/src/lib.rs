//! `secateurs._rust`, the private half of the Python package `secateurs`: the mask layer over NumPy arrays, and
//! checkpoints.
//!
//! Arrays are read and written where they lie, and never copied. While Rust computes, other Python threads run. There is no
//! unsafe code: the crate `numpy` lends views, keeps their arrays alive, and refuses a view for writing while there is
//! another. As in NumPy and PyTorch, a program must not write to an array in one thread while another ranks it.

mod amount;
mod checkpoint;
mod distributed;
mod error;
mod mask;
mod method;
mod scores;
mod shrink;
mod threads;

use pyo3::prelude::*;

/// Masks by the Rust library secateurs. Private: use `secateurs`, `secateurs.numpy` and `secateurs.torch`.
#[pymodule(name = "_rust")]
mod extension {
    #[pymodule_export]
    use super::checkpoint::{inspect, pack, prune_checkpoint, unpack};
    #[pymodule_export]
    use super::distributed::{
        Counts, Search, Selection, Task, apply_selection, count, merge, search, summarize,
    };
    #[pymodule_export]
    use super::mask::Mask;
    #[pymodule_export]
    use super::method::{Method, compute, compute_global};
    #[pymodule_export]
    use super::shrink::shrink;
    use super::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        super::threads::remember_process();
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
