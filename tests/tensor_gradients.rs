//! The gradient of every operation against central finite differences.

use ndarray::{ArrayD, IxDyn, arr1, arr2};
use secateurs::Result;
use secateurs::mask::Mask;
use secateurs::tensor::{BatchStatistics, ConvOptions, PoolOptions, Tensor, no_grad};

/// Numbers in ±[0.2, 1.4): away from the kinks and poles at 0. The same for the same seed.
fn numbers(shape: &[usize], seed: u64) -> ArrayD<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0xD1B5_4A32_D192_ED03;
    ArrayD::from_shape_simple_fn(IxDyn(shape), || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let unit = (state >> 40) as f32 / (1u64 << 24) as f32;
        let sign = if state & 1 == 0 { 1.0 } else { -1.0 };
        sign * (0.2 + 1.2 * unit)
    })
}

/// Positive ones.
fn positive(shape: &[usize], seed: u64) -> ArrayD<f32> {
    numbers(shape, seed).mapv(f32::abs)
}

/// Checks the gradient of `f` with respect to each of its inputs, from a cotangent that is different everywhere.
#[track_caller]
fn check(inputs: &[ArrayD<f32>], f: impl Fn(&[Tensor]) -> Result<Tensor>) {
    let variables: Vec<Tensor> = inputs.iter().cloned().map(Tensor::variable).collect();
    let result = f(&variables).unwrap();
    let cotangent = numbers(result.shape(), 99);
    let gradients = result.backward_from(cotangent.view()).unwrap();

    // The directional value in f64, so that rounding is only that of the operation itself.
    let value = |inputs: &[ArrayD<f32>]| -> f64 {
        let constants: Vec<Tensor> = inputs.iter().cloned().map(Tensor::new).collect();
        let y = no_grad(|| f(&constants)).unwrap();
        y.value()
            .iter()
            .zip(&cotangent)
            .map(|(&y, &c)| f64::from(y) * f64::from(c))
            .sum()
    };
    let step = 1.0 / 128.0;
    for (i, variable) in variables.iter().enumerate() {
        let gradient = gradients.wrt(variable).expect("every input takes part");
        assert_eq!(gradient.shape(), variable.shape());
        for (at, &got) in gradient.indexed_iter() {
            let moved = |by: f32| {
                let mut inputs = inputs.to_vec();
                inputs[i][&at] += by;
                value(&inputs)
            };
            let expected = (moved(step) - moved(-step)) / (2.0 * f64::from(step));
            let error = (f64::from(got) - expected).abs();
            assert!(
                error <= 4e-3 * (1.0 + expected.abs()),
                "input {i} at {at:?}: backward says {got}, differences say {expected}"
            );
        }
    }

    // With one input a variable and the rest constants, its gradient is bit for bit the same.
    for (i, variable) in variables.iter().enumerate() {
        let mixed: Vec<Tensor> = variables
            .iter()
            .enumerate()
            .map(|(j, v)| if i == j { v.clone() } else { v.detach() })
            .collect();
        let alone = f(&mixed).unwrap().backward_from(cotangent.view()).unwrap();
        assert_eq!(alone.len(), 1);
        assert_eq!(alone.wrt(variable), gradients.wrt(variable));
    }
}

/// Pairs of shapes that broadcast, every way there is.
const PAIRS: [(&[usize], &[usize]); 11] = [
    (&[], &[]),
    (&[3], &[3]),
    (&[2, 3], &[2, 3]),
    (&[2, 3], &[3]),
    (&[3], &[2, 3]),
    (&[2, 3], &[]),
    (&[1], &[2, 2]),
    (&[2, 1], &[1, 3]),
    (&[2, 3, 1], &[3, 4]),
    (&[2, 1, 2], &[1, 1, 2]),
    (&[4, 1], &[2, 1, 3]),
];

#[test]
fn arithmetic_with_broadcasting() {
    for (a, b) in PAIRS {
        let inputs = [numbers(a, 1), numbers(b, 2)];
        check(&inputs, |t| t[0].add(&t[1]));
        check(&inputs, |t| t[0].sub(&t[1]));
        check(&inputs, |t| t[0].mul(&t[1]));
        check(&[numbers(a, 1), positive(b, 2) + 0.6], |t| t[0].div(&t[1]));
    }
}

