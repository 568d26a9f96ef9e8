//! Selection against a naive oracle, which sorts all remaining entries by (key, segment, index).

use super::source::{Block, Source};
use super::*;
use half::{bf16, f16};
use ndarray::{ArrayD, ArrayViewD, Axis, IxDyn, Slice};
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// What the oracle ranks by: the element's own comparison, not keys.
trait Plain: Element + PartialOrd {
    fn from_f64(x: f64) -> Self;
    fn to_f64(self) -> f64;
}

macro_rules! plain {
    ($($float:ty: $from:expr, $to:expr;)*) => {$(
        impl Plain for $float {
            fn from_f64(x: f64) -> Self {
                $from(x)
            }
            fn to_f64(self) -> f64 {
                $to(self)
            }
        }
    )*};
}

plain! {
    f16: f16::from_f64, f16::to_f64;
    bf16: bf16::from_f64, bf16::to_f64;
    f32: |x| x as f32, f64::from;
    f64: |x| x, |x| x;
}

type Owned<T> = (Vec<T>, Option<Vec<u64>>);

fn remains(prior: &Option<Vec<u64>>, i: usize) -> bool {
    prior
        .as_ref()
        .is_none_or(|prior| prior[i / 64] >> (i % 64) & 1 == 1)
}

fn naive<T: Plain>(segments: &[Owned<T>], k: usize, order: Order) -> Vec<Vec<u64>> {
    let mut all = Vec::new();
    let mut masks: Vec<_> = segments
        .iter()
        .map(|(values, _)| vec![0u64; words::words(values.len())])
        .collect();
    for (s, (values, prior)) in segments.iter().enumerate() {
        for (i, x) in values.iter().enumerate().filter(|(i, _)| remains(prior, *i)) {
            let x = x.to_f64();
            all.push((if order == Order::Magnitude { x.abs() } else { x }, s, i));
            masks[s][i / 64] |= 1 << (i % 64);
        }
    }
    all.sort_by(|a, b| a.0.partial_cmp(&b.0).unwrap()); // stable: ties stay in order of segment and index
    for (_, s, i) in &all[..k] {
        masks[*s][i / 64] &= !(1 << (i % 64));
    }
    masks
}

fn remaining<T>(segments: &[Owned<T>]) -> usize {
    segments
        .iter()
        .map(|(values, prior)| words::count_remaining(prior.as_deref(), values.len()))
        .sum()
}

fn views<T>(segments: &[Owned<T>]) -> Vec<Segment<'_, T>> {
    segments
        .iter()
        .map(|(values, prior)| Segment {
            values,
            prior: prior.as_deref(),
        })
        .collect()
}

fn stream<T: Plain>(segments: &[Owned<T>], k: usize, order: Order, chunk: usize) -> Vec<Vec<u64>> {
    let chunks = |segment: &Owned<T>| -> Vec<Owned<T>> {
        let words = |at: usize| {
            segment
                .1
                .as_ref()
                .map(|p| p[at * chunk..p.len().min((at + 1) * chunk)].to_vec())
        };
        segment
            .0
            .chunks(chunk * 64)
            .enumerate()
            .map(|(at, values)| (values.to_vec(), words(at)))
            .collect()
    };
    let mut finder = CutFinder::new(k, order);
    let cut = loop {
        for (values, prior) in segments.iter().flat_map(chunks) {
            finder.feed(&values, prior.as_deref()).unwrap();
        }
        if let Some(cut) = finder.end_pass().unwrap() {
            break cut;
        }
    };
    let (mut writer, mut zeroer) = (cut.writer(), cut.writer());
    let (mut pruned, mut zeroed) = (0, 0);
    let mut masks = Vec::new();
    for segment in segments {
        let mut mask = Vec::new();
        for (mut values, prior) in chunks(segment) {
            let at = mask.len();
            mask.resize(at + words::words(values.len()), 0);
            pruned += writer.mask(&values, prior.as_deref(), &mut mask[at..]);
            let before = values.clone();
            zeroed += zeroer.zero(&mut values, prior.as_deref());
            for (i, (x, was)) in values.iter().zip(before).enumerate() {
                let kept = mask[at + i / 64] >> (i % 64) & 1 == 1;
                let expected = if kept { was } else { T::ZERO };
                assert_eq!(x.to_f64().to_bits(), expected.to_f64().to_bits());
            }
        }
        masks.push(mask);
    }
    assert_eq!((pruned, zeroed), (k, k));
    masks
}

