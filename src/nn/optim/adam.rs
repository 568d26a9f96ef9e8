//! [`Adam`] and [`AdamW`], which differ only in how weights decay.

use std::fmt;

use super::moments::{Decay, Moments};
use super::settings::{AdamSettings, OptimiserSettings, non_negative};
use super::state::{OptimiserState, outline};
use crate::error::Result;
use crate::nn::ParamTree;
use crate::tensor::Gradients;

macro_rules! adam {
    (
        $(#[$doc:meta])*
        $name:ident, $what:literal, $decay:expr, $default:literal;
        #[$new:meta]
        #[$weight_decay:meta]
    ) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name {
            settings: AdamSettings,
            moments: Moments,
        }

        impl $name {
            #[$new]
            ///
            /// # Errors
            ///
            /// [`NnError::InvalidSetting`](crate::error::NnError::InvalidSetting) if the rate is negative or not finite.
            pub fn new(lr: f64) -> Result<Self> {
                let settings = AdamSettings {
                    lr,
                    betas: (0.9, 0.999),
                    eps: 1e-8,
                    weight_decay: $default,
                };
                settings.check($what)?;
                let moments = Moments::default();
                Ok($name { settings, moments })
            }

            /// With other settings, if they are valid.
            fn with(mut self, change: impl FnOnce(&mut AdamSettings)) -> Result<Self> {
                change(&mut self.settings);
                self.settings.check($what)?;
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

            #[$weight_decay]
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
                self.settings.lr = non_negative($what, "lr", lr)?;
                Ok(())
            }

            /// Updates each parameter of the model that has a gradient. Entries that are pruned keep their originals,
            /// and their running numbers become 0.
            ///
            /// # Errors
            ///
            /// [`ModelError::Inconsistent`](crate::error::ModelError::Inconsistent) if the tree contradicts itself. In
            /// that case nothing changes.
            pub fn step<T: ParamTree + ?Sized>(&mut self, model: &mut T, gradients: &Gradients) -> Result<()> {
                self.moments.step(&self.settings, $decay, model, gradients)
            }

            /// The settings, and the running arrays for the parameters of `model`, by path.
            pub fn state<T: ParamTree + ?Sized>(&self, model: &T) -> OptimiserState {
                self.moments
                    .state(model, OptimiserSettings::$name(self.settings.clone()))
            }

            /// Restores a state. Its settings, including the learning rate, replace those of this optimiser, and its
            /// running arrays go to the parameters at the same paths. PyTorch's `optimizer.load_state_dict`.
            ///
            /// # Errors
            ///
            /// An error names what does not fit the model or the optimiser, and changes nothing.
            pub fn load_state<T: ParamTree + ?Sized>(&mut self, model: &T, state: OptimiserState) -> Result<()> {
                let settings = state.settings.clone();
                let moments = Moments::from_state(model, state)?;
                let OptimiserSettings::$name(settings) = settings else {
                    return Err(settings.not($what));
                };
                settings.check($what)?;
                *self = $name { settings, moments };
                Ok(())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut out = f.debug_struct($what);
                out.field("settings", &self.settings);
                out.field("moments", &outline(self.moments.by_id(), |moments| moments.shape()));
                out.finish()
            }
        }
    };
}

adam! {
    /// Adam, after Kingma and Ba 2014, <https://arxiv.org/abs/1412.6980>.
    ///
    /// PyTorch's `optim.Adam`, with the same order of operations. For weight decay, [`AdamW`] is usually better.
    ///
    /// ```
    /// use secateurs::nn::optim::Adam;
    ///
    /// let optimiser = Adam::new(1e-3)?.betas(0.9, 0.99)?.weight_decay(1e-4)?;
    /// assert!(Adam::new(1e-3)?.betas(1.0, 0.9).is_err());
    /// # Ok::<(), secateurs::Error>(())
    /// ```
    Adam, "Adam", Decay::InGradient, 0.0;
    /// Adam with this learning rate, betas 0.9 and 0.999, eps 1e-8 and no weight decay.
    /// With weight decay: adds the gradient of `weight_decay / 2 × |parameter|²`, without pruned entries.
}

adam! {
    /// Adam with decoupled weight decay, after Loshchilov and Hutter 2017, <https://arxiv.org/abs/1711.05101>.
    ///
    /// Weights shrink by themselves, and not by way of the gradient, where Adam would divide their decay by the size of
    /// past gradients. PyTorch's `optim.AdamW`, with the same order of operations.
    ///
    /// ```
    /// use secateurs::nn::optim::AdamW;
    ///
    /// let optimiser = AdamW::new(1e-3)?.betas(0.9, 0.95)?.weight_decay(0.1)?;
    /// assert!(optimiser.clone().weight_decay(-0.1).is_err());
    /// # Ok::<(), secateurs::Error>(())
    /// ```
    AdamW, "AdamW", Decay::Decoupled, 0.01;
    /// AdamW with this learning rate, betas 0.9 and 0.999, eps 1e-8 and weight decay 0.01.
    /// With weight decay: before each update, an entry that is kept is multiplied by `1 − lr × weight_decay`.
}
