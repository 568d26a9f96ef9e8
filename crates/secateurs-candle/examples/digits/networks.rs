//! Two networks in candle's own style.

use candle_core::{DType, Device, Module, Result, Tensor};
use candle_nn::{Activation, Conv2dConfig, Sequential, VarBuilder, VarMap, conv2d, linear, seq};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::data::{CLASSES, PIXELS};

pub type Build = fn(&VarMap, u64) -> Result<Box<dyn Module>>;

pub const ALL: [(&str, Build); 2] = [("MLP", mlp), ("CNN", cnn)];

/// 64-300-100-10, with ReLU between layers.
fn mlp(vars: &VarMap, seed: u64) -> Result<Box<dyn Module>> {
    let vb = VarBuilder::from_varmap(vars, DType::F32, &Device::Cpu);
    let network: Sequential = seq()
        .add(linear(PIXELS, 300, vb.pp("fc1"))?)
        .add(Activation::Relu)
        .add(linear(300, 100, vb.pp("fc2"))?)
        .add(Activation::Relu)
        .add(linear(100, CLASSES, vb.pp("fc3"))?);
    initialise(vars, seed)?;
    Ok(Box::new(network))
}

/// Two convolutions, each with max-pooling, and two linear layers.
fn cnn(vars: &VarMap, seed: u64) -> Result<Box<dyn Module>> {
    let vb = VarBuilder::from_varmap(vars, DType::F32, &Device::Cpu);
    let padded = Conv2dConfig {
        padding: 1,
        ..Conv2dConfig::default()
    };
    let network = seq()
        .add_fn(|x: &Tensor| x.reshape(((), 1, 8, 8)))
        .add(conv2d(1, 16, 3, padded, vb.pp("conv1"))?)
        .add(Activation::Relu)
        .add_fn(|x: &Tensor| x.max_pool2d(2))
        .add(conv2d(16, 32, 3, padded, vb.pp("conv2"))?)
        .add(Activation::Relu)
        .add_fn(|x: &Tensor| x.max_pool2d(2))
        .add_fn(|x: &Tensor| x.flatten_from(1))
        .add(linear(128, 64, vb.pp("fc1"))?)
        .add(Activation::Relu)
        .add(linear(64, CLASSES, vb.pp("fc2"))?);
    initialise(vars, seed)?;
    Ok(Box::new(network))
}

/// Uniform in ±1/√(inputs), as candle does by itself, but the same for the same seed: candle's generator for the CPU
/// cannot be seeded.
fn initialise(vars: &VarMap, seed: u64) -> Result<()> {
    let data = vars.data().lock().unwrap();
    let mut names: Vec<_> = data.keys().collect();
    names.sort();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    for name in names {
        let weight = &data[&name.replace(".bias", ".weight")];
        let bound = 1.0 / (weight.dims()[1..].iter().product::<usize>() as f32).sqrt();
        let var = &data[name];
        let values = (0..var.elem_count()).map(|_| rng.random_range(-bound..bound));
        var.set(&Tensor::from_iter(values, var.device())?.reshape(var.shape())?)?;
    }
    Ok(())
}
