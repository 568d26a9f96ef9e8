//! S3 to S8: which units are pruned, against naive oracles that sort everything.

use secateurs::error::{AmountError, ListError, MaskError, NormError, PatternError};
mod common;

use common::{array, bits, channels, rng, uniform, without_channels, without_lowest};
use half::{bf16, f16};
use ndarray::{ArrayD, ArrayViewD, Axis, IxDyn, Slice};
use num_traits::AsPrimitive;
use proptest::prelude::*;
use rand::Rng;
use secateurs::Error;
use secateurs::mask::{
    self, Amount, ChannelRank, CustomFromMask, EntryRank, Identity, L1Unstructured, LnStructured, Mask, Norm,
    Plan, PruningMethod, RandomStructured, RandomUnstructured, Ranked, ScoreUnstructured,
};

fn all_norms() -> Vec<Norm> {
    [
        "1", "2", "0", "inf", "-inf", "fro", "0.5", "3", "-1", "-2.5", "1.7",
    ]
    .map(|n| n.parse().unwrap())
    .to_vec()
}

fn ln(amount: usize, norm: Norm, dim: isize) -> LnStructured {
    LnStructured::new(amount, norm, dim).unwrap()
}

fn entries(amount: usize, by: EntryRank) -> Plan<'static> {
    Plan::Entries {
        amount: Amount::count(amount),
        by,
    }
}

fn by_norm(amount: usize, norm: Norm, dim: isize) -> Plan<'static> {
    Plan::Channels {
        amount: Amount::count(amount),
        dim,
        by: ChannelRank::Norm(norm),
    }
}

/// The key of an entry in f64. Ranks by `EntryRank::Value` and by `EntryRank::Magnitude`.
fn key<T: AsPrimitive<f64>>(value: T, by: EntryRank) -> f64 {
    if by == EntryRank::Value {
        value.as_()
    } else {
        value.as_().abs()
    }
}

// ---- S3: survivors ----

#[test]
fn half_of_the_remaining_entries() {
    // S3: 0.5 three times on 100 entries leaves 50, 25, 13 (12.5 goes to the even 12 pruned).
    let mut data = rng(1);
    let scores = ArrayD::from_shape_simple_fn(vec![10, 10], || uniform(&mut data) as f32);
    let methods: [&dyn PruningMethod; 3] = [
        &L1Unstructured::new(0.5).unwrap(),
        &ScoreUnstructured::new(0.5).unwrap(),
        &RandomUnstructured::new(0.5, &mut data).unwrap(),
    ];
    for method in methods {
        let mut mask = Mask::ones(&[10, 10]);
        for (remaining, pruned) in [(50, 50), (25, 25), (13, 12)] {
            let outcome = mask::compute(method, scores.view(), Some(&mask)).unwrap();
            assert_eq!(outcome.mask.count_kept(), remaining, "{method:?}");
            assert_eq!(
                (outcome.requested, outcome.pruned),
                (Some(pruned), pruned),
                "{method:?}"
            );
            assert_eq!(outcome.mask.and(&mask).unwrap(), outcome.mask);
            mask = outcome.mask;
        }
    }
}

#[test]
fn half_of_the_remaining_channels() {
    // S3: on 8 channels 4, 2, 1.
    let mut data = rng(2);
    for (shape, dim) in [([8, 3, 2], 0), ([3, 8, 2], 1), ([3, 2, 8], -1)] {
        let scores = ArrayD::from_shape_simple_fn(shape.to_vec(), || uniform(&mut data) as f32);
        let methods: [&dyn PruningMethod; 2] = [
            &LnStructured::new(0.5, 2, dim).unwrap(),
            &RandomStructured::new(0.5, dim, &mut data).unwrap(),
        ];
        for method in methods {
            // An entry of every channel is pruned before: partly pruned channels still count as remaining.
            let mut mask = Mask::from_fn(scores.view(), |score| score.abs() > 0.1);
            for (remaining, pruned) in [(4, 4), (2, 2), (1, 1), (1, 0)] {
                let outcome = mask::compute(method, scores.view(), Some(&mask)).unwrap();
                let kept = outcome.mask.to_bool();
                let axis = if dim < 0 { 2 } else { dim as usize };
                let alive = kept
                    .axis_iter(Axis(axis))
                    .filter(|c| c.iter().any(|kept| *kept))
                    .count();
                assert_eq!(
                    (alive, outcome.requested, outcome.pruned),
                    (remaining, Some(pruned), pruned),
                    "{method:?}"
                );
                assert_eq!(outcome.mask.and(&mask).unwrap(), outcome.mask);
                mask = outcome.mask;
            }
        }
    }
}

#[test]
fn a_fraction_of_nothing_prunes_nothing() {
    // S3: nothing remains where everything is pruned, and where there is nothing at all.
    let mut data = rng(3);
    for shape in [&[4, 4][..], &[0, 4], &[4, 0], &[0, 0]] {
        let (scores, gone) = (ArrayD::from_elem(shape, f32::NAN), Mask::zeros(shape));
        for share in [0.0, 0.5, 1.0] {
            let methods: [&dyn PruningMethod; 7] = [
                &L1Unstructured::new(share).unwrap(),
                &L1Unstructured::new(Amount::until(share).unwrap()).unwrap(),
                &ScoreUnstructured::new(share).unwrap(),
                &RandomUnstructured::new(share, &mut data).unwrap(),
                &LnStructured::new(share, 2, 0).unwrap(),
                &LnStructured::new(share, f64::NEG_INFINITY, 1).unwrap(),
                &RandomStructured::new(share, 1, &mut data).unwrap(),
            ];
            for method in methods {
                let outcome = mask::compute(method, scores.view(), Some(&gone)).unwrap();
                assert_eq!(
                    (outcome.mask, outcome.requested, outcome.pruned),
                    (gone.clone(), Some(0), 0),
                    "{method:?}"
                );
            }
        }
    }
    for method in [
        &L1Unstructured::new(1).unwrap() as &dyn PruningMethod,
        &LnStructured::new(1, 2, 0).unwrap(),
    ] {
        let error = mask::compute(
            method,
            ArrayD::<f32>::ones(vec![2, 2]).view(),
            Some(&Mask::zeros(&[2, 2])),
        )
        .unwrap_err();
        assert!(
            matches!(
                error,
                Error::Amount(AmountError::TooLarge {
                    requested: 1,
                    remaining: 0
                })
            ),
            "{error:?}"
        );
    }
}

#[test]
fn no_prior_mask_is_one_that_keeps_everything() {
    // S3: channels without entries have nothing to prune, with a prior mask and without.
    let mut data = rng(4);
    for shape in [&[4, 3][..], &[4, 0], &[0, 4], &[0, 0], &[2, 0, 3]] {
        let scores = ArrayD::<f32>::ones(shape);
        for dim in [0, 1] {
            let methods: [&dyn PruningMethod; 3] = [
                &LnStructured::new(0.5, 1, dim).unwrap(),
                &RandomStructured::new(0.5, dim, &mut data).unwrap(),
                &L1Unstructured::new(0.5).unwrap(),
            ];
            for method in methods {
                let without = mask::compute(method, scores.view(), None).unwrap();
                let with = mask::compute(method, scores.view(), Some(&Mask::ones(shape))).unwrap();
                assert_eq!(without, with, "{method:?} on {shape:?}");
            }
        }
    }
}

// ---- S4 and S5: exactly k, in the order of importance, list and index ----

/// Tensors of few different values, so that most entries are tied, and what is kept of them.
#[derive(Clone, Debug)]
struct Tied {
    values: Vec<Vec<f64>>,
    kept: Vec<Vec<bool>>,
}