fn check<T: Plain>(segments: &[Owned<T>], k: usize, what: &str) {
    for order in [Order::Magnitude, Order::Value] {
        let expected = naive(segments, k, order);
        let got = lowest(&views(segments), k, order).unwrap();
        assert!(got == expected, "{what}, k = {k}, {order:?}");
        assert!(
            stream(segments, k, order, 3) == expected,
            "{what}, k = {k}, {order:?}, streamed"
        );
    }
}

type Pattern = Box<dyn Fn(usize) -> f64>;

/// Difficult inputs, as functions of the index.
fn patterns(n: usize) -> Vec<(&'static str, Pattern)> {
    fn noise(i: usize) -> f64 {
        let mut x = (i as u64).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        x = (x ^ x >> 31).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (x >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }
    vec![
        ("uniform", Box::new(noise)),
        ("all equal", Box::new(|_| -2.5)),
        (
            "all zero, of both signs",
            Box::new(|i| if i % 3 == 0 { -0.0 } else { 0.0 }),
        ),
        (
            "two values",
            Box::new(|i| if noise(i) < 0.0 { 1.0 } else { -2.0 }),
        ),
        ("sorted", Box::new(move |i| i as f64 / n as f64)),
        ("reversed", Box::new(move |i| 1.0 - i as f64 / n as f64)),
        ("subnormals", Box::new(|i| noise(i) * 1e-39)),
        (
            "one outlier",
            Box::new(move |i| if i == n / 2 { 6e4 } else { 1e-3 * noise(i) }),
        ),
        (
            "half zeros",
            Box::new(|i| if noise(i + 7) < 0.0 { 0.0 } else { noise(i) }),
        ),
        (
            "infinite",
            Box::new(|i| {
                if i % 5 == 0 {
                    f64::NEG_INFINITY
                } else {
                    f64::INFINITY
                }
            }),
        ),
        ("in rows", Box::new(|i| noise(i / 512) + 1e-3 * noise(i))),
        (
            "resonant",
            Box::new(|i| {
                if i % 64 == 0 || i % 1000 == 0 {
                    1.0
                } else {
                    1e-3 * noise(i)
                }
            }),
        ),
        ("few levels", Box::new(|i| (noise(i) * 8.0).round())),
        ("wide", Box::new(|i| (noise(i) * 30.0).exp2())),
    ]
}

fn priors(n: usize) -> Vec<Option<Vec<u64>>> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut random = |share: u32| {
        let mut words = vec![0u64; words::words(n)];
        (0..n)
            .filter(|_| rng.next_u32() % 100 < share)
            .for_each(|i| words[i / 64] |= 1 << (i % 64));
        words
    };
    let mut rows = vec![u64::MAX; words::words(n)];
    rows.iter_mut()
        .enumerate()
        .filter(|(i, _)| i % 4 != 1)
        .for_each(|(_, word)| *word = 0);
    if let (Some(last), true) = (rows.last_mut(), !n.is_multiple_of(64)) {
        *last &= (1 << (n % 64)) - 1;
    }
    vec![
        None,
        Some(random(50)),
        Some(random(10)),
        Some(rows),
        Some(random(0)),
    ]
}

fn all_patterns<T: Plain>(n: usize) {
    for (name, pattern) in patterns(n) {
        let values: Vec<T> = (0..n).map(|i| T::from_f64(pattern(i))).collect();
        for prior in priors(n) {
            let segments = [(values.clone(), prior)];
            let remaining = remaining(&segments);
            let all = [
                remaining / 10,
                remaining - remaining / 10,
                remaining / 2,
                0,
                1,
                remaining.saturating_sub(1),
                remaining,
            ];
            // The oracle sorts, which is slow. So with many entries, only counts that need samples are tested.
            for k in &all[..if n > 10_000 { 2 } else { 7 }] {
                check(&segments, (*k).min(remaining), name);
            }
        }
    }
}

