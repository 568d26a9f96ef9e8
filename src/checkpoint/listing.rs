//! Tensors by name, in lists that are sorted by name.

use safetensors::Dtype;

use super::TensorInfo;
use crate::error::{CheckpointError, Error, ListError, Result};
use crate::prunable::nearest;

/// What has the name and the type of a tensor.
pub(super) trait Named {
    fn name(&self) -> &str;
    fn dtype(&self) -> Dtype;
}

impl Named for TensorInfo {
    fn name(&self) -> &str {
        self.name()
    }

    fn dtype(&self) -> Dtype {
        self.dtype()
    }
}

/// The place of the tensor of this name, if there is one.
pub(super) fn lookup(tensors: &[impl Named], name: &str) -> Option<usize> {
    tensors.binary_search_by(|tensor| tensor.name().cmp(name)).ok()
}

/// The place of the tensor of this name.
pub(super) fn number(tensors: &[impl Named], name: &str) -> Result<usize> {
    lookup(tensors, name).ok_or_else(|| {
        Error::Checkpoint(CheckpointError::UnknownTensor {
            name: name.into(),
            nearest: nearest(name, tensors.iter().map(Named::name)),
        })
    })
}

/// The places of tensors that can be pruned, by their names, from the first to the last.
pub(super) fn prunable(
    tensors: &[impl Named],
    names: impl IntoIterator<Item: AsRef<str>>,
) -> Result<Vec<usize>> {
    let mut numbers = Vec::new();
    for name in names {
        let name = name.as_ref();
        let number = number(tensors, name)?;
        let dtype = tensors[number].dtype();
        if !is_float(dtype) {
            return Err(Error::Checkpoint(CheckpointError::NotPrunable {
                name: name.into(),
                dtype: dtype.to_string(),
            }));
        }
        numbers.push(number);
    }
    numbers.sort_unstable();
    if let Some(twice) = numbers.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(Error::List(ListError::ListedTwice {
            path: tensors[twice[0]].name().into(),
        }));
    }
    if numbers.is_empty() {
        return Err(Error::List(ListError::NoParameters));
    }
    Ok(numbers)
}

/// Whether a tensor of this type can be pruned.
pub(super) fn is_float(dtype: Dtype) -> bool {
    matches!(dtype, Dtype::F64 | Dtype::F32 | Dtype::F16 | Dtype::BF16)
}

/// Whether a tensor is one of the weights that are pruned by default.
pub(super) fn is_weight(name: &str, dtype: Dtype, shape: &[usize]) -> bool {
    is_float(dtype) && shape.len() >= 2 && super::is_weight(name)
}