impl Tied {
    fn remaining(&self) -> usize {
        self.kept.iter().flatten().filter(|kept| **kept).count()
    }
}

fn tied() -> impl Strategy<Value = Tied> {
    let value = prop_oneof![
        prop::sample::select(vec![0.0, -0.0, 1.0, -1.0, 2.0]),
        prop::sample::select(vec![0.5, -0.5, f64::INFINITY, f64::NEG_INFINITY, 65504.0, -3.0]),
    ];
    let tensor = prop::collection::vec((value, prop::bool::weighted(0.8)), 0..150);
    prop::collection::vec(tensor, 1..5).prop_map(|tensors| {
        let (values, kept) = tensors
            .into_iter()
            .map(|tensor| tensor.into_iter().unzip())
            .unzip();
        Tied { values, kept }
    })
}

/// The masks of a plan over tensors of one dimension.
fn global<T: mask::Float>(plan: &Plan<'_>, values: &[Vec<T>], kept: &[Vec<bool>]) -> Vec<Vec<bool>> {
    let arrays: Vec<_> = values.iter().map(|v| array(&[v.len()], v.clone())).collect();
    let priors: Vec<_> = kept
        .iter()
        .map(|kept| common::mask(&[kept.len()], kept))
        .collect();
    let tensors: Vec<_> = arrays
        .iter()
        .zip(&priors)
        .map(|(scores, prior)| Ranked {
            name: "t",
            scores: scores.view().into(),
            prior: Some(prior),
        })
        .collect();
    let outcome = plan.compute_global(&tensors).unwrap();
    let before: usize = priors.iter().map(Mask::count_kept).sum();
    let after: usize = outcome.masks.iter().map(Mask::count_kept).sum();
    assert_eq!(
        (outcome.requested, outcome.pruned),
        (Some(before - after), before - after)
    );
    outcome.masks.iter().map(bits).collect()
}

/// Compares a plan over tensors of one float type with the oracle.
macro_rules! check_type {
    ($float:ty, $values:expr, $kept:expr, $k:expr, $by:expr) => {{
        let typed: Vec<Vec<$float>> = $values
            .iter()
            .map(|tensor| tensor.iter().map(|&x| AsPrimitive::<$float>::as_(x)).collect())
            .collect();
        let keys: Vec<Vec<f64>> = typed
            .iter()
            .map(|tensor| tensor.iter().map(|&x| key(x, $by)).collect())
            .collect();
        let expected = without_lowest(&keys, $kept, $k);
        let found = global(&entries($k, $by), &typed, $kept);
        assert!(
            found == expected,
            "{} {:?}, {} pruned",
            stringify!($float),
            $by,
            $k
        );
    }};
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    // S4, S5, S6, S8
    #[test]
    fn entries_of_many_tensors(tied in tied(), share in 0.0..=1.0) {
        let k = (share * tied.remaining() as f64) as usize;
        for by in [EntryRank::Magnitude, EntryRank::Value] {
            check_type!(f32, tied.values, &tied.kept, k, by);
            check_type!(f64, tied.values, &tied.kept, k, by);
            check_type!(f16, tied.values, &tied.kept, k, by);
            check_type!(bf16, tied.values, &tied.kept, k, by);
        }
    }

    // S3, S4: a fraction is of the entries that remain in all tensors together.
    #[test]
    fn methods_over_many_tensors(tied in tied(), fraction in 0.0..=1.0_f64) {
        let remaining = tied.remaining();
        let k = (fraction * remaining as f64).round_ties_even() as usize;
        let values: Vec<ArrayD<f32>> =
            tied.values.iter().map(|v| array(&[v.len()], v.iter().map(|&x| x as f32).collect())).collect();
        let priors: Vec<_> = tied.kept.iter().map(|kept| common::mask(&[kept.len()], kept)).collect();
        let tensors: Vec<_> = values.iter().zip(&priors)
            .map(|(scores, prior)| Ranked { name: "t", scores: scores.view().into(), prior: Some(prior) }).collect();
        let methods: [(&dyn PruningMethod, _); 2] = [
            (&L1Unstructured::new(fraction).unwrap(), EntryRank::Magnitude),
            (&ScoreUnstructured::new(fraction).unwrap(), EntryRank::Value),
        ];
        for (method, by) in methods {
            let keys: Vec<Vec<f64>> = tied.values.iter().map(|t| t.iter().map(|&x| key(x, by)).collect()).collect();
            let outcome = mask::compute_global(method, &tensors).unwrap();
            let masks: Vec<_> = outcome.masks.iter().map(bits).collect();
            prop_assert_eq!(masks, without_lowest(&keys, &tied.kept, k));
            prop_assert_eq!((outcome.requested, outcome.pruned), (Some(k), k));
            // One tensor alone: the same as a list of one.
            let alone = mask::compute(method, values[0].view(), Some(&priors[0])).unwrap();
            prop_assert_eq!(&alone.mask, &mask::compute_global(method, &tensors[..1]).unwrap().masks[0]);
            prop_assert_eq!(method.compute_mask(values[0].view(), &priors[0]).unwrap(), alone.mask);
        }
        let k_plus_1 = remaining + 1;
        let error = mask::compute_global(&L1Unstructured::new(k_plus_1).unwrap(), &tensors).unwrap_err();
        let named = matches!(error, Error::Amount(AmountError::TooLarge { requested, remaining: shown }) if requested == k_plus_1 && shown == remaining);
        prop_assert!(named, "{error}");
    }
}

/// Sizes and values that lead a selection by digits, by buckets or by threads astray, in each float type.
#[test]
fn many_entries() {
    let mut data = rng(20);
    let spread =
        |data: &mut rand_chacha::ChaCha8Rng| uniform(data) * 10.0_f64.powi((data.next_u32() % 12) as i32 - 7);
    let families: [(&str, usize, Vec<f64>); 6] = [
        (
            "spread",
            100_003,
            (0..100_003).map(|_| spread(&mut data)).collect(),
        ),
        ("equal", 65_537, vec![-0.25; 65_537]),
        (
            "three values",
            50_000,
            (0..50_000)
                .map(|_| f64::from(data.next_u32() % 3) - 1.0)
                .collect(),
        ),
        (
            "signed zeros",
            10_000,
            (0..10_000).map(|i| if i % 3 == 0 { -0.0 } else { 0.0 }).collect(),
        ),
        (
            "descending",
            12_345,
            (0..12_345).map(|i| 1.0 - f64::from(i) / 1e4).collect(),
        ),
        (
            "subnormals and infinities",
            20_000,
            (0..20_000)
                .map(|_| match data.next_u32() % 4 {
                    0 => f64::from(f32::from_bits(data.next_u32() % 5_000)),
                    1 => -f64::from(f16::from_bits((data.next_u32() % 600) as u16)),
                    2 => f64::INFINITY,
                    _ => f64::NEG_INFINITY,
                })
                .collect(),
        ),
    ];
    for (name, len, values) in &families {
        assert_eq!(values.len(), *len, "{name}");
        // One tensor, nothing pruned; then three of uneven sizes, some of each pruned.
        let whole = (vec![values.clone()], vec![vec![true; *len]]);
        let (a, b) = (len / 3 + 1, len / 2 + 7);
        let split = vec![values[..a].to_vec(), values[a..b].to_vec(), values[b..].to_vec()];
        let kept = split
            .iter()
            .map(|t| t.iter().map(|_| !data.next_u32().is_multiple_of(5)).collect())
            .collect();
        for (values, kept) in [whole, (split, kept)] {
            let remaining = kept.iter().flatten().filter(|kept| **kept).count();
            for by in [EntryRank::Magnitude, EntryRank::Value] {
                check_type!(f32, values, &kept, remaining / 2, by);
                check_type!(f32, values, &kept, remaining - 1, by);
                check_type!(f64, values, &kept, remaining / 3, by);
                check_type!(f16, values, &kept, remaining * 9 / 10, by);
                check_type!(bf16, values, &kept, remaining / 10, by);
            }
        }
    }
}

