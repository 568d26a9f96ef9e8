//! The values of tensors as arrays: read from the device once, on demand.

use std::cell::OnceCell;

use burn_core::module::Param;
use burn_core::tensor::{DType, Device, Tensor, TensorData};
use ndarray::ArrayViewD;
use secateurs::FloatArray;
use secateurs::mask::{FloatType, FloatView};
use secateurs::prunable::LendValues;

use crate::error::{Error, Result};

/// A float parameter of any rank.
pub(crate) trait FloatParam {
    fn shape(&self) -> Vec<usize>;
    /// The type of the entries. It is known for parameters that are initialised, and makes the others so.
    fn dtype(&self) -> DType;
    fn is_initialized(&self) -> bool;
    fn device(&self) -> Device;
    /// The stored values, on which no mask is applied, in row-major order.
    fn read(&self) -> Result<TensorData, burn_core::tensor::ExecutionError>;
}

impl<const D: usize> FloatParam for Param<Tensor<D>> {
    fn shape(&self) -> Vec<usize> {
        self.lazy_shape().to_vec()
    }

    fn dtype(&self) -> DType {
        (**self).dtype()
    }

    fn is_initialized(&self) -> bool {
        Param::is_initialized(self)
    }

    fn device(&self) -> Device {
        self.lazy_device()
    }

    fn read(&self) -> Result<TensorData, burn_core::tensor::ExecutionError> {
        self.base().try_into_data()
    }
}

/// The type of entries, if they can be pruned.
pub(crate) fn float_type(dtype: DType) -> Option<FloatType> {
    match dtype {
        DType::F16 => Some(FloatType::F16),
        DType::BF16 => Some(FloatType::BF16),
        DType::F32 => Some(FloatType::F32),
        DType::F64 => Some(FloatType::F64),
        _ => None,
    }
}

/// Reads the values of a parameter on demand.
pub(crate) struct Lender {
    pub path: String,
    pub param: Box<dyn FloatParam>,
    pub data: OnceCell<TensorData>,
}

impl LendValues for Lender {
    fn lend(&self) -> secateurs::Result<FloatView<'_>> {
        let data = match self.data.get() {
            Some(data) => data,
            None => {
                let read = self.param.read();
                let data = read.map_err(|error| Error::Read {
                    path: self.path.clone(),
                    error: error.into(),
                })?;
                self.data.get_or_init(|| data)
            }
        };
        Ok(view(&self.path, data)?)
    }
}

fn view<'a>(path: &str, data: &'a TensorData) -> Result<FloatView<'a>> {
    macro_rules! view {
        ($($dtype:ident)*) => {
            match data.dtype() {
                $(DType::$dtype => data
                    .as_slice()
                    .ok()
                    .and_then(|values| ArrayViewD::from_shape(data.shape().to_vec(), values).ok())
                    .map(FloatView::$dtype),)*
                _ => None,
            }
        };
    }
    view!(F16 BF16 F32 F64).ok_or_else(|| Error::NotFloat {
        path: path.to_owned(),
        dtype: format!("{:?}", data.dtype()),
    })
}

/// A tensor with the entries of an array.
pub(crate) fn from_array<const D: usize>(array: &FloatArray, device: &Device) -> Tensor<D> {
    macro_rules! tensor {
        ($($variant:ident)*) => {
            match array {
                $(FloatArray::$variant(array) => {
                    let data = TensorData::new(array.iter().copied().collect(), array.shape());
                    Tensor::from_data(data, (device, DType::$variant))
                })*
                _ => unreachable!("these are all the types"),
            }
        };
    }
    tensor!(F16 BF16 F32 F64)
}

/// A copy of a tensor as an array, from any device: for importance scores, such as those made of gradients.
///
/// ```
/// use burn::{nn::LinearConfig, tensor::Device};
/// use secateurs::prune;
/// use secateurs_burn::{BurnModel, to_array};
///
/// let device = Device::flex().autodiff();
/// let mut model = BurnModel::new(LinearConfig::new(4, 2).init(&device));
///
/// // |gradient · weight|, the first-order estimate of what the loss loses.
/// let weight = &model.module.weight;
/// let grads = weight.val().powi_scalar(2).sum().backward();
/// let scores = to_array(&(weight.grad(&grads).unwrap() * weight.val().inner()).abs())?;
/// prune::l1_unstructured_with_scores(&mut model, "weight", 3, scores.view())?;
/// # assert_eq!(prune::mask(&model, "weight")?.unwrap().count_pruned(), 3);
/// # Ok::<(), secateurs::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::NotFloat`] for a tensor of another type than f16, bf16, f32 and f64, and [`Error::Read`].
pub fn to_array<const D: usize>(tensor: &Tensor<D>) -> Result<FloatArray> {
    const PATH: &str = "the tensor";
    let read = tensor.try_to_data();
    let data = read.map_err(|error| Error::Read {
        path: PATH.into(),
        error: error.into(),
    })?;
    macro_rules! array {
        ($($dtype:ident)*) => {
            match view(PATH, &data)? {
                $(FloatView::$dtype(values) => Ok(values.to_owned().into()),)*
                _ => Err(Error::NotFloat { path: PATH.into(), dtype: format!("{:?}", data.dtype()) }),
            }
        };
    }
    array!(F16 BF16 F32 F64)
}
