//! Modules: layers with parameters that can be pruned, losses, optimisers, and the state of models.
//!
//! A [`Module`] maps a tensor to a tensor. A leaf module holds a [`ParamStore`] and reads its [`Parameter`]s through
//! it, with their masks applied. [`ParamTree`] names the parameters of a module and of its children, and
//! [`ParamTreeExt`] finds them by path.
//!
//! | to | use |
//! |---|---|
//! | build a network | [`Sequential`], [`Linear`], [`Conv1d`], [`Conv2d`], [`Conv3d`], [`Lstm`], [`Embedding`], [`BatchNorm1d`], [`BatchNorm2d`], [`Dropout`], [`MaxPool2d`], [`AvgPool2d`], [`AdaptiveAvgPool2d`], [`Relu`], [`Sigmoid`], [`Tanh`], [`Flatten`] |
//! | write a module | [`Module`], [`param_tree!`](crate::param_tree), [`ParamStore`], [`BoxedModule`] |
//! | train | [`loss`], [`optim`], [`train`](ParamTreeExt::train) and [`eval`](ParamTreeExt::eval) |
//! | save and load arrays | [`state_dict`](fn@state_dict), [`load_state_dict`], [`load_state_dict_partial`], [`StateDict`] |
//! | save and load a model with its masks and pruning history | any serde format; your own modules through [`typetag`](mod@typetag) |
//! | prune separate modules together | [`Group`] |
//!
//! Constructors that take sizes return a `Result`, because the parameters may not fit in memory. Models, layers,
//! states and optimisers are `Clone`; a clone of a [`Parameter`] has an id of its own.
//!
//! ```
//! use ndarray::Array2;
//! use rand::SeedableRng;
//! use secateurs::nn::{Linear, Module, Relu, Sequential, loss, optim::Adam};
//! use secateurs::tensor::Tensor;
//!
//! let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(0);
//! let mut model = Sequential::new().push(Linear::new(4, 8, &mut rng)?).push(Relu::new()).push(Linear::new(8, 3, &mut rng)?);
//! let mut optimiser = Adam::new(1e-3)?;
//! let loss = loss::cross_entropy(&model.forward(&Tensor::new(Array2::ones((2, 4))))?, &[0, 2])?;
//! optimiser.step(&mut model, &loss.backward()?)?;
//! # Ok::<(), secateurs::Error>(())
//! ```
//!
//! # Threads
//!
//! With the feature `rayon`, large layers are shared by the threads of the pool; results do not depend on their number.
//! A step of training takes less time in the pool, as in `rayon::scope(|_| train())`: a thread of the pool goes on
//! working while others wake up, and any other one waits for them, so that only the largest layers are worth it.

mod array_serde;
mod boxed;
mod containers;
mod error;
mod forward_hooks;
mod group;
mod init;
mod layers;
pub mod loss;
mod macros;
mod module;
pub mod optim;
mod parameter;
mod prunable;
mod state;
#[cfg(feature = "checkpoint")]
mod state_file;
mod store;
mod tree;
mod tree_ext;
pub(crate) mod walk;

pub use boxed::BoxedModule;
pub use error::NnError;
pub use forward_hooks::HookHandle;
pub use group::Group;
pub use layers::{
    AdaptiveAvgPool2d, AvgPool2d, BatchNorm, BatchNorm1d, BatchNorm2d, BatchNormConfig, Conv, Conv1d, Conv2d,
    Conv3d, ConvConfig, Dropout, Embedding, Flatten, Linear, Lstm, LstmConfig, LstmState, MaxPool2d, PerDim,
    PoolConfig, Relu, Sequential, Sigmoid, Tanh,
};
pub use module::{CloneModule, Module};
pub use parameter::Parameter;
pub use state::{StateDict, UnmatchedKeys, load_state_dict, load_state_dict_partial, state_dict};
pub use store::ParamStore;
pub use tree::ParamTree;
pub use tree_ext::ParamTreeExt;
