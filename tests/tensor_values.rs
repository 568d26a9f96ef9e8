//! What operations compute, and what they refuse.

use ndarray::{Array, Array1, Array2, Array3, ArrayD, IxDyn, arr0, arr1, arr2};
use proptest::prelude::*;
use secateurs::Error;
use secateurs::error::{PatternError, TensorError};
use secateurs::tensor::{ConvOptions, PoolOptions, Tensor};

fn counted(shape: &[usize]) -> Tensor {
    let len = shape.iter().product::<usize>();
    let elements = (0..len).map(|i| ((i * 7 + 3) % 11) as f32 - 5.0).collect();
    Tensor::new(ArrayD::from_shape_vec(IxDyn(shape), elements).unwrap())
}

#[track_caller]
fn refused(result: secateurs::Result<Tensor>, by: &str) {
    match result {
        Err(Error::Tensor(TensorError { op, reason, .. })) => {
            assert!(op == by && !reason.is_empty(), "{op}: {reason}")
        }
        other => panic!("{by} should refuse, and gave {other:?}"),
    }
}

#[track_caller]
fn no_such_dim(result: secateurs::Result<Tensor>) {
    assert!(
        matches!(result, Err(Error::Pattern(PatternError::DimOutOfRange { .. }))),
        "{result:?}"
    );
}

#[test]
fn arithmetic_broadcasts_as_ndarray_does() {
    let shapes: [&[usize]; 9] = [
        &[],
        &[1],
        &[3],
        &[2, 3],
        &[2, 1],
        &[1, 3],
        &[4, 1, 3],
        &[4, 2, 1],
        &[1, 1, 1, 1],
    ];
    for a in shapes {
        for b in shapes {
            let (x, y) = (counted(a), counted(b).add_scalar(0.5));
            let (u, v) = (x.to_array(), y.to_array());
            assert_eq!(x.add(&y).unwrap().to_array(), &u + &v);
            assert_eq!(x.sub(&y).unwrap().to_array(), &u - &v);
            assert_eq!(x.mul(&y).unwrap().to_array(), &u * &v);
            assert_eq!(x.div(&y).unwrap().to_array(), &u / &v);
        }
    }
    assert_eq!(counted(&[0, 3]).add(&counted(&[3])).unwrap().shape(), [0, 3]);
    assert_eq!(counted(&[2, 1]).add(&counted(&[0])).unwrap().shape(), [2, 0]);
    assert_eq!(counted(&[0]).mul(&counted(&[1])).unwrap().shape(), [0]);
}

#[test]
fn what_does_not_broadcast_is_refused() {
    for (a, b) in [
        (&[2][..], &[3][..]),
        (&[2, 3], &[2]),
        (&[0], &[2]),
        (&[4, 2], &[3, 1, 3]),
    ] {
        let (a, b) = (counted(a), counted(b));
        refused(a.add(&b), "add");
        refused(a.sub(&b), "sub");
        refused(b.mul(&a), "mul");
        refused(b.div(&a), "div");
    }
}

#[test]
fn what_does_not_fit_in_memory_is_refused() {
    let (tall, wide) = (
        Tensor::new(Array2::zeros((1 << 33, 0))),
        Tensor::new(Array2::zeros((0, 1 << 33))),
    );
    refused(tall.matmul(&wide), "matmul");
    refused(tall.linear(&tall, None), "linear");
    refused(tall.reshape(&[0, usize::MAX, 2]), "reshape");
    let options = ConvOptions::new(1);
    refused(
        counted(&[1, 1, 1]).conv(&counted(&[1, 1, 1]), None, &options.padding(&[1 << 61])),
        "conv",
    );
}

#[test]
fn huge_empty_shapes_are_fast() {
    let long = 1 << 40;
    let t = Tensor::new(Array3::zeros((long, 3, 0)));
    assert_eq!(t.log_softmax(1).unwrap().shape(), [long, 3, 0]);
    assert_eq!(t.index_select(1, &[0, 2]).unwrap().shape(), [long, 2, 0]);
    assert_eq!(Tensor::concat(&[&t, &t], 1).unwrap().shape(), [long, 6, 0]);
    assert_eq!(Tensor::stack(&[&t, &t], 1).unwrap().shape(), [long, 2, 3, 0]);
    assert_eq!(t.narrow(1, 1, 2).unwrap().shape(), [long, 2, 0]);
    let (x, w) = (
        Tensor::new(Array3::zeros((long, 0, 3))),
        Tensor::new(Array3::zeros((0, 0, 2))),
    );
    let y = x.conv(&w, None, &ConvOptions::new(1).groups(usize::MAX)).unwrap();
    assert_eq!(y.shape(), [long, 0, 2]);
}

