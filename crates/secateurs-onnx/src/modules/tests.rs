use std::collections::HashMap;

use ndarray::ArrayD;
use proptest::prelude::*;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use secateurs::nn::{
    AdaptiveAvgPool2d, AvgPool2d, BatchNorm1d, BatchNorm2d, BatchNormConfig, Conv1d, Conv2d, ConvConfig,
    Dropout, Flatten, Linear, Lstm, LstmConfig, MaxPool2d, Module, ParamTreeExt, PoolConfig, Relu,
    Sequential, Sigmoid, Tanh,
};
use secateurs::prune;
use secateurs::tensor::Tensor;

use super::{INPUT, export, shrink_module};
use crate::couple::couplings;
use crate::error::{Error, Result};
use crate::external::External;
use crate::graph::Model;
use crate::options::Options;
use crate::reference;
use crate::skeleton::Skeleton;

fn rng() -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(5)
}

fn random(shape: &[usize], rng: &mut impl Rng) -> ArrayD<f32> {
    ArrayD::from_shape_simple_fn(shape, || rng.random_range(-1.0..1.0))
}

/// What an exported model computes, in f64.
fn run(onnx: &[u8], input: &ArrayD<f32>) -> ArrayD<f64> {
    let skeleton = Skeleton::of_bytes(onnx).unwrap();
    let external = External::default();
    let model = Model::read(&skeleton, &external).unwrap();
    let inputs = HashMap::from([(INPUT, input.mapv(f64::from))]);
    let computed = couplings(&model.graph).computed;
    let mut outputs =
        reference::run(&model.graph, &inputs, &computed, &HashMap::new(), &HashMap::new()).unwrap();
    outputs.remove(0)
}

fn assert_close(got: &ArrayD<f64>, expected: &ArrayD<f64>) {
    assert_eq!(got.shape(), expected.shape());
    let largest = expected.iter().fold(1.0_f64, |most, x| most.max(x.abs()));
    for (got, expected) in got.iter().zip(expected) {
        assert!((got - expected).abs() <= 2e-6 * largest, "{got} and {expected}");
    }
}

fn forward<M: Module + Clone>(module: &M, input: &ArrayD<f32>) -> ArrayD<f64> {
    let mut module = module.clone();
    module.eval().unwrap();
    let output = module.forward(&Tensor::new(input.clone())).unwrap();
    output.to_array().mapv(f64::from)
}

/// Batch norm that has seen something.
fn norm(channels: usize, rng: &mut impl Rng) -> BatchNorm2d {
    let norm = BatchNorm2d::new(BatchNormConfig::new(channels).eps(0.01).momentum(0.3)).unwrap();
    norm.forward(&Tensor::new(random(&[4, channels, 3, 3], rng)))
        .unwrap();
    norm
}

fn conv(config: ConvConfig<2>, rng: &mut impl Rng) -> Conv2d {
    Conv2d::new(config, rng).unwrap()
}

