//! S9 and S10: masks are binary and packed, and a pruned entry is +0.0.

use secateurs::error::MaskError;
mod common;

use std::collections::HashSet;

use common::{array, bits, rng};
use half::{bf16, f16};
use ndarray::{
    Array, Array0, Array1, Array2, Array3, ArrayD, ArrayViewD, Axis, Dimension, IxDyn, Slice, arr0, array,
};
use num_traits::{One, Zero};
use proptest::prelude::*;
use rand::Rng;
use secateurs::Error;
use secateurs::mask::Mask;

/// Shapes of every rank up to 5, rank 0 and empty ones among them.
fn shape() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![
        4 => prop::collection::vec(0_usize..7, 0..=5),
        1 => prop::collection::vec(50_usize..150, 1..=2),
        1 => Just(vec![64]),
        1 => Just(vec![2, 64]),
    ]
}

/// A boolean array of such a shape.
fn booleans() -> impl Strategy<Value = ArrayD<bool>> {
    (shape(), any::<u64>(), 0..=4_u32).prop_map(|(shape, seed, density)| {
        let mut rng = rng(seed);
        ArrayD::from_shape_fn(IxDyn(&shape), |_| rng.next_u32() % 4 < density)
    })
}

/// The same entries in another memory layout: axes stored in reverse order, one of them backwards.
fn scrambled<T: Copy + PartialEq + std::fmt::Debug>(array: &ArrayD<T>) -> ArrayD<T> {
    let mut reversed = array.t();
    let first = (array.ndim() > 0).then_some(Axis(0));
    first.into_iter().for_each(|axis| reversed.invert_axis(axis));
    let mut stored = reversed.as_standard_layout().into_owned();
    first.into_iter().for_each(|axis| stored.invert_axis(axis));
    let other = stored.reversed_axes();
    assert_eq!(other, *array);
    other
}