#[test]
fn special_values_pass_through() {
    let (inf, nan) = (f32::INFINITY, f32::NAN);
    let x = Tensor::new(arr1(&[nan, inf, -inf, -0.0]));
    let same = |t: Tensor, expected: [f32; 4]| {
        for (got, expected) in t.value().iter().zip(expected) {
            assert!(*got == expected || got.is_nan() && expected.is_nan(), "{t:?}");
        }
    };
    same(x.relu(), [nan, inf, 0.0, 0.0]);
    same(x.sigmoid(), [nan, 1.0, 0.0, 0.5]);
    same(x.tanh(), [nan, 1.0, -1.0, 0.0]);
    same(x.exp(), [nan, inf, 0.0, 1.0]);
    same(x.ln(), [nan, inf, nan, -inf]);
    same(x.square(), [nan, inf, inf, 0.0]);
    assert!(x.sum().item().unwrap().is_nan());
    let x = Tensor::new(arr2(&[[1.0, -inf], [-inf, 2.0]]));
    same(x.log_softmax(1).unwrap(), [0.0, -inf, -inf, 0.0]);
    assert_eq!(x.cross_entropy(&[0, 1]).unwrap().item().unwrap(), 0.0);
    assert_eq!(x.cross_entropy(&[0, 0]).unwrap().item().unwrap(), inf);
}

#[test]
fn sums_do_not_lose_small_terms() {
    let n = 1 << 25;
    let ones = Tensor::new(Array1::ones(n));
    assert_eq!(ones.sum().item().unwrap(), n as f32);
    assert_eq!(ones.mean().item().unwrap(), 1.0);
}

#[test]
fn reductions() {
    let t = counted(&[2, 3, 4]);
    for axis in 0..3 {
        let expected = t.to_array().sum_axis(ndarray::Axis(axis));
        let got = t.sum_axis(axis as isize, false).unwrap();
        assert_eq!(got.to_array(), expected);
        assert_eq!(t.sum_axis(axis as isize - 3, true).unwrap().len(), got.len());
        assert_eq!(t.mean_axis(axis as isize, true).unwrap().shape()[axis], 1);
    }
    assert_eq!(counted(&[0]).sum().item().unwrap(), 0.0);
    assert!(counted(&[0]).mean().item().unwrap().is_nan());
    assert_eq!(
        counted(&[2, 0]).sum_axis(1, false).unwrap().to_array(),
        arr1(&[0.0, 0.0]).into_dyn()
    );
    for dim in [3, -4, isize::MAX, isize::MIN] {
        no_such_dim(t.sum_axis(dim, false));
        no_such_dim(t.mean_axis(dim, true));
        no_such_dim(t.log_softmax(dim));
        no_such_dim(t.flatten(0, dim));
        no_such_dim(t.transpose(dim, 0));
        no_such_dim(t.permute(&[0, 1, dim]));
        no_such_dim(t.narrow(dim, 0, 1));
        no_such_dim(t.select(dim, 0));
        no_such_dim(t.index_select(dim, &[0]));
        no_such_dim(Tensor::concat(&[&t], dim));
    }
    no_such_dim(Tensor::scalar(1.0).sum_axis(0, false));
}

