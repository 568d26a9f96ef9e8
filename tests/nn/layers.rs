//! What layers refuse, and two networks that are taught with.

use ndarray::{Array1, Array2, Array3, Array4, array};
use secateurs::error::{NnError, TensorError};
use secateurs::nn::{
    AdaptiveAvgPool2d, AvgPool2d, BatchNorm1d, BatchNorm2d, BatchNormConfig, Conv2d, ConvConfig, Dropout,
    Embedding, Flatten, Linear, MaxPool2d, Module, ParamTreeExt, PoolConfig, Relu, Sequential, loss,
    optim::AdamW,
};
use secateurs::tensor::Tensor;
use secateurs::{Error, Result, prune};

use crate::fixtures::{by_bincode, by_json, rng};

#[track_caller]
fn refused(result: Result<Tensor>) -> TensorError {
    match result {
        Err(Error::Tensor(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn invalid<T>(setting: &str, result: Result<T>) {
    match result {
        Err(Error::Nn(NnError::InvalidSetting { setting: got, .. })) => assert_eq!(got, setting),
        Err(error) => panic!("{error:?}"),
        Ok(_) => panic!("{setting} was accepted"),
    }
}

#[test]
fn an_embedding_takes_whole_numbers_only() {
    let layer = Embedding::from_array(array![[1.0, 2.0], [3.0, 4.0]]);
    for token in [-1.0, 0.5, 2.0, 1e30, f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let error = refused(layer.forward(&Tensor::new(array![0.0, token])));
        assert!(error.reason.contains("is none of 2 tokens"), "{error}");
    }
    let output = layer.forward(&Tensor::new(array![[1.0], [-0.0]])).unwrap();
    assert_eq!(output.to_array(), array![[[3.0, 4.0]], [[1.0, 2.0]]].into_dyn());
    assert_eq!(
        layer.forward(&Tensor::new(Array1::zeros(0))).unwrap().shape(),
        [0, 2]
    );
    assert_eq!(layer.forward(&Tensor::scalar(1.0)).unwrap().shape(), [2]);
    invalid("size", Embedding::new(usize::MAX, 2, &mut rng(0)));
    // Standard normal, as PyTorch's default.
    let large = Embedding::new(200, 100, &mut rng(0)).unwrap();
    let weight = large.parameter("weight").unwrap().original().to_owned();
    let (mean, variance) = (weight.mean().unwrap(), weight.mapv(|x| x * x).mean().unwrap());
    assert!(
        mean.abs() < 0.02 && (variance - 1.0).abs() < 0.03,
        "{mean} {variance}"
    );
}

#[test]
fn pooling_refuses_what_does_not_fit() {
    invalid("kernel, stride, padding", MaxPool2d::new(0));
    invalid(
        "kernel, stride, padding",
        MaxPool2d::new(PoolConfig::new(2).stride([1, 0])),
    );
    invalid(
        "kernel, stride, padding",
        AvgPool2d::new(PoolConfig::new(3).padding(2)),
    );
    let layer = MaxPool2d::new(PoolConfig::new(usize::MAX).padding(usize::MAX / 2)).unwrap();
    refused(layer.forward(&Tensor::new(Array4::zeros((1, 1, 4, 4)))));
    let layer = MaxPool2d::new(3).unwrap();
    refused(layer.forward(&Tensor::new(Array2::zeros((4, 4)))));
    refused(layer.forward(&Tensor::new(Array3::zeros((1, 2, 4)))));
    refused(layer.forward(&Tensor::new(Array3::zeros((1, 0, 4)))));
    let layer = AdaptiveAvgPool2d::new(usize::MAX);
    refused(layer.forward(&Tensor::new(Array3::zeros((1, 2, 4)))));
    refused(AdaptiveAvgPool2d::new(1).forward(&Tensor::new(Array3::zeros((1, 0, 4)))));
}

#[test]
fn the_greatest_of_nan_and_ties() {
    let image = array![[[f32::NAN, 1.0, 2.0, 2.0], [3.0, 4.0, 2.0, 2.0]]];
    let image = Tensor::variable(image);
    let output = MaxPool2d::new(2).unwrap().forward(&image).unwrap();
    assert!(output.value()[[0, 0, 0]].is_nan() && output.value()[[0, 0, 1]] == 2.0);
    let gradients = output.sum().backward().unwrap();
    let expected = array![[[1.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0]]];
    assert_eq!(gradients.wrt(&image).unwrap(), expected.into_dyn());
}

#[test]
fn batch_normalisation_refuses_what_does_not_fit() {
    invalid("eps", BatchNorm1d::new(BatchNormConfig::new(2).eps(-1.0)));
    invalid(
        "momentum",
        BatchNorm1d::new(BatchNormConfig::new(2).momentum(f64::NAN)),
    );
    invalid("size", BatchNorm1d::new(usize::MAX));
    let mut layer = BatchNorm1d::new(2).unwrap();
    for shape in [(3, 3), (1, 2), (0, 2)] {
        refused(layer.forward(&Tensor::new(Array2::zeros(shape))));
    }
    refused(layer.forward(&Tensor::new(Array4::zeros((2, 2, 2, 2)))));
    refused(
        BatchNorm2d::new(2)
            .unwrap()
            .forward(&Tensor::new(Array2::zeros((2, 2)))),
    );
    // What is refused is not tracked, and evaluation takes a batch of one, or of none.
    assert_eq!(layer.named_buffers()[2].1.as_slice().unwrap(), [0.0]);
    layer.eval().unwrap();
    for samples in [0, 1] {
        let output = layer.forward(&Tensor::new(Array2::zeros((samples, 2)))).unwrap();
        assert_eq!(output.shape(), [samples, 2]);
    }
}

/// Trains on a fixed batch; returns the loss before and after.
fn learns(model: &mut Sequential, input: &Tensor, classes: &[usize]) -> (f32, f32) {
    let mut optimiser = AdamW::new(0.01).unwrap();
    let mut losses = Vec::new();
    for _ in 0..15 {
        let loss = loss::cross_entropy(&model.forward(input).unwrap(), classes).unwrap();
        optimiser.step(model, &loss.backward().unwrap()).unwrap();
        losses.push(loss.item().unwrap());
    }
    (losses[0], losses[14])
}

#[test]
fn lenet_5_trains_pruned_and_is_saved() {
    let rng = &mut rng(0);
    let mut model = Sequential::new()
        .push(Conv2d::new(ConvConfig::new(1, 6, 5).padding(2), rng).unwrap())
        .push(Relu::new())
        .push(MaxPool2d::new(2).unwrap())
        .push(Conv2d::new(ConvConfig::new(6, 16, 5), rng).unwrap())
        .push(BatchNorm2d::new(16).unwrap())
        .push(Relu::new())
        .push(AvgPool2d::new(2).unwrap())
        .push(Flatten::new())
        .push(Dropout::new(0.1, rng).unwrap())
        .push(Linear::new(16 * 5 * 5, 84, rng).unwrap())
        .push(Relu::new())
        .push(Linear::new(84, 10, rng).unwrap());
    let paths = prune::weights(&model);
    assert!(
        paths.iter().all(|path| !path.starts_with("4.")),
        "norms are not pruned by default: {paths:?}"
    );
    prune::global_unstructured(&mut model, paths, prune::L1Unstructured::new(0.5).unwrap()).unwrap();
    let images = Array4::from_shape_fn((4, 1, 28, 28), |(n, _, i, j)| {
        ((i * (n + 2) + j * 3) % 7) as f32 / 7.0
    });
    let images = Tensor::new(images);
    let (before, after) = learns(&mut model, &images, &[0, 1, 2, 3]);
    assert!(after < before / 4.0, "{before} {after}");
    model.eval().unwrap();
    let output = model.forward(&images).unwrap();
    for loaded in [by_json::<_, Sequential>(&model), by_bincode(&model)] {
        assert_eq!(loaded.forward(&images).unwrap().value(), output.value());
    }
}

#[test]
fn a_classifier_of_tokens_trains() {
    let rng = &mut rng(0);
    let mut model = Sequential::new()
        .push(Embedding::new(10, 4, rng).unwrap())
        .push(Flatten::new())
        .push(BatchNorm1d::new(12).unwrap())
        .push(Linear::new(12, 3, rng).unwrap());
    let tokens = Tensor::new(array![
        [0.0, 1.0, 2.0],
        [3.0, 4.0, 5.0],
        [6.0, 7.0, 8.0],
        [9.0, 0.0, 1.0]
    ]);
    let (before, after) = learns(&mut model, &tokens, &[0, 1, 2, 0]);
    assert!(after < before / 4.0, "{before} {after}");
}