#[test]
fn small_sizes() {
    for n in [0, 1, 63, 64, 65, 1000, 1023, 1024, 1025] {
        all_patterns::<f32>(n);
    }
    all_patterns::<f16>(300);
    all_patterns::<bf16>(300);
    all_patterns::<f64>(300);
}

#[test]
fn other_types() {
    all_patterns::<f16>(20_011);
    all_patterns::<bf16>(20_011);
    all_patterns::<f64>(20_011);
}

#[test]
fn sizes_about_the_thresholds() {
    for n in [4096, 16_383, 16_385, 70_000] {
        all_patterns::<f32>(n);
    }
}

#[test]
fn many_segments() {
    let lens = [0, 1, 64, 65_536, 100, 65_537, 0, 20_000];
    for (name, pattern) in patterns(160_000) {
        let mut at = 0;
        let segments: Vec<Owned<f32>> = lens
            .iter()
            .map(|&len| {
                at += len;
                let prior = if at % 3 == 0 {
                    None
                } else {
                    priors(len).swap_remove(1)
                };
                ((at - len..at).map(|i| pattern(i) as f32).collect(), prior)
            })
            .collect();
        let remaining = remaining(&segments);
        for k in [1, remaining / 3, remaining - 5] {
            check(&segments, k, name);
        }
    }
}

#[test]
fn nan_is_named_unless_it_is_pruned() {
    for n in [100, 5000, 100_000] {
        for order in [Order::Magnitude, Order::Value] {
            for nan in [f32::NAN, -f32::NAN] {
                let good = vec![1.0f32; n];
                let mut bad: Vec<f32> = (0..n).map(|i| i as f32).collect();
                (bad[n - 3], bad[n / 2]) = (nan, nan);
                let mut prior = vec![u64::MAX; words::words(n)];
                prior[n / 2 / 64] &= !(1 << (n / 2 % 64));
                for k in [0, n, n + n / 2] {
                    let both = |prior| {
                        [
                            Segment::new(&good),
                            Segment {
                                values: &bad[..],
                                prior,
                            },
                        ]
                    };
                    let found = |index| Err(SelectError::Nan { segment: 1, index });
                    assert_eq!(lowest(&both(None), k, order), found(n / 2));
                    assert_eq!(lowest(&both(Some(&prior)), k, order), found(n - 3));
                }
                prior[(n - 3) / 64] &= !(1 << ((n - 3) % 64));
                let pruned = [Segment {
                    values: &bad[..],
                    prior: Some(&prior),
                }];
                assert!(lowest(&pruned, n / 2, order).is_ok());
            }
        }
    }
}

#[test]
fn errors_of_counts_and_lengths() {
    let values = [1.0f32; 70];
    let prior = [1u64, 1];
    let segment = Segment {
        values: &values,
        prior: Some(&prior),
    };
    assert_eq!(
        lowest(&[segment], 3, Order::Value),
        Err(SelectError::TooLarge {
            requested: 3,
            remaining: 2
        })
    );
    let short = Segment {
        values: &values,
        prior: Some(&prior[..1]),
    };
    let wrong = Err(SelectError::PriorLength {
        segment: 1,
        expected: 2,
        got: 1,
    });
    assert_eq!(lowest(&[segment, short], 1, Order::Value), wrong);
    let random = RandomSegment {
        len: 70,
        prior: Some(&prior),
        key: [0; 32],
    };
    assert_eq!(
        lowest_random(&[random], 3),
        Err(SelectError::TooLarge {
            requested: 3,
            remaining: 2
        })
    );
    assert_eq!(
        lowest_random(
            &[
                random,
                RandomSegment {
                    prior: Some(&prior[..1]),
                    ..random
                }
            ],
            1
        ),
        wrong
    );
    assert_eq!(lowest::<f32>(&[], 0, Order::Value), Ok(vec![]));
}