#[test]
fn one_tensor_as_both_operands() {
    let x = Tensor::variable(arr1(&[3.0, -2.0]));
    let of = |y: Tensor| y.sum().backward().unwrap().wrt(&x).unwrap().to_owned();
    assert_eq!(of(x.add(&x).unwrap()), arr1(&[2.0, 2.0]).into_dyn());
    assert_eq!(of(x.sub(&x).unwrap()), arr1(&[0.0, 0.0]).into_dyn());
    assert_eq!(of(x.mul(&x).unwrap()), arr1(&[6.0, -4.0]).into_dyn());
    assert_eq!(of(x.div(&x).unwrap()), arr1(&[0.0, 0.0]).into_dyn());
}

#[test]
fn elementwise() {
    for shape in [&[][..], &[4], &[2, 3], &[2, 0]] {
        let x = [numbers(shape, 3)];
        check(&x, |t| Ok(t[0].neg()));
        check(&x, |t| Ok(t[0].scale(-2.5)));
        check(&x, |t| Ok(t[0].add_scalar(7.0)));
        check(&x, |t| Ok(t[0].exp()));
        check(&x, |t| Ok(t[0].square()));
        check(&x, |t| Ok(t[0].relu()));
        check(&x, |t| Ok(t[0].sigmoid()));
        check(&x, |t| Ok(t[0].tanh()));
        for n in [0, 1, 2, 3] {
            check(&x, |t| Ok(t[0].powi(n)));
        }
        let x = [positive(shape, 4) + 0.5];
        check(&x, |t| Ok(t[0].ln()));
        check(&x, |t| Ok(t[0].sqrt()));
        check(&x, |t| Ok(t[0].powi(-2)));
    }
}

#[test]
fn reductions() {
    check(&[numbers(&[], 5)], |t| Ok(t[0].sum()));
    check(&[numbers(&[3, 7], 5)], |t| Ok(t[0].sum()));
    check(&[numbers(&[3, 7], 5)], |t| Ok(t[0].mean()));
    for shape in [&[4][..], &[2, 3], &[2, 3, 4], &[2, 0, 3]] {
        for dim in -(shape.len() as isize)..shape.len() as isize {
            for keepdim in [false, true] {
                check(&[numbers(shape, 6)], |t| t[0].sum_axis(dim, keepdim));
                check(&[numbers(shape, 6)], |t| t[0].mean_axis(dim, keepdim));
            }
        }
    }
}

#[test]
fn products() {
    for (m, k, n) in [(2, 3, 4), (1, 1, 1), (5, 1, 2), (1, 4, 1), (3, 0, 2), (0, 2, 2)] {
        check(&[numbers(&[m, k], 7), numbers(&[k, n], 8)], |t| {
            t[0].matmul(&t[1])
        });
    }
    for leading in [&[][..], &[3], &[2, 2], &[2, 1, 3], &[0]] {
        for (i, o) in [(3, 2), (1, 4), (0, 2)] {
            let x = [leading, &[i]].concat();
            let inputs = [numbers(&x, 9), numbers(&[o, i], 10), numbers(&[o], 11)];
            check(&inputs, |t| t[0].linear(&t[1], Some(&t[2])));
            check(&inputs[..2], |t| t[0].linear(&t[1], None));
        }
    }
}

#[test]
fn shapes() {
    let x = [numbers(&[2, 3, 4], 12)];
    check(&x, |t| t[0].reshape(&[4, 6]));
    check(&x, |t| t[0].flatten(0, -1));
    check(&x, |t| t[0].flatten(-2, 2));
    check(&x, |t| t[0].transpose(0, -1));
    check(&x, |t| t[0].permute(&[2, 0, 1]));
    check(&x, |t| {
        t[0].permute(&[-2, 2, 0])?.reshape(&[6, 4])?.transpose(0, 1)
    });
}

#[test]
fn parts() {
    let x = [numbers(&[2, 3, 4], 13)];
    for dim in 0..3 {
        check(&x, |t| t[0].narrow(dim, 1, 1));
        check(&x, |t| t[0].narrow(dim, 0, 2));
        check(&x, |t| t[0].select(dim, 1));
        check(&x, |t| t[0].index_select(dim, &[1, 0, 1, 1]));
        check(&x, |t| t[0].narrow(dim, 0, 1)?.mul(&t[0].narrow(dim, 1, 1)?));
    }
}

