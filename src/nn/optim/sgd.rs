//! [`Sgd`].

use std::collections::HashMap;

use ndarray::{ArrayD, Zip};

use super::{OptimiserState, for_each_gradient, non_negative};
use crate::error::{Error, NnError, Result};
use crate::nn::ParamTree;
use crate::tensor::{Gradients, ParamId};

/// Stochastic gradient descent, with momentum, Nesterov's or plain, and weight decay.
///
/// PyTorch's `optim.SGD`, and its order of operations.
///
/// ```
/// use secateurs::nn::optim::Sgd;
///
/// let optimiser = Sgd::new(0.1)?.momentum(0.9)?.nesterov()?.weight_decay(1e-4)?;
/// assert!(Sgd::new(f64::NAN).is_err());
/// # Ok::<(), secateurs::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Sgd {
    lr: f64,
    momentum: f64,
    dampening: f64,
    weight_decay: f64,
    nesterov: bool,
    velocity: HashMap<ParamId, ArrayD<f32>>,
}

impl Sgd {
    /// Plain gradient descent with this learning rate.
    ///
    /// # Errors
    ///
    /// [`NnError::Setting`](crate::error::NnError::Setting) if it is negative or not finite.
    pub fn new(lr: f64) -> Result<Self> {
        Ok(Sgd {
            lr: non_negative("Sgd", "lr", lr)?,
            momentum: 0.0,
            dampening: 0.0,
            weight_decay: 0.0,
            nesterov: false,
            velocity: HashMap::new(),
        })
    }

    /// With momentum.
    ///
    /// # Errors
    ///
    /// [`NnError::Setting`](crate::error::NnError::Setting) if it is negative or not finite, or 0 where momentum is Nesterov's.
    pub fn momentum(mut self, momentum: f64) -> Result<Self> {
        self.momentum = non_negative("Sgd", "momentum", momentum)?;
        self.check_nesterov()
    }

    /// With so much of each gradient kept out of the momentum.
    ///
    /// # Errors
    ///
    /// [`NnError::Setting`](crate::error::NnError::Setting) if it is negative or not finite, or momentum is Nesterov's.
    pub fn dampening(mut self, dampening: f64) -> Result<Self> {
        self.dampening = non_negative("Sgd", "dampening", dampening)?;
        self.check_nesterov()
    }

    /// With weight decay: the gradient of `weight_decay / 2 × |parameter|²` added.
    ///
    /// # Errors
    ///
    /// [`NnError::Setting`](crate::error::NnError::Setting) if it is negative or not finite.
    pub fn weight_decay(mut self, weight_decay: f64) -> Result<Self> {
        self.weight_decay = non_negative("Sgd", "weight_decay", weight_decay)?;
        Ok(self)
    }

    /// With Nesterov's momentum.
    ///
    /// # Errors
    ///
    /// [`NnError::Setting`](crate::error::NnError::Setting) if there is no momentum yet, or there is dampening.
    pub fn nesterov(mut self) -> Result<Self> {
        self.nesterov = true;
        self.check_nesterov()
    }

    fn check_nesterov(self) -> Result<Self> {
        if self.nesterov && (self.momentum <= 0.0 || self.dampening != 0.0) {
            return Err(Error::Nn(NnError::Setting {
                what: "Sgd",
                setting: "nesterov",
                value: "true".to_owned(),
                reason: "it needs momentum, set before, and no dampening",
            }));
        }
        Ok(self)
    }

    /// The learning rate.
    pub fn lr(&self) -> f64 {
        self.lr
    }

    /// Changes the learning rate, as schedules do.
    ///
    /// # Errors
    ///
    /// [`NnError::Setting`](crate::error::NnError::Setting) if it is negative or not finite.
    pub fn set_lr(&mut self, lr: f64) -> Result<()> {
        self.lr = non_negative("Sgd", "lr", lr)?;
        Ok(())
    }

    /// Updates each parameter of the model that has a gradient.
    pub fn step<T: ParamTree + ?Sized>(&mut self, model: &mut T, gradients: &Gradients) {
        let (lr, momentum) = (self.lr as f32, self.momentum as f32);
        let (decay, fresh) = (self.weight_decay as f32, (1.0 - self.dampening) as f32);
        for_each_gradient(model, gradients, |parameter, gradient| {
            let id = parameter.id();
            let mut value = parameter.original_mut();
            if momentum == 0.0 {
                Zip::from(&mut value)
                    .and(&gradient)
                    .for_each(|x, &g| *x -= lr * (g + decay * *x));
                return;
            }
            // The first velocity is the gradient itself, without dampening.
            let (keep, add) = if self.velocity.contains_key(&id) {
                (momentum, fresh)
            } else {
                (0.0, 1.0)
            };
            let velocity = self
                .velocity
                .entry(id)
                .or_insert_with(|| ArrayD::zeros(gradient.raw_dim()));
            let nesterov = self.nesterov;
            Zip::from(&mut value)
                .and(&gradient)
                .and(velocity)
                .for_each(|x, &g, v| {
                    let g = g + decay * *x;
                    *v = keep * *v + add * g;
                    *x -= lr * if nesterov { g + momentum * *v } else { *v };
                });
        });
    }

    /// What the optimiser has gathered on the parameters of `model`, by path.
    pub fn state<T: ParamTree + ?Sized>(&self, model: &T) -> OptimiserState {
        OptimiserState::gather(model, ["momentum_buffer"], &self.velocity, |velocity| {
            (0, [velocity])
        })
    }

    /// Replaces what the optimiser has gathered by what was gathered on the parameters of the same paths.
    ///
    /// # Errors
    ///
    /// An error names what does not fit the model, and changes nothing.
    pub fn load_state<T: ParamTree + ?Sized>(&mut self, model: &T, state: OptimiserState) -> Result<()> {
        self.velocity = state.scatter(model, ["momentum_buffer"], |_, [velocity]| velocity)?;
        Ok(())
    }
}
