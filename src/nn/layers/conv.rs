//! [`Conv1d`], [`Conv2d`] and [`Conv3d`]: one layer over the number of spatial dimensions.

use ndarray::{Array1, ArrayD};
use rand::Rng;
use serde::{Deserialize, Serialize};

use super::expect_shapes;
use crate::error::{Error, MaskError, NnError, Result};
use crate::nn::init;
use crate::nn::{Module, ParamStore};
use crate::tensor::{ConvOptions, Tensor};

/// A convolution over `D` spatial dimensions.
///
/// PyTorch's `nn.Conv1d`, `nn.Conv2d`, `nn.Conv3d`. Input `[N, in_channels, …]`, output `[N, out_channels, …]`;
/// parameters `weight` `[out_channels, in_channels / groups, kernel…]` and `bias` `[out_channels]`.
///
/// ```
/// use ndarray::Array4;
/// use rand::SeedableRng;
/// use secateurs::nn::{Conv2d, ConvConfig, Module};
/// use secateurs::tensor::Tensor;
///
/// let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(0);
/// let layer = Conv2d::new(ConvConfig::new(3, 8, 3).stride(2).padding([1, 0]), &mut rng)?;
/// let output = layer.forward(&Tensor::new(Array4::zeros((1, 3, 9, 9))))?;
/// assert_eq!(output.shape(), [1, 8, 5, 4]);
/// # Ok::<(), secateurs::Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "Raw")]
pub struct Conv<const D: usize> {
    store: ParamStore,
    options: ConvOptions,
}

/// A convolution over one dimension: input `[N, C, L]`.
pub type Conv1d = Conv<1>;
/// A convolution over two dimensions: input `[N, C, H, W]`.
pub type Conv2d = Conv<2>;
/// A convolution over three dimensions: input `[N, C, D, H, W]`.
pub type Conv3d = Conv<3>;

/// The settings of a convolution. By default, stride and dilation are 1, padding is 0, and there is one group and a
/// bias.
#[derive(Clone, Debug, PartialEq)]
pub struct ConvConfig<const D: usize> {
    in_channels: usize,
    out_channels: usize,
    kernel: [usize; D],
    options: ConvOptions,
    bias: bool,
}

/// A number for each of `D` dimensions, or one for all.
pub trait PerDim<const D: usize> {
    /// The number for each dimension.
    fn per_dim(self) -> [usize; D];
}

impl<const D: usize> PerDim<D> for usize {
    fn per_dim(self) -> [usize; D] {
        [self; D]
    }
}

impl<const D: usize> PerDim<D> for [usize; D] {
    fn per_dim(self) -> [usize; D] {
        self
    }
}

impl<const D: usize> ConvConfig<D> {
    /// With these numbers of channels, and this kernel size.
    pub fn new(in_channels: usize, out_channels: usize, kernel: impl PerDim<D>) -> Self {
        let (kernel, options) = (kernel.per_dim(), ConvOptions::new(D));
        ConvConfig {
            in_channels,
            out_channels,
            kernel,
            options,
            bias: true,
        }
    }

    /// Distance between neighbouring positions of the kernel.
    pub fn stride(mut self, stride: impl PerDim<D>) -> Self {
        self.options = self.options.stride(&stride.per_dim());
        self
    }

    /// Number of zeros added on both sides.
    pub fn padding(mut self, padding: impl PerDim<D>) -> Self {
        self.options = self.options.padding(&padding.per_dim());
        self
    }

    /// Distance between neighbouring entries of the kernel.
    pub fn dilation(mut self, dilation: impl PerDim<D>) -> Self {
        self.options = self.options.dilation(&dilation.per_dim());
        self
    }

    /// Number of groups, each of which reads its own part of the channels.
    pub fn groups(mut self, groups: usize) -> Self {
        self.options = self.options.groups(groups);
        self
    }

    /// Without a bias.
    pub fn without_bias(mut self) -> Self {
        self.bias = false;
        self
    }
}

impl<const D: usize> Conv<D> {
    /// A layer with PyTorch's default initialisation: weight and bias uniform within `1 / √fan_in`, where `fan_in`
    /// is `in_channels / groups × kernel entries`.
    ///
    /// # Errors
    ///
    /// [`NnError::InvalidSetting`](crate::error::NnError::InvalidSetting) if a stride, a dilation or the number of groups is 0, the groups do not divide the
    /// channels, or the parameters do not fit in memory.
    pub fn new(config: ConvConfig<D>, rng: &mut (impl Rng + ?Sized)) -> Result<Self> {
        let groups = config.options.groups;
        if groups == 0
            || !config.in_channels.is_multiple_of(groups)
            || !config.out_channels.is_multiple_of(groups)
        {
            return Err(groups_do_not_divide(groups));
        }
        let mut shape = vec![config.out_channels, config.in_channels / groups];
        shape.extend(config.kernel);
        init::check_memory("Conv", &[&shape])?;
        let bound = init::fan_in_bound(shape[1..].iter().product());
        let mut store = ParamStore::new();
        store.insert_parameter("weight", init::uniform("Conv", &shape, bound, rng)?)?;
        if config.bias {
            store.insert_parameter("bias", init::uniform("Conv", &shape[..1], bound, rng)?)?;
        }
        Conv::try_from(Raw {
            store,
            options: config.options,
        })
    }

