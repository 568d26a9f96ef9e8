//! What is found in tensors.

use super::*;

fn inspect(tensor: Tensor) -> super::super::TensorStats {
    let place = folder();
    let checkpoint = Checkpoint::open(single(place.path(), &[tensor])).unwrap();
    checkpoint.inspect(["t"]).unwrap().remove(0).unwrap()
}

#[test]
fn zeros_of_both_signs_and_nans_are_counted() {
    for dtype in [Dtype::F16, Dtype::BF16, Dtype::F32, Dtype::F64] {
        let values = [0.0, -0.0, f64::NAN, 1.0, -0.0, f64::INFINITY, -1.0];
        let stats = inspect(Tensor::new("t", dtype, &[7000], |i| values[i % 7]));
        assert_eq!(
            (stats.zeros, stats.negative_zeros, stats.nans, stats.entries),
            (3000, 2000, 1000, 7000)
        );
    }
    let place = folder();
    let ids = Tensor::new("ids", Dtype::U8, &[4], |_| 0.0);
    let checkpoint = Checkpoint::open(single(place.path(), &[ids])).unwrap();
    assert_eq!(checkpoint.inspect(["ids"]).unwrap(), [None]);
}

#[test]
fn patterns_that_hold_are_found_along_both_dimensions() {
    let seen = |shape: &[usize], keep: &dyn Fn(usize, usize) -> bool| {
        let columns: usize = shape[1..].iter().product();
        let stats = inspect(Tensor::new("t", Dtype::F32, shape, |i| {
            f64::from(u8::from(keep(i / columns, i % columns)))
        }));
        let groups = stats.groups.iter().map(|p| (p.keep, p.of, p.dim));
        let channels = stats.channels.iter().map(|p| (p.dim, p.zero, p.count));
        (groups.collect::<Vec<_>>(), channels.collect::<Vec<_>>())
    };
    assert_eq!(seen(&[30, 40], &|_, _| true), (vec![], vec![]));
    // 2:4 along rows, whose length is not a multiple of a chunk.
    assert_eq!(seen(&[30, 44], &|_, c| c % 4 > 1).0, [(2, 4, 1)]);
    // 1:2, and so 2:4, 4:8 and 8:16, along columns.
    assert_eq!(seen(&[32, 41], &|r, _| r % 2 == 0).0, [(1, 2, 0)]);
    // 2:4 along dimension 1 of a convolution, alternating by place.
    assert_eq!(
        seen(&[3, 8, 5, 5], &|_, i| (i / 25 + i % 25) % 4 < 2).0,
        [(2, 4, 1)]
    );
    // Whole rows and whole columns.
    assert_eq!(seen(&[30, 41], &|r, _| r >= 7).1, [(0, 7, 30)]);
    assert_eq!(seen(&[31, 41], &|_, c| c != 5).1, [(1, 1, 41)]);
    assert_eq!(seen(&[31, 41], &|_, _| false).1, [(0, 31, 31), (1, 41, 41)]);
}