#[test]
fn very_many_entries() {
    let mut data = rng(21);
    let values = [(0..300_000).map(|_| uniform(&mut data)).collect::<Vec<f64>>()];
    let kept = [vec![true; 300_000]];
    check_type!(f32, values, &kept, 240_000, EntryRank::Magnitude);
    check_type!(bf16, values, &kept, 150_000, EntryRank::Magnitude); // almost all entries are tied
    check_type!(f64, values, &kept, 1, EntryRank::Value);
    for k in [0, 300_000] {
        check_type!(f32, values, &kept, k, EntryRank::Value);
    }
}

#[test]
fn neighbours_in_the_last_bit_are_told_apart() {
    // S5: no rounding on the way to the ranks, in any type and at both ends of its range.
    macro_rules! check {
        ($($float:ident)*) => {$(
            for start in [0, 1, 100, $float::MAX.to_bits() - 2_000] {
                let up: Vec<$float> = (0..2_000).map(|step| $float::from_bits(start + step)).collect();
                let down: Vec<$float> = up.iter().rev().map(|x| -*x).collect();
                for k in [1, 999, 1_999] {
                    let first = (0..2_000).map(|i| i >= k).collect::<Vec<_>>();
                    let last = (0..2_000).map(|i| i < 2_000 - k).collect::<Vec<_>>();
                    let all = [vec![true; 2_000]];
                    for (values, by, expected) in [
                        (&up, EntryRank::Magnitude, &first),
                        (&up, EntryRank::Value, &first),
                        (&down, EntryRank::Magnitude, &last),
                        (&down, EntryRank::Value, &first),
                    ] {
                        let found = global(&entries(k, by), std::slice::from_ref(values), &all);
                        assert!(found[0] == *expected, "{} from bits {start}, {by:?}, {k} pruned", stringify!($float));
                    }
                }
            }
        )*};
    }
    check!(f16 bf16 f32 f64);
}

// ---- S5: the memory layout does not matter ----

/// How to lay out an array: the order in which axes are stored, which run backwards, and in what steps.
#[derive(Clone, Debug)]
struct Layout {
    order: Vec<usize>,
    backwards: Vec<bool>,
    steps: Vec<usize>,
}

fn layout(ndim: usize) -> impl Strategy<Value = Layout> {
    (
        Just((0..ndim).collect::<Vec<_>>()).prop_shuffle(),
        prop::collection::vec(any::<bool>(), ndim),
        prop::collection::vec(1_usize..=3, ndim),
    )
        .prop_map(|(order, backwards, steps)| Layout {
            order,
            backwards,
            steps,
        })
}

/// Calls `f` with a view that shows `array` but lies in memory as `layout` says.
fn laid_out<T: Copy, R>(array: &ArrayD<T>, layout: &Layout, f: impl FnOnce(ArrayViewD<'_, T>) -> R) -> R {
    let stored_shape: Vec<usize> = layout
        .order
        .iter()
        .map(|&a| array.shape()[a] * layout.steps[a])
        .collect();
    let filler = *array.first().expect("an entry");
    let mut store = ArrayD::from_elem(stored_shape, filler);
    let mut place: Vec<usize> = vec![0; layout.order.len()];
    layout
        .order
        .iter()
        .enumerate()
        .for_each(|(position, &axis)| place[axis] = position);
    let steps = |axis: ndarray::AxisDescription| {
        let axis = axis.axis.index();
        let step = layout.steps[axis] as isize;
        Slice::new(0, None, if layout.backwards[axis] { -step } else { step })
    };
    store
        .view_mut()
        .permuted_axes(place.clone())
        .slice_each_axis_mut(steps)
        .assign(array);
    let permuted = store.view().permuted_axes(place);
    let view = permuted.slice_each_axis(steps);
    assert_eq!(view.shape(), array.shape());
    f(view)
}

fn laid_out_values() -> impl Strategy<Value = (ArrayD<f64>, Mask, Layout)> {
    let ndim = 2..=4_usize;
    ndim.prop_flat_map(|ndim| {
        (
            prop::collection::vec(1_usize..6, ndim),
            any::<u64>(),
            layout(ndim),
        )
            .prop_map(|(shape, seed, layout)| {
                let mut data = rng(seed);
                // Half of the arrays have no ties to speak of, the others hardly anything else.
                let values = ArrayD::from_shape_simple_fn(IxDyn(&shape), || {
                    if seed % 2 == 0 {
                        uniform(&mut data)
                    } else {
                        f64::from(data.next_u32() % 4) - 2.0
                    }
                });
                let prior = Mask::from_bool(values.mapv(|_| !data.next_u32().is_multiple_of(4)).view());
                (values, prior, layout)
            })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(80))]

    #[test]
    fn views_give_the_mask_of_their_contiguous_copy((values, prior, layout) in laid_out_values(), seed in any::<u64>()) {
        let random = EntryRank::Random { seed };
        let half = Amount::fraction(0.5).unwrap();
        let mut plans = vec![
            Plan::Entries { amount: half, by: EntryRank::Magnitude },
            Plan::Entries { amount: half, by: EntryRank::Value },
            Plan::Entries { amount: half, by: random },
        ];
        for dim in 0..values.ndim() as isize {
            plans.extend(all_norms().into_iter().map(|norm| Plan::Channels { amount: half, dim, by: ChannelRank::Norm(norm) }));
            plans.push(Plan::Channels { amount: half, dim, by: ChannelRank::Random { seed } });
            if values.ndim() == 3 {
                plans.push(Plan::Channels { amount: half, dim, by: ChannelRank::Norm(Norm::NUCLEAR) });
            }
        }
        let single = values.mapv(|x| x as f32);
        for plan in plans {
            let expected = plan.compute(values.view(), Some(&prior)).unwrap();
            let found = laid_out(&values, &layout, |view| plan.compute(view, Some(&prior)).unwrap());
            prop_assert_eq!(&found, &expected, "{:?}", plan);
            let expected = plan.compute(single.view(), None).unwrap();
            let found = laid_out(&single, &layout, |view| plan.compute(view, None).unwrap());
            prop_assert_eq!(&found, &expected, "{:?}", plan);
        }
        // In a global call too, and from `prune`.
        let method = L1Unstructured::new(0.5).unwrap();
        let both = |view: ArrayViewD<'_, f32>| {
            let tensors = [("a", Some(&prior)), ("b", None)].map(|(name, prior)| Ranked { name, scores: view.clone().into(), prior });
            (mask::compute_global(&method, &tensors).unwrap(), method.prune(view, Some(&prior), None).unwrap())
        };
        prop_assert_eq!(laid_out(&single, &layout, both), both(single.view()));
    }
}

#[test]
fn transposing_moves_ties() {
    // S5: the index that decides is the row-major one of the view, whatever lies first in memory.
    let ones = ArrayD::<f32>::ones(vec![2, 3]);
    let first_two = mask::compute(&L1Unstructured::new(2).unwrap(), ones.t(), None).unwrap();
    assert_eq!(
        first_two.mask,
        common::mask(&[3, 2], &[false, false, true, true, true, true])
    );
}

// ---- S5 and S6: norms ----

