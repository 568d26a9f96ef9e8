//! [`PruneMask`]: the mask of a parameter, as a reparameterization.

use burn_core as burn;
use burn_core::module::{Module, Param, ParamId, Reparameterization};
use burn_core::tensor::{Bool, Device, Shape, Tensor, TensorData};
use ndarray::ArrayViewD;
use secateurs::error::MaskError;
use secateurs::mask::Mask;

use crate::error::{Error, Result};

/// The mask of a pruned parameter: a [`Reparameterization`] that puts +0.0 wherever the mask prunes.
///
/// The stored value of the parameter, [`Param::base`], keeps the original values. [`Param::val`], which layers compute
/// with, gives the masked ones. In records, the mask of `fc.weight` is `fc.weight.secateurs.pruned`.
///
/// ```
/// use burn::{nn::LinearConfig, tensor::Device};
/// use secateurs::prune;
/// use secateurs_burn::{BurnModel, PruneMask};
///
/// let mut model = BurnModel::new(LinearConfig::new(4, 2).init(&Device::flex()));
/// prune::l1_unstructured(&mut model, "weight", 3)?;
/// let mask = model.module.weight.reparameterization::<PruneMask>().unwrap();
/// assert_eq!(mask.pruned().int().sum().into_scalar::<i64>(), 3);
/// # Ok::<(), secateurs::Error>(())
/// ```
#[derive(Module, Debug)]
pub struct PruneMask {
    /// True where an entry is pruned, in row-major order.
    pruned: Param<Tensor<1, Bool>>,
}

impl PruneMask {
    pub(crate) fn new(pruned: Param<Tensor<1, Bool>>) -> Self {
        PruneMask { pruned }
    }

    /// The mask as a tensor: true where an entry is pruned, in row-major order.
    pub fn pruned(&self) -> Tensor<1, Bool> {
        self.pruned.val()
    }
}

impl Reparameterization for PruneMask {
    const NAME: &'static str = "secateurs";

    fn apply<const D: usize>(&self, base: Tensor<D>) -> Tensor<D> {
        let pruned = self.pruned.val().reshape(base.shape());
        base.mask_fill(pruned, 0.0)
    }
}

/// A mask as a parameter on a device. It has an id of its own, which tells it from every other mask.
pub(crate) fn parameter(mask: &Mask, device: &Device) -> Param<Tensor<1, Bool>> {
    let pruned: Vec<bool> = mask.iter().map(|kept| !kept).collect();
    let data = TensorData::new(pruned, [mask.len()]);
    let place = device.clone();
    let tensor = device.memory_persistent_allocations(data, move |data| Tensor::from_data(data, &place));
    Param::initialized(ParamId::new(), tensor)
}

/// Reads the mask of the parameter at a path from its device.
pub(crate) fn read(path: &str, shape: &[usize], mask: &Param<Tensor<1, Bool>>) -> Result<Mask> {
    let read = mask.val().try_into_vec_as::<bool>();
    let pruned = read.map_err(|error| Error::Read {
        path: path.to_owned(),
        error: error.into(),
    })?;
    let entries = ArrayViewD::from_shape(shape, &pruned).map_err(|_| {
        let mismatch = MaskError::ShapeMismatch {
            what: "the mask",
            expected: shape.to_vec(),
            got: vec![pruned.len()],
        };
        secateurs::Error::from(mismatch)
    })?;
    Ok(Mask::from_fn(entries, |pruned| !pruned))
}

/// A mask that is yet to be loaded, of this many entries. Until then, it keeps them all.
pub(crate) fn to_be_loaded(entries: usize, device: &Device) -> Param<Tensor<1, Bool>> {
    let shape = Shape::from([entries]);
    let zeros = shape.clone();
    Param::uninitialized(
        ParamId::new(),
        move |device, _| Tensor::full(zeros, false, device),
        device.clone(),
        false,
        shape,
    )
}
