//! [`BurnModel`]: a module of burn as a model that can be pruned.

use std::cell::OnceCell;
use std::collections::HashMap;

use burn_core::module::{Module, Param, ParamId};
use burn_core::tensor::{Bool, Tensor};
use secateurs::FloatArray;
use secateurs::prunable::{
    MaskAction, MaskChange, ParameterView, Prunable, Pruning, WriteValues, check_changes, check_values,
    unknown_parameter,
};

use crate::error::{Error, Result};
use crate::mask;
use crate::rewrite::{set_masks, set_values, take_masks};
use crate::values::{FloatParam, Lender, float_type};
use crate::walk::{Kind, parameters};

/// A module of burn that can be pruned. The [crate documentation](crate) has an example.
///
/// Masks are part of the module, and stay with it when it is trained, cloned, moved to another device or taken out.
/// Only the history of each mask, the methods that made it, is kept here. Change masks by pruning alone: they are read
/// from the device once, when the module or a record of it comes in.
#[derive(Clone, Debug)]
pub struct BurnModel<M> {
    /// The module, masks and all. Use it as before: `model.module = optimizer.step(rate, model.module, grads)`.
    pub module: M,
    /// Mask and history of each pruned parameter, by the id of its mask: a changed mask has another id.
    prunings: HashMap<ParamId, Pruning>,
}

impl<M: Module> BurnModel<M> {
    /// A module as a model. If it has masks, such as those of an earlier `BurnModel`, the model has them.
    ///
    /// ```
    /// use burn::{nn::LinearConfig, tensor::Device};
    /// use secateurs::prune;
    /// use secateurs_burn::BurnModel;
    ///
    /// let mut model = BurnModel::new(LinearConfig::new(4, 2).init(&Device::flex()));
    /// prune::l1_unstructured(&mut model, "weight", 3)?;
    ///
    /// let again = BurnModel::new(model.module); // to code that knows nothing of pruning, and back
    /// assert_eq!(prune::mask(&again, "weight")?.unwrap().count_pruned(), 3);
    /// # Ok::<(), secateurs::Error>(())
    /// ```
    pub fn new(module: M) -> Self {
        let mut model = BurnModel {
            module,
            prunings: HashMap::new(),
        };
        model.remember_masks();
        model
    }

    /// Reads masks that came with the module once, so that views need not.
    pub(crate) fn remember_masks(&mut self) {
        let mut prunings = HashMap::new();
        for found in parameters(&self.module, None) {
            if let Kind::Float {
                param,
                mask: Some(mask),
                ..
            } = found.kind
                && let Ok(pruning) = self.pruning(&found.path, &*param, &mask)
            {
                prunings.insert(mask.id, pruning);
            }
        }
        self.prunings = prunings;
    }

    fn pruning(&self, path: &str, param: &dyn FloatParam, mask: &Param<Tensor<1, Bool>>) -> Result<Pruning> {
        if let Some(pruning) = self.prunings.get(&mask.id) {
            return Ok(pruning.clone());
        }
        Ok(Pruning::from_mask(mask::read(path, &param.shape(), mask)?))
    }

    /// The parameter at a path, if it can be pruned.
    fn find(&self, path: &str) -> secateurs::Result<Parameter> {
        let found = parameters(&self.module, Some(path)).into_iter().next();
        let found = found.ok_or_else(|| unknown_parameter(self, path))?;
        let not_float = |dtype: String| Error::NotFloat {
            path: path.to_owned(),
            dtype,
        };
        match found.kind {
            Kind::Float { param, mask, other } => Ok(Parameter {
                number: found.number,
                float_type: float_type(param.dtype())
                    .ok_or_else(|| not_float(format!("{:?}", param.dtype())))?,
                param,
                mask,
                other,
            }),
            Kind::Int => Err(not_float("int".into()).into()),
            Kind::Bool => Err(not_float("bool".into()).into()),
        }
    }

    /// A clone of the module without the masks of some parameters: with the zeros in the values if `true`, with the
    /// original values if `false`. It fails where burn would take off reparameterizations of another kind, too.
    pub(crate) fn without_masks(&self, taken: &HashMap<String, bool>) -> Result<M> {
        let Some(path) = taken.keys().min() else {
            return Ok(self.module.clone());
        };
        for found in parameters(&self.module, None) {
            if let Kind::Float {
                other: Some(name), ..
            } = found.kind
            {
                let (path, other) = (path.clone(), found.path);
                return Err(Error::NotAlone { path, other, name });
            }
        }
        Ok(take_masks(self.module.clone(), taken))
    }
}

struct Parameter {
    number: u64,
    float_type: secateurs::mask::FloatType,
    param: Box<dyn FloatParam>,
    mask: Option<Param<Tensor<1, Bool>>>,
    other: Option<String>,
}

impl<M: Module> Prunable for BurnModel<M> {
    fn paths(&self) -> Vec<String> {
        let floats = parameters(&self.module, None)
            .into_iter()
            .filter(|found| match &found.kind {
                // A type that is not known yet is a float type: a quantized parameter has been initialised.
                Kind::Float { param, .. } => !param.is_initialized() || float_type(param.dtype()).is_some(),
                _ => false,
            });
        floats.map(|found| found.path).collect()
    }

    fn view(&self, path: &str) -> secateurs::Result<ParameterView<'_>> {
        let found = self.find(path)?;
        let pruning = match &found.mask {
            Some(mask) => Some(self.pruning(path, &*found.param, mask)?),
            None => None,
        };
        let shape = found.param.shape();
        let lender = Lender {
            path: path.to_owned(),
            param: found.param,
            data: OnceCell::new(),
        };
        Ok(ParameterView::lazy(
            path,
            found.number,
            shape,
            found.float_type,
            lender,
            pruning.as_ref(),
        ))
    }

    fn commit(&mut self, changes: Vec<MaskChange>) -> secateurs::Result<()> {
        check_changes(self, &changes)?;
        let (mut taken, mut masks, mut prunings) = (HashMap::new(), HashMap::new(), HashMap::new());
        for MaskChange { path, action } in changes {
            match action {
                MaskAction::Set(pruning) => {
                    let found = self.find(&path)?;
                    if let Some(name) = found.other {
                        return Err(Error::Reparameterized { path, name }.into());
                    }
                    let mask = mask::parameter(pruning.mask(), &found.param.device());
                    prunings.insert(mask.id, pruning);
                    masks.insert(path, mask);
                }
                MaskAction::Remove => {
                    taken.insert(path, true);
                }
                MaskAction::Discard => {
                    taken.insert(path, false);
                }
            }
        }

        // A clone shares its tensors, so this one is as it was until all has been done.
        let mut module = self.without_masks(&taken)?;
        if !masks.is_empty() {
            module = set_masks(module, &masks);
        }
        let now = crate::rewrite::masks(&module);
        for (path, mask) in &masks {
            if now.get(path).is_none_or(|now| now.id != mask.id) {
                return Err(Error::NotKept { path: path.clone() }.into());
            }
        }
        self.module = module;
        self.prunings.extend(prunings);
        self.prunings
            .retain(|id, _| now.values().any(|mask| mask.id == *id));
        Ok(())
    }
}

impl<M: Module> WriteValues for BurnModel<M> {
    fn write_values(&mut self, values: Vec<(String, FloatArray)>) -> secateurs::Result<()> {
        check_values(self, &values)?;
        self.module = set_values(self.module.clone(), values.into_iter().collect());
        Ok(())
    }
}