#[test]
fn an_exported_model_computes_what_the_module_does() {
    let rng = &mut rng();
    let image = Sequential::new()
        .push(conv(
            ConvConfig::new(2, 6, [3, 2]).stride([1, 2]).padding([1, 0]),
            rng,
        ))
        .push(norm(6, rng))
        .push(Relu::new())
        .push(conv(
            ConvConfig::new(6, 6, 3)
                .groups(6)
                .padding(2)
                .dilation(2)
                .without_bias(),
            rng,
        ))
        .push(MaxPool2d::new(PoolConfig::new(3).stride(2).padding(1)).unwrap())
        .push(
            Sequential::new()
                .push(Tanh::new())
                .push(AvgPool2d::new(PoolConfig::new(2).padding(1)).unwrap()),
        )
        .push(AdaptiveAvgPool2d::new([3, 1]))
        .push(Dropout::new(0.5, rng).unwrap())
        .push(Flatten::new())
        .push_named("head", Linear::new(18, 4, rng).unwrap())
        .unwrap();
    let row = Sequential::new()
        .push(Linear::without_bias(5, 7, rng).unwrap())
        .push(BatchNorm1d::new(BatchNormConfig::new(7).without_affine()).unwrap())
        .push(Sigmoid::new());
    let series = Sequential::new()
        .push(Conv1d::new(ConvConfig::new(3, 4, 3).stride(2), rng).unwrap())
        .push(Flatten::dims(-2, 2))
        .push(Relu::new());
    // Layers of more dimensions than a row, and models that are one layer, or none.
    let tokens = Sequential::new()
        .push(Linear::new(3, 6, rng).unwrap())
        .push(Relu::new())
        .push(Linear::without_bias(6, 2, rng).unwrap());
    let pool = AdaptiveAvgPool2d::new(1);
    let models: [(&dyn Module, &[usize]); 7] = [
        (&image, &[2, 8, 12]),
        (&row, &[5]),
        (&series, &[3, 9]),
        (&tokens, &[4, 3]),
        (&pool, &[2, 5, 5]),
        (&Linear::new(4, 3, rng).unwrap(), &[4]),
        (&Sequential::new(), &[4]),
    ];
    for (module, shape) in models {
        let onnx = export(module, shape).unwrap();
        for batch in [1, 3] {
            let shape: Vec<usize> = [batch].iter().chain(shape).copied().collect();
            let input = random(&shape, rng);
            let mut module = module.clone_boxed();
            module.eval().unwrap();
            let expected = module.compute(&Tensor::new(input.clone())).unwrap();
            assert_close(&run(&onnx, &input), &expected.to_array().mapv(f64::from));
        }
    }
    // The export did not move what the module has counted.
    assert!(image.parameter("head.weight").is_ok());
    assert_eq!(
        export(&image, &[2, 8, 12]).unwrap(),
        export(&image, &[2, 8, 12]).unwrap()
    );
}

#[test]
fn a_smaller_module_has_the_same_layers() -> Result<()> {
    let rng = &mut rng();
    let mut model = Sequential::new()
        .push(conv(ConvConfig::new(1, 16, 3).padding(1).without_bias(), rng))
        .push(norm(16, rng))
        .push(Relu::new())
        .push_named("depthwise", conv(ConvConfig::new(16, 16, 3).groups(16), rng))?
        .push(MaxPool2d::new(2)?)
        .push(Flatten::new())
        .push(Dropout::new(0.5, rng)?)
        .push(Linear::new(16 * 9, 10, rng)?);
    prune::l1_unstructured(&mut model, "depthwise.weight", 0.2)?;
    let smaller = shrink_module(&model, &[1, 8, 8], &Options::new(0.5)?)?;
    assert_eq!(smaller.report.removed(), 8);
    assert!(
        smaller
            .report
            .deviation
            .is_some_and(|deviation| deviation <= 1e-12)
    );
    let mut module = smaller.module;
    let shape = |path: &str| module.parameter(path).map(|parameter| parameter.shape().to_vec());
    assert_eq!(shape("0.weight")?, [8, 1, 3, 3]);
    assert_eq!(shape("1.bias")?, [8]);
    assert_eq!(shape("depthwise.weight")?, [8, 1, 3, 3]);
    assert_eq!(shape("7.weight")?, [10, 8 * 9]);
    assert_eq!(model.parameter_paths(), module.parameter_paths());
    assert!(prune::is_pruned(&model) && !prune::is_pruned(&module));
    // It goes on as it was: in training mode, with its settings and counts.
    let norm = module
        .get("1")
        .and_then(|norm| norm.downcast_ref::<BatchNorm2d>())
        .expect("a batch norm");
    assert_eq!((norm.eps(), norm.momentum()), (0.01, Some(0.3)));
    let state = secateurs::nn::state_dict(&module);
    assert_eq!(
        state.get("1.num_batches_tracked").map(|count| count.sum()),
        Some(1.0)
    );
    let image = Tensor::new(random(&[2, 1, 8, 8], rng));
    assert_ne!(
        module.forward(&image)?.to_array(),
        module.forward(&image)?.to_array(),
        "dropout drops"
    );
    module.eval()?;
    assert_eq!(
        module.forward(&image)?.to_array(),
        module.forward(&image)?.to_array()
    );
    Ok(())
}

