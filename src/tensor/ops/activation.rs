//! Functions of one element at a time.

use crate::tensor::functions;
use crate::tensor::graph::Tensor;
use crate::tensor::kernel::{combine, map};

impl Tensor {
    /// `f` of every element; `slope` gives the gradient from the incoming one and the *result*.
    fn by_result(
        &self,
        f: impl Fn(f32) -> f32 + Sync,
        slope: impl Fn(f32, f32) -> f32 + Send + Sync + 'static,
    ) -> Tensor {
        let value = map(self.shared(), f);
        let edge = self.edge(|| {
            let y = value.clone();
            move |g, slot| slot.add(combine(g, &y, &slope))
        });
        Tensor::derived(value, [edge])
    }

    /// `f` of every element; `slope` gives the gradient from the incoming one and the *operand*.
    fn by_operand(
        &self,
        f: impl Fn(f32) -> f32 + Sync,
        slope: impl Fn(f32, f32) -> f32 + Send + Sync + 'static,
    ) -> Tensor {
        let edge = self.edge(|| {
            let x = self.shared();
            move |g, slot| slot.add(combine(g, &x, &slope))
        });
        Tensor::derived(map(self.shared(), f), [edge])
    }

    /// e to the power of every element.
    ///
    /// PyTorch: `torch.exp`.
    pub fn exp(&self) -> Tensor {
        self.by_result(f32::exp, |g, y| g * y)
    }

    /// The natural logarithm: −∞ of 0, NaN of negative elements.
    ///
    /// PyTorch: `torch.log`.
    pub fn ln(&self) -> Tensor {
        self.by_operand(f32::ln, |g, x| g / x)
    }

    /// The square root: NaN of negative elements. Its gradient at 0 is infinite.
    ///
    /// PyTorch: `torch.sqrt`.
    pub fn sqrt(&self) -> Tensor {
        self.by_result(f32::sqrt, |g, y| g / (2.0 * y))
    }

    /// An integer power of every element. The power 0 is 1 everywhere, with gradient 0.
    ///
    /// PyTorch: `torch.pow(a, n)`.
    pub fn powi(&self, n: i32) -> Tensor {
        if n == 0 {
            // Not 0 · x⁻¹, which is NaN at 0.
            return self.by_operand(|_| 1.0, |_, _| 0.0);
        }
        self.by_operand(
            move |x| x.powi(n),
            move |g, x| g * n as f32 * x.powi(n.saturating_sub(1)),
        )
    }

    /// The square of every element.
    ///
    /// PyTorch: `torch.square`.
    pub fn square(&self) -> Tensor {
        self.by_operand(|x| x * x, |g, x| 2.0 * g * x)
    }

    /// Each element if it is positive, otherwise 0. NaN stays NaN.
    ///
    /// The gradient is selected, not multiplied: where the result is 0, it is +0.0, even if the incoming gradient is
    /// infinite.
    ///
    /// PyTorch: `torch.relu`.
    ///
    /// ```
    /// use ndarray::arr1;
    /// use secateurs::tensor::Tensor;
    ///
    /// let x = Tensor::new(arr1(&[-1.0, 0.0, 2.0]));
    /// assert_eq!(x.relu().to_array(), arr1(&[0.0, 0.0, 2.0]).into_dyn());
    /// ```
    pub fn relu(&self) -> Tensor {
        self.by_result(
            |x| if x <= 0.0 { 0.0 } else { x },
            |g, y| if y <= 0.0 { 0.0 } else { g },
        )
    }

    /// 1 / (1 + e⁻ˣ).
    ///
    /// PyTorch: `torch.sigmoid`.
    pub fn sigmoid(&self) -> Tensor {
        self.by_result(functions::sigmoid, |g, y| g * y * (1.0 - y))
    }

    /// The hyperbolic tangent.
    ///
    /// PyTorch: `torch.tanh`.
    pub fn tanh(&self) -> Tensor {
        self.by_result(functions::tanh, |g, y| g * (1.0 - y * y))
    }
}
