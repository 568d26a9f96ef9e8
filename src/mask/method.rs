//! [`PruningMethod`]: which entries of a tensor are pruned.

use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;

use ndarray::{ArrayD, ArrayViewD};

use super::compute;
use super::packed::Mask;
use super::plan::Plan;
use crate::error::{MaskError, Result};

/// Which part of a tensor a method receives, and so what it can prune.
///
/// PyTorch's `PRUNING_TYPE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PruningType {
    /// The entries that remain, in row-major order, as an array of one dimension.
    Unstructured,
    /// The channels along `dim` that are not yet wholly pruned, as an array of the tensor's rank.
    Structured {
        /// The dimension of the channels. A negative value counts from the end.
        dim: isize,
    },
    /// The whole tensor (PyTorch's `"global"`).
    Whole,
}

/// A way to choose what to prune.
///
/// PyTorch's `BasePruningMethod`. A method of your own needs [`pruning_type`](Self::pruning_type) and
/// [`compute_mask`](Self::compute_mask), about ten lines. The crate slices out what remains to be pruned, checks the
/// shape of the mask that the method returns, and combines it with the prior mask, so that a method can only prune.
///
/// Methods are values. They are serialised through [`typetag`], can be shared between threads, and are not changed by
/// use.
///
/// ```
/// use ndarray::{ArrayViewD, array};
/// use secateurs::mask::{Mask, PruningMethod, PruningType};
/// use serde::{Deserialize, Serialize};
///
/// /// Prunes every entry whose absolute value is below a threshold.
/// #[derive(Debug, Serialize, Deserialize)]
/// struct Threshold(f32);
///
/// #[typetag::serde]
/// impl PruningMethod for Threshold {
///     fn pruning_type(&self) -> PruningType {
///         PruningType::Unstructured
///     }
///
///     fn compute_mask(&self, scores: ArrayViewD<'_, f32>, _prior: &Mask) -> secateurs::Result<Mask> {
///         Ok(Mask::from_fn(scores, |score| score.abs() >= self.0))
///     }
/// }
///
/// let weight = array![[0.1, -2.0], [0.3, 0.2]].into_dyn();
/// let pruned = Threshold(0.25).prune(weight.view(), None, None)?;
/// assert_eq!(pruned, array![[0.0, -2.0], [0.3, 0.0]].into_dyn());
/// # Ok::<(), secateurs::Error>(())
/// ```
#[typetag::serde]
pub trait PruningMethod: Any + Debug + Send + Sync {
    /// Which part of a tensor [`compute_mask`](Self::compute_mask) receives.
    fn pruning_type(&self) -> PruningType;

    /// The new mask, of the shape of `scores`. `prior` says which entries are still kept.
    ///
    /// `scores` and `prior` are the part of the tensor that [`pruning_type`](Self::pruning_type) names. The result is
    /// combined with the prior mask by AND.
    ///
    /// A method with a [`plan`](Self::plan) need not implement this: the plan is carried out instead.
    ///
    /// # Errors
    ///
    /// Whatever makes pruning impossible. A method's own errors go into
    /// [`MaskError::Method`](crate::error::MaskError::Method). After an error the tensor is unchanged.
    fn compute_mask(&self, scores: ArrayViewD<'_, f32>, prior: &Mask) -> Result<Mask> {
        match self.plan() {
            Some(plan) => Ok(plan.compute(scores, Some(prior))?.mask),
            None => Err(MaskError::Unsupported {
                method: format!("{self:?}"),
                reason: "a pruning method implements `compute_mask` or `plan`, and this one implements neither",
            }
            .into()),
        }
    }

    /// What to prune, as a description that is carried out without calling
    /// [`compute_mask`](Self::compute_mask): faster, on every float type, and over many parameters in place.
    ///
    /// `None` by default: only some methods can be described by a [`Plan`].
    fn plan(&self) -> Option<Plan<'_>> {
        None
    }

    /// The tensor `t` with the entries that this method prunes set to +0.0, without any module.
    ///
    /// `prior` is the mask so far; `None` keeps everything. `scores` rank the entries; with `None`, `t` itself does.
    /// Amounts are relative to what the prior mask keeps, while PyTorch's method of this name counts masked entries,
    /// too.
    ///
    /// # Errors
    ///
    /// As [`compute`](super::compute), and [`MaskError::ShapeMismatch`](crate::error::MaskError::ShapeMismatch) if
    /// the shapes differ.
    fn prune(
        &self,
        t: ArrayViewD<'_, f32>,
        prior: Option<&Mask>,
        scores: Option<ArrayViewD<'_, f32>>,
    ) -> Result<ArrayD<f32>> {
        let scores = scores.unwrap_or_else(|| t.clone());
        compute::compute(self, scores, prior)?.mask.apply(t)
    }
}

/// Anything that can be used as a method: a method by value, boxed, or already shared.
pub trait IntoMethod {
    /// The method, shared.
    fn into_method(self) -> Arc<dyn PruningMethod>;
}

impl<M: PruningMethod> IntoMethod for M {
    fn into_method(self) -> Arc<dyn PruningMethod> {
        Arc::new(self)
    }
}

impl IntoMethod for Box<dyn PruningMethod> {
    fn into_method(self) -> Arc<dyn PruningMethod> {
        self.into()
    }
}

impl IntoMethod for Arc<dyn PruningMethod> {
    fn into_method(self) -> Arc<dyn PruningMethod> {
        self
    }
}

impl dyn PruningMethod {
    /// The method as the concrete type `M`, if that is what it is.
    pub fn downcast_ref<M: PruningMethod>(&self) -> Option<&M> {
        (self as &dyn Any).downcast_ref()
    }

    /// Whether the method is of the concrete type `M`.
    pub fn is<M: PruningMethod>(&self) -> bool {
        (self as &dyn Any).is::<M>()
    }
}
