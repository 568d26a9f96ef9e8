//! Training gives the same bits on any number of threads, with layers that are large enough for several.

use ndarray::{ArrayD, IxDyn};
use rand::RngExt;
use secateurs::nn::optim::Adam;
use secateurs::nn::{
    Conv2d, ConvConfig, Flatten, Linear, Lstm, LstmConfig, MaxPool2d, Module, Relu, Sequential, loss,
    state_dict,
};
use secateurs::tensor::Tensor;

use crate::fixtures::rng;

fn input(shape: &[usize]) -> Tensor {
    let mut rng = rng(1);
    Tensor::new(ArrayD::from_shape_simple_fn(IxDyn(shape), || {
        rng.random_range(-1.0f32..1.0)
    }))
}

/// The bits of all weights after a step, and of the loss.
fn trained(mut model: Sequential, input: &Tensor) -> Vec<u32> {
    let mut optimiser = Adam::new(1e-2).unwrap();
    let output = model.forward(input).unwrap();
    let rows = output.len() / 10;
    let targets: Vec<usize> = (0..rows).map(|i| i % 10).collect();
    let loss = loss::cross_entropy(&output.reshape(&[rows, 10]).unwrap(), &targets).unwrap();
    optimiser.step(&mut model, &loss.backward().unwrap()).unwrap();
    let mut bits = vec![loss.item().unwrap().to_bits()];
    let state = state_dict(&model);
    bits.extend(
        state
            .iter()
            .flat_map(|(_, array)| array.iter().map(|x| x.to_bits())),
    );
    bits
}

fn same_on_any_number_of_threads(model: impl Fn() -> Sequential + Sync, shape: &[usize]) {
    let input = input(shape);
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| trained(model(), &input))
    };
    let one = run(1);
    assert!(one.iter().all(|&bits| f32::from_bits(bits).is_finite()));
    for threads in [2, 7] {
        assert!(run(threads) == one, "{threads} threads");
    }
}

#[test]
fn linear_layers() {
    let model = || {
        let mut rng = rng(2);
        Sequential::new()
            .push(Linear::new(130, 301, &mut rng).unwrap())
            .push(Relu::new())
            .push(Linear::new(301, 10, &mut rng).unwrap())
    };
    same_on_any_number_of_threads(model, &[101, 130]);
}

#[test]
fn convolutions() {
    let model = |groups: usize| {
        move || {
            let mut rng = rng(3);
            let filters = 40 * groups;
            let second = ConvConfig::new(8, filters, 3).stride(2).padding(1).groups(groups);
            Sequential::new()
                .push(Conv2d::new(ConvConfig::new(1, 8, 5).padding(2), &mut rng).unwrap())
                .push(Relu::new())
                .push(MaxPool2d::new(2).unwrap())
                .push(Conv2d::new(second, &mut rng).unwrap())
                .push(Flatten::new())
                .push(Linear::new(filters * 7 * 7, 10, &mut rng).unwrap())
        }
    };
    same_on_any_number_of_threads(model(1), &[19, 1, 28, 28]);
    same_on_any_number_of_threads(model(2), &[19, 1, 28, 28]);
}

#[test]
fn a_convolution_of_one_sample() {
    let model = || {
        let mut rng = rng(4);
        Sequential::new()
            .push(Conv2d::new(ConvConfig::new(16, 20, 3), &mut rng).unwrap())
            .push(Flatten::new())
    };
    same_on_any_number_of_threads(model, &[1, 16, 32, 32]);
}

#[test]
fn lstms() {
    let model = || {
        let mut rng = rng(5);
        Sequential::new()
            .push(Lstm::new(LstmConfig::new(9, 40).layers(2), &mut rng).unwrap())
            .push(Linear::new(40, 10, &mut rng).unwrap())
    };
    same_on_any_number_of_threads(model, &[20, 23, 9]);
}