#[test]
fn what_has_no_counterpart_is_an_error_that_names_it() {
    let rng = &mut rng();
    let lstm = Lstm::new(LstmConfig::new(3, 4), rng).unwrap();
    let nested = Sequential::new()
        .push(Relu::new())
        .push_named("inner", Sequential::new().push(lstm));
    let uneven = Sequential::new().push(AdaptiveAvgPool2d::new(2));
    let narrow = Sequential::new()
        .push(Relu::new())
        .push(Linear::new(3, 4, rng).unwrap());
    let batch = Flatten::dims(0, 1);
    let cases: [(&dyn Module, &[usize], &str, &str); 5] = [
        (&nested.unwrap(), &[5, 3], "inner.0", "`secateurs::Lstm`"),
        (&uneven, &[1, 5, 4], "0", "uneven"),
        (&narrow, &[7], "1", "7"),
        (&batch, &[7], "", "batch"),
        (&MaxPool2d::new(2).unwrap(), &[4, 4], "", "4 dimensions"),
    ];
    for (module, shape, at, says) in cases {
        match export(module, shape) {
            Err(Error::Export { path, reason }) => {
                assert_eq!(path, at);
                assert!(reason.contains(says), "{reason}");
            }
            other => panic!("{says}: {other:?}"),
        }
    }
    let held = shrink_module(&Sequential::new(), &[4], &Options::new(0.5).unwrap());
    assert!(matches!(held, Err(Error::NothingToRemove { .. })));
}

/// A small network on images: convolutions, some depthwise, some with batch norm, then linear layers.
fn network(widths: &[usize], norms: &[bool], depthwise: bool, seed: u64) -> Sequential {
    let rng = &mut ChaCha8Rng::seed_from_u64(seed);
    let (mut model, mut channels) = (Sequential::new(), 2);
    for (width, with_norm) in widths.iter().zip(norms) {
        let config = ConvConfig::new(channels, *width, 3).padding(1);
        model = match with_norm {
            true => model
                .push(conv(config.without_bias(), rng))
                .push(norm(*width, rng)),
            false => model.push(conv(config, rng)),
        };
        model = model.push(Relu::new());
        if depthwise {
            model = model.push(conv(
                ConvConfig::new(*width, *width, 3).groups(*width).padding(1),
                rng,
            ));
        }
        channels = *width;
    }
    model
        .push(AdaptiveAvgPool2d::new(2))
        .push(Flatten::new())
        .push(Linear::new(channels * 4, 6, rng).unwrap())
        .push(Tanh::new())
        .push(Linear::new(6, 3, rng).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Channels that are masked already: the smaller module computes what the module computes as it is.
    #[test]
    fn a_module_without_its_masked_channels_computes_the_same(
        widths in proptest::collection::vec(3..9_usize, 1..4),
        norms in proptest::collection::vec(any::<bool>(), 3),
        depthwise in any::<bool>(),
        share in 0.2..0.8_f64,
        seed in any::<u64>(),
    ) {
        let mut model = network(&widths, &norms, depthwise, seed);
        for path in prune::weights(&model) {
            prune::ln_structured(&mut model, &path, share, 2, 0).unwrap();
        }
        let input = random(&[2, 2, 4, 4], &mut rng());
        match shrink_module(&model, &[2, 4, 4], &Options::masked()) {
            Ok(smaller) => assert_close(&forward(&smaller.module, &input), &forward(&model, &input)),
            Err(Error::NothingToRemove { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// Any amount: the smaller module computes what the smaller model does, which was verified.
    #[test]
    fn a_smaller_module_computes_what_the_smaller_model_does(
        widths in proptest::collection::vec(3..9_usize, 1..4),
        norms in proptest::collection::vec(any::<bool>(), 3),
        depthwise in any::<bool>(),
        share in 0.2..0.8_f64,
        seed in any::<u64>(),
    ) {
        let model = network(&widths, &norms, depthwise, seed);
        let options = Options::new(share).unwrap().round_to(1);
        let smaller = shrink_module(&model, &[2, 4, 4], &options).unwrap();
        prop_assert!(smaller.report.deviation.unwrap() <= 1e-12);
        let onnx = crate::shrink(&export(&model, &[2, 4, 4]).unwrap(), &options).unwrap().bytes;
        let input = random(&[2, 2, 4, 4], &mut rng());
        assert_close(&forward(&smaller.module, &input), &run(&onnx, &input));
    }
}
