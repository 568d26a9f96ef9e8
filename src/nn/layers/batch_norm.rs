//! [`BatchNorm1d`] and [`BatchNorm2d`]: one layer over the number of spatial dimensions.

use ndarray::{Array1, ArrayD, Zip, arr0, arr1};
use serde::{Deserialize, Serialize};

use super::expect_shapes;
use crate::error::{Error, MaskError, NnError, Result, TensorError};
use crate::nn::init;
use crate::nn::{Module, ParamStore};
use crate::tensor::{BatchStatistics, Tensor};

const MEAN: &str = "running_mean";
const VARIANCE: &str = "running_var";
const BATCHES: &str = "num_batches_tracked";

/// Batch normalisation of channels, after Ioffe and Szegedy 2015, <https://arxiv.org/abs/1502.03167>.
///
/// In training mode, each channel is normalised by its mean and variance over the batch, which also move the running
/// statistics. In evaluation mode, it is normalised by the running statistics; see
/// [`ParamTreeExt::eval`](crate::nn::ParamTreeExt::eval). Then comes an affine function for each channel.
///
/// PyTorch's `nn.BatchNorm1d` (`D` = 1, input `[N, C]` or `[N, C, L]`) and `nn.BatchNorm2d` (`D` = 2, input
/// `[N, C, H, W]`). Parameters `weight` and `bias` `[C]`; buffers `running_mean` and `running_var` `[C]` and
/// `num_batches_tracked` `[]`, a whole number. The buffers are part of the state dict. Several threads may run forward at
/// once: each batch moves all three together.
///
/// ```
/// use ndarray::Array4;
/// use secateurs::nn::{BatchNorm2d, BatchNormConfig, Module, ParamTreeExt, state_dict};
/// use secateurs::tensor::Tensor;
///
/// let mut layer = BatchNorm2d::new(BatchNormConfig::new(3).momentum(0.2))?;
/// let images = Tensor::new(Array4::ones((4, 3, 8, 8)));
/// assert_eq!(layer.forward(&images)?.to_array(), Array4::<f32>::zeros((4, 3, 8, 8)).into_dyn());
/// let state = state_dict(&layer);
/// assert_eq!(
///     state.keys().collect::<Vec<_>>(),
///     ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
/// );
/// assert_eq!(state.get("running_mean").unwrap()[[0]], 0.2);
/// layer.eval()?;
/// assert!(layer.forward(&images)?.value()[[0, 0, 0, 0]] > 0.8);
/// # Ok::<(), secateurs::Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "Raw")]
pub struct BatchNorm<const D: usize> {
    store: ParamStore,
    eps: f64,
    momentum: Option<f64>,
}

/// Batch normalisation of `[N, C]` or `[N, C, L]`.
pub type BatchNorm1d = BatchNorm<1>;
/// Batch normalisation of `[N, C, H, W]`.
pub type BatchNorm2d = BatchNorm<2>;

/// The settings of a batch normalisation.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchNormConfig {
    channels: usize,
    eps: f64,
    momentum: Option<f64>,
    affine: bool,
}

impl From<usize> for BatchNormConfig {
    fn from(channels: usize) -> Self {
        BatchNormConfig::new(channels)
    }
}

impl BatchNormConfig {
    /// With this number of channels, eps 1e-5, momentum 0.1, and an affine function.
    pub fn new(channels: usize) -> Self {
        BatchNormConfig {
            channels,
            eps: 1e-5,
            momentum: Some(0.1),
            affine: true,
        }
    }

    /// With this term added to the variance.
    pub fn eps(mut self, eps: f64) -> Self {
        self.eps = eps;
        self
    }

    /// With this share of a batch in the running statistics.
    pub fn momentum(mut self, momentum: f64) -> Self {
        self.momentum = Some(momentum);
        self
    }

    /// With running statistics that are means over all batches. PyTorch's `momentum=None`.
    pub fn cumulative(mut self) -> Self {
        self.momentum = None;
        self
    }

    /// Without the affine function: no `weight` and no `bias`.
    pub fn without_affine(mut self) -> Self {
        self.affine = false;
        self
    }
}

impl<const D: usize> BatchNorm<D> {
    /// A layer with PyTorch's default initialisation: weight 1, bias 0, running mean 0 and variance 1.
    ///
    /// # Errors
    ///
    /// [`NnError::InvalidSetting`](crate::error::NnError::InvalidSetting) if eps is negative or not finite, if the
    /// momentum is outside [0, 1], or if the parameters do not fit in memory.
    pub fn new(config: impl Into<BatchNormConfig>) -> Result<Self> {
        let config = config.into();
        let channels = config.channels;
        init::check_memory("BatchNorm", &[&[4, channels]])?;
        let mut store = ParamStore::new();
        if config.affine {
            store.insert_parameter("weight", Array1::ones(channels))?;
            store.insert_parameter("bias", Array1::zeros(channels))?;
        }
        store.insert_buffer(MEAN, Array1::zeros(channels))?;
        store.insert_buffer(VARIANCE, Array1::ones(channels))?;
        store.insert_buffer(BATCHES, arr0(0.0))?;
        BatchNorm::try_from(Raw {
            store,
            eps: config.eps,
            momentum: config.momentum,
        })
    }

    /// The term that is added to the variance.
    pub fn eps(&self) -> f64 {
        self.eps
    }

