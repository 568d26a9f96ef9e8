//! [`Sgd`].

use std::collections::HashMap;
use std::fmt;

use ndarray::ArrayD;

use super::entries::{forget_pruned, update_entries};
use super::settings::{OptimiserSettings, SgdSettings, non_negative};
use super::state::{OptimiserState, outline};
use super::update::for_each_parameter;
use crate::error::Result;
use crate::nn::ParamTree;
use crate::tensor::{Gradients, ParamId};

/// Stochastic gradient descent, with plain or Nesterov momentum and weight decay.
///
/// PyTorch's `optim.SGD`, with the same order of operations.
///
/// ```
/// use secateurs::nn::optim::Sgd;
///
/// let optimiser = Sgd::new(0.1)?.momentum(0.9)?.nesterov()?.weight_decay(1e-4)?;
/// assert!(Sgd::new(f64::NAN).is_err());
/// # Ok::<(), secateurs::Error>(())
/// ```
#[derive(Clone)]
pub struct Sgd {
    settings: SgdSettings,
    velocity: HashMap<ParamId, ArrayD<f32>>,
}

impl Sgd {
    /// Plain gradient descent with this learning rate.
    ///
    /// # Errors
    ///
    /// [`NnError::InvalidSetting`](crate::error::NnError::InvalidSetting) if it is negative or not finite.
    pub fn new(lr: f64) -> Result<Self> {
        let settings = SgdSettings {
            lr,
            momentum: 0.0,
            dampening: 0.0,
            weight_decay: 0.0,
            nesterov: false,
        };
        settings.check()?;
        let velocity = HashMap::new();
        Ok(Sgd { settings, velocity })
    }

    /// With other settings, if they are valid.
    fn with(mut self, change: impl FnOnce(&mut SgdSettings)) -> Result<Self> {
        change(&mut self.settings);
        self.settings.check()?;
        Ok(self)
    }

    /// With momentum.
    ///
    /// # Errors
    ///
    /// [`NnError::InvalidSetting`](crate::error::NnError::InvalidSetting) if it is negative or not finite, or if it is 0 with
    /// Nesterov momentum.
    pub fn momentum(self, momentum: f64) -> Result<Self> {
        self.with(|settings| settings.momentum = momentum)
    }

    /// With dampening: this share of each gradient is not added to the momentum.
    ///
    /// # Errors
    ///
    /// [`NnError::InvalidSetting`](crate::error::NnError::InvalidSetting) if it is negative or not finite, or if momentum is
    /// Nesterov's.
    pub fn dampening(self, dampening: f64) -> Result<Self> {
        self.with(|settings| settings.dampening = dampening)
    }

    /// With weight decay: adds the gradient of `weight_decay / 2 × |parameter|²`, without pruned entries.
    ///
    /// # Errors
    ///
    /// [`NnError::InvalidSetting`](crate::error::NnError::InvalidSetting) if it is negative or not finite.
    pub fn weight_decay(self, weight_decay: f64) -> Result<Self> {
        self.with(|settings| settings.weight_decay = weight_decay)
    }

    /// With Nesterov momentum. Set the momentum first.
    ///
    /// # Errors
    ///
    /// [`NnError::InvalidSetting`](crate::error::NnError::InvalidSetting) if momentum is 0 or dampening is not.
    pub fn nesterov(self) -> Result<Self> {
        self.with(|settings| settings.nesterov = true)
    }

    /// The settings.
    pub fn settings(&self) -> &SgdSettings {
        &self.settings
    }

    /// The learning rate.
    pub fn lr(&self) -> f64 {
        self.settings.lr
    }

    /// Changes the learning rate, as schedules do.
    ///
    /// # Errors
    ///
    /// [`NnError::InvalidSetting`](crate::error::NnError::InvalidSetting) if it is negative or not finite.
    pub fn set_lr(&mut self, lr: f64) -> Result<()> {
        self.settings.lr = non_negative("Sgd", "lr", lr)?;
        Ok(())
    }

    /// Updates each parameter of the model that has a gradient. Entries that are pruned keep their originals, and their
    /// running numbers become 0.
    ///
    /// # Errors
    ///
    /// [`ModelError::Inconsistent`](crate::error::ModelError::Inconsistent) if the tree contradicts itself. In that
    /// case nothing changes.
    pub fn step<T: ParamTree + ?Sized>(&mut self, model: &mut T, gradients: &Gradients) -> Result<()> {
        let settings = &self.settings;
        let (lr, momentum) = (settings.lr as f32, settings.momentum as f32);
        let (decay, fresh) = (settings.weight_decay as f32, (1.0 - settings.dampening) as f32);
        let nesterov = settings.nesterov;
        for_each_parameter(model, gradients, |parameter, gradient| {
            let velocity = self.velocity.get_mut(&parameter.id());
            let Some(gradient) = gradient else {
                if let Some(velocity) = velocity {
                    forget_pruned(parameter, [velocity]);
                }
                return;
            };
            if momentum == 0.0 {
                return update_entries(
                    parameter,
                    gradient,
                    [],
                    #[inline(always)]
                    |x, g, []| (x - lr * (g + decay * x), []),
                );
            }
            // The first velocity is the gradient itself, without dampening.
            let (keep, add) = if velocity.is_some() {
                (momentum, fresh)
            } else {
                (0.0, 1.0)
            };
            let zeros = || ArrayD::zeros(gradient.raw_dim());
            let velocity = self.velocity.entry(parameter.id()).or_insert_with(zeros);
            if nesterov {
                update_entries(
                    parameter,
                    gradient,
                    [velocity],
                    #[inline(always)]
                    |x, g, [v]| {
                        let g = g + decay * x;
                        let v = keep * v + add * g;
                        (x - lr * (g + momentum * v), [v])
                    },
                );
            } else {
                update_entries(
                    parameter,
                    gradient,
                    [velocity],
                    #[inline(always)]
                    |x, g, [v]| {
                        let v = keep * v + add * (g + decay * x);
                        (x - lr * v, [v])
                    },
                );
            }
        })
    }

    /// The settings, and the running arrays for the parameters of `model`, by path.
    pub fn state<T: ParamTree + ?Sized>(&self, model: &T) -> OptimiserState {
        OptimiserState::gather(
            model,
            OptimiserSettings::Sgd(self.settings.clone()),
            ["momentum_buffer"],
            &self.velocity,
            |velocity| (0, [velocity]),
        )
    }

    /// Restores a state. Its settings, including the learning rate, replace those of this optimiser, and its running
    /// arrays go to the parameters at the same paths. PyTorch's `optimizer.load_state_dict`.
    ///
    /// # Errors
    ///
    /// An error names what does not fit the model or the optimiser, and changes nothing.
    pub fn load_state<T: ParamTree + ?Sized>(&mut self, model: &T, state: OptimiserState) -> Result<()> {
        let settings = state.settings.clone();
        let velocity = state.scatter(model, ["momentum_buffer"], |_, [velocity]| velocity)?;
        let OptimiserSettings::Sgd(settings) = settings else {
            return Err(settings.not("Sgd"));
        };
        settings.check()?;
        *self = Sgd { settings, velocity };
        Ok(())
    }
}

impl fmt::Debug for Sgd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Sgd");
        out.field("settings", &self.settings);
        out.field(
            "momentum_buffer",
            &outline(&self.velocity, |velocity| velocity.shape()),
        );
        out.finish()
    }
}