#[test]
fn products_refuse_what_does_not_fit() {
    refused(counted(&[2, 3]).matmul(&counted(&[2, 3])), "matmul");
    refused(counted(&[3]).matmul(&counted(&[3, 2])), "matmul");
    let (x, w, b) = (counted(&[4, 3]), counted(&[2, 3]), counted(&[2]));
    refused(counted(&[4, 2]).linear(&w, None), "linear");
    refused(Tensor::scalar(1.0).linear(&w, None), "linear");
    refused(x.linear(&b, None), "linear");
    refused(x.linear(&w, Some(&counted(&[3]))), "linear");
    refused(x.linear(&w, Some(&counted(&[1, 2]))), "linear");
    let expected = x.to_array().into_dimensionality::<ndarray::Ix2>().unwrap();
    let weight = w.to_array().into_dimensionality::<ndarray::Ix2>().unwrap();
    let expected =
        (expected.dot(&weight.t()) + b.value().into_dimensionality::<ndarray::Ix1>().unwrap()).into_dyn();
    assert_eq!(x.linear(&w, Some(&b)).unwrap().to_array(), expected);
}

#[test]
fn shapes() {
    let t = counted(&[2, 3, 4]);
    assert_eq!(t.flatten(0, -1).unwrap().shape(), [24]);
    assert_eq!(t.flatten(1, 2).unwrap().shape(), [2, 12]);
    assert_eq!(t.flatten(-1, -1).unwrap().shape(), [2, 3, 4]);
    assert_eq!(Tensor::scalar(1.0).flatten(0, -1).unwrap().shape(), [1]);
    assert_eq!(counted(&[2, 0, 3]).flatten(0, 1).unwrap().shape(), [0, 3]);
    refused(t.flatten(2, 1), "flatten");
    refused(t.reshape(&[5, 5]), "reshape");
    refused(t.permute(&[0, 1]), "permute");
    refused(t.permute(&[0, 1, -2]), "permute");
    let expected = t.to_array().permuted_axes(IxDyn(&[1, 2, 0]));
    assert_eq!(t.permute(&[1, 2, 0]).unwrap().to_array(), expected);
    assert_eq!(
        t.transpose(0, 2).unwrap().to_array(),
        t.to_array().reversed_axes()
    );
}

#[test]
fn parts_and_joins() {
    let t = counted(&[2, 3, 4]);
    for dim in 0..3 {
        let len = t.shape()[dim as usize];
        let parts: Vec<Tensor> = (0..len).map(|i| t.narrow(dim, i, 1).unwrap()).collect();
        assert_eq!(Tensor::concat(&parts, dim).unwrap().to_array(), t.to_array());
        let parts: Vec<Tensor> = (0..len).map(|i| t.select(dim, i).unwrap()).collect();
        assert_eq!(Tensor::stack(&parts, dim).unwrap().to_array(), t.to_array());
        let all: Vec<usize> = (0..len).collect();
        assert_eq!(t.index_select(dim, &all).unwrap().to_array(), t.to_array());
        refused(t.narrow(dim, 1, len), "narrow");
        refused(t.narrow(dim, usize::MAX, 2), "narrow");
        refused(t.select(dim, len), "select");
        refused(t.index_select(dim, &[0, len]), "index_select");
        assert!(t.narrow(dim, len, 0).unwrap().is_empty());
        assert!(t.index_select(dim, &[]).unwrap().is_empty());
    }
    refused(Tensor::concat::<Tensor>(&[], 0), "concat");
    refused(Tensor::stack::<Tensor>(&[], 0), "stack");
    refused(Tensor::concat(&[counted(&[2, 3]), counted(&[2, 4])], 0), "concat");
    refused(Tensor::concat(&[counted(&[2, 3]), counted(&[2])], 0), "concat");
    refused(Tensor::stack(&[counted(&[2]), counted(&[3])], 0), "stack");
    no_such_dim(Tensor::stack(&[counted(&[2])], 2));
    no_such_dim(Tensor::stack(&[counted(&[2])], -3));
    assert_eq!(
        Tensor::stack(&[Tensor::scalar(1.0), Tensor::scalar(2.0)], 0)
            .unwrap()
            .shape(),
        [2]
    );
    let huge = Tensor::new(Array2::zeros((usize::MAX >> 3, 0)));
    refused(Tensor::concat(&[&huge; 20], 0), "concat");
    assert_eq!(
        Tensor::concat(&[counted(&[0, 2]), counted(&[3, 2])], 0)
            .unwrap()
            .shape(),
        [3, 2]
    );
}

