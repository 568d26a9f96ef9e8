//! [`Relu`], [`Sigmoid`] and [`Tanh`].

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::nn::{Module, ParamStore};
use crate::tensor::Tensor;

macro_rules! activation {
    ($(#[$doc:meta])* $name:ident, $tag:literal, $function:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, Serialize, Deserialize)]
        pub struct $name {
            store: ParamStore,
        }

        impl $name {
            /// The layer; it has no parameters.
            pub fn new() -> Self {
                Self::default()
            }
        }

        crate::param_tree!($name { store: store });

        #[typetag::serde(name = $tag)]
        impl Module for $name {
            fn compute(&self, input: &Tensor) -> Result<Tensor> {
                Ok(input.$function())
            }
        }
    };
}

activation! {
    /// `max(x, 0)` of each entry, in any shape. PyTorch's `nn.ReLU`.
    ///
    /// ```
    /// use ndarray::array;
    /// use secateurs::nn::{Module, Relu};
    /// use secateurs::tensor::Tensor;
    ///
    /// let output = Relu::new().forward(&Tensor::new(array![-1.0, 2.0]))?;
    /// assert_eq!(output.to_array(), array![0.0, 2.0].into_dyn());
    /// # Ok::<(), secateurs::Error>(())
    /// ```
    Relu, "secateurs::Relu", relu
}

activation! {
    /// `1 / (1 + e⁻ˣ)` of each entry, in any shape. PyTorch's `nn.Sigmoid`.
    ///
    /// ```
    /// use ndarray::array;
    /// use secateurs::nn::{Module, Sigmoid};
    /// use secateurs::tensor::Tensor;
    ///
    /// let output = Sigmoid::new().forward(&Tensor::new(array![0.0]))?;
    /// assert_eq!(output.to_array(), array![0.5].into_dyn());
    /// # Ok::<(), secateurs::Error>(())
    /// ```
    Sigmoid, "secateurs::Sigmoid", sigmoid
}

activation! {
    /// The hyperbolic tangent of each entry, in any shape. PyTorch's `nn.Tanh`.
    ///
    /// ```
    /// use ndarray::array;
    /// use secateurs::nn::{Module, Tanh};
    /// use secateurs::tensor::Tensor;
    ///
    /// let output = Tanh::new().forward(&Tensor::new(array![0.0]))?;
    /// assert_eq!(output.to_array(), array![0.0].into_dyn());
    /// # Ok::<(), secateurs::Error>(())
    /// ```
    Tanh, "secateurs::Tanh", tanh
}
