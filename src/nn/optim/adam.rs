//! [`Adam`].

use std::collections::HashMap;

use ndarray::{ArrayD, Zip};

use super::{OptimiserState, below_one, for_each_gradient, non_negative};
use crate::error::Result;
use crate::nn::ParamTree;
use crate::tensor::{Gradients, ParamId};

/// Adam, after Kingma and Ba 2014, <https://arxiv.org/abs/1412.6980>.
///
/// PyTorch's `optim.Adam`, and its order of operations.
///
/// ```
/// use secateurs::nn::optim::Adam;
///
/// let optimiser = Adam::new(1e-3)?.betas(0.9, 0.99)?.weight_decay(1e-4)?;
/// assert!(Adam::new(1e-3)?.betas(1.0, 0.9).is_err());
/// # Ok::<(), secateurs::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Adam {
    lr: f64,
    betas: (f64, f64),
    eps: f64,
    weight_decay: f64,
    moments: HashMap<ParamId, Moments>,
}

#[derive(Clone, Debug)]
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
    /// [`NnError::Setting`](crate::error::NnError::Setting) if the rate is negative or not finite.
    pub fn new(lr: f64) -> Result<Self> {
        let lr = non_negative("Adam", "lr", lr)?;
        Ok(Adam {
            lr,
            betas: (0.9, 0.999),
            eps: 1e-8,
            weight_decay: 0.0,
            moments: HashMap::new(),
        })
    }

    /// With these shares of the running mean of gradients, and of that of their squares, kept at each step.
    ///
    /// # Errors
    ///
    /// [`NnError::Setting`](crate::error::NnError::Setting) if one is outside [0, 1).
    pub fn betas(mut self, mean: f64, square: f64) -> Result<Self> {
        self.betas = (
            below_one("Adam", "betas", mean)?,
            below_one("Adam", "betas", square)?,
        );
        Ok(self)
    }

    /// With this term added to the denominator.
    ///
    /// # Errors
    ///
    /// [`NnError::Setting`](crate::error::NnError::Setting) if it is negative or not finite.
    pub fn eps(mut self, eps: f64) -> Result<Self> {
        self.eps = non_negative("Adam", "eps", eps)?;
        Ok(self)
    }

    /// With weight decay: the gradient of `weight_decay / 2 × |parameter|²` added.
    ///
    /// # Errors
    ///
    /// [`NnError::Setting`](crate::error::NnError::Setting) if it is negative or not finite.
    pub fn weight_decay(mut self, weight_decay: f64) -> Result<Self> {
        self.weight_decay = non_negative("Adam", "weight_decay", weight_decay)?;
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
        self.lr = non_negative("Adam", "lr", lr)?;
        Ok(())
    }

    /// Updates each parameter of the model that has a gradient.
    pub fn step<T: ParamTree + ?Sized>(&mut self, model: &mut T, gradients: &Gradients) {
        let (beta1, beta2) = self.betas;
        let (decay, eps, lr) = (self.weight_decay as f32, self.eps as f32, self.lr);
        for_each_gradient(model, gradients, |parameter, gradient| {
            let moments = self.moments.entry(parameter.id()).or_insert_with(|| Moments {
                steps: 0,
                mean: ArrayD::zeros(gradient.raw_dim()),
                square: ArrayD::zeros(gradient.raw_dim()),
            });
            moments.steps = moments.steps.saturating_add(1); // what was loaded may be any number
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
        });
    }

    /// What the optimiser has gathered on the parameters of `model`, by path.
    pub fn state<T: ParamTree + ?Sized>(&self, model: &T) -> OptimiserState {
        OptimiserState::gather(model, ["exp_avg", "exp_avg_sq"], &self.moments, |m| {
            (m.steps, [&m.mean, &m.square])
        })
    }

    /// Replaces what the optimiser has gathered by what was gathered on the parameters of the same paths.
    ///
    /// # Errors
    ///
    /// An error names what does not fit the model, and changes nothing.
    pub fn load_state<T: ParamTree + ?Sized>(&mut self, model: &T, state: OptimiserState) -> Result<()> {
        let build = |steps, [mean, square]: [ArrayD<f32>; 2]| Moments { steps, mean, square };
        self.moments = state.scatter(model, ["exp_avg", "exp_avg_sq"], build)?;
        Ok(())
    }
}
