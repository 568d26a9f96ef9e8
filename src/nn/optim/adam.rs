//! [`Adam`].

use std::collections::HashMap;
use std::fmt;

use ndarray::{ArrayD, Zip};

use super::settings::{AdamSettings, OptimiserSettings, non_negative};
use super::state::{OptimiserState, outline};
use super::update::for_each_gradient;
use crate::error::Result;
use crate::nn::ParamTree;
use crate::tensor::{Gradients, ParamId};

/// Adam, after Kingma and Ba 2014, <https://arxiv.org/abs/1412.6980>.
///
/// PyTorch's `optim.Adam`, with the same order of operations.
///
/// ```
/// use secateurs::nn::optim::Adam;
///
/// let optimiser = Adam::new(1e-3)?.betas(0.9, 0.99)?.weight_decay(1e-4)?;
/// assert!(Adam::new(1e-3)?.betas(1.0, 0.9).is_err());
/// # Ok::<(), secateurs::Error>(())
/// ```
#[derive(Clone)]
pub struct Adam {
    settings: AdamSettings,
    moments: HashMap<ParamId, Moments>,
}

#[derive(Clone)]
struct Moments {
    steps: u64,
    mean: ArrayD<f32>,
    square: ArrayD<f32>,
}

impl Adam {
    /// Adam with this learning rate, betas 0.9 and 0.999, eps 1e-8 and no weight decay.
    ///
    /// # Errors
    ///
    /// [`NnError::InvalidSetting`](crate::error::NnError::InvalidSetting) if the rate is negative or not finite.
    pub fn new(lr: f64) -> Result<Self> {
        let settings = AdamSettings {
            lr,
            betas: (0.9, 0.999),
            eps: 1e-8,
            weight_decay: 0.0,
        };
        settings.check()?;
        let moments = HashMap::new();
        Ok(Adam { settings, moments })
    }

    /// With other settings, if they are valid.
    fn with(mut self, change: impl FnOnce(&mut AdamSettings)) -> Result<Self> {
        change(&mut self.settings);
        self.settings.check()?;
        Ok(self)
    }

    /// With these decay rates of the running means of gradients and of their squares.
    ///
    /// # Errors
    ///
    /// [`NnError::InvalidSetting`](crate::error::NnError::InvalidSetting) if one is outside [0, 1).
    pub fn betas(self, mean: f64, square: f64) -> Result<Self> {
        self.with(|settings| settings.betas = (mean, square))
    }

    /// With this term added to the denominator.
    ///
    /// # Errors
    ///
    /// [`NnError::InvalidSetting`](crate::error::NnError::InvalidSetting) if it is negative or not finite.
    pub fn eps(self, eps: f64) -> Result<Self> {
        self.with(|settings| settings.eps = eps)
    }

    /// With weight decay: adds the gradient of `weight_decay / 2 × |parameter|²`.
    ///
    /// # Errors
    ///
    /// [`NnError::InvalidSetting`](crate::error::NnError::InvalidSetting) if it is negative or not finite.
    pub fn weight_decay(self, weight_decay: f64) -> Result<Self> {
        self.with(|settings| settings.weight_decay = weight_decay)
    }

    /// The settings.
    pub fn settings(&self) -> &AdamSettings {
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
        self.settings.lr = non_negative("Adam", "lr", lr)?;
        Ok(())
    }

    /// Updates each parameter of the model that has a gradient.
    ///
    /// # Errors
    ///
    /// [`ModelError::Inconsistent`](crate::error::ModelError::Inconsistent) if the tree contradicts itself. In that
    /// case nothing changes.
    pub fn step<T: ParamTree + ?Sized>(&mut self, model: &mut T, gradients: &Gradients) -> Result<()> {
        let settings = &self.settings;
        let (beta1, beta2) = settings.betas;
        let (decay, eps, lr) = (settings.weight_decay as f32, settings.eps as f32, settings.lr);
        for_each_gradient(model, gradients, |parameter, gradient| {
            let moments = self.moments.entry(parameter.id()).or_insert_with(|| Moments {
                steps: 0,
                mean: ArrayD::zeros(gradient.raw_dim()),
                square: ArrayD::zeros(gradient.raw_dim()),
            });
            moments.steps = moments.steps.saturating_add(1); // a loaded count may be any number
            let corrected = |beta: f64| 1.0 - libm::pow(beta, moments.steps as f64);
            let (step, root) = ((lr / corrected(beta1)) as f32, corrected(beta2).sqrt() as f32);
            let (b1, b2) = (beta1 as f32, beta2 as f32);
            let (c1, c2) = ((1.0 - beta1) as f32, (1.0 - beta2) as f32);
            let mut value = parameter.original_mut();
            let (mean, square) = (&mut moments.mean, &mut moments.square);
            Zip::from(&mut value)
                .and(&gradient)
                .and(mean)
                .and(square)
                .for_each(|x, &g, m, v| {
                    let g = g + decay * *x;
                    *m = b1 * *m + c1 * g;
                    *v = b2 * *v + c2 * g * g;
                    *x -= step * (*m / (v.sqrt() / root + eps));
                });
        })
    }

    /// The settings, and the running arrays for the parameters of `model`, by path.
    pub fn state<T: ParamTree + ?Sized>(&self, model: &T) -> OptimiserState {
        OptimiserState::gather(
            model,
            self.settings.clone().into(),
            ["exp_avg", "exp_avg_sq"],
            &self.moments,
            |m| (m.steps, [&m.mean, &m.square]),
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
        let build = |steps, [mean, square]: [ArrayD<f32>; 2]| Moments { steps, mean, square };
        let moments = state.scatter(model, ["exp_avg", "exp_avg_sq"], build)?;
        let OptimiserSettings::Adam(settings) = settings else {
            return Err(settings.not("Adam"));
        };
        settings.check()?;
        *self = Adam { settings, moments };
        Ok(())
    }
}

impl fmt::Debug for Adam {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Adam");
        out.field("settings", &self.settings);
        out.field("moments", &outline(&self.moments, |moments| moments.mean.shape()));
        out.finish()
    }
}