#[test]
fn joins() {
    let x = [numbers(&[2, 3], 14), numbers(&[2, 1], 15), numbers(&[2, 2], 16)];
    check(&x, |t| Tensor::concat(t, 1));
    check(&x[..1], |t| Tensor::concat(&[&t[0], &t[0].square()], 0));
    let x = [numbers(&[2, 3], 14), numbers(&[2, 3], 15)];
    for dim in -3..3 {
        check(&x, |t| Tensor::stack(t, dim));
    }
}

#[test]
fn convolutions() {
    let with = |x: &[usize], w: &[usize], options: &ConvOptions| {
        let inputs = [numbers(x, 17), numbers(w, 18), numbers(&w[..1], 19)];
        check(&inputs, |t| t[0].conv(&t[1], Some(&t[2]), options));
        check(&inputs[..2], |t| t[0].conv(&t[1], None, options));
    };
    // 1-D, each option by itself and all at once.
    with(&[2, 2, 5], &[3, 2, 2], &ConvOptions::new(1));
    with(&[1, 2, 6], &[2, 2, 3], &ConvOptions::new(1).stride(&[2]));
    with(&[1, 1, 2], &[2, 1, 3], &ConvOptions::new(1).padding(&[2]));
    with(&[1, 2, 7], &[2, 2, 3], &ConvOptions::new(1).dilation(&[2]));
    with(
        &[2, 4, 6],
        &[6, 2, 2],
        &ConvOptions::new(1)
            .stride(&[3])
            .padding(&[1])
            .dilation(&[2])
            .groups(2),
    );
    // 2-D, uneven.
    with(&[2, 2, 4, 3], &[2, 2, 3, 2], &ConvOptions::new(2));
    with(
        &[2, 4, 4, 5],
        &[4, 1, 2, 3],
        &ConvOptions::new(2).stride(&[1, 2]).padding(&[1, 0]).groups(4),
    );
    // A kernel of one entry is not unfolded, unless it moves.
    with(&[2, 4, 2, 3], &[2, 2, 1, 1], &ConvOptions::new(2).groups(2));
    with(&[1, 2, 3, 3], &[2, 2, 1, 1], &ConvOptions::new(2).stride(&[2, 2]));
    // 3-D.
    with(
        &[1, 2, 3, 2, 3],
        &[2, 2, 2, 1, 2],
        &ConvOptions::new(3).padding(&[1, 0, 1]).stride(&[2, 1, 2]),
    );
    // Nothing in, or nothing but padding.
    with(&[0, 2, 4], &[2, 2, 2], &ConvOptions::new(1));
    with(&[1, 1, 0], &[2, 1, 2], &ConvOptions::new(1).padding(&[1]));
    with(&[2, 0, 3], &[2, 0, 2], &ConvOptions::new(1));
}

#[test]
fn pooling() {
    // Far enough apart that no step changes which is the greatest.
    let mut distinct = numbers(&[2, 2, 4, 5], 30);
    distinct
        .iter_mut()
        .enumerate()
        .for_each(|(i, x)| *x = ((i * 37) % 80) as f32 / 20.0 - 2.0);
    let options = [
        PoolOptions::new([2, 2]),
        PoolOptions::new([3, 2]).stride([1, 2]).padding([1, 0]),
        PoolOptions::new([2, 3]).stride([3, 1]).padding([1, 1]),
        PoolOptions::new([1, 1]),
    ];
    for options in &options {
        check(std::slice::from_ref(&distinct), |t| t[0].max_pool2d(options));
        check(&[numbers(&[2, 2, 4, 5], 31)], |t| t[0].avg_pool2d(options));
        check(&[numbers(&[3, 4, 3], 32)], |t| t[0].avg_pool2d(options));
    }
    for size in [[1, 1], [2, 3], [5, 7], [0, 2]] {
        check(&[numbers(&[2, 2, 4, 5], 33)], |t| t[0].adaptive_avg_pool2d(size));
    }
    check(&[numbers(&[0, 2, 4, 4], 34)], |t| t[0].max_pool2d(&options[0]));
}

