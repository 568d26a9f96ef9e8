//! [`Module`]: what maps a tensor to a tensor.

use std::any::Any;

use super::tree::ParamTree;
use crate::error::Result;
use crate::tensor::Tensor;

/// A layer or a network: parameters, and a function of one tensor.
///
/// PyTorch's `nn.Module`. What a module of your own implements is [`compute`](Self::compute); what everyone calls,
/// you included when you call a child, is [`forward`](Self::forward), which also tells the hooks that observe the
/// module. Modules are serialisable through [`typetag`], with masks and pruning hooks.
///
/// ```
/// use secateurs::nn::{Linear, Module};
/// use secateurs::tensor::Tensor;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
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
/// let mut module = Residual { inner: Linear::new(3, 3, &mut rng) };
/// secateurs::prune::l1_unstructured(&mut module, "inner.weight", 4)?;
/// let output = module.forward(&Tensor::new(ndarray::Array2::ones((2, 3))))?;
/// assert_eq!(output.shape(), [2, 3]);
/// # Ok::<(), secateurs::Error>(())
/// ```
#[typetag::serde]
pub trait Module: ParamTree + Any + Send + Sync {
    /// The output for an input: what implementors write. Call [`forward`](Self::forward) instead.
    ///
    /// # Errors
    ///
    /// Usually [`TensorError`](crate::error::TensorError), where the input's shape does not fit.
    fn compute(&self, input: &Tensor) -> Result<Tensor>;

    /// The output for an input: what callers call.
    ///
    /// # Errors
    ///
    /// As [`compute`](Self::compute).
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let output = self.compute(input)?;
        if let Some(store) = self.store() {
            store.observers().observe(input, &output);
        }
        Ok(output)
    }
}

impl dyn Module {
    /// The module as the concrete type `M`, if that is what it is.
    pub fn downcast_ref<M: Module>(&self) -> Option<&M> {
        (self as &dyn Any).downcast_ref()
    }

    /// The module as the concrete type `M`, if that is what it is, to be changed.
    pub fn downcast_mut<M: Module>(&mut self) -> Option<&mut M> {
        (self as &mut dyn Any).downcast_mut()
    }
}