fn zero_one<T: Zero + One + Copy>(booleans: &ArrayD<bool>) -> ArrayD<T> {
    booleans.mapv(|kept| if kept { T::one() } else { T::zero() })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    // S9
    #[test]
    fn array_round_trips(kept in booleans()) {
        let mask = Mask::from_bool(kept.view());
        prop_assert_eq!(mask.to_bool(), kept.clone());
        prop_assert_eq!(mask.shape(), kept.shape());
        prop_assert_eq!(Mask::from_bool(scrambled(&kept).view()), mask.clone());
        prop_assert_eq!(Mask::from_bool(kept.t()).to_bool(), kept.t());
        prop_assert_eq!(Mask::from(kept.clone()), mask.clone());
        prop_assert_eq!(Mask::from_fn(kept.view(), |kept| *kept), mask.clone());

        macro_rules! check {
            ($($number:ty)*) => {$(
                let numbers: ArrayD<$number> = zero_one(&kept);
                prop_assert_eq!(Mask::from_array(numbers.view()).unwrap(), mask.clone());
                prop_assert_eq!(Mask::from_array(scrambled(&numbers).view()).unwrap(), mask.clone());
                prop_assert_eq!(mask.to_array::<$number>(), numbers);
            )*};
        }
        check!(u8 i8 u16 i32 i64 u64 usize i128 f32 f64 f16 bf16);
    }

    #[test]
    fn counts_iteration_and_look_up(kept in booleans()) {
        let mask = Mask::from_bool(kept.view());
        let expected: Vec<bool> = kept.iter().copied().collect();
        let pruned = expected.iter().filter(|kept| !**kept).count();
        prop_assert_eq!((mask.len(), mask.ndim(), mask.is_empty()), (kept.len(), kept.ndim(), kept.is_empty()));
        prop_assert_eq!((mask.count_pruned(), mask.count_kept()), (pruned, kept.len() - pruned));
        let sparsity = if kept.is_empty() { 0.0 } else { pruned as f64 / kept.len() as f64 };
        prop_assert_eq!(mask.sparsity(), sparsity);

        prop_assert_eq!(mask.iter().collect::<Vec<_>>(), expected.clone());
        prop_assert_eq!((&mask).into_iter().rev().collect::<Vec<_>>(), expected.iter().rev().copied().collect::<Vec<_>>());
        prop_assert_eq!(mask.iter().len(), kept.len());
        let mut both_ends = mask.iter();
        both_ends.next();
        both_ends.next_back();
        prop_assert_eq!(both_ends.len(), kept.len().saturating_sub(2));

        for (index, kept) in kept.indexed_iter() {
            prop_assert_eq!(mask.get(index.as_array_view().as_slice().unwrap()), Some(*kept));
        }
        prop_assert_eq!(mask.get(kept.shape()), if kept.ndim() == 0 { Some(expected[0]) } else { None });
        prop_assert_eq!(mask.get(&vec![0; kept.ndim() + 1]), None);
    }

    #[test]
    fn words_are_the_entries(kept in booleans()) {
        let mask = Mask::from_bool(kept.view());
        let mut words = vec![0_u64; kept.len().div_ceil(64)];
        for (index, _) in kept.iter().enumerate().filter(|(_, kept)| **kept) {
            words[index / 64] += 1 << (index % 64);
        }
        prop_assert_eq!(mask.as_words(), &words[..]);
        prop_assert_eq!(Mask::from_words(kept.shape(), words.clone()).unwrap(), mask);

        // A bit past the last entry is not an entry.
        if kept.len() % 64 != 0 {
            for bit in kept.len() % 64..64 {
                let mut tail = words.clone();
                *tail.last_mut().unwrap() |= 1 << bit;
                let error = Mask::from_words(kept.shape(), tail).unwrap_err();
                let past = matches!(error, Error::Mask(MaskError::NotBinary { index, .. }) if index == kept.len());
                prop_assert!(past, "{error}");
            }
        }
        for wrong in [words.len() + 1, words.len() + 7, words.len().wrapping_sub(1)] {
            if wrong < 1_000 {
                let error = Mask::from_words(kept.shape(), vec![0; wrong]).unwrap_err();
                let shown = matches!(&error, Error::Mask(MaskError::ShapeMismatch { expected, got, .. })
                    if *expected == [words.len()] && *got == [wrong]);
                prop_assert!(shown, "{error}");
            }
        }
    }

    #[test]
    fn and_or_not(kept in booleans(), seed in any::<u64>()) {
        let mut rng = rng(seed);
        let other = kept.mapv(|_| rng.next_u32().is_multiple_of(2));
        let (a, b) = (Mask::from_bool(kept.view()), Mask::from_bool(other.view()));
        prop_assert_eq!(a.and(&b).unwrap(), Mask::from_bool((&kept & &other).view()));
        prop_assert_eq!(&a & &b, a.and(&b).unwrap());
        prop_assert_eq!(a.clone() & b.clone(), a.and(&b).unwrap());
        prop_assert_eq!(&a | &b, a.or(&b).unwrap());
        prop_assert_eq!(a.clone() | b.clone(), a.or(&b).unwrap());
        prop_assert_eq!((!&a, !a.clone()), (a.not(), a.not()));
        prop_assert_eq!(a.or(&b).unwrap(), Mask::from_bool((&kept | &other).view()));
        prop_assert_eq!(a.not(), Mask::from_bool((!&kept).view()));
        prop_assert_eq!(a.not().not(), a.clone());
        prop_assert_eq!(a.and(&a.not()).unwrap(), Mask::zeros(kept.shape()));
        prop_assert_eq!(a.or(&a.not()).unwrap(), Mask::ones(kept.shape()));
        prop_assert_eq!(a == b, kept == other);
    }

    #[test]
    fn a_value_that_is_neither_0_nor_1_is_refused(kept in booleans(), at in any::<prop::sample::Index>(), also in any::<prop::sample::Index>()) {
        prop_assume!(!kept.is_empty());
        let (at, also) = (at.index(kept.len()), also.index(kept.len()));
        let mut soft: ArrayD<f32> = zero_one(&kept);
        for index in [at, also] {
            *soft.iter_mut().nth(index).unwrap() = 0.5;
        }
        for layout in [soft.clone(), scrambled(&soft)] {
            let error = Mask::from_array(layout.view()).unwrap_err();
            let first = matches!(&error, Error::Mask(MaskError::NotBinary { index, value }) if *index == at.min(also) && value == "0.5");
            prop_assert!(first, "{error:?}");
        }
    }

    // S10
    #[test]
    fn a_pruned_entry_is_positive_zero(kept in booleans(), seed in any::<u64>()) {
        macro_rules! check {
            ($($float:ty)*) => {$(
                let values = [<$float>::NAN, -<$float>::NAN, <$float>::INFINITY, <$float>::NEG_INFINITY,
                    <$float>::from_f32_(-2.0), <$float>::from_f32_(-0.0), <$float>::from_f32_(1.5)];
                let mut data = rng(seed);
                let dense = kept.mapv(|_| values[data.next_u32() as usize % values.len()]);
                let expected: Vec<_> =
                    dense.iter().zip(&kept).map(|(x, kept)| if *kept { x.to_bits() } else { 0 }).collect();
                let seen = |array: ArrayViewD<'_, $float>| array.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                let mask = Mask::from_bool(kept.view());
                prop_assert_eq!(seen(mask.apply(dense.view()).unwrap().view()), expected.clone());

                // Any memory layout, and in place: a view that runs backwards over every second entry of more.
                let mut more = ArrayD::from_elem(
                    kept.shape().iter().map(|n| 2 * n).collect::<Vec<_>>(), <$float>::from_f32_(7.0));
                let steps = |axis: ndarray::AxisDescription| match axis.axis.index() {
                    0 => Slice::new(0, None, -2),
                    _ => Slice::new(0, None, 2),
                };
                more.slice_each_axis_mut(steps).assign(&dense);
                prop_assert_eq!(seen(mask.apply(more.slice_each_axis(steps)).unwrap().view()), expected.clone());
                mask.apply_inplace(more.slice_each_axis_mut(steps)).unwrap();
                prop_assert_eq!(seen(more.slice_each_axis(steps)), expected.clone());
                let beside = more.iter().filter(|x| **x == <$float>::from_f32_(7.0)).count();
                prop_assert_eq!(beside, more.len() - dense.len());

                let mut contiguous = dense.clone();
                mask.apply_inplace(contiguous.view_mut()).unwrap();
                prop_assert_eq!(seen(contiguous.view()), expected.clone());
                let transposed = Mask::from_bool(kept.t()).apply(dense.t()).unwrap();
                prop_assert_eq!(seen(transposed.t()), expected);
            )*};
        }
        check!(f32 f64 f16 bf16);
    }
}

