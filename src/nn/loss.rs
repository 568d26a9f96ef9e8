//! Losses: scalars from an output and its target, at which a backward pass starts.

use crate::error::Result;
use crate::tensor::Tensor;

/// The mean over the batch of −log softmax at the target class, for logits `[N, classes]` and `N` class indices.
///
/// PyTorch's `nn.functional.cross_entropy`.
///
/// ```
/// use ndarray::array;
/// use secateurs::nn::loss;
/// use secateurs::tensor::Tensor;
///
/// let logits = Tensor::new(array![[0.0, 0.0], [0.0, 0.0]]);
/// let loss = loss::cross_entropy(&logits, &[0, 1])?.item()?;
/// assert!((loss - 2.0_f32.ln()).abs() < 1e-6);
/// # Ok::<(), secateurs::Error>(())
/// ```
///
/// # Errors
///
/// [`TensorError`](crate::error::TensorError) if the shapes do not fit or a target is not a class.
pub fn cross_entropy(logits: &Tensor, targets: &[usize]) -> Result<Tensor> {
    logits.cross_entropy(targets)
}

/// The mean of squared differences, for two tensors of the same shape.
///
/// PyTorch's `nn.functional.mse_loss`.
///
/// ```
/// use ndarray::array;
/// use secateurs::nn::loss;
/// use secateurs::tensor::Tensor;
///
/// let (output, target) = (Tensor::new(array![1.0, 2.0]), Tensor::new(array![1.0, 4.0]));
/// assert_eq!(loss::mse(&output, &target)?.item()?, 2.0);
/// # Ok::<(), secateurs::Error>(())
/// ```
///
/// # Errors
///
/// [`TensorError`](crate::error::TensorError) if the shapes differ.
pub fn mse(output: &Tensor, target: &Tensor) -> Result<Tensor> {
    output.mse(target)
}
