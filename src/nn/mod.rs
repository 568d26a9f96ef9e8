//! Modules: layers with parameters that can be pruned, losses, optimisers, and the state of models.
//!
//! A leaf module holds a [`ParamStore`] and reads its parameters through it in its forward, which is where masks
//! take effect. [`ParamTree`] gives access by path, [`ParamTreeExt`] what callers ask of any tree, [`Module`] the
//! forward.

mod array_serde;
mod error;
mod group;
mod init;
mod layers;
pub mod loss;
mod module;
mod observers;
pub mod optim;
mod parameter;
mod prunable;
mod state;
#[cfg(feature = "checkpoint")]
mod state_file;
mod store;
pub(crate) mod tree;

pub use error::NnError;
pub use group::Group;
pub use layers::{
    Conv, Conv1d, Conv2d, Conv3d, ConvConfig, Flatten, Linear, Lstm, LstmConfig, LstmState, PerDim, Relu,
    Sequential, Sigmoid, Tanh,
};
pub use module::Module;
pub use observers::HookHandle;
pub use parameter::Parameter;
pub use state::{StateDict, load_state_dict, state_dict};
pub use store::ParamStore;
pub use tree::{ParamTree, ParamTreeExt};