/// The norm of a channel by its definition, plainly: no powers of `libm`, no order of additions.
fn plain_norm(channel: &[f64], norm: Norm) -> f64 {
    let text = norm.to_string();
    let sizes = channel.iter().map(|x| x.abs());
    match text.as_str() {
        "inf" => sizes.fold(0.0, f64::max),
        "-inf" => sizes.fold(f64::INFINITY, f64::min),
        "0" => sizes.filter(|x| *x != 0.0).count() as f64,
        "fro" => sizes.map(|x| x * x).sum::<f64>().sqrt(),
        order => {
            let n: f64 = order.parse().unwrap();
            sizes.map(|x| x.powf(n)).sum::<f64>().powf(1.0 / n)
        }
    }
}

/// The norm of each channel along `axis`, with additions in the order that the documentation fixes: first over
/// the dimensions before the channel's, then the rest in 16 lanes, then the lanes pairwise.
fn documented_norms(array: &ArrayD<f64>, axis: usize, norm: Norm) -> Vec<f64> {
    let n = match norm.to_string().as_str() {
        "fro" => 2.0,
        order => order.parse::<f64>().unwrap(),
    };
    let count = array.shape()[axis];
    let before: usize = array.shape()[..axis].iter().product();
    let after: usize = array.shape()[axis + 1..].iter().product();
    let flat: Vec<f64> = array.iter().copied().collect();
    let power = |x: f64| match n {
        0.0 => f64::from(u8::from(x != 0.0)),
        1.0 => x.abs(),
        2.0 => x * x,
        n => libm::pow(x.abs(), n),
    };
    (0..count)
        .map(|channel| {
            let mut lanes = [0.0; 16];
            for inner in 0..after {
                let mut sum = 0.0;
                for outer in 0..before {
                    sum += power(flat[(outer * count + channel) * after + inner]);
                }
                lanes[inner % 16] += sum;
            }
            for half in [8, 4, 2, 1] {
                for lane in 0..half {
                    lanes[lane] += lanes[lane + half];
                }
            }
            match n {
                0.0 | 1.0 => lanes[0],
                2.0 => lanes[0].sqrt(),
                n => libm::pow(lanes[0], 1.0 / n),
            }
        })
        .collect()
}

/// The channels of lowest norm, ties by index, among those of `remaining`.
fn lowest_channels(norms: &[f64], remaining: &[usize], k: usize) -> Vec<usize> {
    let mut ranked = remaining.to_vec();
    ranked.sort_by(|&a, &b| norms[a].partial_cmp(&norms[b]).unwrap().then(a.cmp(&b)));
    ranked.truncate(k);
    ranked
}

/// An array in which every channel along `axis` holds the same numbers in another order, so that only the last
/// bits of their norms differ.
fn permuted_channels(shape: &[usize], axis: usize, seed: u64) -> ArrayD<f64> {
    let mut data = rng(seed);
    let len = shape.iter().product::<usize>() / shape[axis];
    let mut numbers: Vec<f64> = (0..len).map(|_| uniform(&mut data)).collect();
    let mut array = ArrayD::zeros(shape);
    for mut channel in array.axis_iter_mut(Axis(axis)) {
        (1..len)
            .rev()
            .for_each(|i| numbers.swap(i, data.next_u64() as usize % (i + 1)));
        channel
            .iter_mut()
            .zip(&numbers)
            .for_each(|(place, x)| *place = *x);
    }
    array
}

