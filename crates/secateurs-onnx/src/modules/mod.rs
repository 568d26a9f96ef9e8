//! Models of `secateurs::nn`: [`export`] to ONNX, and [`shrink_module`].

mod file;
mod layers;
mod smaller;
#[cfg(test)]
mod tests;

use ndarray::ArrayD;
use secateurs::nn::{Module, ParamTreeExt};
use secateurs::tensor::{Tensor, no_grad};

use crate::error::Result;
use crate::external::External;
use crate::graph::Model;
use crate::options::Options;
use crate::report::Report;
use crate::shrink::shrink;
use crate::skeleton::Skeleton;
use file::GraphFile;
use layers::Export;

/// The name of the input of an exported model.
const INPUT: &str = "input";
/// The name of its output.
const OUTPUT: &str = "output";

/// A module as an ONNX model, in evaluation mode: dropout is left out, and batch norm uses its running statistics.
///
/// A [`Sequential`](secateurs::nn::Sequential), also one in another, of `Linear`, `Conv1d` to `Conv3d`, `BatchNorm1d`,
/// `BatchNorm2d`, `MaxPool2d`, `AvgPool2d`, `AdaptiveAvgPool2d`, `Relu`, `Sigmoid`, `Tanh`, `Flatten` and `Dropout`.
/// `sample_shape` is the shape of one sample; the model takes batches of any size. Initializers have the names of the
/// state dict, such as `0.weight`, and pruned weights are exported with zeros in them. PyTorch's `torch.onnx.export`.
///
/// ```
/// use rand::SeedableRng;
/// use secateurs::nn::{Linear, Relu, Sequential};
///
/// let rng = &mut rand_chacha::ChaCha8Rng::seed_from_u64(0);
/// let model = Sequential::new().push(Linear::new(64, 30, rng)?).push(Relu::new()).push(Linear::new(30, 10, rng)?);
/// let onnx = secateurs_onnx::export(&model, &[64])?;
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("digits.onnx");
/// std::fs::write(path, onnx)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`Error::Export`](crate::Error::Export) for a module that has no counterpart in ONNX here, and for a sample of a
/// shape that a module does not take.
pub fn export(module: &dyn Module, sample_shape: &[usize]) -> Result<Vec<u8>> {
    let mut module = module.clone_boxed();
    module.eval()?;
    let shape: Vec<usize> = [1].iter().chain(sample_shape).copied().collect();
    let sample = Tensor::new(ArrayD::zeros(shape.as_slice()));
    let mut export = Export::new(sample);
    no_grad(|| export.module("", &*module))?;
    Ok(export.finish(sample_shape))
}

/// A smaller module.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SmallerModule<M> {
    /// The module: layers of the same kinds under the same names, with fewer channels.
    pub module: M,
    /// What was removed. Bytes are those of the ONNX model.
    pub report: Report,
}

/// Removes channels from a module, as [`shrink`](fn@crate::shrink) does from an ONNX model: the module is
/// [exported](export), the model is shrunk and verified, and its weights become layers again.
///
/// The result computes what the module computes with the same channels masked, up to the rounding of its sums. It is
/// in the same mode as the module, training or evaluation, and its running statistics go on. Its weights are plain
/// ones: masks are made permanent, as by [`prune::remove_all`](secateurs::prune::remove_all). They are new parameters,
/// so that an optimiser starts anew.
///
/// ```
/// use rand::SeedableRng;
/// use secateurs::nn::{Linear, Module, ParamTreeExt, Relu, Sequential};
/// use secateurs_onnx::{Options, shrink_module};
///
/// let rng = &mut rand_chacha::ChaCha8Rng::seed_from_u64(0);
/// let model = Sequential::new().push(Linear::new(64, 32, rng)?).push(Relu::new()).push(Linear::new(32, 10, rng)?);
/// let smaller = shrink_module(&model, &[64], &Options::new(0.5)?)?;
/// assert_eq!(smaller.module.parameter("0.weight")?.shape(), [16, 64]);
/// assert_eq!(smaller.module.parameter("2.weight")?.shape(), [10, 16]);
/// println!("{}", smaller.report);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// As [`export`] and [`shrink`](fn@crate::shrink).
pub fn shrink_module<M: Module + Clone>(
    module: &M,
    sample_shape: &[usize],
    options: &Options,
) -> Result<SmallerModule<M>> {
    let shrunk = shrink(&export(module, sample_shape)?, options)?;
    let skeleton = Skeleton::of_bytes(&shrunk.bytes)?;
    let external = External::default();
    let model = Model::read(&skeleton, &external)?;
    let mut smaller = module.clone();
    smaller::resize("", &mut smaller, &model.graph)?;
    Ok(SmallerModule {
        module: smaller,
        report: shrunk.report,
    })
}

/// The name of the node of a layer: its path, which a model that is one layer does not have.
fn node_name(path: &str) -> &str {
    if path.is_empty() { "model" } else { path }
}

/// The path of a child.
fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}