/// The float nearest to an `f32`, under one name for all types.
trait FromF32 {
    fn from_f32_(x: f32) -> Self;
}

impl FromF32 for f32 {
    fn from_f32_(x: f32) -> Self {
        x
    }
}

impl FromF32 for f64 {
    fn from_f32_(x: f32) -> Self {
        x.into()
    }
}

impl FromF32 for f16 {
    fn from_f32_(x: f32) -> Self {
        f16::from_f32(x)
    }
}

impl FromF32 for bf16 {
    fn from_f32_(x: f32) -> Self {
        bf16::from_f32(x)
    }
}

#[test]
fn arrays_of_a_fixed_rank() {
    // S9: any rank, known to the compiler or not.
    let scalar: Array0<u8> = arr0(1);
    assert_eq!(Mask::from_array(scalar.view()).unwrap(), Mask::ones(&[]));
    let line: Array1<f64> = array![0.0, 1.0];
    assert_eq!(bits(&Mask::from_array(line.view()).unwrap()), [false, true]);
    let grid: Array2<i64> = array![[0, 1, 1], [1, 0, 0]];
    assert_eq!(
        bits(&Mask::from_array(grid.view()).unwrap()),
        [false, true, true, true, false, false]
    );
    assert_eq!(
        bits(&Mask::from_array(grid.slice_axis(Axis(1), Slice::new(0, None, -1))).unwrap()),
        [true, true, false, false, false, true]
    );
    assert_eq!(
        bits(&Mask::from_array(grid.slice_axis(Axis(1), Slice::new(0, None, 2))).unwrap()),
        [false, true, true, false]
    );
    let cube: Array3<bool> = Array::from_shape_fn((2, 2, 2), |(a, b, c)| a + b + c == 2);
    assert_eq!(Mask::from(cube).count_kept(), 3);
    let broadcast = array![1, 0, 1];
    assert_eq!(
        bits(&Mask::from_array(broadcast.broadcast((2, 3)).unwrap()).unwrap()),
        [true, false, true, true, false, true]
    );
}

#[test]
fn rank_0_and_empty_shapes() {
    let scalar = Mask::ones(&[]);
    assert_eq!((scalar.len(), scalar.ndim(), scalar.count_kept()), (1, 0, 1));
    assert_eq!((scalar.get(&[]), scalar.get(&[0])), (Some(true), None));
    assert_eq!(scalar.as_words(), [1]);
    assert_eq!(Mask::zeros(&[]), scalar.not());
    assert_eq!(
        scalar.not().apply(arr0(f32::NAN).into_dyn().view()).unwrap(),
        arr0(0.0).into_dyn()
    );
    for shape in [&[0][..], &[3, 0], &[0, 3], &[2, 0, 4], &[0, usize::MAX / 4]] {
        let empty = Mask::ones(shape);
        assert_eq!(
            (
                empty.len(),
                empty.count_kept(),
                empty.count_pruned(),
                empty.sparsity()
            ),
            (0, 0, 0, 0.0)
        );
        assert!(empty.is_empty() && empty.as_words().is_empty() && empty.iter().next().is_none());
        assert_eq!(empty, Mask::zeros(shape));
        assert_eq!(empty.to_bool().shape(), shape);
        assert_eq!(empty.get(&vec![0; shape.len()]), None);
    }
    assert_ne!(Mask::ones(&[0]), Mask::ones(&[0, 1]));
}