#[test]
fn a_stream_of_mixed_types_ranks_by_value() {
    let n = 3000;
    let pattern = |i: usize| ((i * 7919 % 4001) as f64 - 2000.0) / 64.0;
    for order in [Order::Magnitude, Order::Value] {
        for k in [1, n / 2, 3 * n, 4 * n - 1] {
            let a: Vec<f32> = (0..n).map(|i| pattern(i) as f32).collect();
            let b: Vec<bf16> = (0..n).map(|i| bf16::from_f64(pattern(i + 1))).collect();
            let c: Vec<f16> = (0..n).map(|i| f16::from_f64(pattern(i + 2) / 3.0)).collect();
            let d: Vec<f64> = (0..n).map(|i| pattern(i) / 3.0).collect();
            let all: Vec<f64> = (a.iter().map(|x| f64::from(*x)))
                .chain(b.iter().map(|x| x.to_f64()))
                .chain(c.iter().map(|x| x.to_f64()))
                .chain(d.iter().copied())
                .collect();
            let expected = naive(&[(all, None)], k, order).remove(0);
            let mut finder = CutFinder::new(k, order);
            let cut = loop {
                finder.feed(&a, None).unwrap();
                finder.feed(&b, None).unwrap();
                finder.feed(&c, None).unwrap();
                finder.feed(&d, None).unwrap();
                if let Some(cut) = finder.end_pass().unwrap() {
                    break cut;
                }
            };
            let mut writer = cut.writer();
            let mut kept = Vec::new();
            let mut put = |mask: &[u64]| kept.extend((0..n).map(|i| mask[i / 64] >> (i % 64) & 1));
            let mut mask = vec![0; n.div_ceil(64)];
            writer.mask(&a, None, &mut mask);
            put(&mask);
            writer.mask(&b, None, &mut mask);
            put(&mask);
            writer.mask(&c, None, &mut mask);
            put(&mask);
            writer.mask(&d, None, &mut mask);
            put(&mask);
            let expected: Vec<u64> = (0..4 * n).map(|i| expected[i / 64] >> (i % 64) & 1).collect();
            assert_eq!(kept, expected);
        }
    }
}

#[test]
fn passes_are_as_few_as_promised() {
    fn passes<T: Plain>(order: Order) -> usize {
        let values: Vec<T> = (0..5000).map(|i| T::from_f64((i as f64 * 0.7).sin())).collect();
        let mut finder = CutFinder::new(2000, order);
        (1..)
            .find(|_| {
                finder.feed(&values, None).unwrap();
                finder.end_pass().unwrap().is_some()
            })
            .unwrap()
    }
    for order in [Order::Magnitude, Order::Value] {
        assert_eq!(passes::<bf16>(order), 1);
        assert_eq!(passes::<f16>(order), 1);
        assert_eq!(passes::<f32>(order), 2);
        assert_eq!(passes::<f64>(order), 4);
    }
}

