//! N:M groups and blocks: literal tables of scores and masks, and properties against naive oracles.

use secateurs::error::{AmountError, MaskError, PatternError};
mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use common::{bits, mask, rng, uniform};
use half::{bf16, f16};
use ndarray::{Array2, ArrayD, ArrayViewD, Axis, Dimension, IxDyn, Slice, array};
use num_traits::AsPrimitive;
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use secateurs::Error;
use secateurs::mask::{
    self, Amount, BlockRank, BlockStructured, EntryRank, Float, Mask, NmStructured, Plan, PruningContainer,
    PruningMethod, PruningType, Ranked,
};
use secateurs::nn::{Linear, ParamTreeExt};
use secateurs::prune;

fn nm(keep: usize, of: usize, dim: isize) -> NmStructured {
    NmStructured::new(keep, of, dim).unwrap()
}

fn blocks<A: TryInto<Amount, Error: Into<Error>>>(amount: A, height: usize, width: usize) -> BlockStructured {
    BlockStructured::new(amount, height, width, BlockRank::MeanSquare).unwrap()
}

/// Asserts the mask of these scores on top of a prior mask, by every way to it.
#[track_caller]
fn check_on(method: &dyn PruningMethod, prior: &Mask, scores: &ArrayD<f32>, expected: &ArrayD<u8>) {
    let outcome = mask::compute(method, scores.view(), Some(prior)).unwrap();
    assert_eq!(outcome.mask.to_array::<u8>(), expected, "{method:?}");
    assert_eq!(
        method.compute_mask(scores.view(), prior).unwrap(),
        outcome.mask,
        "{method:?}, compute_mask"
    );
}

/// Asserts the mask of these scores where nothing is pruned yet.
#[track_caller]
fn check(method: impl PruningMethod, scores: ArrayD<f32>, expected: ArrayD<u8>) {
    check_on(&method, &Mask::ones(scores.shape()), &scores, &expected);
    let outcome = mask::compute(&method, scores.view(), None).unwrap();
    assert_eq!(outcome.mask.to_array::<u8>(), expected, "{method:?}, no prior");
}

// ---- N:M, by eye ----

#[test]
fn two_of_each_four() {
    let scores = array![
        [1.0, -5.0, 0.5, 2.0, 8.0, 7.0, 6.0, 5.0],
        [0.0, 0.1, 0.2, 0.3, 4.0, -9.0, 3.0, -9.0]
    ];
    let expected = array![[0, 1, 0, 1, 1, 1, 0, 0], [0, 0, 1, 1, 0, 1, 0, 1]];
    check(
        nm(2, 4, 1),
        scores.clone().into_dyn(),
        expected.clone().into_dyn(),
    );
    check(
        nm(2, 4, -1),
        scores.clone().into_dyn(),
        expected.clone().into_dyn(),
    );
    // The same along the other dimension.
    let (scores, expected) = (scores.reversed_axes(), expected.reversed_axes());
    check(
        nm(2, 4, 0),
        scores.clone().into_dyn(),
        expected.clone().into_dyn(),
    );
    check(nm(2, 4, -2), scores.into_dyn(), expected.into_dyn());
}

#[test]
fn other_patterns() {
    let scores = array![[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]].into_dyn();
    check(nm(1, 2, 1), scores.clone(), array![[0, 1, 0, 1, 0, 1]].into_dyn());
    check(nm(1, 3, 1), scores.clone(), array![[0, 0, 1, 0, 0, 1]].into_dyn());
    check(nm(4, 6, 1), scores.clone(), array![[0, 0, 1, 1, 1, 1]].into_dyn());
    check(nm(3, 3, 1), scores.clone(), array![[1, 1, 1, 1, 1, 1]].into_dyn());
    check(nm(0, 3, 1), scores.clone(), array![[0, 0, 0, 0, 0, 0]].into_dyn());
    check(nm(1, 1, 0), scores.clone(), array![[1, 1, 1, 1, 1, 1]].into_dyn());
    check(nm(0, 1, 0), scores, array![[0, 0, 0, 0, 0, 0]].into_dyn());
    // A tensor of one dimension has groups, too.
    check(
        nm(1, 2, 0),
        array![3.0, -4.0, 2.0, 1.0].into_dyn(),
        array![0, 1, 1, 0].into_dyn(),
    );
}

