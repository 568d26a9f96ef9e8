//! [`Flatten`].

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::nn::{Module, ParamStore};
use crate::tensor::Tensor;

/// Joins several dimensions into one: by default all but the first, so that `[N, C, H, W]` becomes `[N, C·H·W]`.
///
/// PyTorch's `nn.Flatten`.
///
/// ```
/// use ndarray::Array4;
/// use secateurs::nn::{Flatten, Module};
/// use secateurs::tensor::Tensor;
///
/// let output = Flatten::new().forward(&Tensor::new(Array4::zeros((2, 3, 4, 5))))?;
/// assert_eq!(output.shape(), [2, 60]);
/// # Ok::<(), secateurs::Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Flatten {
    store: ParamStore,
    start_dim: isize,
    end_dim: isize,
}

impl Default for Flatten {
    fn default() -> Self {
        Flatten::new()
    }
}

impl Flatten {
    /// Flattens all dimensions but the first.
    pub fn new() -> Self {
        Flatten::dims(1, -1)
    }

    /// Flattens the dimensions from `start_dim` to `end_dim`, both included. Negative dimensions count from the end.
    /// Dimensions that an input does not have are an error in `forward`.
    pub fn dims(start_dim: isize, end_dim: isize) -> Self {
        Flatten {
            store: ParamStore::new(),
            start_dim,
            end_dim,
        }
    }

    /// The first dimension that is flattened; negative from the end.
    pub fn start_dim(&self) -> isize {
        self.start_dim
    }

    /// The last dimension that is flattened; negative from the end.
    pub fn end_dim(&self) -> isize {
        self.end_dim
    }
}

crate::param_tree!(Flatten { store: store });

#[typetag::serde(name = "secateurs::Flatten")]
impl Module for Flatten {
    fn compute(&self, input: &Tensor) -> Result<Tensor> {
        input.flatten(self.start_dim, self.end_dim)
    }
}
