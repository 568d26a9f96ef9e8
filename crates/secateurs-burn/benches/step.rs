//! A training step with masks beside one without, on a network of 12.6 million weights, 90 % of them pruned:
//!
//! ```text
//! cargo bench -p secateurs-burn
//! ```
//!
//! glibc may give the memory of large tensors back to the system after each use, and fetching it anew then takes longer
//! than masking. Ratios repeat where it keeps it: `MALLOC_TRIM_THRESHOLD_=4000000000 MALLOC_MMAP_THRESHOLD_=4000000000`.

use std::time::{Duration, Instant};

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer, SgdConfig};
use burn::tensor::{Device, Distribution, Tensor, activation::relu};
use secateurs::prune::{self, L1Unstructured};
use secateurs_burn::BurnModel;

const WIDTH: usize = 2048;
const ROUNDS: usize = 21;

#[derive(Module, Debug)]
struct Network {
    layers: [Linear; 3],
}

impl Network {
    fn new(device: &Device) -> Self {
        let layer = LinearConfig::new(WIDTH, WIDTH).with_bias(false);
        Network {
            layers: [layer.init(device), layer.init(device), layer.init(device)],
        }
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let [first, second, third] = &self.layers;
        third.forward(relu(second.forward(relu(first.forward(x)))))
    }
}

fn step(module: Network, optimizer: &mut ModuleOptimizer, x: &Tensor<2>) -> Network {
    let loss = module.forward(x.clone()).powi_scalar(2).mean();
    let grads = GradientsParams::from_grads(loss.backward(), &module);
    optimizer.step(1e-4, module, grads)
}

/// Steps of both taken by turns, so that a change in the speed of the machine meets both: the median of the ratios.
fn compare(name: &str, batch: usize, optimizer: impl Fn() -> ModuleOptimizer) {
    let device = Device::flex().autodiff();
    let x = Tensor::random([batch, WIDTH], Distribution::Default, &device);
    let mut model = BurnModel::new(Network::new(&device));
    let mut dense = Some(Network::new(&device));
    let weights = prune::weights(&model);
    prune::global_unstructured(&mut model, weights, L1Unstructured::new(0.9).unwrap()).unwrap();
    let mut masked = Some(model.module);

    let (mut for_dense, mut for_masked) = (optimizer(), optimizer());
    let mut rounds: Vec<(Duration, f64)> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            let stepped = step(dense.take().unwrap(), &mut for_dense, &x);
            dense = Some(stepped);
            let first = start.elapsed();
            let start = Instant::now();
            let stepped = step(masked.take().unwrap(), &mut for_masked, &x);
            masked = Some(stepped);
            let second = start.elapsed();
            (second, second.as_secs_f64() / first.as_secs_f64())
        })
        .collect();
    rounds.sort_by(|a, b| a.1.total_cmp(&b.1));
    let (time, ratio) = rounds[ROUNDS / 2];
    println!("{name}, batches of {batch}: masked step {time:.1?}, {ratio:.3} x the dense step");
}

fn main() {
    for batch in [32, 128, 512] {
        compare("Adam", batch, || AdamConfig::new().init());
        compare("SGD", batch, || SgdConfig::new().init());
    }
}
