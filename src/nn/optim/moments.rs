//! [`Moments`]: the running means of gradients and of their squares, and the update from them.

use std::collections::HashMap;

use ndarray::ArrayD;

use super::entries::{forget_pruned, update_entries};
use super::settings::{AdamSettings, OptimiserSettings};
use super::state::OptimiserState;
use super::update::for_each_parameter;
use crate::error::Result;
use crate::nn::ParamTree;
use crate::tensor::{Gradients, ParamId};

/// PyTorch's names of the running arrays.
const NAMES: [&str; 2] = ["exp_avg", "exp_avg_sq"];

/// How weights decay.
#[derive(Clone, Copy)]
pub(super) enum Decay {
    /// By a term of the gradient.
    InGradient,
    /// By a factor, apart from the gradient.
    Decoupled,
}

/// The running means of the gradients of each parameter and of their squares.
#[derive(Clone, Default)]
pub(super) struct Moments {
    by_id: HashMap<ParamId, OfParameter>,
}

#[derive(Clone)]
pub(super) struct OfParameter {
    steps: u64,
    mean: ArrayD<f32>,
    square: ArrayD<f32>,
}

impl OfParameter {
    pub fn shape(&self) -> &[usize] {
        self.mean.shape()
    }
}

impl Moments {
    pub fn by_id(&self) -> &HashMap<ParamId, OfParameter> {
        &self.by_id
    }

    /// A step of Adam or AdamW.
    pub fn step<T: ParamTree + ?Sized>(
        &mut self,
        settings: &AdamSettings,
        decay: Decay,
        model: &mut T,
        gradients: &Gradients,
    ) -> Result<()> {
        let (lr, (beta1, beta2), eps) = (settings.lr, settings.betas, settings.eps as f32);
        let (term, factor) = match decay {
            Decay::InGradient => (settings.weight_decay as f32, 1.0),
            Decay::Decoupled => (0.0, (1.0 - lr * settings.weight_decay) as f32),
        };
        for_each_parameter(model, gradients, |parameter, gradient| {
            let id = parameter.id();
            let Some(gradient) = gradient else {
                if let Some(moments) = self.by_id.get_mut(&id) {
                    forget_pruned(parameter, [&mut moments.mean, &mut moments.square]);
                }
                return;
            };
            let moments = self.by_id.entry(id).or_insert_with(|| OfParameter {
                steps: 0,
                mean: ArrayD::zeros(gradient.raw_dim()),
                square: ArrayD::zeros(gradient.raw_dim()),
            });
            moments.steps = moments.steps.saturating_add(1); // a loaded count may be any number
            let corrected = |beta: f64| 1.0 - libm::pow(beta, moments.steps as f64);
            let (step, root) = ((lr / corrected(beta1)) as f32, corrected(beta2).sqrt() as f32);
            let (b1, b2) = (beta1 as f32, beta2 as f32);
            let (c1, c2) = ((1.0 - beta1) as f32, (1.0 - beta2) as f32);
            update_entries(
                parameter,
                gradient,
                [&mut moments.mean, &mut moments.square],
                #[inline(always)]
                |x, g, [m, v]| {
                    let x = factor * x;
                    let g = g + term * x;
                    let (m, v) = (b1 * m + c1 * g, b2 * v + c2 * g * g);
                    (x - step * (m / (v.sqrt() / root + eps)), [m, v])
                },
            );
        })
    }

    /// The moments by path, with the settings of their optimiser.
    pub fn state<T: ParamTree + ?Sized>(&self, model: &T, settings: OptimiserSettings) -> OptimiserState {
        OptimiserState::gather(model, settings, NAMES, &self.by_id, |moments| {
            (moments.steps, [&moments.mean, &moments.square])
        })
    }

    /// The moments of a state.
    pub fn from_state<T: ParamTree + ?Sized>(model: &T, state: OptimiserState) -> Result<Self> {
        let build = |steps, [mean, square]: [ArrayD<f32>; 2]| OfParameter { steps, mean, square };
        let by_id = state.scatter(model, NAMES, build)?;
        Ok(Moments { by_id })
    }
}