    /// The share of a batch in the running statistics; `None` if these are means over all batches.
    pub fn momentum(&self) -> Option<f64> {
        self.momentum
    }

    fn normalise(&self, input: &Tensor) -> Result<Tensor> {
        let (weight, bias) = (
            self.store.optional_tensor("weight"),
            self.store.optional_tensor("bias"),
        );
        let (weight, bias) = (weight.as_ref(), bias.as_ref());
        let channels = self.statistic(MEAN)?.len();
        if input.ndim() < 2 || input.shape()[1] != channels {
            return Err(Error::Tensor(TensorError {
                op: "BatchNorm",
                reason: format!(
                    "the second dimension of the input must be {channels}, the number of channels"
                ),
                shapes: vec![input.shape().to_vec()],
            }));
        }
        if !self.store.is_training() {
            let statistics = BatchStatistics {
                mean: self.statistic(MEAN)?,
                variance: self.statistic(VARIANCE)?,
                count: 0,
            };
            return input.batch_norm_with(&statistics, weight, bias, self.eps);
        }
        let (output, statistics) = input.batch_norm(weight, bias, self.eps)?;
        self.track(&statistics)?;
        Ok(output)
    }

    fn statistic(&self, name: &str) -> Result<Vec<f32>> {
        let buffer = self
            .store
            .buffer(name)
            .map(|buffer| buffer.iter().copied().collect());
        Ok(buffer.unwrap_or_default())
    }

    /// Moves the running statistics towards those of a batch. The count is held meanwhile, so that batches of several
    /// threads do not mix.
    fn track(&self, batch: &BatchStatistics) -> Result<()> {
        self.store.update_buffer(BATCHES, |count| {
            let count = count.iter().sum::<f32>() + 1.0;
            let share = self.momentum.unwrap_or(1.0 / f64::from(count));
            // The variance of the population that the batch is a sample of.
            let unbiased = batch.count as f64 / (batch.count - 1) as f64;
            self.move_towards(MEAN, &batch.mean, 1.0, share)?;
            self.move_towards(VARIANCE, &batch.variance, unbiased, share)?;
            Ok(arr0(count).into_dyn())
        })
    }

    fn move_towards(&self, name: &str, target: &[f32], factor: f64, share: f64) -> Result<()> {
        self.store.update_buffer(name, |running| {
            let mut moved: ArrayD<f32> = running.to_owned();
            Zip::from(&mut moved)
                .and(&arr1(target).into_dyn())
                .for_each(|running, &target| {
                    let target = f64::from(target) * factor;
                    *running = (f64::from(*running) * (1.0 - share) + target * share) as f32;
                });
            Ok(moved)
        })
    }
}

#[derive(Deserialize)]
struct Raw {
    store: ParamStore,
    eps: f64,
    momentum: Option<f64>,
}

impl<const D: usize> TryFrom<Raw> for BatchNorm<D> {
    type Error = Error;

    fn try_from(Raw { store, eps, momentum }: Raw) -> Result<Self> {
        let invalid = |setting, value: f64, reason| {
            Err(Error::Nn(NnError::InvalidSetting {
                what: "BatchNorm",
                setting,
                value: value.to_string(),
                reason,
            }))
        };
        if !(eps >= 0.0 && eps.is_finite()) {
            return invalid("eps", eps, "it must be finite and not negative");
        }
        if let Some(momentum) = momentum.filter(|momentum| !(0.0..=1.0).contains(momentum)) {
            return invalid("momentum", momentum, "it must be in [0, 1]");
        }
        let shape = |name: &str| {
            store
                .buffer(name)
                .map(|buffer| buffer.shape().to_vec())
                .unwrap_or_default()
        };
        let channels = shape(MEAN);
        for (what, expected, got) in [
            ("`running_mean`", 1, channels.len()),
            ("`num_batches_tracked`", 0, shape(BATCHES).len()),
        ] {
            if got != expected {
                return Err(Error::Mask(MaskError::ShapeMismatch {
                    what,
                    expected: vec![0; expected],
                    got: vec![0; got],
                }));
            }
        }
        if shape(VARIANCE) != channels || store.buffer(BATCHES).is_none() {
            return Err(Error::Mask(MaskError::ShapeMismatch {
                what: "`running_var` or `num_batches_tracked`",
                expected: channels,
                got: shape(VARIANCE),
            }));
        }
        expect_shapes(&store, [("weight", &channels[..]), ("bias", &channels[..])], true)?;
        Ok(BatchNorm { store, eps, momentum })
    }
}

macro_rules! batch_norm {
    ($name:literal, $dims:literal, $shapes:literal, $ndim:pat) => {
        crate::param_tree!(BatchNorm<$dims> { store: store });

        #[typetag::serde(name = $name)]
        impl Module for BatchNorm<$dims> {
            fn compute(&self, input: &Tensor) -> Result<Tensor> {
                if !matches!(input.ndim(), $ndim) {
                    return Err(Error::Tensor(TensorError {
                        op: "BatchNorm",
                        reason: concat!("the input must have shape ", $shapes).to_owned(),
                        shapes: vec![input.shape().to_vec()],
                    }));
                }
                self.normalise(input)
            }
        }
    };
}

batch_norm!("secateurs::BatchNorm1d", 1, "[N, C] or [N, C, L]", 2 | 3);
batch_norm!("secateurs::BatchNorm2d", 2, "[N, C, H, W]", 4);
