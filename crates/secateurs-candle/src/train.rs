//! Training with masks: gradients and variables are masked around the step of any optimiser.

use candle_core::backprop::GradStore;
use candle_core::{Storage, Tensor};
use candle_nn::Optimizer;

use crate::error::{Error, Result};
use crate::model::{CandleModel, Pruned};
use crate::rewrite::{ApplyMask, mask_tensor, masked};
use crate::storage::{float_type, with_floats};

impl CandleModel {
    /// Backward pass and [`step`](Self::step): what `optimizer.backward_step(&loss)` does, with masks.
    ///
    /// # Errors
    ///
    /// As [`step`](Self::step).
    pub fn backward_step(&self, optimizer: &mut impl Optimizer, loss: &Tensor) -> Result<()> {
        self.step(optimizer, &mut loss.backward()?)
    }

    /// A step of an optimiser after which pruned entries are still +0.0: [`mask_gradients`](Self::mask_gradients),
    /// `optimizer.step`, [`apply`](Self::apply).
    ///
    /// # Errors
    ///
    /// Those of the three. If the optimiser fails, masks are applied all the same.
    pub fn step(&self, optimizer: &mut impl Optimizer, grads: &mut GradStore) -> Result<()> {
        self.mask_gradients(grads)?;
        let stepped = optimizer.step(grads);
        self.apply()?;
        Ok(stepped?)
    }

    /// Puts 0 into the gradients of pruned entries, so that they move no moments and count in no norm of gradients.
    /// Variables without a gradient are left out.
    ///
    /// It is done in place, without a second tensor. Only gradients that are not contiguous, that share their memory
    /// with that of another variable, or that are not on the CPU, are replaced by masked copies.
    ///
    /// # Errors
    ///
    /// [`Error::Replaced`] and [`Error::GradientShape`], before anything is changed, and those of candle.
    pub fn mask_gradients(&self, grads: &mut GradStore) -> Result<()> {
        self.check_pruned()?;
        for (name, var, _) in self.pruned() {
            if let Some(grad) = grads.get(var)
                && grad.dims() != var.dims()
            {
                return Err(Error::GradientShape {
                    name: name.to_owned(),
                    expected: var.dims().to_vec(),
                    got: grad.dims().to_vec(),
                });
            }
        }
        let shared = self.shared_gradients(grads);
        for (name, var, pruned) in self.pruned() {
            let Some(grad) = grads.get(var) else { continue };
            let in_place =
                pruned.on_device.is_none() && grad.is_contiguous() && float_type(grad.dtype()).is_some();
            if in_place && !shared.contains(&name) {
                grad.inplace_op1(&ApplyMask(pruned.mask()))?;
            } else {
                let copy = masked(grad, &pruned.tensor(grad)?)?;
                grads.insert(var, copy);
            }
        }
        Ok(())
    }

    /// Puts +0.0 into the pruned entries of variables again, in place. Call it after whatever changes variables:
    /// an optimiser, loading, or the average of several replicas.
    ///
    /// # Errors
    ///
    /// [`Error::Replaced`], before anything is changed, and those of candle.
    pub fn apply(&self) -> Result<()> {
        self.check_pruned()?;
        for (_, var, pruned) in self.pruned() {
            match &pruned.on_device {
                None => var.inplace_op1(&ApplyMask(pruned.mask()))?,
                Some(mask) => var.set(&masked(var, mask)?)?,
            }
        }
        Ok(())
    }

    /// The names of pruned variables whose gradients have their memory in common with those of other variables, such
    /// as when one tensor was inserted for two.
    fn shared_gradients(&self, grads: &GradStore) -> Vec<&str> {
        let mut places: Vec<_> = self
            .vars()
            .filter_map(|(name, var)| Some((address(grads.get(var)?)?, var.id(), name)))
            .collect();
        places.sort_by_key(|(address, ..)| *address);
        let together = places.chunk_by(|a, b| a.0 == b.0);
        let shared = together.filter(|same| same.iter().any(|(_, id, _)| *id != same[0].1));
        shared.flatten().map(|(.., name)| *name).collect()
    }
}

impl Pruned {
    /// The mask as a tensor on the device of another.
    fn tensor(&self, like: &Tensor) -> Result<Tensor> {
        match &self.on_device {
            Some(mask) => Ok(mask.clone()),
            None => Ok(mask_tensor(self.mask(), like)?),
        }
    }
}

/// Where the memory of a tensor on the CPU begins.
fn address(tensor: &Tensor) -> Option<usize> {
    match &*tensor.storage_and_layout().0 {
        Storage::Cpu(storage) => with_floats!(storage, values => Some(values.as_ptr().addr()), _ => None),
        _ => None,
    }
}
