//! The memory of tensors as arrays: lent where it is contiguous and on the CPU, copied elsewhere.

use std::cell::OnceCell;
use std::ops::Range;

use candle_core::{CpuStorage, DType, Device, Storage, Tensor};
use ndarray::{ArrayD, ArrayViewD};
use secateurs::FloatArray;
use secateurs::mask::{FloatType, FloatView};
use secateurs::prunable::LendValues;

use crate::error::{Error, Result};
use crate::rewrite::Hidden;

/// Runs code for the entries of a storage of one of the types that can be pruned. The code is compiled for each type.
macro_rules! with_floats {
    ($storage:expr, $values:ident => $body:expr, _ => $other:expr) => {
        match $storage {
            candle_core::CpuStorage::F16($values) => $body,
            candle_core::CpuStorage::BF16($values) => $body,
            candle_core::CpuStorage::F32($values) => $body,
            candle_core::CpuStorage::F64($values) => $body,
            _ => $other,
        }
    };
}
pub(crate) use with_floats;

/// The type of a tensor's entries, if it can be pruned.
pub(crate) fn float_type(dtype: DType) -> Option<FloatType> {
    match dtype {
        DType::F16 => Some(FloatType::F16),
        DType::BF16 => Some(FloatType::BF16),
        DType::F32 => Some(FloatType::F32),
        DType::F64 => Some(FloatType::F64),
        _ => None,
    }
}

/// A copy of a tensor as an array, from any device: for importance scores, such as those made of gradients.
///
/// ```
/// use candle_core::{DType, Device, Var};
/// use candle_nn::VarMap;
/// use secateurs::prune;
/// use secateurs_candle::{CandleModel, to_array};
///
/// let weight = Var::new(&[[1.0f32, -2.0, 3.0]], &Device::Cpu)?;
/// let mut model = CandleModel::from_vars([("weight", weight.clone())])?;
///
/// // |gradient · weight|, the first-order estimate of what the loss loses.
/// let loss = (weight.sqr()? * 0.5)?.sum_all()?;
/// let grads = loss.backward()?;
/// let scores = to_array(&(grads.get(&weight).unwrap() * weight.as_tensor())?.abs()?)?;
/// prune::l1_unstructured_with_scores(&mut model, "weight", 1, &scores)?;
/// assert_eq!(weight.to_vec2::<f32>()?, [[0.0, -2.0, 3.0]]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`Error::NotFloat`] for a tensor of another type than f16, bf16, f32 and f64, and those of candle.
pub fn to_array(tensor: &Tensor) -> Result<FloatArray> {
    with_floats!(to_host(tensor)?, values => {
        let array = ArrayD::from_shape_vec(tensor.dims(), values);
        Ok(array.expect("a tensor has as many entries as its shape").into())
    }, _ => Err(not_float(tensor)))
}

/// A tensor with the entries of an array.
pub(crate) fn from_array(array: &FloatArray, device: &Device) -> candle_core::Result<Tensor> {
    macro_rules! tensor {
        ($($variant:ident)*) => {
            match array {
                $(FloatArray::$variant(array) => {
                    let entries: Vec<_> = array.iter().copied().collect();
                    Tensor::from_vec(entries, array.shape(), device)
                })*
                _ => unreachable!("these are all the types"),
            }
        };
    }
    tensor!(F16 BF16 F32 F64)
}

/// A copy of a tensor's entries in row-major order, from any device.
pub(crate) fn to_host(tensor: &Tensor) -> Result<CpuStorage> {
    let flat = tensor.flatten_all()?;
    Ok(match tensor.dtype() {
        DType::F16 => CpuStorage::F16(flat.to_vec1()?),
        DType::BF16 => CpuStorage::BF16(flat.to_vec1()?),
        DType::F32 => CpuStorage::F32(flat.to_vec1()?),
        DType::F64 => CpuStorage::F64(flat.to_vec1()?),
        _ => return Err(not_float(tensor)),
    })
}

fn not_float(tensor: &Tensor) -> Error {
    Error::NotFloat {
        name: "the tensor".into(),
        dtype: tensor.dtype(),
    }
}

/// The values of a variable, lent on demand.
pub(crate) struct Lender<'a> {
    tensor: &'a Tensor,
    hidden: Option<&'a Hidden>,
    /// The lock on the memory, held from the first use on: values must not change while they are ranked.
    lock: OnceCell<candle_core::StorageRef<'a>>,
    copy: OnceCell<FloatArray>,
}

impl<'a> Lender<'a> {
    pub fn new(tensor: &'a Tensor, hidden: Option<&'a Hidden>) -> Self {
        Lender {
            tensor,
            hidden,
            lock: OnceCell::new(),
            copy: OnceCell::new(),
        }
    }

    /// The values as they are, where they can be lent.
    fn in_place(&self) -> Option<FloatView<'_>> {
        let (begin, end) = self.tensor.layout().contiguous_offsets()?;
        let storage = self.lock.get_or_init(|| self.tensor.storage_and_layout().0);
        let Storage::Cpu(storage) = &**storage else {
            return None;
        };
        view(storage, begin..end, self.tensor.dims())
    }

    /// A copy, with the values that pruning has overwritten put back.
    fn copied(&self) -> Result<FloatView<'_>> {
        if let Some(copy) = self.copy.get() {
            return Ok(copy.view());
        }
        let mut array = to_array(self.tensor)?;
        if let Some(hidden) = self.hidden {
            hidden.restore(&mut array);
        }
        Ok(self.copy.get_or_init(|| array).view())
    }
}

impl LendValues for Lender<'_> {
    fn lend(&self) -> secateurs::Result<FloatView<'_>> {
        match self.hidden {
            None => self.lend_kept(),
            Some(_) => Ok(self.copied()?),
        }
    }

    fn lend_kept(&self) -> secateurs::Result<FloatView<'_>> {
        if self.tensor.device().is_cpu()
            && let Some(view) = self.in_place()
        {
            return Ok(view);
        }
        Ok(self.copied()?)
    }
}

fn view<'a>(storage: &'a CpuStorage, range: Range<usize>, shape: &[usize]) -> Option<FloatView<'a>> {
    with_floats!(storage, values => {
        Some(ArrayViewD::from_shape(shape, values.get(range)?).ok()?.into())
    }, _ => None)
}
