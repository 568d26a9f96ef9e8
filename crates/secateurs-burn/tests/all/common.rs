//! Modules to test with.

use std::ops::Range;

use burn::module::{Module, ModuleMapper, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::{Linear, LinearConfig};
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::{DType, Device, Int, Tensor, TensorData, activation::relu};
use secateurs::FloatArray;

/// A module whose parameters are given, or missing.
#[derive(Module, Debug)]
pub struct Given {
    pub fc: Layer,
    pub head: Layer,
    pub conv: Kernel,
}

#[derive(Module, Debug)]
pub struct Layer {
    pub weight: Option<Param<Tensor<2>>>,
    pub bias: Option<Param<Tensor<1>>>,
}

#[derive(Module, Debug)]
pub struct Kernel {
    pub weight: Option<Param<Tensor<4>>>,
}

impl Given {
    /// `fc.weight`, `fc.bias`, `head.weight` and `conv.weight`, those that are there.
    pub fn new(arrays: &[(&str, FloatArray)], device: &Device) -> Self {
        let named = |name: &str| {
            arrays
                .iter()
                .find(|(path, _)| *path == name)
                .map(|(_, array)| array)
        };
        for (name, _) in arrays {
            assert!(
                ["fc.weight", "fc.bias", "head.weight", "conv.weight"].contains(name),
                "{name}"
            );
        }
        Given {
            fc: Layer {
                weight: named("fc.weight").map(|array| param(array, device)),
                bias: named("fc.bias").map(|array| param(array, device)),
            },
            head: Layer {
                weight: named("head.weight").map(|array| param(array, device)),
                bias: None,
            },
            conv: Kernel {
                weight: named("conv.weight").map(|array| param(array, device)),
            },
        }
    }
}

fn param<const D: usize>(array: &FloatArray, device: &Device) -> Param<Tensor<D>> {
    macro_rules! tensor {
        ($($variant:ident)*) => {
            match array {
                $(FloatArray::$variant(array) => {
                    let data = TensorData::new(array.iter().copied().collect(), array.shape());
                    Tensor::from_data(data, (device, DType::$variant))
                })*
                _ => unreachable!(),
            }
        };
    }
    Param::from_tensor(tensor!(F16 BF16 F32 F64))
}

/// A network in burn's own style: a convolution and two linear layers.
#[derive(Module, Debug)]
pub struct Network {
    pub conv: Conv2d,
    pub fc: Linear,
    pub head: Linear,
}

impl Network {
    /// A network whose weights are the same for the same seed.
    pub fn new(seed: usize, device: &Device) -> Self {
        let network = Network {
            conv: Conv2dConfig::new([1, 4], [3, 3]).init(device),
            fc: LinearConfig::new(16, 12).init(device),
            head: LinearConfig::new(12, 3).init(device),
        };
        network.map(&mut Initialise(seed))
    }

    /// Of images of 4×4 pixels.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let hidden = relu(self.conv.forward(images)).flatten(1, 3);
        self.head.forward(relu(self.fc.forward(hidden)))
    }
}

struct Initialise(usize);

impl ModuleMapper for Initialise {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        self.0 += 31;
        let value = |i: usize| ((i * 7919 + self.0 * 104_729) % 10_007) as f32 / 10_007.0 - 0.5;
        let shape = param.lazy_shape();
        let data = TensorData::new((0..shape.num_elements()).map(value).collect(), shape);
        Param::from_tensor(Tensor::from_data(data, &param.lazy_device()))
    }
}

/// The bits of the entries that a layer computes with.
pub fn bits<const D: usize>(tensor: &Tensor<D>) -> Vec<u32> {
    let values = tensor.to_data().try_to_vec::<f32>().unwrap();
    values.into_iter().map(f32::to_bits).collect()
}

/// How many entries are +0.0.
pub fn zeros<const D: usize>(tensor: &Tensor<D>) -> usize {
    bits(tensor).into_iter().filter(|bits| *bits == 0).count()
}

/// Images that are the same in each run, and a class for each.
pub fn batch(number: usize, device: &Device) -> (Tensor<4>, Tensor<1, Int>) {
    let pixel = |i: usize| ((i * 7919 + number * 104_729) % 1009) as f32 / 504.5 - 1.0;
    let images = TensorData::new((0..8 * 16).map(pixel).collect(), [8, 1, 4, 4]);
    let classes = TensorData::new((0..8).map(|i| ((i + number) % 3) as i32).collect(), [8]);
    (
        Tensor::from_data(images, device),
        Tensor::from_data(classes, device),
    )
}

/// The network after these training steps.
pub fn train(mut network: Network, optimizer: &mut ModuleOptimizer, steps: Range<usize>) -> Network {
    let device = network.devices()[0].clone();
    for step in steps {
        let (images, classes) = batch(step, &device);
        let loss = CrossEntropyLossConfig::new()
            .init(&device)
            .forward(network.forward(images), classes);
        let grads = GradientsParams::from_grads(loss.backward(), &network);
        network = optimizer.step(0.01, network, grads);
    }
    network
}