fn naive_random(segments: &[RandomSegment<'_>], k: usize) -> Vec<Vec<u64>> {
    let owned: Vec<Owned<f64>> = segments
        .iter()
        .map(|segment| {
            let mut rng = ChaCha8Rng::from_seed(segment.key);
            let values = (0..segment.len).map(|_| f64::from(rng.next_u32())).collect();
            (values, segment.prior.map(<[u64]>::to_vec))
        })
        .collect();
    naive(&owned, k, Order::Value)
}

#[test]
fn random_is_the_plain_word_sequence() {
    for n in [0, 1, 5, 64, 1000, 4096, 5000, 70_001, 200_000] {
        for prior in priors(n) {
            let a = RandomSegment {
                len: n,
                prior: prior.as_deref(),
                key: [3; 32],
            };
            let b = RandomSegment {
                len: 777,
                prior: None,
                key: std::array::from_fn(|i| i as u8),
            };
            let remaining = words::count_remaining(a.prior, n) + 777;
            for k in [0, 1, remaining / 4, remaining / 2, remaining - 1, remaining] {
                assert!(
                    lowest_random(&[a, b], k).unwrap() == naive_random(&[a, b], k),
                    "{n}, {k}"
                );
            }
        }
    }
}

#[test]
fn random_masks_are_pinned() {
    let segment = RandomSegment {
        len: 100,
        prior: None,
        key: [42; 32],
    };
    assert_eq!(
        lowest_random(&[segment], 50).unwrap(),
        naive_random(&[segment], 50)
    );
}

#[test]
fn many_tiny_segments() {
    let values: Vec<Vec<f32>> = (0..3000)
        .map(|s| (0..s % 23).map(|i| ((s * 31 + i * 17) % 997) as f32).collect())
        .collect();
    let segments: Vec<Owned<f32>> = values.into_iter().map(|values| (values, None)).collect();
    for k in [1, 1000, 16_000, 32_000] {
        check(&segments, k, "tiny segments");
    }
}

#[test]
fn counting_alone_gives_the_same() {
    for (name, pattern) in patterns(30_000) {
        let values: Vec<f32> = (0..30_000).map(|i| pattern(i) as f32).collect();
        for prior in priors(values.len()) {
            let segments = [(values.clone(), prior)];
            for k in [remaining(&segments) / 3, remaining(&segments) / 2] {
                for order in [Order::Magnitude, Order::Value] {
                    let floats = in_memory::Floats::of_slices(&views(&segments), order);
                    let counted = solve::lowest_counted(&floats, k);
                    assert!(
                        counted.unwrap() == naive(&segments, k, order),
                        "{name}, k = {k}, {order:?}"
                    );
                }
            }
        }
    }
}

/// Views of an array after several changes: reversed, permuted, stepped.
fn changed<'a, T>(array: &'a ArrayD<T>, changes: &[(u8, usize, usize)]) -> ArrayViewD<'a, T> {
    let mut view = array.view();
    for &(change, a, b) in changes {
        let (a, b) = (a % view.ndim(), b % view.ndim());
        match change {
            0 => view.invert_axis(Axis(a)),
            1 => view.swap_axes(a, b),
            _ => view.slice_axis_inplace(Axis(a), Slice::from(..).step_by(2)),
        }
    }
    view
}

fn views_give_the_masks_of_their_copies<T: Plain>(
    shape: &[usize],
    changes: &[(u8, usize, usize)],
    prior_share: u32,
    share: f64,
) {
    let (_, pattern) = patterns(1).swap_remove(0);
    let len: usize = shape.iter().product();
    let values = (0..len).map(|i| T::from_f64(pattern(i))).collect();
    let array = ArrayD::from_shape_vec(IxDyn(shape), values).unwrap();
    let view = changed(&array, changes);
    let copy: Vec<T> = view.iter().copied().collect();
    let prior = (prior_share < 100).then(|| {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let mut words = vec![0; words::words(copy.len())];
        (0..copy.len())
            .filter(|_| rng.next_u32() % 100 < prior_share)
            .for_each(|i| words[i / 64] |= 1 << (i % 64));
        words
    });
    let prior = prior.as_deref();
    let k = (words::count_remaining(prior, copy.len()) as f64 * share) as usize;
    let strided = [
        ViewSegment {
            values: view.clone(),
            prior,
        },
        ViewSegment {
            values: array.view(),
            prior: None,
        },
    ];
    let plain = [
        Segment { values: &copy, prior },
        Segment::new(array.as_slice().unwrap()),
    ];
    for order in [Order::Magnitude, Order::Value] {
        let (got, expected) = (lowest_of_views(&strided, k, order), lowest(&plain, k, order));
        assert!(got == expected, "{shape:?} {changes:?} {order:?}");
    }
}

#[test]
fn large_views_give_the_masks_of_their_copies() {
    let transposed: &[_] = &[(1, 0, 1)];
    for changes in [
        transposed,
        &[(0, 0, 0), (0, 1, 0)],
        &[(2, 1, 0)],
        &[(1, 0, 1), (2, 0, 0)],
    ] {
        views_give_the_masks_of_their_copies::<f32>(&[300, 700], changes, 100, 0.5);
        views_give_the_masks_of_their_copies::<f16>(&[300, 700], changes, 100, 0.5); // many ties
        views_give_the_masks_of_their_copies::<f64>(&[700, 300], changes, 60, 0.3);
    }
}

/// S8: a NaN is an error that names it, unless it is pruned already.
#[test]
fn nan_in_a_view_is_named_by_its_logical_index() {
    let mut array = ArrayD::from_elem(IxDyn(&[300, 400]), 1.0_f32);
    (array[[2, 1]], array[[1, 299]]) = (f32::NAN, -f32::NAN);
    let segment = ViewSegment {
        values: array.t(),
        prior: None,
    };
    for order in [Order::Magnitude, Order::Value] {
        let found = lowest_of_views(std::slice::from_ref(&segment), 10, order);
        assert_eq!(
            found,
            Err(SelectError::Nan {
                segment: 0,
                index: 302
            })
        );
    }
}

