//! A training step with masks beside one without, and the parts of it, on a network of 12.6 million weights:
//!
//! ```text
//! cargo bench -p secateurs-candle
//! ```

use std::time::{Duration, Instant};

use candle_core::{CpuStorage, DType, Device, InplaceOp1, Layout, Module, Tensor};
use candle_nn::{AdamW, Optimizer, SGD, Sequential, VarBuilder, VarMap, linear_no_bias, seq};
use criterion::{Criterion, criterion_group, criterion_main};
use secateurs::prune::{self, L1Unstructured};
use secateurs_candle::CandleModel;

const WIDTH: usize = 2048;

fn network(vars: &VarMap) -> Sequential {
    let vb = VarBuilder::from_varmap(vars, DType::F32, &Device::Cpu);
    let layer = |name: &str| linear_no_bias(WIDTH, WIDTH, vb.pp(name)).unwrap();
    seq()
        .add(layer("fc1"))
        .add_fn(|x: &Tensor| x.relu())
        .add(layer("fc2"))
        .add_fn(|x: &Tensor| x.relu())
        .add(layer("fc3"))
}

/// What applying a mask is measured against: reads and writes every entry.
struct Pass;

impl InplaceOp1 for Pass {
    fn name(&self) -> &'static str {
        "pass"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, _: &Layout) -> candle_core::Result<()> {
        if let CpuStorage::F32(values) = storage {
            values.iter_mut().for_each(|x| *x += 1e-30);
        }
        Ok(())
    }
}

/// Steps taken by turns, so that a change in the speed of the machine meets both: the median of the ratios.
fn by_turns(mut dense: impl FnMut(), mut masked: impl FnMut(), rounds: usize) -> (Duration, f64) {
    let time = |f: &mut dyn FnMut()| {
        let start = Instant::now();
        f();
        start.elapsed()
    };
    let mut rounds: Vec<(Duration, f64)> = (0..rounds)
        .map(|_| {
            let (dense, masked) = (time(&mut dense), time(&mut masked));
            (masked, masked.as_secs_f64() / dense.as_secs_f64())
        })
        .collect();
    rounds.sort_by(|a, b| a.1.total_cmp(&b.1));
    rounds[rounds.len() / 2]
}

fn steps(c: &mut Criterion) {
    let (dense_vars, vars) = (VarMap::new(), VarMap::new());
    let (dense, pruned) = (network(&dense_vars), network(&vars));
    let mut model = CandleModel::new(&vars);
    let paths = prune::weights(&model);
    prune::global_unstructured(&mut model, paths, L1Unstructured::new(0.9).unwrap()).unwrap();
    let x = Tensor::randn(0f32, 1.0, (32, WIDTH), &Device::Cpu).unwrap();
    let loss = |network: &Sequential| network.forward(&x).unwrap().sqr().unwrap().mean_all().unwrap();

    let mut group = c.benchmark_group("parts");
    group.sample_size(20);
    group.bench_function("a bare pass over three matrices", |b| {
        b.iter(|| model.vars().for_each(|(_, var)| var.inplace_op1(&Pass).unwrap()))
    });
    group.bench_function("apply", |b| b.iter(|| model.apply().unwrap()));
    let mut grads = loss(&pruned).backward().unwrap();
    group.bench_function("mask_gradients", |b| {
        b.iter(|| model.mask_gradients(&mut grads).unwrap())
    });
    group.finish();

    let mut adam = AdamW::new_lr(vars.all_vars(), 1e-4).unwrap();
    let mut dense_adam = AdamW::new_lr(dense_vars.all_vars(), 1e-4).unwrap();
    let mut sgd = SGD::new(vars.all_vars(), 1e-4).unwrap();
    let mut dense_sgd = SGD::new(dense_vars.all_vars(), 1e-4).unwrap();
    let (time, ratio) = by_turns(
        || dense_adam.backward_step(&loss(&dense)).unwrap(),
        || model.backward_step(&mut adam, &loss(&pruned)).unwrap(),
        41,
    );
    println!("AdamW: masked step {time:.1?}, {ratio:.3} x the dense step");
    let (time, ratio) = by_turns(
        || dense_sgd.backward_step(&loss(&dense)).unwrap(),
        || model.backward_step(&mut sgd, &loss(&pruned)).unwrap(),
        41,
    );
    println!("SGD:   masked step {time:.1?}, {ratio:.3} x the dense step");
}

criterion_group!(benches, steps);
criterion_main!(benches);
