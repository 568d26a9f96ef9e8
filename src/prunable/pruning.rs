//! [`Pruning`]: the mask of a pruned parameter, and the methods that made it.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{MaskError, Result};
use crate::mask::{
    CustomFromMask, IntoMethod, Mask, MergedMask, Plan, PruningContainer, PruningMethod, PruningType,
};
use crate::type_names;

/// The mask of a pruned parameter and its pruning history: what a model keeps beside each pruned parameter.
///
/// The history is the method that pruned the parameter, or a [`PruningContainer`] of all that did, in order: PyTorch's
/// `weight_mask` buffer and the hook in `_forward_pre_hooks`. It takes a few bytes per pruning call; the last custom or
/// global mask is shared with the mask, and earlier ones are kept as [`MergedMask`] records.
///
/// A clone shares mask and history. Serialised, the mask is written once.
#[derive(Clone, Debug)]
pub struct Pruning {
    mask: Arc<Mask>,
    history: Arc<dyn PruningMethod>,
}

impl Pruning {
    /// A mask that was set directly, with one [`CustomFromMask`] as its history.
    pub fn from_mask(mask: impl Into<Arc<Mask>>) -> Self {
        let mask = mask.into();
        Pruning {
            history: CustomFromMask::new(mask.clone()).into_method(),
            mask,
        }
    }

    /// The pruning of the parameter `name` after `method` has made `mask`: the history `before`, followed by
    /// `method`.
    ///
    /// If the parameter is pruned already and `method` pruned nothing more, the history stays as it is.
    pub(crate) fn after(
        before: Option<&Pruning>,
        name: &str,
        mask: Arc<Mask>,
        method: Arc<dyn PruningMethod>,
    ) -> Result<Self> {
        if method.is::<PruningContainer>() {
            return Err(MaskError::Unsupported {
                method: "a PruningContainer".to_owned(),
                reason: "it records what has pruned a parameter; apply its methods one by one",
            }
            .into());
        }
        let Some(before) = before else {
            return Ok(Pruning {
                mask,
                history: method,
            });
        };
        if *before.mask == *mask {
            return Ok(before.clone());
        }
        let mut container = PruningContainer::new(name);
        match before.container() {
            Some(earlier) => earlier
                .iter()
                .try_for_each(|method| container.add(name, without_mask(method)))?,
            None => container.add(name, without_mask(&before.history))?,
        }
        container.add(name, method)?;
        Ok(Pruning {
            mask,
            history: container.into_method(),
        })
    }

    /// The mask: which entries are kept.
    pub fn mask(&self) -> &Arc<Mask> {
        &self.mask
    }

    /// The method that pruned the parameter, or the container of all that did.
    pub fn history(&self) -> &Arc<dyn PruningMethod> {
        &self.history
    }

    /// The container of the methods that pruned the parameter, if more than one did.
    pub fn container(&self) -> Option<&PruningContainer> {
        self.history.downcast_ref()
    }

    /// Checks that this can be the pruning of a parameter of this name and shape. Call it after loading both.
    ///
    /// # Errors
    ///
    /// [`MaskError::ShapeMismatch`] if the mask, or a mask in the history, has another shape;
    /// [`MaskError::WrongTensor`] if the history is that of a parameter of another name.
    pub fn check(&self, name: &str, shape: &[usize]) -> Result<()> {
        check_shape("the mask", &self.mask, shape)?;
        check_history(&*self.history, name, shape)
    }
}

fn check_history(history: &dyn PruningMethod, name: &str, shape: &[usize]) -> Result<()> {
    if let Some(container) = history.downcast_ref::<PruningContainer>() {
        if container.tensor_name() != name {
            return Err(MaskError::WrongTensor {
                expected: container.tensor_name().to_owned(),
                got: name.to_owned(),
            }
            .into());
        }
        let mut methods = container.iter();
        return methods.try_for_each(|method| check_history(&**method, name, shape));
    }
    match history.downcast_ref::<CustomFromMask>() {
        Some(custom) => check_shape("the custom mask", custom.mask(), shape),
        None => Ok(()),
    }
}

fn check_shape(what: &'static str, mask: &Mask, shape: &[usize]) -> Result<()> {
    if mask.shape() == shape {
        return Ok(());
    }
    Err(MaskError::ShapeMismatch {
        what,
        expected: shape.to_vec(),
        got: mask.shape().to_vec(),
    }
    .into())
}

/// A method of a history, without the mask that it brings: by the time another method follows, that is merged into the
/// mask of the parameter.
fn without_mask(method: &Arc<dyn PruningMethod>) -> Arc<dyn PruningMethod> {
    match method.downcast_ref::<CustomFromMask>() {
        Some(custom) => MergedMask::of(custom.mask()).into_method(),
        None => method.clone(),
    }
}

/// Stands in a serialised history for a [`CustomFromMask`] of the very mask that is written beside it.
#[derive(Debug, Serialize, Deserialize)]
struct SameMask;

#[typetag::serde(name = "secateurs::SameMask")]
impl PruningMethod for SameMask {
    fn pruning_type(&self) -> PruningType {
        PruningType::Whole
    }

    fn plan(&self) -> Option<Plan<'_>> {
        Some(Plan::Nothing)
    }
}

/// The form in which a pruning is serialised.
#[derive(Serialize, Deserialize)]
struct Stored<M> {
    mask: M,
    history: Arc<dyn PruningMethod>,
}

impl Serialize for Pruning {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let history = map_last(&self.history, |method| {
            let custom = method.downcast_ref::<CustomFromMask>()?;
            (**custom.mask() == *self.mask).then(|| SameMask.into_method())
        });
        type_names::check::<dyn PruningMethod, _>("methods", history.typetag_name())?;
        Stored {
            mask: &*self.mask,
            history,
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Pruning {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let stored = Stored::<Mask>::deserialize(deserializer)?;
        let mask = Arc::new(stored.mask);
        let history = map_last(&stored.history, |method| {
            let custom = || CustomFromMask::new(mask.clone()).into_method();
            method.is::<SameMask>().then(custom)
        });
        Ok(Pruning { mask, history })
    }
}

/// The history with its last method replaced, where `replace` gives another.
fn map_last(
    history: &Arc<dyn PruningMethod>,
    replace: impl Fn(&dyn PruningMethod) -> Option<Arc<dyn PruningMethod>>,
) -> Arc<dyn PruningMethod> {
    let Some(container) = history.downcast_ref::<PruningContainer>() else {
        return replace(&**history).unwrap_or_else(|| history.clone());
    };
    match container.iter().last().and_then(|last| replace(&**last)) {
        Some(last) => container.with_last(last).into_method(),
        None => history.clone(),
    }
}