#[test]
fn losses_refuse_what_has_no_loss() {
    let logits = counted(&[2, 3]);
    refused(logits.cross_entropy(&[0]), "cross_entropy");
    refused(logits.cross_entropy(&[0, 3]), "cross_entropy");
    refused(counted(&[0, 3]).cross_entropy(&[]), "cross_entropy");
    refused(counted(&[2, 0]).cross_entropy(&[0, 0]), "cross_entropy");
    refused(counted(&[3]).cross_entropy(&[0, 1, 2]), "cross_entropy");
    refused(counted(&[2, 3]).mse(&counted(&[3])), "mse");
    refused(counted(&[0]).mse(&counted(&[0])), "mse");
    // The fused loss is what its parts would give.
    let parts = logits.log_softmax(1).unwrap();
    let expected = -(parts.value()[[0, 2]] + parts.value()[[1, 0]]) / 2.0;
    assert!((logits.cross_entropy(&[2, 0]).unwrap().item().unwrap() - expected).abs() < 1e-6);
    assert_eq!(
        Tensor::scalar(3.0).mse(&Tensor::scalar(1.0)).unwrap().to_array(),
        arr0(4.0).into_dyn()
    );
}

#[test]
fn convolutions_refuse_invalid_options() {
    let (x, w) = (counted(&[2, 4, 5, 5]), counted(&[6, 4, 3, 3]));
    let plain = ConvOptions::new(2);
    let with = |options: ConvOptions| x.conv(&w, None, &options);
    for (options, named) in [
        (plain.clone().stride(&[0, 1]), "stride"),
        (plain.clone().stride(&[1]), "stride"),
        (plain.clone().padding(&[]), "padding"),
        (plain.clone().dilation(&[1, 0]), "dilation"),
        (plain.clone().groups(0), "groups"),
    ] {
        let error = with(options).unwrap_err();
        assert!(
            matches!(&error, Error::Tensor(TensorError { op: "conv", reason, .. }) if reason.starts_with(named)),
            "{error}"
        );
    }
    refused(with(plain.clone().groups(2)), "conv");
    refused(with(plain.clone().groups(3)), "conv");
    refused(with(plain.clone().dilation(&[3, 1])), "conv");
    refused(with(plain.clone().padding(&[usize::MAX, 0])), "conv");
    refused(with(plain.clone().padding(&[usize::MAX / 2, 0])), "conv");
    refused(with(plain.clone().dilation(&[usize::MAX, 1])), "conv");
    refused(x.conv(&counted(&[6, 4, 6, 3]), None, &plain), "conv");
    refused(x.conv(&counted(&[6, 4, 0, 3]), None, &plain), "conv");
    refused(x.conv(&counted(&[6, 3, 3, 3]), None, &plain), "conv");
    refused(x.conv(&counted(&[6, 4, 3]), None, &plain), "conv");
    refused(x.conv(&w, Some(&counted(&[4])), &plain), "conv");
    refused(
        counted(&[2, 4]).conv(&counted(&[6, 4]), None, &ConvOptions::new(0)),
        "conv",
    );
    refused(Tensor::scalar(1.0).conv(&w, None, &plain), "conv");
    // Too large a stride is one position, as in PyTorch.
    assert_eq!(
        with(plain.stride(&[usize::MAX, 99])).unwrap().shape(),
        [2, 6, 1, 1]
    );
}

#[test]
fn a_small_convolution_computed_by_hand() {
    let x = Tensor::new(Array3::from_shape_vec((1, 1, 4), vec![1.0, 2.0, 3.0, 4.0]).unwrap());
    let w = Tensor::new(Array3::from_shape_vec((1, 1, 2), vec![1.0, 10.0]).unwrap());
    let y = x
        .conv(&w, Some(&Tensor::new(arr1(&[0.5]))), &ConvOptions::new(1))
        .unwrap();
    assert_eq!(
        y.to_array().into_raw_vec_and_offset().0,
        [21.5, 32.5, 43.5],
        "a cross-correlation"
    );
}

