//! [`Linear`].

use ndarray::{Array1, Array2};
use rand::Rng;
use serde::{Deserialize, Serialize};

use super::expect_shapes;
use crate::error::{Error, MaskError, Result};
use crate::nn::init;
use crate::nn::{Module, ParamStore};
use crate::tensor::Tensor;

/// A fully connected layer: `input × weightᵀ + bias`.
///
/// PyTorch's `nn.Linear`. Input `[…, in_features]`, output `[…, out_features]`; parameters `weight`
/// `[out_features, in_features]` and `bias` `[out_features]`.
///
/// ```
/// use ndarray::array;
/// use secateurs::nn::{Linear, Module};
/// use secateurs::tensor::Tensor;
///
/// let layer = Linear::from_arrays(array![[1.0, 2.0], [0.0, -1.0]], Some(array![0.5, 0.0]))?;
/// let output = layer.forward(&Tensor::new(array![[3.0, 4.0]]))?;
/// assert_eq!(output.to_array(), array![[11.5, -4.0]].into_dyn());
/// # Ok::<(), secateurs::Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "Raw")]
pub struct Linear {
    store: ParamStore,
}

#[derive(Deserialize)]
struct Raw {
    store: ParamStore,
}

impl TryFrom<Raw> for Linear {
    type Error = Error;

    fn try_from(Raw { store }: Raw) -> Result<Self> {
        let rows = match store.parameter("weight").map(|weight| weight.shape()) {
            Some(&[rows, _]) => rows,
            other => {
                let got = other.unwrap_or_default().to_vec();
                return Err(Error::Mask(MaskError::ShapeMismatch {
                    what: "`weight` of a linear layer",
                    expected: vec![0, 0],
                    got,
                }));
            }
        };
        expect_shapes(&store, [("bias", [rows].as_slice())], true)?;
        Ok(Linear { store })
    }
}

impl Linear {
    /// A layer with PyTorch's default initialisation: weight and bias uniform within `1 / √in_features`.
    ///
    /// # Errors
    ///
    /// [`NnError::InvalidSetting`](crate::error::NnError::InvalidSetting) if the parameters do not fit in memory.
    pub fn new(in_features: usize, out_features: usize, rng: &mut (impl Rng + ?Sized)) -> Result<Self> {
        let mut layer = Linear::without_bias(in_features, out_features, rng)?;
        let bias = init::uniform("Linear", &[out_features], init::fan_in_bound(in_features), rng)?;
        layer.store.insert_parameter("bias", bias)?;
        Ok(layer)
    }

    /// As [`new`](Self::new), without a bias.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn without_bias(
        in_features: usize,
        out_features: usize,
        rng: &mut (impl Rng + ?Sized),
    ) -> Result<Self> {
        let mut store = ParamStore::new();
        let bound = init::fan_in_bound(in_features);
        let weight = init::uniform("Linear", &[out_features, in_features], bound, rng)?;
        store.insert_parameter("weight", weight)?;
        Ok(Linear { store })
    }

    /// A layer with the given weight `[out_features, in_features]` and bias `[out_features]`.
    ///
    /// # Errors
    ///
    /// [`MaskError::ShapeMismatch`](crate::error::MaskError::ShapeMismatch) if the length of the bias is not the
    /// number of rows of the weight.
    pub fn from_arrays(weight: Array2<f32>, bias: Option<Array1<f32>>) -> Result<Self> {
        let mut store = ParamStore::new();
        store.insert_parameter("weight", weight)?;
        if let Some(bias) = bias {
            store.insert_parameter("bias", bias)?;
        }
        Linear::try_from(Raw { store })
    }
}

crate::param_tree!(Linear { store: store });

#[typetag::serde(name = "secateurs::Linear")]
impl Module for Linear {
    fn compute(&self, input: &Tensor) -> Result<Tensor> {
        input.linear(
            &self.store.tensor("weight")?,
            self.store.optional_tensor("bias").as_ref(),
        )
    }
}