#[test]
fn single_entries_of_a_random_source_are_those_of_its_blocks() {
    let segments = [RandomSegment {
        len: 5000,
        prior: None,
        key: [5; 32],
    }];
    let source = at_random::Random(&segments);
    let (mut block, mut keys) = (Block::new(), Vec::new());
    source.block(0, 2048, 1024, &mut block);
    source.entries(0, &[2048, 2049, 2099, 3071], &mut keys);
    assert_eq!(keys, [0, 1, 51, 1023].map(|i: usize| block.keys[i]));
}

/// S5: the result never depends on the number of threads.
#[cfg(feature = "rayon")]
#[test]
fn threads_change_nothing() {
    let pool = |threads| {
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap()
    };
    let pools = [pool(1), pool(2), pool(5)];
    let lens = [80_000, 7, 120_001, 65_536 * 2];
    for (name, pattern) in patterns(340_000) {
        for pruned in [false, true] {
            let segments: Vec<Owned<f32>> = lens
                .iter()
                .map(|&len| {
                    let prior = if pruned { priors(len).swap_remove(1) } else { None };
                    ((0..len).map(|i| pattern(i) as f32).collect(), prior)
                })
                .collect();
            for share in [3, 2] {
                let k = remaining(&segments) / share;
                let got = pools
                    .each_ref()
                    .map(|pool| pool.install(|| lowest(&views(&segments), k, Order::Magnitude)));
                assert!(got[0] == got[1] && got[0] == got[2], "{name}");
                assert!(
                    got[0].as_ref() == Ok(&naive(&segments, k, Order::Magnitude)),
                    "{name}"
                );
            }
        }
    }
    let random = [RandomSegment {
        len: 1_000_000,
        prior: None,
        key: [9; 32],
    }];
    let got = pools
        .each_ref()
        .map(|pool| pool.install(|| lowest_random(&random, 400_000)));
    assert!(got[0] == got[1] && got[0] == got[2]);
    assert!(got[0].as_ref() == Ok(&naive_random(&random, 400_000)));
}

fn any_values() -> impl Strategy<Value = Vec<f32>> {
    prop_oneof![
        prop::collection::vec(
            prop_oneof![Just(0.0f32), Just(-0.0), Just(1.0), -2.0f32..2.0],
            0..400
        ),
        prop::collection::vec(
            any::<f32>().prop_map(|x| if x.is_nan() { 1.0 } else { x }),
            0..400
        ),
    ]
}

proptest! {
    #[test]
    fn lowest_is_that_of_the_oracle(
        values in prop::collection::vec((any_values(), any::<Option<u64>>()), 0..5),
        share in 0.0..=1.0f64,
    ) {
        let segments: Vec<Owned<f32>> = values
            .into_iter()
            .map(|(values, seed)| {
                let prior = seed.map(|seed| {
                    let mut rng = ChaCha8Rng::seed_from_u64(seed);
                    let mut prior: Vec<u64> = (0..values.len().div_ceil(64)).map(|_| rng.next_u64()).collect();
                    if let (Some(last), true) = (prior.last_mut(), values.len() % 64 != 0) {
                        *last &= (1 << (values.len() % 64)) - 1;
                    }
                    prior
                });
                (values, prior)
            })
            .collect();
        check(&segments, (remaining(&segments) as f64 * share) as usize, "proptest");
    }

    #[test]
    fn views_of_any_layout_give_the_masks_of_their_copies(
        shape in prop::collection::vec(1_usize..30, 1..5).prop_filter("small", |s| s.iter().product::<usize>() < 20_000),
        changes in prop::collection::vec((0_u8..3, 0_usize..6, 0_usize..6), 0..5),
        prior in prop_oneof![Just(100_u32), 0_u32..100],
        share in 0.0..=1.0f64,
    ) {
        views_give_the_masks_of_their_copies::<f32>(&shape, &changes, prior, share);
    }
}