    /// A layer with the given weight `[out_channels, in_channels / groups, kernel…]` and bias `[out_channels]`.
    ///
    /// ```
    /// use ndarray::{ArrayD, array};
    /// use secateurs::nn::Conv2d;
    /// use secateurs::tensor::ConvOptions;
    ///
    /// let weight = ArrayD::zeros(vec![2, 3, 5, 5]);
    /// let layer = Conv2d::from_arrays(weight, Some(array![0.5, 0.0]), ConvOptions::new(2).padding(&[2, 2]))?;
    /// assert_eq!(layer.options().padding, [2, 2]);
    /// # Ok::<(), secateurs::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`MaskError::ShapeMismatch`](crate::error::MaskError::ShapeMismatch) if the weight does not have `D + 2`
    /// dimensions or the bias another length than its first one, and
    /// [`NnError::InvalidSetting`](crate::error::NnError::InvalidSetting) for options that do not fit.
    pub fn from_arrays(weight: ArrayD<f32>, bias: Option<Array1<f32>>, options: ConvOptions) -> Result<Self> {
        let mut store = ParamStore::new();
        store.insert_parameter("weight", weight)?;
        if let Some(bias) = bias {
            store.insert_parameter("bias", bias)?;
        }
        Conv::try_from(Raw { store, options })
    }

    /// Stride, padding, dilation and groups.
    pub fn options(&self) -> &ConvOptions {
        &self.options
    }
}

#[derive(Deserialize)]
struct Raw {
    store: ParamStore,
    options: ConvOptions,
}

impl<const D: usize> TryFrom<Raw> for Conv<D> {
    type Error = Error;

    fn try_from(Raw { store, options }: Raw) -> Result<Self> {
        check(&options, D)?;
        let shape = store
            .parameter("weight")
            .map(|weight| weight.shape())
            .unwrap_or_default();
        if shape.len() != D + 2 {
            let (expected, got) = (vec![0; D + 2], shape.to_vec());
            return Err(Error::Mask(MaskError::ShapeMismatch {
                what: "`weight` of a convolution",
                expected,
                got,
            }));
        }
        // Whether the groups divide the input channels is checked on the input: the weight shows only those of one
        // group.
        if options.groups == 0 || !shape[0].is_multiple_of(options.groups) {
            return Err(groups_do_not_divide(options.groups));
        }
        expect_shapes(&store, [("bias", &shape[..1])], true)?;
        Ok(Conv { store, options })
    }
}

fn groups_do_not_divide(groups: usize) -> Error {
    Error::Nn(NnError::InvalidSetting {
        what: "Conv",
        setting: "groups",
        value: groups.to_string(),
        reason: "it must divide the channels, in and out",
    })
}

/// Checks options that were loaded. Those that were built always have a number for each dimension.
fn check(options: &ConvOptions, dims: usize) -> Result<()> {
    let wrong = [
        ("stride", &options.stride, 1),
        ("padding", &options.padding, 0),
        ("dilation", &options.dilation, 1),
    ];
    match wrong
        .into_iter()
        .find(|(_, values, least)| values.len() != dims || values.iter().any(|v| v < least))
    {
        Some((setting, values, _)) => Err(Error::Nn(NnError::InvalidSetting {
            what: "Conv",
            setting,
            value: format!("{values:?}"),
            reason: "give one number for each dimension; only padding may be 0",
        })),
        None => Ok(()),
    }
}

macro_rules! conv {
    ($name:literal, $dims:literal) => {
        crate::param_tree!(Conv<$dims> { store: store });

        #[typetag::serde(name = $name)]
        impl Module for Conv<$dims> {
            fn compute(&self, input: &Tensor) -> Result<Tensor> {
                let bias = self.store.optional_tensor("bias");
                input.conv(&self.store.tensor("weight")?, bias.as_ref(), &self.options)
            }
        }
    };
}

conv!("secateurs::Conv1d", 1);
conv!("secateurs::Conv2d", 2);
conv!("secateurs::Conv3d", 3);