#[test]
fn normalisation() {
    for shape in [&[4, 2][..], &[3, 2, 3], &[2, 3, 2, 2]] {
        let channels = &shape[1..2];
        let inputs = [numbers(shape, 35), numbers(channels, 36), numbers(channels, 37)];
        let statistics = BatchStatistics {
            mean: numbers(channels, 38).into_iter().collect(),
            variance: positive(channels, 39).into_iter().collect(),
            count: 0,
        };
        check(&inputs, |t| Ok(t[0].batch_norm(Some(&t[1]), Some(&t[2]), 0.1)?.0));
        check(&inputs[..2], |t| Ok(t[0].batch_norm(Some(&t[1]), None, 0.1)?.0));
        check(&inputs[..1], |t| Ok(t[0].batch_norm(None, None, 0.1)?.0));
        check(&inputs, |t| {
            t[0].batch_norm_with(&statistics, Some(&t[1]), Some(&t[2]), 0.1)
        });
        check(&inputs[..1], |t| {
            t[0].batch_norm_with(&statistics, None, None, 0.1)
        });
    }
    let mut index = 0;
    let kept = Mask::from_fn(numbers(&[3, 4], 40).view(), |_| {
        index += 1;
        index % 3 > 0
    });
    check(&[numbers(&[3, 4], 40)], |t| t[0].keep(kept.clone(), 1.25));
}

#[test]
fn losses() {
    for shape in [&[3][..], &[2, 4], &[2, 3, 2]] {
        for dim in 0..shape.len() as isize {
            check(&[numbers(shape, 20)], |t| t[0].log_softmax(dim));
        }
    }
    check(&[numbers(&[3, 4], 21) * 3.0], |t| t[0].cross_entropy(&[1, 3, 0]));
    check(&[numbers(&[1, 1], 21)], |t| t[0].cross_entropy(&[0]));
    check(&[numbers(&[2, 3], 22), numbers(&[2, 3], 23)], |t| t[0].mse(&t[1]));
}

#[test]
fn an_lstm_unrolled() {
    let (batch, steps, inputs, hidden) = (2, 3, 2, 2);
    let x = numbers(&[batch, steps, inputs], 24);
    let parameters = [
        numbers(&[4 * hidden, inputs], 25),
        numbers(&[4 * hidden, hidden], 26),
        numbers(&[4 * hidden], 27),
    ];
    let run = |t: &[Tensor]| {
        let (x, w, u, b) = (&t[3], &t[0], &t[1], &t[2]);
        let gates_of_x = x.linear(w, Some(b))?;
        let mut h = Tensor::new(ArrayD::zeros(IxDyn(&[batch, hidden])));
        let mut c = h.clone();
        let mut outputs = Vec::new();
        for step in 0..steps {
            let gates = gates_of_x.select(1, step)?.add(&h.linear(u, None)?)?;
            let gate = |i: usize| gates.narrow(1, i * hidden, hidden);
            let (i, f, g, o) = (
                gate(0)?.sigmoid(),
                gate(1)?.sigmoid(),
                gate(2)?.tanh(),
                gate(3)?.sigmoid(),
            );
            c = f.mul(&c)?.add(&i.mul(&g)?)?;
            h = o.mul(&c.tanh())?;
            outputs.push(h.clone());
        }
        Tensor::stack(&outputs, 1)
    };
    let [w, u, b] = parameters;
    check(&[w, u, b, x], run);
}

#[test]
fn where_there_is_no_derivative() {
    // As PyTorch: 0 at 0.
    let x = Tensor::variable(arr1(&[0.0, -0.0, -1.0, 1.0, f32::NAN]));
    let cotangent = arr1(&[f32::INFINITY, 1.0, f32::NAN, f32::INFINITY, 5.0]).into_dyn();
    let gradients = x.relu().backward_from(cotangent.view()).unwrap();
    let bits: Vec<u32> = gradients.wrt(&x).unwrap().iter().map(|g| g.to_bits()).collect();
    assert_eq!(bits, [0.0, 0.0, 0.0, f32::INFINITY, 5.0].map(f32::to_bits));

    let x = Tensor::variable(arr1(&[0.0f32]));
    assert_eq!(x.powi(0).backward().unwrap().wrt(&x).unwrap()[0], 0.0);
    assert_eq!(x.powi(1).backward().unwrap().wrt(&x).unwrap()[0], 1.0);
    assert_eq!(x.sqrt().backward().unwrap().wrt(&x).unwrap()[0], f32::INFINITY);
}

#[test]
fn large_logits_do_not_overflow() {
    let x = Tensor::variable(arr2(&[[1e4, 0.0, -1e4], [-300.0, -300.0, -300.0]]));
    let loss = x.cross_entropy(&[0, 2]).unwrap();
    assert!((loss.item().unwrap() - 3f32.ln() / 2.0).abs() < 1e-6);
    let gradients = loss.backward().unwrap();
    let sums = gradients.wrt(&x).unwrap().sum_axis(ndarray::Axis(1));
    assert!(sums.iter().all(|s| s.abs() < 1e-6));
}