#[test]
fn ties_are_pruned_in_order() {
    // S5
    let scores = array![
        [3.0, 3.0, -3.0, 3.0],
        [0.0, -0.0, 0.0, -0.0],
        [2.0, 1.0, 1.0, 1.0]
    ];
    let expected = array![[0, 0, 1, 1], [0, 0, 1, 1], [1, 0, 0, 1]];
    check(nm(2, 4, 1), scores.into_dyn(), expected.into_dyn());
    // Infinities are numbers, and the highest ones.
    let inf = f32::INFINITY;
    check(
        nm(2, 4, 0),
        array![inf, 1.0, -inf, inf].into_dyn(),
        array![0, 0, 1, 1].into_dyn(),
    );
}

#[test]
fn masked_entries_count_among_those_a_group_loses() {
    // S3: two of each group are pruned, including those masked before; a group that has lost more stays as it is.
    let scores = array![
        [1.0, 2.0, 3.0, 4.0],
        [1.0, 2.0, 3.0, 4.0],
        [1.0, 2.0, 3.0, 4.0],
        [1.0, 2.0, 3.0, 4.0]
    ];
    let prior = array![[1, 1, 1, 1], [1, 1, 1, 0], [0, 1, 1, 0], [0, 1, 0, 0]];
    let expected = array![[0, 0, 1, 1], [0, 1, 1, 0], [0, 1, 1, 0], [0, 1, 0, 0]];
    let (scores, prior) = (scores.into_dyn(), Mask::from_array(prior.view()).unwrap());
    check_on(&nm(2, 4, 1), &prior, &scores, &expected.into_dyn());
    // What is masked is the first to be counted, high as its score may be, and whatever it ties with.
    let inf = f32::INFINITY;
    for keep in [2, 3] {
        let prior = mask(&[4], &[true, true, true, false]);
        let scores = array![1.0, inf, 2.0, inf].into_dyn();
        let expected = if keep == 2 {
            array![0, 1, 1, 0]
        } else {
            array![1, 1, 1, 0]
        };
        check_on(&nm(keep, 4, 0), &prior, &scores, &expected.into_dyn());
    }
    let prior = mask(&[4], &[false, true, true, true]);
    check_on(
        &nm(2, 4, 0),
        &prior,
        &ArrayD::from_elem(vec![4], inf),
        &array![0, 0, 1, 1].into_dyn(),
    );
}

#[test]
fn the_same_pattern_again_changes_nothing() {
    // S3
    let scores = ArrayD::from_shape_simple_fn(vec![6, 8], {
        let mut data = rng(1);
        move || uniform(&mut data) as f32
    });
    let first = mask::compute(&nm(2, 4, 1), scores.view(), None).unwrap();
    assert_eq!((first.requested, first.pruned), (None, 24));
    let again = mask::compute(&nm(2, 4, 1), scores.view(), Some(&first.mask)).unwrap();
    assert_eq!((again.requested, again.pruned), (None, 0));
    assert_eq!(again.mask, first.mask);
}

#[test]
fn invalid_groups_are_refused() {
    for (keep, of) in [(0, 0), (1, 0), (5, 4), (usize::MAX, 4)] {
        let error = NmStructured::new(keep, of, 0).unwrap_err();
        assert!(
            matches!(error, Error::Pattern(PatternError::KeepOf { keep: k, of: o }) if (k, o) == (keep, of))
        );
        // A plan of one's own is held to the same.
        let plan = Plan::Groups {
            keep,
            of,
            dim: 0,
            by: EntryRank::Magnitude,
        };
        let scores = array![1.0_f32, 2.0].into_dyn();
        assert!(matches!(
            plan.compute(scores.view(), None),
            Err(Error::Pattern(PatternError::KeepOf { .. }))
        ));
    }
    let scores = ArrayD::<f32>::zeros(vec![4, 6]);
    let of = |method: NmStructured| mask::compute(&method, scores.view(), None).unwrap_err();
    assert!(
        matches!(of(nm(2, 4, 1)), Error::Pattern(PatternError::Indivisible { dim: 1, of: 4, shape }) if shape == [4, 6]),
        "6 is not divisible by 4"
    );
    assert!(matches!(
        of(nm(2, usize::MAX, 0)),
        Error::Pattern(PatternError::Indivisible { .. })
    ));
    assert!(matches!(
        of(nm(2, 4, 2)),
        Error::Pattern(PatternError::DimOutOfRange { dim: 2, .. })
    ));
    assert!(matches!(
        of(nm(2, 4, -3)),
        Error::Pattern(PatternError::DimOutOfRange { dim: -3, .. })
    ));
    let scalar = ArrayD::<f32>::zeros(vec![]);
    let error = mask::compute(&nm(1, 1, 0), scalar.view(), None).unwrap_err();
    assert!(matches!(
        error,
        Error::Pattern(PatternError::DimOutOfRange { .. })
    ));
    let prior = Mask::ones(&[6, 4]);
    let error = mask::compute(&nm(2, 4, 0), scores.view(), Some(&prior)).unwrap_err();
    assert!(matches!(error, Error::Mask(MaskError::ShapeMismatch { .. })));
}