/// The definition, one multiplication at a time.
fn naive(x: &ArrayD<f32>, w: &ArrayD<f32>, options: &ConvOptions) -> ArrayD<f32> {
    let (dims, filters) = (x.ndim() - 2, w.shape()[0]);
    let per_group = (w.shape()[1], filters / options.groups);
    let mut shape = vec![x.shape()[0], filters];
    for d in 0..dims {
        let reach = options.dilation[d] * (w.shape()[d + 2] - 1) + 1;
        shape.push((x.shape()[d + 2] + 2 * options.padding[d] - reach) / options.stride[d] + 1);
    }
    Array::from_shape_fn(IxDyn(&shape), |out| {
        let filter = out[1];
        let mut sum = 0.0;
        for (entry, weight) in w.index_axis(ndarray::Axis(0), filter).indexed_iter() {
            let mut at = vec![out[0], filter / per_group.1 * per_group.0 + entry[0]];
            for d in 0..dims {
                let padded = out[d + 2] * options.stride[d] + entry[d + 1] * options.dilation[d];
                at.push(padded.wrapping_sub(options.padding[d]));
            }
            sum += weight * x.get(IxDyn(&at)).copied().unwrap_or(0.0);
        }
        sum
    })
}

fn convolution() -> impl Strategy<Value = (Vec<usize>, Vec<usize>, ConvOptions)> {
    let dimension = (1usize..4, 1usize..4, 0usize..3, 1usize..4, 0usize..4);
    let dimensions = prop::collection::vec(dimension, 1..4);
    (dimensions, 0usize..3, 1usize..4, 1usize..3, 1usize..3).prop_map(
        |(dims, samples, groups, inputs, outputs)| {
            let mut x = vec![samples, groups * inputs];
            let mut w = vec![groups * outputs, inputs];
            let mut options = ConvOptions::new(dims.len()).groups(groups);
            for (d, (kernel, stride, padding, dilation, more)) in dims.into_iter().enumerate() {
                let reach: usize = dilation * (kernel - 1) + 1;
                x.push(reach.saturating_sub(2 * padding) + more);
                w.push(kernel);
                options.stride[d] = stride;
                options.padding[d] = padding;
                options.dilation[d] = dilation;
            }
            (x, w, options)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn convolutions_are_what_the_definition_says((x, w, options) in convolution()) {
        // Small whole numbers: sums are exact in any order.
        let (x, w) = (counted(&x), counted(&w));
        let got = x.conv(&w, None, &options).unwrap();
        prop_assert_eq!(got.to_array(), naive(&x.to_array(), &w.to_array(), &options));
    }
}

/// The greatest entries of windows of 2×2 side by side, and for each entry of the input which window it is the greatest
/// of, by the rule: a later NaN wins, of equal entries the first.
fn pooled_by_hand(image: &[f32], height: usize, width: usize) -> (Vec<f32>, Vec<f32>) {
    let (mut pooled, mut winners) = (Vec::new(), vec![0.0; image.len()]);
    for (row, column) in (0..height / 2).flat_map(|r| (0..width / 2).map(move |c| (2 * r, 2 * c))) {
        let places = [0, 1, width, width + 1].map(|shift| row * width + column + shift);
        let mut best = places[0];
        for place in places {
            if image[place] > image[best] || image[place].is_nan() {
                best = place;
            }
        }
        pooled.push(image[best]);
        winners[best] = pooled.len() as f32;
    }
    (pooled, winners)
}

#[test]
fn the_greatest_of_ties_nans_and_infinities() {
    let values = [
        1.0,
        -1.0,
        f32::NAN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        0.0,
        -0.0,
        1.0,
    ];
    for (height, width) in [(2, 2), (5, 7), (8, 38), (6, 3)] {
        let image: Vec<f32> = (0..height * width)
            .map(|i| values[(i * i * 13 + i / 3) % 8])
            .collect();
        let (pooled, winners) = pooled_by_hand(&image, height, width);
        let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        let x = Tensor::variable(ArrayD::from_shape_vec(vec![1, height, width], image).unwrap());
        let y = x.max_pool2d(&PoolOptions::new([2, 2])).unwrap();
        assert_eq!(bits(&y.to_array().into_raw_vec_and_offset().0), bits(&pooled));
        let numbers = (1..=y.len()).map(|i| i as f32).collect();
        let numbers = ArrayD::from_shape_vec(y.shape(), numbers).unwrap();
        let gradients = y.backward_from(numbers.view()).unwrap();
        assert_eq!(
            gradients.wrt(&x).unwrap().iter().copied().collect::<Vec<_>>(),
            winners
        );
    }
}
