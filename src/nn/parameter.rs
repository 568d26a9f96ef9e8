//! [`Parameter`]: a trainable array, pruned or not.

use std::sync::{Arc, OnceLock};

use ndarray::{ArcArray, ArrayD, ArrayViewD, ArrayViewMutD, IxDyn};

use crate::error::{Error, MaskError, Result};
use crate::mask::{Mask, PruningContainer, PruningMethod};
use crate::prunable::Pruning;
use crate::tensor::{ParamId, Tensor};

/// A trainable array of a module, pruned or not.
///
/// Pruning adds a mask and a hook. It changes neither the identity of the parameter nor its place. Forward reads the
/// *effective* tensor, mask ∘ original, which always reflects the current mask and original.
///
/// A clone is a new parameter with its own id and the same values, mask and pruning history: training one does not
/// change the other. It takes no memory until one of the two changes. PyTorch's `copy.deepcopy`.
///
/// PyTorch's `weight`; when pruned, its `weight_orig`, `weight_mask` and derived `weight` in one.
#[derive(Debug)]
pub struct Parameter {
    id: ParamId,
    /// In standard layout, so that mask and entries have the same order.
    original: ArcArray<f32, IxDyn>,
    masked: Option<Masked>,
}

#[derive(Clone, Debug)]
struct Masked {
    pruning: Pruning,
    /// Cleared whenever the original or the mask changes.
    effective: OnceLock<ArcArray<f32, IxDyn>>,
}

impl Parameter {
    pub(crate) fn new(value: ArrayD<f32>) -> Self {
        Parameter {
            id: ParamId::fresh(),
            original: standard(value),
            masked: None,
        }
    }

    /// The identity of the parameter. Pruning does not change it.
    pub fn id(&self) -> ParamId {
        self.id
    }

    /// Shape of the parameter.
    pub fn shape(&self) -> &[usize] {
        self.original.shape()
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.original.len()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.original.is_empty()
    }

    /// The original values, which an optimiser updates whether the parameter is pruned or not. PyTorch's
    /// `weight_orig`.
    pub fn original(&self) -> ArrayViewD<'_, f32> {
        self.original.view()
    }

    /// The original values, mutably. The effective tensor follows every change.
    pub fn original_mut(&mut self) -> ArrayViewMutD<'_, f32> {
        if let Some(masked) = &mut self.masked {
            masked.effective.take();
        }
        self.original.view_mut()
    }

    /// The effective tensor, which forward reads: the original with +0.0 wherever the mask prunes. PyTorch's derived
    /// `weight`.
    pub fn effective(&self) -> ArrayViewD<'_, f32> {
        self.effective_shared().view()
    }

    fn effective_shared(&self) -> &ArcArray<f32, IxDyn> {
        let Some(masked) = &self.masked else {
            return &self.original;
        };
        masked.effective.get_or_init(|| {
            let effective = masked.pruning.mask().apply(self.original.view());
            effective.expect("a parameter's mask has its shape").into_shared()
        })
    }

    /// The effective tensor as a leaf of the graph, through which gradients reach this parameter.
    pub fn tensor(&self) -> Tensor {
        let effective = self.effective_shared().clone();
        match self.pruning() {
            None => Tensor::parameter(self.id, effective),
            Some(pruning) => Tensor::pruned_parameter(self.id, effective, pruning.mask().clone()),
        }
    }

    /// Whether the parameter has a mask, even one that prunes nothing.
    pub fn is_pruned(&self) -> bool {
        self.masked.is_some()
    }

    /// The mask and the pruning history, if pruned.
    pub fn pruning(&self) -> Option<&Pruning> {
        self.masked.as_ref().map(|masked| &masked.pruning)
    }

    /// The mask, if pruned. PyTorch's `weight_mask`.
    pub fn mask(&self) -> Option<&Mask> {
        self.pruning().map(|pruning| &**pruning.mask())
    }

    /// The method that pruned it, or the container of all methods that did.
    pub fn hook(&self) -> Option<&Arc<dyn PruningMethod>> {
        self.pruning().map(Pruning::history)
    }

    /// The container of the methods that pruned it, if more than one did.
    pub fn container(&self) -> Option<&PruningContainer> {
        self.pruning().and_then(Pruning::container)
    }

    /// Replaces the original. Mask and hook stay.
    pub(crate) fn set_original(&mut self, value: ArrayD<f32>) {
        debug_assert_eq!(self.shape(), value.shape());
        self.original = standard(value);
        if let Some(masked) = &mut self.masked {
            masked.effective.take();
        }
    }

    /// Replaces mask and history. The original stays.
    pub(crate) fn set_pruning(&mut self, pruning: Pruning) -> Result<()> {
        if pruning.mask().shape() != self.shape() {
            return Err(Error::Mask(MaskError::ShapeMismatch {
                what: "the mask",
                expected: self.shape().to_vec(),
                got: pruning.mask().shape().to_vec(),
            }));
        }
        self.masked = Some(Masked {
            pruning,
            effective: OnceLock::new(),
        });
        Ok(())
    }

    /// Makes the effective tensor the new original, and drops mask and history.
    pub(crate) fn bake(&mut self) {
        let Some(masked) = self.masked.take() else { return };
        match masked.effective.into_inner() {
            Some(effective) => self.original = effective,
            // In place, unless others hold the array too.
            None => {
                let baked = masked.pruning.mask().apply_inplace(self.original.view_mut());
                baked.expect("a parameter's mask has its shape");
            }
        }
    }

    /// Drops mask and history, so that forward reads the original again.
    pub(crate) fn discard(&mut self) {
        self.masked = None;
    }
}

impl Clone for Parameter {
    fn clone(&self) -> Self {
        Parameter {
            id: ParamId::fresh(),
            original: self.original.clone(),
            masked: self.masked.clone(),
        }
    }
}

fn standard(value: ArrayD<f32>) -> ArcArray<f32, IxDyn> {
    if value.is_standard_layout() {
        value.into_shared()
    } else {
        value.as_standard_layout().into_owned().into_shared()
    }
}