#[test]
fn empty_tensors_have_no_groups_and_no_blocks() {
    for shape in [&[0, 4][..], &[4, 0], &[0, 0], &[3, 0, 4], &[0, 3, 4]] {
        let scores = ArrayD::<f32>::zeros(shape);
        for dim in 0..shape.len() as isize {
            if let Ok(outcome) = mask::compute(&nm(0, 4, dim), scores.view(), None) {
                assert_eq!((outcome.mask, outcome.pruned), (Mask::ones(shape), 0));
            }
        }
        let outcome = mask::compute(&blocks(1.0, 2, 2), scores.view(), None).unwrap();
        assert_eq!(
            (outcome.mask, outcome.requested, outcome.pruned),
            (Mask::ones(shape), Some(0), 0)
        );
    }
    // A length of 0 is divisible by anything.
    let scores = ArrayD::<f32>::zeros(vec![0, 4]);
    assert!(mask::compute(&nm(2, usize::MAX, 0), scores.view(), None).is_ok());
}

#[test]
fn a_nan_that_would_be_ranked_is_named() {
    // S8, for groups that are compared and those that are sorted, along both dimensions.
    for (shape, keep, of, dim) in [
        ([8, 80], 2, 4, 0),
        ([80, 8], 2, 4, 1),
        ([40, 70], 3, 20, 0),
        ([70, 40], 3, 20, 1),
    ] {
        let mut scores = ArrayD::from_elem(&shape[..], 1.0_f32);
        // The last of them row-major is in the first group of columns.
        scores[[3, 7]] = f32::NAN;
        scores[[2, shape[1] - 1]] = -f32::NAN;
        let first = 3 * shape[1] - 1;
        let of_method =
            |method: &dyn PruningMethod, prior: Option<&Mask>| mask::compute(method, scores.view(), prior);
        for method in [
            &nm(keep, of, dim) as &dyn PruningMethod,
            &nm(of, of, dim),
            &blocks(1, 3, 3),
        ] {
            let error = of_method(method, None).unwrap_err();
            assert!(
                matches!(error, Error::Mask(MaskError::NanScore { parameter: None, index }) if index == first),
                "{method:?}"
            );
            let mut kept = vec![true; shape[0] * shape[1]];
            kept[first] = false;
            let error = of_method(method, Some(&mask(&shape, &kept))).unwrap_err();
            let second = 3 * shape[1] + 7;
            assert!(
                matches!(error, Error::Mask(MaskError::NanScore { index, .. }) if index == second),
                "{method:?}"
            );
            kept[second] = false;
            assert!(
                of_method(method, Some(&mask(&shape, &kept))).is_ok(),
                "{method:?}"
            );
        }
    }
}

// ---- blocks, by eye ----

#[test]
fn the_lowest_block_is_pruned() {
    let scores = array![
        [1.0, 1.0, 5.0, 5.0],
        [1.0, 1.0, 5.0, 5.0],
        [9.0, 0.0, 2.0, 2.0],
        [0.0, 0.0, 2.0, 2.0],
    ];
    // Mean squares 1, 25, 20.25 and 4.
    let one = array![[0, 0, 1, 1], [0, 0, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1]];
    let two = array![[0, 0, 1, 1], [0, 0, 1, 1], [1, 1, 0, 0], [1, 1, 0, 0]];
    let three = array![[0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 0, 0], [0, 0, 0, 0]];
    check(blocks(1, 2, 2), scores.clone().into_dyn(), one.into_dyn());
    check(
        blocks(0.5, 2, 2),
        scores.clone().into_dyn(),
        two.clone().into_dyn(),
    );
    check(
        blocks(3, 2, 2),
        scores.clone().into_dyn(),
        three.clone().into_dyn(),
    );
    // Largest absolute values 1, 5, 9 and 2.
    let largest = |amount: usize| BlockStructured::new(amount, 2, 2, BlockRank::MaxAbs).unwrap();
    check(largest(2), scores.clone().into_dyn(), two.into_dyn());
    let three = array![[0, 0, 0, 0], [0, 0, 0, 0], [1, 1, 0, 0], [1, 1, 0, 0]];
    check(largest(3), scores.into_dyn(), three.into_dyn());
}

