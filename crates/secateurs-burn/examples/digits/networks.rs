//! Two networks in burn's own style.

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{Linear, LinearConfig, PaddingConfig2d, Relu};
use burn::tensor::{Device, Tensor};

use crate::data::{CLASSES, PIXELS};

/// A network that sorts images into classes.
pub trait Classifier: Module {
    fn new(device: &Device) -> Self;
    /// From a row for each image to a score for each class.
    fn forward(&self, images: Tensor<2>) -> Tensor<2>;
}

/// 64-300-100-10, with ReLU between layers.
#[derive(Module, Debug)]
pub struct Mlp {
    fc1: Linear,
    fc2: Linear,
    fc3: Linear,
    relu: Relu,
}

impl Classifier for Mlp {
    fn new(device: &Device) -> Self {
        Mlp {
            fc1: LinearConfig::new(PIXELS, 300).init(device),
            fc2: LinearConfig::new(300, 100).init(device),
            fc3: LinearConfig::new(100, CLASSES).init(device),
            relu: Relu::new(),
        }
    }

    fn forward(&self, images: Tensor<2>) -> Tensor<2> {
        let x = self.relu.forward(self.fc1.forward(images));
        let x = self.relu.forward(self.fc2.forward(x));
        self.fc3.forward(x)
    }
}

/// Two convolutions, each with max-pooling, and two linear layers.
#[derive(Module, Debug)]
pub struct Cnn {
    conv1: Conv2d,
    conv2: Conv2d,
    pool: MaxPool2d,
    fc1: Linear,
    fc2: Linear,
    relu: Relu,
}

impl Classifier for Cnn {
    fn new(device: &Device) -> Self {
        let conv = |channels| Conv2dConfig::new(channels, [3, 3]).with_padding(PaddingConfig2d::Same);
        Cnn {
            conv1: conv([1, 16]).init(device),
            conv2: conv([16, 32]).init(device),
            pool: MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init(),
            fc1: LinearConfig::new(128, 64).init(device),
            fc2: LinearConfig::new(64, CLASSES).init(device),
            relu: Relu::new(),
        }
    }

    fn forward(&self, images: Tensor<2>) -> Tensor<2> {
        let x = images.reshape([-1, 1, 8, 8]);
        let x = self.pool.forward(self.relu.forward(self.conv1.forward(x)));
        let x = self.pool.forward(self.relu.forward(self.conv2.forward(x)));
        let x = self.relu.forward(self.fc1.forward(x.flatten(1, 3)));
        self.fc2.forward(x)
    }
}
