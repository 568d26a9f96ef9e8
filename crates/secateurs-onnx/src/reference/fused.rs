//! Root mean square norms, and operators that runtimes write in the place of several.

use ndarray::ArrayD;

use super::convolution::standard;
use super::{Inputs, unsupported};
use crate::couple::{epsilon, sum_of};
use crate::error::Result;
use crate::shapes::axis;

impl Inputs<'_, '_> {
    /// A norm of a sum, two outputs that nobody may use, and the sum.
    pub(super) fn skip_norm(&self) -> Result<Vec<ArrayD<f64>>> {
        let node = self.node;
        let sum = Inputs {
            node: &node.with("Sum", &sum_of(node)),
            ..*self
        }
        .compute()?;
        let norm = match node.op {
            "SkipLayerNormalization" => self.layer_norm(&sum, self.get(2)?, self.optional(3))?,
            _ => self.rms_norm(&sum, self.get(2)?)?,
        };
        if node.outputs.iter().skip(1).take(2).any(|name| !name.is_empty()) {
            return Err(unsupported(node, "its statistics are used"));
        }
        Ok(vec![
            norm,
            ndarray::arr0(0.0).into_dyn(),
            ndarray::arr0(0.0).into_dyn(),
            sum,
        ])
    }

    pub(super) fn rms_norm(&self, array: &ArrayD<f64>, scale: &ArrayD<f64>) -> Result<ArrayD<f64>> {
        let at = axis(self.node.int("axis").unwrap_or(-1), array.ndim()).ok_or_else(|| self.misfit())?;
        let length: usize = array.shape()[at..].iter().product();
        let adjusted = self.adjusted.and_then(|adjusted| adjusted.epsilon);
        let epsilon = adjusted.unwrap_or(f64::from(epsilon(self.node)));
        let scale = standard(scale);
        if scale.len() != length || length == 0 {
            return Err(self.misfit());
        }
        let mut values = standard(array);
        for row in values.chunks_mut(length) {
            let mean = row.iter().map(|x| x * x).sum::<f64>() / length as f64;
            let root = (mean + epsilon).sqrt();
            row.iter_mut()
                .zip(&scale)
                .for_each(|(x, scale)| *x = *x / root * scale);
        }
        ArrayD::from_shape_vec(array.raw_dim(), values).map_err(|_| self.misfit())
    }

    /// A value and what is added to it, if there is something.
    pub(super) fn biased(&self) -> Result<ArrayD<f64>> {
        match self.optional(1) {
            Some(_) => self.binary(|x, bias| x + bias),
            None => Ok(self.get(0)?.clone()),
        }
    }
}

/// x times the standard normal distribution function, exactly.
pub fn gelu(x: f64) -> f64 {
    0.5 * x * (1.0 + libm::erf(x / std::f64::consts::SQRT_2))
}

/// The same, approximately.
pub fn gelu_by_tanh(x: f64) -> f64 {
    let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x * x * x);
    0.5 * x * (1.0 + libm::tanh(inner))
}