#[test]
fn blocks_at_an_edge_count_by_their_true_size() {
    // Mean squares: 4, 4, 1 in the first row of blocks (of 2, 2 and 1 columns), 9, 0.5, 16 in the second (of 1 row).
    let scores = array![
        [2.0, 2.0, -2.0, 2.0, 1.0],
        [2.0, 2.0, 2.0, -2.0, 1.0],
        [3.0, 3.0, 1.0, 0.0, -4.0]
    ];
    let assert_kept = |k, expected: ndarray::Array2<u8>| {
        check(blocks(k, 2, 2), scores.clone().into_dyn(), expected.into_dyn())
    };
    assert_kept(1, array![[1, 1, 1, 1, 1], [1, 1, 1, 1, 1], [1, 1, 0, 0, 1]]);
    assert_kept(2, array![[1, 1, 1, 1, 0], [1, 1, 1, 1, 0], [1, 1, 0, 0, 1]]);
    assert_kept(3, array![[0, 0, 1, 1, 0], [0, 0, 1, 1, 0], [1, 1, 0, 0, 1]]); // S5: the first of the ties
    assert_kept(4, array![[0, 0, 0, 0, 0], [0, 0, 0, 0, 0], [1, 1, 0, 0, 1]]);
    assert_kept(5, array![[0, 0, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 1]]);
    assert_kept(6, array![[0, 0, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]]);
    // A block larger than the tensor is the tensor.
    check(
        blocks(1, usize::MAX, usize::MAX),
        scores.clone().into_dyn(),
        ArrayD::zeros(vec![3, 5]),
    );
}

#[test]
fn tied_blocks_are_pruned_by_matrix_then_row_then_column() {
    // S5
    let scores = ArrayD::from_elem(vec![2, 2, 4], 1.0);
    let assert_kept =
        |k, expected: ndarray::Array3<u8>| check(blocks(k, 1, 2), scores.clone(), expected.into_dyn());
    assert_kept(
        1,
        array![[[0, 0, 1, 1], [1, 1, 1, 1]], [[1, 1, 1, 1], [1, 1, 1, 1]]],
    );
    assert_kept(
        3,
        array![[[0, 0, 0, 0], [0, 0, 1, 1]], [[1, 1, 1, 1], [1, 1, 1, 1]]],
    );
    assert_kept(
        5,
        array![[[0, 0, 0, 0], [0, 0, 0, 0]], [[0, 0, 1, 1], [1, 1, 1, 1]]],
    );
}

#[test]
fn amounts_count_remaining_blocks() {
    // S3: of 8 blocks 4, 2, 1 remain; a partly pruned block still counts as remaining.
    let scores = ArrayD::from_shape_simple_fn(vec![4, 8], {
        let mut data = rng(2);
        move || uniform(&mut data) as f32
    });
    let mut mask = Mask::from_fn(scores.view(), |score| score.abs() > 0.05);
    for (requested, remaining) in [(4, 4), (2, 2), (1, 1), (0, 1)] {
        let outcome = mask::compute(&blocks(0.5, 2, 2), scores.view(), Some(&mask)).unwrap();
        assert_eq!((outcome.requested, outcome.pruned), (Some(requested), requested));
        let kept = outcome.mask.to_bool();
        let alive = kept.exact_chunks(IxDyn(&[2, 2])).into_iter();
        assert_eq!(
            alive.filter(|block| block.iter().any(|kept| *kept)).count(),
            remaining
        );
        mask = outcome.mask;
    }
    let until = BlockStructured::new(Amount::until(0.75).unwrap(), 2, 2, BlockRank::MaxAbs).unwrap();
    assert_eq!(
        mask::compute(&until, scores.view(), Some(&mask))
            .unwrap()
            .requested,
        Some(0)
    );
    let error = mask::compute(&blocks(2, 2, 2), scores.view(), Some(&mask)).unwrap_err();
    assert!(matches!(
        error,
        Error::Amount(AmountError::TooLarge {
            requested: 2,
            remaining: 1
        })
    ));
}

