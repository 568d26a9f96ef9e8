//! [`Module`]: a layer or a network.

use std::any::Any;
use std::cell::Cell;
use std::fmt;

use super::tree::ParamTree;
use super::walk::MAX_DEPTH;
use crate::error::Result;
use crate::tensor::Tensor;

/// A layer or a network: parameters, and a function from a tensor to a tensor.
///
/// PyTorch's `nn.Module`. A module of your own implements [`compute`](Self::compute). Callers, including modules that
/// call their children, use [`forward`](Self::forward), which computes and then calls the forward hooks.
///
/// A module of your own derives `Clone` and serde's traits, and lists its parameters by
/// [`param_tree!`](crate::param_tree). The attribute [`typetag::serde`](mod@typetag) lets it be saved and loaded as a
/// `dyn Module`, with its masks and pruning history. A field that holds a module of any type is a
/// [`BoxedModule`](super::BoxedModule).
///
/// ```
/// use secateurs::nn::{Linear, Module};
/// use secateurs::tensor::Tensor;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Clone, Serialize, Deserialize)]
/// struct Residual {
///     inner: Linear,
/// }
///
/// secateurs::param_tree!(Residual { children: [inner] });
///
/// #[typetag::serde]
/// impl Module for Residual {
///     fn compute(&self, input: &Tensor) -> secateurs::Result<Tensor> {
///         self.inner.forward(input)?.relu().add(input)
///     }
/// }
///
/// # use rand::SeedableRng;
/// let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(0);
/// let mut module = Residual { inner: Linear::new(3, 3, &mut rng)? };
/// secateurs::prune::l1_unstructured(&mut module, "inner.weight", 4)?;
/// let output = module.forward(&Tensor::new(ndarray::Array2::ones((2, 3))))?;
/// assert_eq!(output.shape(), [2, 3]);
/// # Ok::<(), secateurs::Error>(())
/// ```
#[typetag::serde]
pub trait Module: ParamTree + CloneModule + Any + Send + Sync {
    /// The output for an input. Implement this; call [`forward`](Self::forward).
    ///
    /// # Errors
    ///
    /// Usually [`TensorError`](crate::error::TensorError), if the input's shape does not fit.
    fn compute(&self, input: &Tensor) -> Result<Tensor>;

    /// The output for an input. Calls the forward hooks of the module with both.
    ///
    /// # Errors
    ///
    /// As [`compute`](Self::compute).
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let output = self.compute(input)?;
        if let Some(store) = self.store() {
            store.forward_hooks().call(input, &output);
        }
        Ok(output)
    }
}

impl dyn Module {
    /// The module as the concrete type `M`, if it has that type.
    pub fn downcast_ref<M: Module>(&self) -> Option<&M> {
        (self as &dyn Any).downcast_ref()
    }

    /// The module as the concrete type `M`, mutably, if it has that type.
    pub fn downcast_mut<M: Module>(&mut self) -> Option<&mut M> {
        (self as &mut dyn Any).downcast_mut()
    }
}

/// Clones a `dyn Module`. Implemented for every module that implements `Clone`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is a module, so it must implement `Clone`",
    note = "add `#[derive(Clone)]` to the module"
)]
pub trait CloneModule {
    /// A copy of the module, boxed.
    fn clone_boxed(&self) -> Box<dyn Module>;
}

impl<M: Module + Clone> CloneModule for M {
    fn clone_boxed(&self) -> Box<dyn Module> {
        Box::new(self.clone())
    }
}

impl Clone for Box<dyn Module> {
    fn clone(&self) -> Self {
        (**self).clone_boxed()
    }
}

impl fmt::Debug for dyn Module {
    /// The registered name of the type, its parameters and buffers, and its children.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.typetag_name())?;
        let outline = Outline {
            tree: self,
            depth: 0,
            cycle: &Cell::new(false),
        };
        outline.fmt(f)
    }
}

/// A tree as its parameters and children. Where it leads back to itself, it ends.
struct Outline<'a> {
    tree: &'a dyn ParamTree,
    depth: usize,
    cycle: &'a Cell<bool>,
}

impl fmt::Debug for Outline<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        if let Some(store) = self.tree.store() {
            store.outline().for_each(|(name, shape)| {
                map.entry(&name, &format_args!("{shape}"));
            });
        }
        let depth = self.depth + 1;
        self.cycle.set(self.cycle.get() || depth > MAX_DEPTH);
        for name in self.tree.child_names() {
            if self.cycle.get() {
                break;
            }
            if let Some(tree) = self.tree.child(&name) {
                map.entry(&name, &Outline { tree, depth, ..*self });
            }
        }
        map.finish()
    }
}
