//! A training step with masks beside one without, on networks of more than 10 million weights, 90 % of them pruned:
//!
//! ```text
//! cargo bench -p secateurs-burn
//! ```
//!
//! glibc may give the memory of large tensors back to the system after each use, and fetching it anew then takes longer
//! than masking. Ratios repeat where it keeps it: `MALLOC_TRIM_THRESHOLD_=4000000000 MALLOC_MMAP_THRESHOLD_=4000000000`.

use std::time::{Duration, Instant};

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{Linear, LinearConfig, PaddingConfig2d};
use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer, SgdConfig};
use burn::tensor::{Device, Tensor, activation::relu};
use secateurs::prune::{self, L1Unstructured};
use secateurs_burn::BurnModel;

const ROUNDS: usize = 21;

trait Network: Module {
    fn new(device: &Device) -> Self;
    fn loss(&self, batch: usize) -> Tensor<1>;
}

/// 12.6 million weights, each used once for an input.
#[derive(Module, Debug)]
struct Mlp {
    layers: Vec<Linear>,
}

const WIDTH: usize = 2048;

impl Network for Mlp {
    fn new(device: &Device) -> Self {
        let layer = LinearConfig::new(WIDTH, WIDTH).with_bias(false);
        Mlp {
            layers: (0..3).map(|_| layer.init(device)).collect(),
        }
    }

    fn loss(&self, batch: usize) -> Tensor<1> {
        let x = Tensor::<2>::ones([batch, WIDTH], &self.devices()[0]);
        let y = self.layers.iter().fold(x, |x, layer| relu(layer.forward(x)));
        y.powi_scalar(2).mean()
    }
}

/// 11.8 million weights, each used 64 times for an image of 8×8.
#[derive(Module, Debug)]
struct Cnn {
    layers: Vec<Conv2d>,
}

const CHANNELS: usize = 512;

impl Network for Cnn {
    fn new(device: &Device) -> Self {
        let layer = Conv2dConfig::new([CHANNELS, CHANNELS], [3, 3])
            .with_padding(PaddingConfig2d::Same)
            .with_bias(false);
        Cnn {
            layers: (0..5).map(|_| layer.init(device)).collect(),
        }
    }

    fn loss(&self, batch: usize) -> Tensor<1> {
        let x = Tensor::<4>::ones([batch, CHANNELS, 8, 8], &self.devices()[0]);
        let y = self.layers.iter().fold(x, |x, layer| relu(layer.forward(x)));
        y.powi_scalar(2).mean()
    }
}

fn step<M: Network>(module: M, optimizer: &mut ModuleOptimizer, batch: usize) -> M {
    let grads = GradientsParams::from_grads(module.loss(batch).backward(), &module);
    optimizer.step(1e-4, module, grads)
}

/// Steps of both taken by turns, so that a change in the speed of the machine meets both: the median of the ratios.
fn compare<M: Network>(name: &str, batch: usize, optimizer: impl Fn() -> ModuleOptimizer) {
    let device = Device::flex().autodiff();
    let mut model = BurnModel::new(M::new(&device));
    let weights = prune::weights(&model);
    prune::global_unstructured(&mut model, weights, L1Unstructured::new(0.9).unwrap()).unwrap();
    let (mut dense, mut masked) = (M::new(&device), model.module);

    let (mut for_dense, mut for_masked) = (optimizer(), optimizer());
    let mut rounds: Vec<(Duration, f64)> = Vec::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        dense = step(dense, &mut for_dense, batch);
        let first = start.elapsed();
        let start = Instant::now();
        masked = step(masked, &mut for_masked, batch);
        let second = start.elapsed();
        rounds.push((second, second.as_secs_f64() / first.as_secs_f64()));
    }
    rounds.sort_by(|a, b| a.1.total_cmp(&b.1));
    let (time, ratio) = rounds[ROUNDS / 2];
    println!("{name}, batches of {batch}: masked step {time:.1?}, {ratio:.3} x the dense step");
}

fn main() {
    for batch in [32, 128, 512] {
        compare::<Mlp>("MLP, Adam", batch, || AdamConfig::new().init());
        compare::<Mlp>("MLP, SGD", batch, || SgdConfig::new().init());
    }
    for batch in [8, 32] {
        compare::<Cnn>("CNN, Adam", batch, || AdamConfig::new().init());
        compare::<Cnn>("CNN, SGD", batch, || SgdConfig::new().init());
    }
}