#[test]
fn scores_count_as_given_also_under_the_mask() {
    // S7: the masked 9 counts in the score of the first block, unlike a parameter's own, which would be 0.
    let scores = array![[9.0, 1.0, 2.0, 2.0]];
    let prior = mask(&[1, 4], &[false, true, true, true]);
    check_on(
        &blocks(1, 1, 2),
        &prior,
        &scores.clone().into_dyn(),
        &array![[0, 1, 0, 0]].into_dyn(),
    );

    let mut module = Linear::from_arrays(scores, None).unwrap();
    prune::set_mask(
        &mut module,
        "weight",
        prior.to_bool().into_dimensionality::<ndarray::Ix2>().unwrap(),
    )
    .unwrap();
    let report = prune::block_structured(&mut module, "weight", 1, 1, 2, BlockRank::MeanSquare).unwrap();
    assert_eq!((report.requested, report.pruned, report.masked), (Some(1), 1, 2));
    assert_eq!(
        module.parameter("weight").unwrap().effective(),
        array![[0.0, 0.0, 2.0, 2.0]].into_dyn()
    );
}

#[test]
fn invalid_blocks_are_refused() {
    for (height, width) in [(0, 1), (1, 0), (0, 0)] {
        let error = BlockStructured::new(1, height, width, BlockRank::MaxAbs).unwrap_err();
        assert!(
            matches!(error, Error::Pattern(PatternError::BlockSize { height: h, width: w }) if (h, w) == (height, width))
        );
        let plan = Plan::Blocks {
            amount: Amount::count(1),
            height,
            width,
            by: BlockRank::MaxAbs,
        };
        let error = plan
            .compute(ArrayD::<f32>::zeros(vec![2, 2]).view(), None)
            .unwrap_err();
        assert!(matches!(error, Error::Pattern(PatternError::BlockSize { .. })));
    }
    assert!(matches!(
        BlockStructured::new(1.5, 1, 1, BlockRank::MaxAbs),
        Err(Error::Amount(AmountError::FractionOutOfRange { .. }))
    ));
    assert!(matches!(
        BlockStructured::new(-1, 1, 1, BlockRank::MaxAbs),
        Err(Error::Amount(AmountError::NegativeCount { .. }))
    ));
    for shape in [&[][..], &[4]] {
        let error = mask::compute(&blocks(1, 1, 1), ArrayD::<f32>::zeros(shape).view(), None).unwrap_err();
        assert!(matches!(error, Error::Pattern(PatternError::NoChannels { .. })));
    }
}

// ---- both, as methods ----

#[test]
fn patterns_are_not_for_global_pruning() {
    // S17
    let scores = ArrayD::<f32>::zeros(vec![4, 4]);
    let tensors = [Ranked {
        name: "a",
        scores: scores.view().into(),
        prior: None,
    }];
    for method in [&nm(2, 4, 1) as &dyn PruningMethod, &blocks(1, 2, 2)] {
        assert_eq!(method.pruning_type(), PruningType::Whole);
        assert!(matches!(
            mask::compute_global(method, &tensors),
            Err(Error::Mask(MaskError::Unsupported { .. }))
        ));
        let plan = method.plan().unwrap();
        assert!(matches!(
            plan.compute_global(&tensors),
            Err(Error::Mask(MaskError::Unsupported { .. }))
        ));
    }
}

