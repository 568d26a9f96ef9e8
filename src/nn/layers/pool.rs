//! [`MaxPool2d`], [`AvgPool2d`] and [`AdaptiveAvgPool2d`].

use serde::{Deserialize, Serialize};

use super::PerDim;
use crate::error::{Error, NnError, Result};
use crate::nn::{Module, ParamStore};
use crate::tensor::{PoolOptions, Tensor};

/// The settings of a pooling layer. By default, the stride is the kernel size, and there is no padding.
///
/// A kernel size alone is accepted, too: `MaxPool2d::new(2)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolConfig {
    options: PoolOptions,
}

impl PoolConfig {
    /// With this kernel size.
    pub fn new(kernel: impl PerDim<2>) -> Self {
        PoolConfig {
            options: PoolOptions::new(kernel.per_dim()),
        }
    }

    /// Distance between neighbouring windows.
    pub fn stride(mut self, stride: impl PerDim<2>) -> Self {
        self.options = self.options.stride(stride.per_dim());
        self
    }

    /// Number of entries by which windows reach beyond both ends: at most half a kernel.
    pub fn padding(mut self, padding: impl PerDim<2>) -> Self {
        self.options = self.options.padding(padding.per_dim());
        self
    }
}

impl<K: PerDim<2>> From<K> for PoolConfig {
    fn from(kernel: K) -> Self {
        PoolConfig::new(kernel)
    }
}

macro_rules! pool {
    ($(#[$doc:meta])* $name:ident, $what:literal, $tag:literal, $function:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Serialize, Deserialize)]
        #[serde(try_from = "Raw")]
        pub struct $name {
            store: ParamStore,
            options: PoolOptions,
        }

        impl $name {
            /// The layer; it has no parameters.
            ///
            /// # Errors
            ///
            /// [`NnError::InvalidSetting`](crate::error::NnError::InvalidSetting) if kernel or stride is 0, or if the padding is more than half the kernel.
            pub fn new(config: impl Into<PoolConfig>) -> Result<Self> {
                let options = config.into().options;
                let store = ParamStore::new();
                $name::try_from(Raw { store, options })
            }

            /// Kernel, stride and padding.
            pub fn options(&self) -> &PoolOptions {
                &self.options
            }
        }

        impl TryFrom<Raw> for $name {
            type Error = Error;

            fn try_from(Raw { store, options }: Raw) -> Result<Self> {
                check($what, &options)?;
                Ok($name { store, options })
            }
        }

        crate::param_tree!($name { store: store });

        #[typetag::serde(name = $tag)]
        impl Module for $name {
            fn compute(&self, input: &Tensor) -> Result<Tensor> {
                input.$function(&self.options)
            }
        }
    };
}

#[derive(Deserialize)]
struct Raw {
    store: ParamStore,
    options: PoolOptions,
}

fn check(what: &'static str, options: &PoolOptions) -> Result<()> {
    match options.problem() {
        None => Ok(()),
        Some(reason) => Err(Error::Nn(NnError::InvalidSetting {
            what,
            setting: "kernel, stride, padding",
            value: format!(
                "{:?}, {:?}, {:?}",
                options.kernel, options.stride, options.padding
            ),
            reason,
        })),
    }
}

pool! {
    /// The greatest entry of each window of `[N, C, H, W]` or `[C, H, W]`. PyTorch's `nn.MaxPool2d`.
    ///
    /// ```
    /// use ndarray::Array4;
    /// use secateurs::nn::{MaxPool2d, Module, PoolConfig};
    /// use secateurs::tensor::Tensor;
    ///
    /// let images = Tensor::new(Array4::zeros((8, 6, 28, 28)));
    /// assert_eq!(MaxPool2d::new(2)?.forward(&images)?.shape(), [8, 6, 14, 14]);
    /// let layer = MaxPool2d::new(PoolConfig::new(3).stride(2).padding([1, 0]))?;
    /// assert_eq!(layer.forward(&images)?.shape(), [8, 6, 14, 13]);
    /// # Ok::<(), secateurs::Error>(())
    /// ```
    MaxPool2d, "MaxPool2d", "secateurs::MaxPool2d", max_pool2d
}

pool! {
    /// The mean of each window of `[N, C, H, W]` or `[C, H, W]`, where padding counts as zeros. PyTorch's
    /// `nn.AvgPool2d`.
    ///
    /// ```
    /// use ndarray::Array4;
    /// use secateurs::nn::{AvgPool2d, Module};
    /// use secateurs::tensor::Tensor;
    ///
    /// let output = AvgPool2d::new([2, 4])?.forward(&Tensor::new(Array4::ones((1, 1, 4, 4))))?;
    /// assert_eq!(output.to_array(), Array4::<f32>::ones((1, 1, 2, 1)).into_dyn());
    /// # Ok::<(), secateurs::Error>(())
    /// ```
    AvgPool2d, "AvgPool2d", "secateurs::AvgPool2d", avg_pool2d
}

/// The means of a fixed number of windows that cover `[N, C, H, W]` or `[C, H, W]` evenly, whatever H and W. PyTorch's
/// `nn.AdaptiveAvgPool2d`.
///
/// ```
/// use ndarray::Array4;
/// use secateurs::nn::{AdaptiveAvgPool2d, Module};
/// use secateurs::tensor::Tensor;
///
/// let output = AdaptiveAvgPool2d::new(1).forward(&Tensor::new(Array4::ones((2, 8, 7, 5))))?;
/// assert_eq!(output.shape(), [2, 8, 1, 1]);
/// # Ok::<(), secateurs::Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AdaptiveAvgPool2d {
    store: ParamStore,
    size: [usize; 2],
}

impl AdaptiveAvgPool2d {
    /// A layer whose output has this height and width.
    pub fn new(size: impl PerDim<2>) -> Self {
        AdaptiveAvgPool2d {
            store: ParamStore::new(),
            size: size.per_dim(),
        }
    }

    /// The height and width of the output.
    pub fn size(&self) -> [usize; 2] {
        self.size
    }
}

crate::param_tree!(AdaptiveAvgPool2d { store: store });

#[typetag::serde(name = "secateurs::AdaptiveAvgPool2d")]
impl Module for AdaptiveAvgPool2d {
    fn compute(&self, input: &Tensor) -> Result<Tensor> {
        input.adaptive_avg_pool2d(self.size)
    }
}