#[test]
#[rustfmt::skip]
fn values_that_are_not_binary() {
    fn refused<T: Zero + One + PartialEq + std::fmt::Debug>(values: Vec<T>) -> (usize, String, String) {
        let error = Mask::from_array(array(&[values.len()], values).view()).unwrap_err();
        let message = error.to_string();
        match error {
            Error::Mask(MaskError::NotBinary { index, value }) => (index, value, message),
            other => panic!("{other:?}"),
        }
    }
    for (got, index, value) in [
        (refused(vec![1.0, 0.0, 0.5, 0.25]),      2, "0.5"),
        (refused(vec![-1.0_f64]),                 0, "-1.0"),
        (refused(vec![0.0_f32, f32::NAN]),        1, "NaN"),
        (refused(vec![f64::INFINITY]),            0, "inf"),
        (refused(vec![1.0, 1.0 + f64::EPSILON]),  1, "1.0000000000000002"),
        (refused(vec![1.0, f64::MIN_POSITIVE]),   1, "2.2250738585072014e-308"),
        (refused(vec![0_u8, 1, 255]),             2, "255"),
        (refused(vec![0_i32, 1, -1]),             2, "-1"),
        (refused(vec![f16::ONE, f16::from_f32(2.0)]), 1, "2.0"),
    ] {
        assert_eq!((got.0, &got.1[..]), (index, value));
        assert!(got.2.contains(value) && got.2.contains(&index.to_string()), "{}", got.2);
    }
    // A negative zero is a zero.
    assert_eq!(bits(&Mask::from_array(array![-0.0, 1.0].view()).unwrap()), [false, true]);
}

#[test]
fn equality_is_of_shape_and_entries() {
    assert_eq!(Mask::ones(&[2, 3]), Mask::ones(&[2, 3]));
    assert_ne!(Mask::ones(&[2, 3]), Mask::ones(&[3, 2]));
    assert_ne!(Mask::ones(&[6]), Mask::ones(&[6, 1]));
    assert_ne!(Mask::ones(&[2, 3]), Mask::zeros(&[2, 3]));
    let masks = HashSet::from([Mask::ones(&[6]), Mask::ones(&[2, 3]), Mask::zeros(&[6]).not()]);
    assert_eq!(masks.len(), 2);
    assert_eq!(
        format!("{:?}", Mask::from_array(array![[1, 0, 1]].view()).unwrap()),
        "Mask([1, 3], 2 of 3 kept)"
    );
}

#[test]
fn other_shapes_are_refused_and_change_nothing() {
    let mask = Mask::zeros(&[2, 3]);
    for shape in [&[3, 2][..], &[6], &[2, 3, 1], &[], &[2, 0]] {
        let mut values = ArrayD::<f32>::ones(shape);
        let errors = [
            mask.apply(values.view()).unwrap_err(),
            mask.apply_inplace(values.view_mut()).unwrap_err(),
            mask.and(&Mask::ones(shape)).unwrap_err(),
            mask.or(&Mask::ones(shape)).unwrap_err(),
        ];
        for error in errors {
            assert!(
                matches!(&error, Error::Mask(MaskError::ShapeMismatch { expected, got, .. }) if *expected == [2, 3] && got == shape)
            );
            assert!(error.to_string().contains("[2, 3]"), "{error}");
        }
        assert_eq!(values, ArrayD::<f32>::ones(shape));
    }
}

#[test]
fn words_of_a_shape_that_no_array_has() {
    for shape in [
        &[usize::MAX, 2][..],
        &[usize::MAX],
        &[1 << 32, 1 << 32],
        &[0, usize::MAX, 2],
    ] {
        assert!(
            matches!(
                Mask::from_words(shape, vec![]),
                Err(Error::Mask(MaskError::ShapeMismatch { .. }))
            ),
            "{shape:?}"
        );
    }
}