#[test]
fn patterns_survive_serialisation() {
    // S21
    let methods: [Arc<dyn PruningMethod>; 3] = [
        Arc::new(nm(2, 4, -1)),
        Arc::new(blocks(0.5, 3, 2)),
        Arc::new(BlockStructured::new(7, 1, 9, BlockRank::MaxAbs).unwrap()),
    ];
    let names = ["NmStructured", "BlockStructured", "BlockStructured"];
    for (method, name) in methods.iter().zip(names) {
        let json = serde_json::to_string(method).unwrap();
        assert!(json.contains(&format!("\"secateurs::{name}\"")), "{json}");
        let back: Arc<dyn PruningMethod> = serde_json::from_str(&json).unwrap();
        assert_eq!(format!("{back:?}"), format!("{method:?}"));
        let bytes = bincode::serde::encode_to_vec(method, bincode::config::standard()).unwrap();
        let (back, _): (Arc<dyn PruningMethod>, _) =
            bincode::serde::decode_from_slice(&bytes, bincode::config::standard()).unwrap();
        assert_eq!(format!("{back:?}"), format!("{method:?}"));
    }
    // What makes no sense is refused as it is by the constructors.
    assert!(serde_json::from_str::<NmStructured>(r#"{"keep":2,"of":4,"dim":1}"#).is_ok());
    assert!(serde_json::from_str::<NmStructured>(r#"{"keep":5,"of":4,"dim":1}"#).is_err());
    assert!(serde_json::from_str::<NmStructured>(r#"{"keep":0,"of":0,"dim":1}"#).is_err());
    let json = serde_json::to_string(&blocks(1, 1, 1)).unwrap();
    assert!(serde_json::from_str::<BlockStructured>(&json).is_ok());
    assert!(serde_json::from_str::<BlockStructured>(&json.replace("\"height\":1", "\"height\":0")).is_err());
}

#[test]
fn patterns_prune_parameters_of_modules() {
    let weight = array![[1.0, -5.0, 0.5, 2.0], [3.0, 3.0, -3.0, 3.0]];
    let mut module = Linear::from_arrays(weight.clone(), None).unwrap();
    let report = prune::nm_structured(&mut module, "weight", 2, 4, 1).unwrap();
    assert_eq!(
        (report.requested, report.pruned, report.masked, report.entries),
        (None, 4, 4, 8)
    );
    assert!(
        prune::hook(&module, "weight")
            .unwrap()
            .unwrap()
            .is::<NmStructured>()
    );
    // S16: a second method makes a container; its blocks are those that remain.
    prune::block_structured(&mut module, "weight", 1, 2, 2, BlockRank::MaxAbs).unwrap();
    let container: PruningContainer = prune::container(&module, "weight").unwrap().unwrap();
    assert!(container[1].is::<BlockStructured>());
    let effective = array![[0.0, -5.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]];
    assert_eq!(
        module.parameter("weight").unwrap().effective(),
        effective.into_dyn()
    );
    // S11: an error leaves everything as it was.
    let before = prune::mask(&module, "weight").unwrap();
    let error = prune::nm_structured(&mut module, "weight", 1, 3, 1).unwrap_err();
    assert!(
        matches!(error, Error::Parameter { path, error: source } if path == "weight" && matches!(*source, Error::Pattern(PatternError::Indivisible { .. })))
    );
    prune::block_structured(&mut module, "weight", 2, 2, 2, BlockRank::MaxAbs).unwrap_err();
    assert_eq!(prune::mask(&module, "weight").unwrap(), before);
    assert_eq!(prune::container(&module, "weight").unwrap().unwrap().len(), 2);
    prune::discard(&mut module, "weight").unwrap();
    assert_eq!(module.parameter("weight").unwrap().original(), weight.into_dyn());
}

// ---- against naive oracles ----

/// The entries of an array by group, in row-major order: for each the key and the row-major index.
fn grouped<K: Ord>(shape: &[usize], group: impl Fn(&[usize]) -> K) -> BTreeMap<K, Vec<usize>> {
    let mut groups = BTreeMap::new();
    for (flat, index) in ndarray::indices(shape).into_iter().enumerate() {
        groups
            .entry(group(index.slice()))
            .or_insert_with(Vec::new)
            .push(flat);
    }
    groups
}

/// What N:M keeps: sorts each group, masked entries first, and prunes the first m − n.
fn naive_groups(
    shape: &[usize],
    keys: &[f64],
    kept: &[bool],
    keep: usize,
    of: usize,
    axis: usize,
) -> Vec<bool> {
    let mut after = kept.to_vec();
    let groups = grouped(shape, |index| {
        let mut group = index.to_vec();
        group[axis] /= of;
        group
    });
    for mut group in groups.into_values() {
        assert_eq!(group.len(), of);
        group.sort_by(|&a, &b| (kept[a], keys[a]).partial_cmp(&(kept[b], keys[b])).unwrap());
        group[..of - keep].iter().for_each(|&flat| after[flat] = false);
    }
    after
}

/// What block pruning keeps: sorts the blocks that hold any kept entry by the mean square or largest magnitude.
fn naive_blocks(
    shape: &[usize],
    values: &[f64],
    kept: &[bool],
    (height, width): (usize, usize),
    by: BlockRank,
    k: usize,
) -> Vec<bool> {
    let n = shape.len();
    let blocks = grouped(shape, |index| {
        let mut block = index.to_vec();
        block[n - 2] /= height;
        block[n - 1] /= width;
        block
    });
    let mut remaining: Vec<_> = blocks
        .into_values()
        .filter(|block| block.iter().any(|&flat| kept[flat]))
        .map(|block| {
            let score = if by == BlockRank::MeanSquare {
                block.iter().map(|&flat| values[flat].powi(2)).sum::<f64>() / block.len() as f64
            } else {
                block.iter().map(|&flat| values[flat].abs()).fold(0.0, f64::max)
            };
            (score, block)
        })
        .collect();
    remaining.sort_by(|a, b| a.0.partial_cmp(&b.0).unwrap()); // stable, and blocks come in order
    let mut after = kept.to_vec();
    for (_, block) in &remaining[..k] {
        block.iter().for_each(|&flat| after[flat] = false);
    }
    after
}

/// Random scores with many ties and a random prior mask. Small multiples of 1/4, so that any order of sums is exact
/// and every float type holds them.
fn data(shape: &[usize], seed: u64) -> (ArrayD<f32>, Vec<bool>) {
    let mut data = rng(seed);
    let scores = ArrayD::from_shape_simple_fn(shape, || (data.next_u32() % 41) as f32 / 4.0 - 5.0);
    let share = data.next_u32() % 4;
    let kept = (0..scores.len()).map(|_| data.next_u32() % 4 >= share).collect();
    (scores, kept)
}

/// The scores in another memory layout: axes permuted, every second entry of a larger array, one axis reversed.
fn strided<T: Copy + Default>(scores: ArrayViewD<'_, T>, seed: u64) -> (ArrayD<T>, Vec<usize>, usize) {
    let n = scores.ndim();
    let mut axes: Vec<usize> = (0..n).collect();
    axes.rotate_left(seed as usize % n);
    let permuted = scores.permuted_axes(axes.clone());
    let mut shape = permuted.shape().to_vec();
    shape[0] *= 2;
    let mut large = ArrayD::from_elem(shape, T::default());
    large
        .slice_axis_mut(Axis(0), Slice::new(0, None, -2))
        .assign(&permuted);
    let mut back = vec![0; n];
    axes.iter()
        .enumerate()
        .for_each(|(position, &axis)| back[axis] = position);
    (large, back, n)
}

/// Runs a plan on scores of one type, in standard layout and in another, with and without a prior mask, and compares
/// with what the oracle keeps.
fn runs<T: Float + Default>(
    plan: Plan<'_>,
    scores: &ArrayD<f32>,
    kept: &[bool],
    seed: u64,
    oracle: impl Fn(&[bool]) -> Vec<bool>,
) where
    f32: AsPrimitive<T>,
{
    let scores = scores.mapv(AsPrimitive::<T>::as_);
    let (large, back, _) = strided(scores.view(), seed);
    let view = large.slice_axis(Axis(0), Slice::new(0, None, -2));
    let view = view.permuted_axes(back);
    assert_eq!(view.shape(), scores.shape());
    let prior = mask(scores.shape(), kept);
    let all = vec![true; kept.len()];
    for scores in [scores.view(), view] {
        let outcome = plan.compute(scores.clone(), Some(&prior)).unwrap();
        assert_eq!(bits(&outcome.mask), oracle(kept), "{plan:?}");
        let outcome = plan.compute(scores, None).unwrap();
        assert_eq!(bits(&outcome.mask), oracle(&all), "{plan:?}, no prior");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn groups_are_those_of_the_oracle(
        outer in 1..4_usize,
        groups in 1..4_usize,
        of in 1..24_usize,
        keep in any::<prop::sample::Index>(),
        inner in prop::sample::select(vec![1, 1, 2, 3, 9, 64, 70]),
        value in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let (shape, keep) = ([outer, groups * of, inner], keep.index(of + 1));
        let (scores, kept) = data(&shape, seed);
        let by = if value { EntryRank::Value } else { EntryRank::Magnitude };
        let key = |x: &f32| if value { f64::from(*x) } else { f64::from(x.abs()) };
        let keys: Vec<f64> = scores.iter().map(key).collect();
        let plan = Plan::Groups { keep, of, dim: if seed.is_multiple_of(2) { 1 } else { -2 }, by };
        let oracle = |kept: &[bool]| naive_groups(&shape, &keys, kept, keep, of, 1);
        match seed % 4 {
            0 => runs::<f16>(plan, &scores, &kept, seed, oracle),
            1 => runs::<bf16>(plan, &scores, &kept, seed, oracle),
            2 => runs::<f64>(plan, &scores, &kept, seed, oracle),
            _ => runs::<f32>(plan, &scores, &kept, seed, oracle),
        }
    }

    #[test]
    fn random_groups_are_those_of_the_oracle(
        outer in 1..300_usize,
        of in prop::sample::select(vec![4, 20]),
        inner in prop::sample::select(vec![1, 6]),
        seed in any::<u64>(),
    ) {
        // S18: entry i has word i of the method's stream; NaNs are not read.
        let shape = [outer, of, inner];
        let (_, kept) = data(&shape, seed);
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[24..].copy_from_slice(b"secateur");
        let mut words = ChaCha8Rng::from_seed(key);
        let keys: Vec<f64> = kept.iter().map(|_| words.next_u32().into()).collect();
        let plan = Plan::Groups { keep: 2, of, dim: 1, by: EntryRank::Random { seed } };
        let scores = ArrayD::from_elem(&shape[..], f32::NAN);
        runs::<f32>(plan, &scores, &kept, seed, |kept| naive_groups(&shape, &keys, kept, 2, of, 1));
    }

    #[test]
    fn blocks_are_those_of_the_oracle(
        matrices in 1..3_usize,
        (rows, columns) in (1..12_usize, 1..40_usize),
        (height, width) in (1..6_usize, 1..20_usize),
        largest in any::<bool>(),
        amount in any::<prop::sample::Index>(),
        seed in any::<u64>(),
    ) {
        let shape = [matrices, rows, columns];
        let (scores, kept) = data(&shape, seed);
        let values: Vec<f64> = scores.iter().map(|x| f64::from(*x)).collect();
        let by = if largest { BlockRank::MaxAbs } else { BlockRank::MeanSquare };
        // As many blocks as remain under the prior mask.
        let remaining = grouped(&shape, |i| [i[0], i[1] / height, i[2] / width]);
        let remaining = remaining.values().filter(|block| block.iter().any(|&flat| kept[flat])).count();
        let k = amount.index(remaining + 1);
        let plan = Plan::Blocks { amount: Amount::count(k), height, width, by };
        let oracle = |kept: &[bool]| naive_blocks(&shape, &values, kept, (height, width), by, k);
        match seed % 4 {
            0 => runs::<f16>(plan, &scores, &kept, seed, oracle),
            1 => runs::<bf16>(plan, &scores, &kept, seed, oracle),
            2 => runs::<f64>(plan, &scores, &kept, seed, oracle),
            _ => runs::<f32>(plan, &scores, &kept, seed, oracle),
        }
    }

    #[test]
    fn a_pattern_only_prunes(seed in any::<u64>(), share in 0.0..=1.0_f64) {
        // S12
        let (scores, kept) = data(&[8, 12], seed);
        let prior = mask(&[8, 12], &kept);
        for method in [&nm(2, 4, 1) as &dyn PruningMethod, &nm(1, 8, 0), &blocks(share, 3, 5)] {
            let outcome = mask::compute(method, scores.view(), Some(&prior)).unwrap();
            prop_assert_eq!(outcome.mask.and(&prior).unwrap(), outcome.mask);
        }
    }
}

/// The sum of squares in the documented order: down each column, then the columns in 16 lanes, joined pairwise.
fn documented(block: &Array2<f64>) -> f64 {
    let mut lanes = [0.0; 16];
    for (column, entries) in block.columns().into_iter().enumerate() {
        lanes[column % 16] += entries.iter().fold(0.0, |sum, x| sum + x * x);
    }
    for half in [8, 4, 2, 1] {
        (0..half).for_each(|lane| lanes[lane] += lanes[lane + half]);
    }
    lanes[0]
}

#[test]
fn sums_are_taken_in_the_documented_order() {
    // S5: blocks of the same entries in another order each differ by rounding only, which then ranks them.
    for (height, width) in [(3, 50), (1, 23), (40, 2), (2, 2500)] {
        let mut data = rng(9);
        let mut entries: Vec<f64> = (0..height * width)
            .map(|i| uniform(&mut data) * 1.7_f64.powi(i as i32 % 10))
            .collect();
        let count = 9;
        let mut scores = Array2::zeros((height, count * width));
        let mut sums = Vec::new();
        for block in 0..count {
            for i in (1..entries.len()).rev() {
                entries.swap(i, data.next_u32() as usize % (i + 1));
            }
            let entries = Array2::from_shape_vec((height, width), entries.clone()).unwrap();
            sums.push((documented(&entries) / (height * width) as f64, block));
            let columns = Slice::from(block * width..(block + 1) * width);
            scores.slice_axis_mut(Axis(1), columns).assign(&entries);
        }
        sums.sort_by(|a, b| a.partial_cmp(b).unwrap());
        assert!(sums[0].0 < sums[count - 1].0, "rounding tells them apart");
        for k in 0..=count {
            let plan = Plan::Blocks {
                amount: Amount::count(k),
                height,
                width,
                by: BlockRank::MeanSquare,
            };
            let mask = plan.compute(scores.view().into_dyn(), None).unwrap().mask;
            for (position, (_, block)) in sums.iter().enumerate() {
                assert_eq!(
                    mask.get(&[0, block * width]),
                    Some(position >= k),
                    "{k} blocks of {height}×{width}"
                );
            }
        }
    }
}