#[test]
fn sums_are_in_the_documented_order() {
    // S5. The long shapes are those whose channels are too long, or too many, to be summed up in one go.
    let shapes: [&[usize]; 9] = [
        &[40, 50],
        &[50, 40],
        &[17, 3, 33],
        &[33, 17, 3],
        &[5, 7, 4, 9],
        &[3, 5_000],
        &[5_000, 3],
        &[2, 3, 2_049],
        &[2, 700, 6],
    ];
    let mut told_apart = 0;
    for (seed, shape) in (0..).zip(shapes) {
        for axis in 0..shape.len() {
            let array = permuted_channels(shape, axis, seed);
            let count = shape[axis];
            for norm in ["1", "2", "fro", "0.5", "3", "-1"].map(|n| n.parse::<Norm>().unwrap()) {
                let norms = documented_norms(&array, axis, norm);
                let everything: Vec<usize> = (0..count).collect();
                for k in [1, count / 3, count / 2, count - 1] {
                    let pruned = lowest_channels(&norms, &everything, k);
                    let expected = without_channels(&array.mapv(|_| true), axis, &pruned);
                    let found = by_norm(k, norm, axis as isize)
                        .compute(array.view(), None)
                        .unwrap()
                        .mask;
                    assert!(
                        found == expected,
                        "norm {norm} along {axis} of {shape:?}, {k} pruned"
                    );
                    let plain: Vec<f64> = channels(array.view(), axis)
                        .iter()
                        .map(|c| plain_norm(c, norm))
                        .collect();
                    told_apart += usize::from(lowest_channels(&plain, &everything, k) != pruned);
                }
            }
        }
    }
    // The inputs are such that another order of additions would have been noticed, again and again.
    assert!(told_apart > 100, "{told_apart}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    // S6: against the definition, where no two norms are so close that rounding decides.
    #[test]
    fn channels_by_norm(
        shape in prop::collection::vec(1_usize..7, 2..=4), axis in any::<prop::sample::Index>(), seed in any::<u64>(),
        share in 0.0..=1.0, negative in any::<bool>(),
    ) {
        let axis = axis.index(shape.len());
        let dim = axis as isize - if negative { shape.len() as isize } else { 0 };
        let mut data = rng(seed);
        let values = ArrayD::from_shape_simple_fn(IxDyn(&shape), || uniform(&mut data) as f32);
        // Some channels are wholly pruned, others in part (S3).
        let mut kept = values.mapv(|_| !data.next_u32().is_multiple_of(4));
        kept.index_axis_mut(Axis(axis), data.next_u32() as usize % shape[axis]).fill(false);
        let remaining: Vec<usize> = (0..shape[axis]).filter(|&c| kept.index_axis(Axis(axis), c).iter().any(|k| *k)).collect();
        let k = (share * remaining.len() as f64) as usize;
        let prior = Mask::from_bool(kept.view());
        for norm in all_norms() {
            // S7: scores that are given count as given, under the mask too.
            let norms: Vec<f64> = channels(values.mapv(f64::from).view(), axis).iter().map(|c| plain_norm(c, norm)).collect();
            let mut sorted: Vec<f64> = remaining.iter().map(|&c| norms[c]).collect();
            sorted.sort_by(f64::total_cmp);
            if norm != Norm::L0 && sorted.windows(2).any(|pair| pair[1] - pair[0] < 1e-9 * pair[1]) {
                continue;
            }
            let expected = without_channels(&kept, axis, &lowest_channels(&norms, &remaining, k));
            let outcome = mask::compute(&ln(k, norm, dim), values.view(), Some(&prior)).unwrap();
            prop_assert_eq!(&outcome.mask, &expected, "norm {}", norm);
            prop_assert_eq!((outcome.requested, outcome.pruned), (Some(k), k));
            let plan = by_norm(k, norm, dim);
            prop_assert_eq!(&plan.compute(values.mapv(f64::from).view(), Some(&prior)).unwrap().mask, &expected);
        }
    }

    // S4, S5: channels that are tied exactly are pruned by index. Sums of small integers are exact.
    #[test]
    fn tied_channels(shape in prop::collection::vec(1_usize..9, 2..=3), axis in any::<prop::sample::Index>(), seed in any::<u64>(), share in 0.0..=1.0) {
        let axis = axis.index(shape.len());
        let k = (share * shape[axis] as f64) as usize;
        let mut data = rng(seed);
        let values = ArrayD::from_shape_simple_fn(IxDyn(&shape), || f64::from(data.next_u32() % 3) - 1.0);
        let everything: Vec<usize> = (0..shape[axis]).collect();
        for norm in ["1", "2", "fro", "0", "inf", "-inf"].map(|n| n.parse::<Norm>().unwrap()) {
            let norms: Vec<f64> = channels(values.view(), axis).iter().map(|c| plain_norm(c, norm)).collect();
            let expected = without_channels(&values.mapv(|_| true), axis, &lowest_channels(&norms, &everything, k));
            let dim = axis as isize;
            prop_assert_eq!(&by_norm(k, norm, dim).compute(values.view(), None).unwrap().mask, &expected, "norm {}", norm);
            let singles = values.mapv(|x| x as f32);
            prop_assert_eq!(&mask::compute(&ln(k, norm, dim), singles.view(), None).unwrap().mask, &expected);
            let halves = values.mapv(f16::from_f64);
            prop_assert_eq!(&by_norm(k, norm, dim).compute(halves.view(), None).unwrap().mask, &expected);
        }
    }

    // S6: two columns, so the singular values have a closed form: (σ₁ + σ₂)² = ‖A‖² + 2 √det(AᵀA), and the
    // determinant is the sum of the squares of all 2 × 2 minors.
    #[test]
    fn nuclear_norms_in_closed_form(rows in 1_usize..6, count in 2_usize..6, axis in 0_usize..3, transposed in any::<bool>(), seed in any::<u64>()) {
        let mut data = rng(seed);
        let matrix = |data: &mut _| -> Vec<[f64; 2]> { (0..rows).map(|_| [uniform(data), uniform(data)]).collect() };
        let matrices: Vec<_> = (0..count).map(|_| matrix(&mut data)).collect();
        let norms: Vec<f64> = matrices.iter().map(|m| {
            let squares: f64 = m.iter().flatten().map(|x| x * x).sum();
            let minors: f64 = (0..rows).flat_map(|i| (0..i).map(move |j| (i, j)))
                .map(|(i, j)| (m[i][0] * m[j][1] - m[i][1] * m[j][0]).powi(2)).sum();
            (squares + 2.0 * minors.sqrt()).sqrt()
        }).collect();
        let mut sorted = norms.clone();
        sorted.sort_by(f64::total_cmp);
        prop_assume!(sorted.windows(2).all(|pair| pair[1] - pair[0] > 1e-9));

        let mut stacked = ArrayD::from_shape_fn(IxDyn(&[count, rows, 2]), |i| matrices[i[0]][i[1]][i[2]]);
        if transposed {
            stacked.swap_axes(1, 2);
        }
        // Channels number any of the dimensions.
        let mut order = vec![1, 2];
        order.insert(axis, 0);
        let stacked = stacked.permuted_axes(order);
        let everything: Vec<usize> = (0..count).collect();
        for k in 0..=count {
            let expected = without_channels(&stacked.mapv(|_| true), axis, &lowest_channels(&norms, &everything, k));
            let found = by_norm(k, Norm::NUCLEAR, axis as isize - 3).compute(stacked.view(), None).unwrap();
            prop_assert_eq!(found.mask, expected);
        }
    }
}

/// Asserts that the norm of a channel is what is expected, to 1e-9, by ranking it between two that are known.
#[track_caller]
fn sandwich(norm: Norm, channel: &[f64], expected: f64, ruler: impl Fn(f64) -> Vec<f64>) {
    let three = [
        ruler(expected * (1.0 + 1e-9)),
        channel.to_vec(),
        ruler(expected * (1.0 - 1e-9)),
    ];
    let shape = [3, channel.len()];
    measure(norm, &shape, three.concat(), expected);
}

#[track_caller]
fn measure(norm: Norm, shape: &[usize], three: Vec<f64>, expected: f64) {
    let scores = array(shape, three);
    let rows = |k| -> Vec<bool> {
        let mask = by_norm(k, norm, 0)
            .compute(scores.view(), None)
            .unwrap()
            .mask
            .to_bool();
        mask.axis_iter(Axis(0))
            .map(|channel| *channel.first().unwrap())
            .collect()
    };
    assert_eq!(rows(1), [true, true, false], "norm {norm} is below {expected}");
    assert_eq!(rows(2), [true, false, false], "norm {norm} is above {expected}");
}

#[test]
fn norms_have_their_values() {
    // S6. A constant channel of m entries c has norm c · m^(1/n).
    let channel = [3.0, -4.0, 12.0, 1.0];
    for (n, expected) in [
        (1.0, 20.0),
        (2.0, 170.0_f64.sqrt()),
        (3.0, (27.0_f64 + 64.0 + 1728.0 + 1.0).cbrt()),
        (0.5, (3.0_f64.sqrt() + 2.0 + 12.0_f64.sqrt() + 1.0).powi(2)),
        (-1.0, 1.0 / (1.0 / 3.0 + 0.25 + 1.0 / 12.0 + 1.0)),
        (
            -2.0,
            1.0 / (1.0 / 9.0_f64 + 1.0 / 16.0 + 1.0 / 144.0 + 1.0).sqrt(),
        ),
    ] {
        let ruler = |norm: f64| vec![norm / 4.0_f64.powf(1.0 / n); 4];
        sandwich(Norm::order(n).unwrap(), &channel, expected, ruler);
    }
    sandwich(Norm::FROBENIUS, &channel, 170.0_f64.sqrt(), |norm| {
        vec![norm / 2.0; 4]
    });
    sandwich(Norm::INFINITY, &channel, 12.0, |norm| vec![norm; 4]);
    sandwich(Norm::NEG_INFINITY, &channel, 1.0, |norm| vec![norm; 4]);
    // Order 0 counts: here 3, between 4 and 2.
    let counts = vec![9.0, 9.0, 9.0, 9.0, -0.1, 0.0, 5.0, 1e-9, 7.0, -0.0, 0.0, 7.0];
    measure(Norm::L0, &[3, 4], counts, 3.0);
}

#[test]
fn nuclear_norms_have_their_values() {
    // The ruler is a matrix with one entry, which is its norm.
    let ruler = |norm: f64, len: usize| [vec![0.0; len - 1], vec![norm]].concat();
    for (rows, columns, matrix, expected) in [
        (1, 1, vec![-3.0], 3.0),
        (2, 2, vec![3.0, 0.0, 0.0, -4.0], 7.0),
        (2, 2, vec![1.0, 1.0, 1.0, 1.0], 2.0),
        (2, 2, vec![0.6, 0.8, -0.8, 0.6], 2.0), // a rotation
        (1, 3, vec![2.0, 3.0, 6.0], 7.0),       // a vector's is its length
        (3, 1, vec![2.0, 3.0, 6.0], 7.0),
        (3, 3, vec![1.0, 0.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 3.0], 6.0),
        (3, 3, vec![2.0, 1.0, 0.0, 1.0, 2.0, 0.0, 0.0, 0.0, 5.0], 9.0), // symmetric: 3, 1, 5
        (2, 3, vec![1.0, 2.0, 2.0, 2.0, 4.0, 4.0], 45.0_f64.sqrt()),    // rank 1: |(1, 2)| · |(1, 2, 2)|
        (2, 2, vec![1e200, 0.0, 0.0, 1e200], 2e200),                    // squares would overflow
        (2, 2, vec![1e-200, 0.0, 0.0, 1e-200], 2e-200),
        (2, 2, vec![1.0, 1.0, 1e-8, -1e-8], 2.0_f64.sqrt() * (1.0 + 1e-8)),
    ] {
        let len = rows * columns;
        let three = [
            ruler(expected * (1.0 + 1e-9), len),
            matrix,
            ruler(expected * (1.0 - 1e-9), len),
        ];
        measure(Norm::NUCLEAR, &[3, rows, columns], three.concat(), expected);
    }
}

#[test]
fn nuclear_norms_of_gram_matrices() {
    // The singular values of S = BᵀB add up to its trace, the sum of the squares of B. Stacked on top of or
    // beside each other, two copies of S have √2 times as much.
    for (n, seed) in [(3, 1), (5, 2), (12, 3)] {
        let mut data = rng(seed);
        let b: Vec<f64> = (0..n * n).map(|_| uniform(&mut data)).collect();
        let trace: f64 = b.iter().map(|x| x * x).sum();
        let gram = |i: usize| -> f64 { (0..n).map(|row| b[row * n + i / n] * b[row * n + i % n]).sum() };
        let gram: Vec<f64> = (0..n * n).map(gram).collect();
        let stacked = [&gram[..], &gram].concat();
        let beside: Vec<f64> = gram.chunks(n).flat_map(|row| [row, row].concat()).collect();
        for (matrix, rows, expected) in [
            (gram, n, trace),
            (stacked, 2 * n, trace * 2.0_f64.sqrt()),
            (beside, n, trace * 2.0_f64.sqrt()),
        ] {
            let len = matrix.len();
            let ruler = |norm: f64| [vec![norm], vec![0.0; len - 1]].concat();
            let three = [
                ruler(expected * (1.0 + 1e-9)),
                matrix,
                ruler(expected * (1.0 - 1e-9)),
            ];
            measure(Norm::NUCLEAR, &[3, rows, len / rows], three.concat(), expected);
        }
    }
}

#[test]
fn larger_nuclear_norms() {
    // A scaled Hadamard matrix is orthogonal: all of its singular values are the scale. A product of a column and
    // a row has one, the product of their lengths.
    let n = 16;
    let hadamard: Vec<f64> = (0..n * n)
        .map(|i: u32| {
            if ((i / n) & (i % n)).count_ones().is_multiple_of(2) {
                0.25
            } else {
                -0.25
            }
        })
        .collect();
    let column: Vec<f64> = (1..=n).map(f64::from).collect();
    let row: Vec<f64> = (1..=n).map(|x| f64::from(x) - 8.5).collect();
    let length = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>().sqrt();
    let outer: Vec<f64> = column
        .iter()
        .flat_map(|a| row.iter().map(move |b| a * b))
        .collect();
    let ruler = |norm: f64| [vec![norm], vec![0.0; 255]].concat();
    for (matrix, expected) in [(hadamard, 16.0), (outer, length(&column) * length(&row))] {
        let three = [
            ruler(expected * (1.0 + 1e-9)),
            matrix,
            ruler(expected * (1.0 - 1e-9)),
        ];
        measure(Norm::NUCLEAR, &[3, 16, 16], three.concat(), expected);
    }
}

#[test]
fn orders_of_norms() {
    for n in [
        2.0,
        0.5,
        -1.0,
        0.0,
        f64::INFINITY,
        f64::NEG_INFINITY,
        1e-300,
        12345.678,
    ] {
        let norm = Norm::try_from(n).unwrap();
        assert_eq!(norm, Norm::order(n).unwrap());
        assert_eq!(norm.to_string().parse::<Norm>().unwrap(), norm);
    }
    assert_eq!(Norm::order(-0.0).unwrap(), Norm::L0);
    assert_eq!(
        (Norm::from(1), Norm::from(2), Norm::from(0)),
        (Norm::L1, Norm::L2, Norm::L0)
    );
    for (text, norm) in [
        ("fro", Norm::FROBENIUS),
        ("nuc", Norm::NUCLEAR),
        ("inf", Norm::INFINITY),
        ("-inf", Norm::NEG_INFINITY),
        (" 2 ", Norm::L2),
        ("1.0", Norm::L1),
    ] {
        assert_eq!(text.parse::<Norm>().unwrap(), norm);
    }
    assert_eq!(Norm::INFINITY.to_string(), "inf");
    assert_eq!(Norm::NUCLEAR.to_string(), "nuc");
    assert!(matches!(Norm::order(f64::NAN), Err(Error::Norm(NormError::Nan))));
    assert!(matches!("nan".parse::<Norm>(), Err(Error::Norm(NormError::Nan))));
    assert!(matches!(
        LnStructured::new(1, f64::NAN, 0),
        Err(Error::Norm(NormError::Nan))
    ));
    for text in ["", "two", "frob", "l2", "2,0", "nuclear"] {
        assert!(
            matches!(text.parse::<Norm>(), Err(Error::Norm(NormError::Syntax { text: shown })) if shown == text)
        );
    }
}

#[test]
fn dimensions() {
    // S6: from −ndim to ndim − 1.
    let mut data = rng(30);
    for shape in [&[4, 5][..], &[3, 4, 5], &[2, 3, 2, 3]] {
        let scores = ArrayD::from_shape_simple_fn(IxDyn(shape), || uniform(&mut data) as f32);
        let ndim = shape.len() as isize;
        for dim in 0..ndim {
            let (from_start, from_end) = (ln(1, Norm::L2, dim), ln(1, Norm::L2, dim - ndim));
            let expected = mask::compute(&from_start, scores.view(), None).unwrap();
            assert_eq!(mask::compute(&from_end, scores.view(), None).unwrap(), expected);
            assert_eq!(expected.mask.count_pruned(), scores.len() / shape[dim as usize]);
        }
        for dim in [ndim, ndim + 1, -ndim - 1, isize::MAX, isize::MIN] {
            let methods: [&dyn PruningMethod; 2] = [
                &ln(1, Norm::L2, dim),
                &RandomStructured::new(1, dim, &mut data).unwrap(),
            ];
            for method in methods {
                let error = mask::compute(method, scores.view(), None).unwrap_err();
                let named = matches!(&error, Error::Pattern(PatternError::DimOutOfRange { dim: d, shape: s }) if *d == dim && s == shape);
                assert!(named, "{error:?}");
                assert!(error.to_string().contains(&dim.to_string()), "{error}");
            }
        }
    }
}

#[test]
fn tensors_without_channels() {
    // S6: fewer than two dimensions.
    let mut data = rng(31);
    for shape in [&[][..], &[5], &[0], &[1]] {
        let methods: [&dyn PruningMethod; 3] = [
            &ln(0, Norm::L2, 0),
            &ln(1, Norm::L2, -1),
            &RandomStructured::new(0.5, 0, &mut data).unwrap(),
        ];
        for method in methods {
            let error = mask::compute(method, ArrayD::<f32>::ones(shape).view(), None).unwrap_err();
            assert!(
                matches!(&error, Error::Pattern(PatternError::NoChannels { shape: shown }) if shown == shape),
                "{error:?}"
            );
        }
    }
    // Unstructured methods prune them like any other.
    let scalar = ArrayD::<f32>::ones(vec![]);
    assert_eq!(
        mask::compute(&L1Unstructured::new(1).unwrap(), scalar.view(), None)
            .unwrap()
            .mask,
        Mask::zeros(&[])
    );
    assert_eq!(
        mask::compute(&Identity, scalar.view(), None).unwrap().mask,
        Mask::ones(&[])
    );
}

#[test]
fn nuclear_norms_need_matrices() {
    for shape in [&[4, 4][..], &[2, 2, 2, 2], &[1, 2, 3, 4, 5]] {
        let error =
            mask::compute(&ln(1, Norm::NUCLEAR, 0), ArrayD::<f32>::ones(shape).view(), None).unwrap_err();
        assert!(
            matches!(&error, Error::Norm(NormError::NotMatrices { shape: shown }) if shown == shape),
            "{error:?}"
        );
    }
}

// ---- S7: what is ranked ----

#[test]
fn what_is_given_counts_as_given() {
    // The second row is masked but for one entry; the array says 8 there all the same.
    let t = array(&[3, 2], vec![3.0, 3.0, 8.0, 1.0, 4.0, 4.0]);
    let prior = common::mask(&[3, 2], &[true, true, false, true, true, true]);
    let method = ln(1, Norm::L1, 0);
    let row_0 = common::mask(&[3, 2], &[false, false, false, true, true, true]);
    assert_eq!(
        mask::compute(&method, t.view(), Some(&prior)).unwrap().mask,
        row_0
    );
    assert_eq!(method.compute_mask(t.view(), &prior).unwrap(), row_0);
    assert_eq!(
        method.prune(t.view(), Some(&prior), None).unwrap(),
        array(&[3, 2], vec![0., 0., 0., 1., 4., 4.])
    );
    // Scores rank, and `t` is what is pruned.
    let scores = array(&[3, 2], vec![3.0, 3.0, 0.0, -1.0, 4.0, 4.0]);
    let pruned = method.prune(t.view(), Some(&prior), Some(scores.view())).unwrap();
    assert_eq!(pruned, array(&[3, 2], vec![3., 3., 0., 0., 4., 4.]));
    // With the pruned entry as the zero that it is in a parameter, its row ranks lowest.
    let effective = prior.apply(t.view()).unwrap();
    assert_eq!(
        method.prune(effective.view(), Some(&prior), None).unwrap(),
        pruned
    );
}

#[test]
fn shapes_have_to_agree() {
    let (t, other) = (ArrayD::<f32>::ones(vec![2, 3]), ArrayD::<f32>::ones(vec![3, 2]));
    let mut data = rng(40);
    let methods: [&dyn PruningMethod; 6] = [
        &Identity,
        &L1Unstructured::new(1).unwrap(),
        &RandomUnstructured::new(1, &mut data).unwrap(),
        &ln(1, Norm::L2, 0),
        &RandomStructured::new(1, 0, &mut data).unwrap(),
        &CustomFromMask::new(Mask::ones(&[2, 3])),
    ];
    for method in methods {
        for prior in [&[3, 2][..], &[6], &[2, 3, 1], &[2], &[]] {
            let prior = Mask::ones(prior);
            assert!(
                matches!(
                    method.compute_mask(t.view(), &prior),
                    Err(Error::Mask(MaskError::ShapeMismatch { .. }))
                ),
                "{method:?}"
            );
            assert!(matches!(
                mask::compute(method, t.view(), Some(&prior)),
                Err(Error::Mask(MaskError::ShapeMismatch { .. }))
            ));
            assert!(matches!(
                method.prune(t.view(), Some(&prior), None),
                Err(Error::Mask(MaskError::ShapeMismatch { .. }))
            ));
            let plan = method.plan().unwrap();
            assert!(matches!(
                plan.compute(t.view(), Some(&prior)),
                Err(Error::Mask(MaskError::ShapeMismatch { .. }))
            ));
            let ranked = [Ranked {
                name: "w",
                scores: t.view().into(),
                prior: Some(&prior),
            }];
            if let Plan::Entries { .. } | Plan::Nothing = plan {
                for error in [
                    mask::compute_global(method, &ranked).unwrap_err(),
                    plan.compute_global(&ranked).unwrap_err(),
                ] {
                    assert!(
                        matches!(&error, Error::Parameter { path, error: source }
                        if path == "w" && matches!(**source, Error::Mask(MaskError::ShapeMismatch { .. }))),
                        "{error:?}"
                    );
                }
            }
        }
        let scores = method.prune(t.view(), None, Some(other.view()));
        assert!(
            matches!(scores, Err(Error::Mask(MaskError::ShapeMismatch { .. }))),
            "{method:?}"
        );
    }
    // S9: a custom mask of another shape.
    for shape in [&[3, 2][..], &[6], &[]] {
        let error = mask::compute(&CustomFromMask::new(Mask::ones(shape)), t.view(), None).unwrap_err();
        assert!(
            matches!(&error, Error::Mask(MaskError::ShapeMismatch { expected, got, .. }) if *expected == [2, 3] && got == shape)
        );
    }
}

// ---- S8: NaN and infinities ----

/// Every built-in method that reads scores, asking for `amount` units.
fn ranking_methods(amount: Amount) -> Vec<Box<dyn PruningMethod>> {
    let mut methods: Vec<Box<dyn PruningMethod>> = vec![
        Box::new(L1Unstructured::new(amount).unwrap()),
        Box::new(ScoreUnstructured::new(amount).unwrap()),
    ];
    for norm in all_norms() {
        for dim in [0, 1, -1] {
            methods.push(Box::new(LnStructured::new(amount, norm, dim).unwrap()));
        }
    }
    methods.push(Box::new(LnStructured::new(amount, Norm::NUCLEAR, 1).unwrap()));
    methods
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn nan_is_refused_unless_masked(shape in [1_usize..6, 1_usize..6, 1_usize..20], seed in any::<u64>(), fraction in prop::sample::select(vec![0.0, 0.4, 1.0_f64])) {
        let mut data = rng(seed);
        let nan = if seed % 2 == 0 { f32::NAN } else { f32::from_bits(0xffc1_2345) };
        let kept = ArrayD::from_shape_simple_fn(shape.to_vec(), || !data.next_u32().is_multiple_of(3));
        let clean = kept.mapv(|_| uniform(&mut data) as f32 * 3.0);
        let prior = Mask::from_bool(kept.view());
        // NaN under the mask, some of it in channels that remain.
        let masked = ndarray::Zip::from(&clean).and(&kept).map_collect(|x, kept| if *kept { *x } else { nan });
        let zeroed = prior.apply(clean.view()).unwrap();
        // And NaN among what is kept as well.
        let places: Vec<usize> = (0..kept.len()).filter(|i| bits(&prior)[*i] && data.next_u32().is_multiple_of(4)).collect();
        let mut bad = masked.clone();
        places.iter().for_each(|&i| *bad.iter_mut().nth(i).unwrap() = nan);
        for method in ranking_methods(Amount::fraction(fraction).unwrap()) {
            let outcome = mask::compute(&*method, masked.view(), Some(&prior)).unwrap();
            prop_assert_eq!(outcome, mask::compute(&*method, zeroed.view(), Some(&prior)).unwrap(), "{:?}", method);
            if let Some(first) = places.first() {
                let error = mask::compute(&*method, bad.view(), Some(&prior)).unwrap_err();
                let named = matches!(error, Error::Mask(MaskError::NanScore { parameter: None, index }) if index == *first);
                prop_assert!(named, "{:?}: {:?}, not {}", method, error, first);
                let wide = bad.mapv(f64::from);
                let error = method.plan().unwrap().compute(wide.view(), Some(&prior)).unwrap_err();
                let named = matches!(error, Error::Mask(MaskError::NanScore { parameter: None, index }) if index == *first);
                prop_assert!(named, "{:?}: {:?}, not {}", method, error, first);
            }
            let without_prior = mask::compute(&*method, masked.view(), None);
            match (0..kept.len()).find(|i| !bits(&prior)[*i]) {
                Some(first) => {
                    let named = matches!(without_prior, Err(Error::Mask(MaskError::NanScore { parameter: None, index })) if index == first);
                    prop_assert!(named, "{:?}: {:?}, not {}", method, without_prior, first);
                }
                None => prop_assert!(without_prior.is_ok()),
            }
        }
    }
}

#[test]
fn nan_in_a_global_call_names_the_parameter() {
    let clean = ArrayD::<f32>::ones(vec![2, 3]);
    let mut bad = clean.clone();
    bad[[1, 0]] = f32::NAN;
    bad[[1, 2]] = f32::NAN;
    fn tensor<'a>(name: &'a str, scores: ArrayViewD<'a, f32>) -> Ranked<'a> {
        Ranked {
            name,
            scores: scores.into(),
            prior: None,
        }
    }
    for method in [
        &L1Unstructured::new(1).unwrap() as &dyn PruningMethod,
        &ScoreUnstructured::new(0.5).unwrap(),
    ] {
        let tensors = [
            tensor("0.weight", clean.view()),
            tensor("2.weight", bad.view()),
            tensor("4.weight", bad.view()),
        ];
        let error = mask::compute_global(method, &tensors).unwrap_err();
        assert!(
            matches!(&error, Error::Mask(MaskError::NanScore { parameter: Some(p), index: 3 }) if p == "2.weight"),
            "{error:?}"
        );
        assert!(
            error.to_string().contains("`2.weight`") && error.to_string().contains('3'),
            "{error}"
        );
        // A tensor without a name has none to show.
        let error = mask::compute_global(method, &[tensor("", bad.view())]).unwrap_err();
        assert!(
            matches!(
                &error,
                Error::Mask(MaskError::NanScore {
                    parameter: None,
                    index: 3
                })
            ),
            "{error:?}"
        );
        // Masked, it is nobody's business.
        let prior = Mask::from_fn(bad.view(), |x| !x.is_nan());
        let tensors = [
            tensor("a", clean.view()),
            Ranked {
                name: "b",
                scores: bad.view().into(),
                prior: Some(&prior),
            },
        ];
        assert!(mask::compute_global(method, &tensors).is_ok());
    }
    // Methods that read no scores.
    let random = RandomUnstructured::new(3, &mut rng(1)).unwrap();
    assert_eq!(
        mask::compute_global(&random, &[tensor("a", bad.view()), tensor("b", clean.view())])
            .unwrap()
            .pruned,
        3
    );
    assert_eq!(
        mask::compute_global(&Identity, &[tensor("a", bad.view())])
            .unwrap()
            .masks,
        [Mask::ones(&[2, 3])]
    );
}

#[test]
fn nan_far_inside() {
    // Whatever part of a large tensor a search is split over, the first is the first; in every type.
    for (places, first) in [
        (&[99_999][..], 99_999),
        (&[70_000, 40_001, 90_000], 40_001),
        (&[0, 50_000], 0),
    ] {
        macro_rules! check {
            ($($float:ident)*) => {$(
                let mut values = vec![$float::from_f32_(1.0); 100_000];
                places.iter().for_each(|&place: &usize| values[place] = -$float::NAN);
                let scores = array(&[100, 1_000], values);
                for plan in [entries(50_000, EntryRank::Magnitude), entries(1, EntryRank::Value), by_norm(1, Norm::L1, 0)] {
                    let error = plan.compute(scores.view(), None).unwrap_err();
                    assert!(matches!(error, Error::Mask(MaskError::NanScore { index, .. }) if index == first), "{error:?}");
                }
            )*};
        }
        check!(f32 f64 f16 bf16);
    }
}

/// The float nearest to an `f32`, under one name for all types.
trait FromF32 {
    fn from_f32_(x: f32) -> Self;
}

macro_rules! from_f32 {
    ($($float:ty)*) => {$(
        impl FromF32 for $float {
            fn from_f32_(x: f32) -> Self {
                x.as_()
            }
        }
    )*};
}

from_f32!(f32 f64 f16 bf16);

#[test]
fn methods_that_read_no_scores_do_not_care() {
    let nan = ArrayD::from_elem(vec![4, 4], f32::NAN);
    let mut data = rng(50);
    let methods: [(&dyn PruningMethod, usize); 4] = [
        (&Identity, 0),
        (&RandomUnstructured::new(5, &mut data).unwrap(), 5),
        (&RandomStructured::new(1, 0, &mut data).unwrap(), 4),
        (&CustomFromMask::new(Mask::zeros(&[4, 4])), 16),
    ];
    for (method, pruned) in methods {
        assert_eq!(
            mask::compute(method, nan.view(), None)
                .unwrap()
                .mask
                .count_pruned(),
            pruned,
            "{method:?}"
        );
    }
}

#[test]
fn infinities_rank_highest() {
    // S8. In a channel, an infinite entry makes every norm of positive order infinite.
    let inf = f32::INFINITY;
    let rows = array(&[3, 2], vec![inf, 0.0, 3e38, -3e38, 1.0, -inf]);
    for norm in ["1", "2", "3", "0.5", "inf", "fro"].map(|n| n.parse().unwrap()) {
        let mask = mask::compute(&ln(1, norm, 0), rows.view(), None).unwrap().mask;
        assert_eq!(bits(&mask), [true, true, false, false, true, true], "norm {norm}");
        let mask = mask::compute(&ln(2, norm, 0), rows.view(), None).unwrap().mask;
        assert_eq!(
            bits(&mask),
            [false, false, false, false, true, true],
            "norm {norm}: tied, so by index"
        );
    }
    let matrices = array(&[3, 1, 2], vec![inf, 0.0, 3e38, -3e38, 1.0, -inf]);
    let mask = mask::compute(&ln(1, Norm::NUCLEAR, 0), matrices.view(), None)
        .unwrap()
        .mask;
    assert_eq!(bits(&mask), [true, true, false, false, true, true]);
    // Of negative order: smallest magnitudes 0, 3e38, 1.
    for norm in ["-inf", "-1"].map(|n| n.parse().unwrap()) {
        let mask = mask::compute(&ln(2, norm, 0), rows.view(), None).unwrap().mask;
        assert_eq!(
            bits(&mask),
            [false, false, true, true, false, false],
            "norm {norm}"
        );
        let all_infinite = array(&[2, 2], vec![-inf, inf, 3e38, inf]);
        let mask = mask::compute(&ln(1, norm, 0), all_infinite.view(), None)
            .unwrap()
            .mask;
        assert_eq!(bits(&mask), [true, true, false, false], "norm {norm}");
    }
}

// ---- S17 ----

#[test]
fn global_calls_that_make_no_sense() {
    let none: [Ranked<'_>; 0] = [];
    let plan = entries(0, EntryRank::Magnitude);
    for error in [
        mask::compute_global(&L1Unstructured::new(0).unwrap(), &none).unwrap_err(),
        mask::compute_global(&Identity, &none).unwrap_err(),
        plan.compute_global(&none).unwrap_err(),
    ] {
        assert!(matches!(error, Error::List(ListError::NoParameters)), "{error:?}");
    }
    let scores = ArrayD::<f32>::ones(vec![2, 2]);
    let tensors = [Ranked {
        name: "w",
        scores: scores.view().into(),
        prior: None,
    }];
    let methods: [&dyn PruningMethod; 3] = [
        &ln(1, Norm::L2, 0),
        &RandomStructured::new(1, 0, &mut rng(1)).unwrap(),
        &CustomFromMask::new(Mask::ones(&[2, 2])),
    ];
    for method in methods {
        let error = mask::compute_global(method, &tensors).unwrap_err();
        assert!(
            matches!(error, Error::Mask(MaskError::Unsupported { .. })),
            "{error:?}"
        );
        assert!(error.to_string().contains("unstructured"), "{error}");
    }
    let structured = by_norm(1, Norm::L2, 0);
    assert!(matches!(
        structured.compute_global(&tensors),
        Err(Error::Mask(MaskError::Unsupported { .. }))
    ));
}
