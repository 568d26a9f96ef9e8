//! Options of global pruning: a cap on the sparsity of each parameter, and ranking by norms.

use secateurs::error::{AmountError, ListError, MaskError};
mod common;

use std::borrow::Borrow;
use std::slice;

use common::methods::{Part, Threshold};
use common::{array, bits, mask, rng, uniform, without_lowest};
use half::{bf16, f16};
use ndarray::{ArrayD, Axis, Slice, array};
use num_traits::AsPrimitive;
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use secateurs::Error;
use secateurs::mask::Float;
use secateurs::mask::{
    self, Amount, CustomFromMask, EntryRank, GlobalOptions, Identity, L1Unstructured, LnStructured, Mask,
    Plan, PruningMethod, RandomUnstructured, Ranked, ScoreUnstructured,
};
use secateurs::nn::{Linear, ParamTreeExt, Sequential};
use secateurs::prune;

fn cap<'a>(cap: f64) -> GlobalOptions<'a> {
    GlobalOptions::new().max_sparsity(cap).unwrap()
}

fn normalized<'a>() -> GlobalOptions<'a> {
    GlobalOptions::new().normalize(true)
}

fn l1<A: TryInto<Amount, Error: Into<Error>>>(amount: A) -> L1Unstructured {
    L1Unstructured::new(amount).unwrap()
}

/// The masks of tensors `a`, `b`, …, as rows of 0s and 1s, where nothing is pruned yet.
fn masks(
    method: &dyn PruningMethod,
    options: impl Borrow<GlobalOptions<'static>>,
    tensors: &[&[f32]],
) -> secateurs::Result<Vec<Vec<u8>>> {
    masks_on(method, options, tensors, &vec![vec![]; tensors.len()])
}

/// As `masks`, with prior masks; an empty one is none.
fn masks_on(
    method: &dyn PruningMethod,
    options: impl Borrow<GlobalOptions<'static>>,
    tensors: &[&[f32]],
    priors: &[Vec<u8>],
) -> secateurs::Result<Vec<Vec<u8>>> {
    let scores: Vec<_> = tensors.iter().map(|t| array(&[t.len()], t.to_vec())).collect();
    let priors: Vec<_> = priors
        .iter()
        .map(|p| (!p.is_empty()).then(|| Mask::from_array(array(&[p.len()], p.clone()).view()).unwrap()))
        .collect();
    let ranked: Vec<_> = ["a", "b", "c", "d"]
        .into_iter()
        .zip(scores.iter().zip(&priors))
        .map(|(name, (scores, prior))| Ranked {
            name,
            scores: scores.view().into(),
            prior: prior.as_ref(),
        })
        .collect();
    let outcome = mask::compute_global_with(method, &ranked, options.borrow())?;
    let masks = outcome
        .masks
        .iter()
        .map(|mask| bits(mask).into_iter().map(u8::from).collect());
    Ok(masks.collect())
}

// ---- caps, by eye ----

#[test]
fn a_cap_keeps_the_highest_of_each() {
    let (a, b): (&[f32], &[f32]) = (&[1.0, 2.0, 3.0, 4.0], &[5.0, -6.0, 7.0, 8.0]);
    let kept_after = |k: usize, options| masks(&l1(k), options, &[a, b]).unwrap();
    assert_eq!(kept_after(4, GlobalOptions::new()), [[0, 0, 0, 0], [1, 1, 1, 1]]);
    assert_eq!(kept_after(4, cap(1.0)), [[0, 0, 0, 0], [1, 1, 1, 1]]);
    assert_eq!(kept_after(4, cap(0.75)), [[0, 0, 0, 1], [0, 1, 1, 1]]);
    assert_eq!(kept_after(4, cap(0.5)), [[0, 0, 1, 1], [0, 0, 1, 1]]);
    assert_eq!(kept_after(2, cap(0.5)), [[0, 0, 1, 1], [1, 1, 1, 1]]);
    assert_eq!(kept_after(3, cap(0.74)), [[0, 0, 1, 1], [0, 1, 1, 1]]); // ⌊0.74 × 4⌋ is 2
    assert_eq!(kept_after(0, cap(0.0)), [[1, 1, 1, 1], [1, 1, 1, 1]]);
    // By value the −6 is the lowest of all.
    let by_value = masks(&ScoreUnstructured::new(4).unwrap(), cap(0.75), &[a, b]).unwrap();
    assert_eq!(by_value, [[0, 0, 0, 1], [1, 0, 1, 1]]);
}

#[test]
fn masked_entries_count_towards_the_cap() {
    let (a, b): (&[f32], &[f32]) = (&[1.0, 2.0, 3.0, 4.0], &[5.0, 6.0, 7.0, 8.0]);
    let on =
        |k: usize, options, priors: [[u8; 4]; 2]| masks_on(&l1(k), options, &[a, b], &priors.map(Vec::from));
    // Two entries of `a` may be pruned in total, and one is; the masked 4 does not come back (S12).
    let prior = [[1, 1, 1, 0], [1, 1, 1, 1]];
    assert_eq!(on(3, cap(0.5), prior).unwrap(), [[0, 1, 1, 0], [0, 0, 1, 1]]);
    // `a` is above the cap already: it keeps what it has.
    let prior = [[0, 0, 1, 0], [1, 1, 1, 1]];
    assert_eq!(on(2, cap(0.5), prior).unwrap(), [[0, 0, 1, 0], [0, 0, 1, 1]]);
    // A fraction is relative to what remains (S3): half of 6.
    let priors = [vec![1, 1, 0, 0], vec![1, 1, 1, 1]];
    assert_eq!(
        masks_on(&l1(0.5), cap(0.75), &[a, b], &priors).unwrap(),
        [[0, 1, 0, 0], [0, 0, 1, 1]]
    );
    let until = Amount::until(0.5).unwrap();
    assert_eq!(
        masks_on(&l1(until), cap(0.5), &[a, b], &priors).unwrap(),
        [[1, 1, 0, 0], [0, 0, 1, 1]]
    );
}

#[test]
fn ties_are_pruned_in_order_under_a_cap() {
    // S5
    let ones: &[f32] = &[1.0, -1.0, 1.0, -1.0];
    let kept_after = |k: usize| masks(&l1(k), cap(0.5), &[ones, ones]).unwrap();
    assert_eq!(kept_after(1), [[0, 1, 1, 1], [1, 1, 1, 1]]);
    assert_eq!(kept_after(3), [[0, 0, 1, 1], [0, 1, 1, 1]]);
    assert_eq!(kept_after(4), [[0, 0, 1, 1], [0, 0, 1, 1]]);
}

#[test]
fn caps_that_allow_too_little_are_an_error() {
    let (a, b): (&[f32], &[f32]) = (&[1.0, 2.0, 3.0, 4.0], &[5.0, 6.0, 7.0]);
    let error = masks(&l1(4), cap(0.5), &[a, b]).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Amount(AmountError::Capped {
                requested: 4,
                achievable: 3,
                max_sparsity: 0.5
            })
        ),
        "{error:?}"
    );
    let text = error.to_string();
    assert!(
        text.contains("4 entries were requested") && text.contains("only 3 to prune") && text.contains("0.5"),
        "{text}"
    );
    // What a tensor has too many pruned does not lower what others may lose.
    let error = masks_on(&l1(3), cap(0.5), &[a, b], &[vec![0, 0, 0, 1], vec![1, 0, 1]]).unwrap_err();
    assert!(matches!(
        error,
        Error::Amount(AmountError::Capped {
            requested: 3,
            achievable: 0,
            ..
        })
    ));
    // More than remain at all is the simpler error.
    assert!(matches!(
        masks(&l1(8), cap(0.5), &[a, b]).unwrap_err(),
        Error::Amount(AmountError::TooLarge {
            requested: 8,
            remaining: 7
        })
    ));
    for wrong in [f64::NAN, -0.1, 1.1, f64::INFINITY] {
        assert!(matches!(
            GlobalOptions::new().max_sparsity(wrong),
            Err(Error::Amount(AmountError::CapOutOfRange { .. }))
        ));
    }
}

#[test]
fn prunable_is_what_the_cap_allows() {
    for (share, remaining, entries, limit) in [
        (0.5, 10, 10, 5),
        (0.5, 5, 10, 0),
        (0.5, 0, 10, 0),
        (0.5, 3, 3, 1),
        (0.7, 10, 10, 7),
        (1.0, 4, 10, 4),
        (0.0, 10, 10, 0),
        (0.9, 0, 0, 0),
        (0.99, 100, 100, 99),
    ] {
        assert_eq!(
            cap(share).prunable("any", remaining, entries),
            limit,
            "{share} of {entries}, {remaining} remaining"
        );
    }
    assert_eq!(GlobalOptions::new().prunable("any", 7, 10), 7);
    let options = GlobalOptions::new().max_sparsity(0.25).unwrap().normalize(true);
    assert_eq!((options.cap("any"), options.is_normalized()), (Some(0.25), true));
    assert_eq!(
        (
            GlobalOptions::new().cap("any"),
            GlobalOptions::new().is_normalized()
        ),
        (None, false)
    );
}

// ---- norms, by eye ----

#[test]
fn entries_rank_by_their_share_of_the_norm() {
    // Norms 5, 50 and 1: shares 0.6 0.8, 0.28 0.96, 1 0.
    let tensors: [&[f32]; 3] = [&[3.0, -4.0], &[-14.0, 48.0], &[1.0, 0.0]];
    let kept_after = |k: usize| masks(&l1(k), normalized(), &tensors).unwrap();
    assert_eq!(kept_after(1), [[1, 1], [1, 1], [1, 0]]);
    assert_eq!(kept_after(2), [[1, 1], [0, 1], [1, 0]]);
    assert_eq!(kept_after(3), [[0, 1], [0, 1], [1, 0]]);
    assert_eq!(kept_after(4), [[0, 0], [0, 1], [1, 0]]);
    assert_eq!(kept_after(5), [[0, 0], [0, 0], [1, 0]]);
    // By value: −0.8 −0.28 0 0.6 0.96 1.
    let by_value = |k: usize| masks(&ScoreUnstructured::new(k).unwrap(), normalized(), &tensors).unwrap();
    assert_eq!(by_value(1), [[1, 0], [1, 1], [1, 1]]);
    assert_eq!(by_value(4), [[0, 0], [0, 1], [1, 0]]);
    // Not by value as it is.
    assert_eq!(
        masks(&l1(3), GlobalOptions::new(), &tensors).unwrap(),
        [[0, 1], [1, 1], [0, 0]]
    );
    // With a cap as well.
    let both = normalized().max_sparsity(0.5).unwrap();
    assert_eq!(masks(&l1(3), &both, &tensors).unwrap(), [[0, 1], [0, 1], [1, 0]]);
    assert!(matches!(
        masks(&l1(4), &both, &tensors),
        Err(Error::Amount(AmountError::Capped {
            requested: 4,
            achievable: 3,
            ..
        }))
    ));
}

#[test]
fn a_zero_norm_ranks_0_and_an_infinite_one_its_finite_entries() {
    let inf = f32::INFINITY;
    let tensors: [&[f32]; 3] = [&[1.0, 1e-30], &[0.0, -0.0], &[-inf, 1e30]];
    let kept_after = |k: usize| masks(&l1(k), normalized(), &tensors).unwrap();
    // Ranks 1 and 1e-30, 0 and 0, ∞ and 0.
    assert_eq!(kept_after(2), [[1, 1], [0, 0], [1, 1]]);
    assert_eq!(kept_after(3), [[1, 1], [0, 0], [1, 0]]);
    assert_eq!(kept_after(4), [[1, 0], [0, 0], [1, 0]]);
    assert_eq!(kept_after(5), [[0, 0], [0, 0], [1, 0]]);
}

#[test]
fn norms_count_masked_entries_as_they_are_given() {
    // S7: with the masked 40 the norm of `a` is 50; a masked NaN counts as 0 (S8).
    let (a, b): (&[f32], &[f32]) = (&[30.0, 40.0], &[0.7, 0.714]);
    let priors = [vec![1, 0], vec![1, 1]];
    assert_eq!(
        masks_on(&l1(1), normalized(), &[a, b], &priors).unwrap(),
        [[0, 0], [1, 1]]
    );
    let a: &[f32] = &[30.0, f32::NAN];
    assert_eq!(
        masks_on(&l1(1), normalized(), &[a, b], &priors).unwrap(),
        [[1, 0], [0, 1]]
    );
    // In a module the parameter ranks as forward sees it, so that what is masked is 0 in the norm.
    let mut model = Sequential::new()
        .push(Linear::from_arrays(array![[30.0, 40.0]], None).unwrap())
        .push(Linear::from_arrays(array![[0.7, 0.714]], None).unwrap());
    prune::set_mask(&mut model, "0.weight", array![[true, false]]).unwrap();
    prune::global_unstructured_with(&mut model, ["0.weight", "1.weight"], l1(1), &normalized()).unwrap();
    assert_eq!(
        bits(&prune::mask(&model, "0.weight").unwrap().unwrap()),
        [true, false]
    );
    assert_eq!(
        bits(&prune::mask(&model, "1.weight").unwrap().unwrap()),
        [false, true]
    );
}

// ---- what is refused ----

#[test]
fn a_nan_that_would_be_ranked_is_named() {
    // S8: whatever the options, the first tensor and its first NaN.
    let nan = f32::NAN;
    let tensors: [&[f32]; 3] = [&[1.0, 2.0], &[3.0, nan, nan], &[nan, 4.0]];
    let both = normalized().max_sparsity(0.5).unwrap();
    for options in [GlobalOptions::new(), cap(0.5), cap(0.9), normalized(), both] {
        for k in [0, 1] {
            let error = masks(&l1(k), &options, &tensors).unwrap_err();
            assert!(
                matches!(&error, Error::Mask(MaskError::NanScore { parameter: Some(name), index: 1 }) if name == "b"),
                "{options:?}: {error:?}"
            );
        }
        let priors = [vec![1, 1], vec![1, 0, 1], vec![0, 1]];
        let error = masks_on(&l1(1), &options, &tensors, &priors).unwrap_err();
        assert!(
            matches!(&error, Error::Mask(MaskError::NanScore { parameter: Some(name), index: 2 }) if name == "b"),
            "{error:?}"
        );
        let priors = [vec![1, 1], vec![1, 0, 0], vec![0, 1]];
        let masks = masks_on(&l1(1), &options, &tensors, &priors).unwrap();
        assert_eq!(masks, [vec![0, 1], vec![1, 0, 0], vec![0, 1]]);
    }
}

#[test]
fn options_are_for_methods_that_rank() {
    let a: &[f32] = &[1.0, 2.0];
    let random = RandomUnstructured::new(1, &mut rng(0)).unwrap();
    let own = Threshold(Part::Entries, 1.5);
    for options in [cap(0.5), normalized()] {
        assert!(matches!(
            masks(&own, &options, &[a]),
            Err(Error::Mask(MaskError::Unsupported { .. }))
        ));
        // These are not for global pruning in any case (S17).
        for method in [
            &CustomFromMask::new(mask(&[2], &[true, false])) as &dyn PruningMethod,
            &LnStructured::new(1, 2, 0).unwrap(),
        ] {
            assert!(matches!(
                masks(method, &options, &[a]),
                Err(Error::Mask(MaskError::Unsupported { .. }))
            ));
        }
        let other = mask(&[2], &[true, false]);
        let scores = array(&[2], a.to_vec());
        let tensors = [Ranked {
            name: "a",
            scores: scores.view().into(),
            prior: None,
        }];
        let error = Plan::Mask(&other)
            .compute_global_with(&tensors, &options)
            .unwrap_err();
        assert!(matches!(error, Error::Mask(MaskError::Unsupported { .. })));
        assert!(matches!(
            mask::compute_global_with(&l1(1), &[], &options),
            Err(Error::List(ListError::NoParameters))
        ));
        // Nothing is pruned under any cap.
        assert_eq!(masks(&Identity, &options, &[a]).unwrap(), [[1, 1]]);
    }
    assert_eq!(masks(&own, GlobalOptions::new(), &[a]).unwrap(), [[0, 1]]);
    assert!(matches!(
        masks(&random, normalized(), &[a]),
        Err(Error::Mask(MaskError::Unsupported { .. }))
    ));
    assert!(masks(&random, cap(0.5), &[a]).is_ok());
}

// ---- in modules ----

#[test]
fn a_model_is_pruned_under_a_cap_or_not_at_all() {
    let mut model = Sequential::new()
        .push(Linear::from_arrays(array![[0.1, -0.3], [0.2, 0.4]], None).unwrap())
        .push(Linear::from_arrays(array![[3.0, -4.0]], None).unwrap());
    let paths = ["0.weight", "1.weight"];
    let report = prune::global_unstructured_with(&mut model, paths, l1(3), &cap(0.5)).unwrap();
    assert_eq!(
        (report.requested, report.pruned, report.masked, report.entries),
        (Some(3), 3, 3, 6)
    );
    let state = |model: &Sequential| {
        paths.map(|path| {
            let parameter = model.parameter(path).unwrap();
            (bits(parameter.mask().unwrap()), format!("{:?}", parameter.hook()))
        })
    };
    let before = state(&model);
    assert_eq!(before[0].0, [false, true, false, true]);
    assert_eq!(before[1].0, [false, true]);
    // S16: each hook keeps its own share.
    for path in paths {
        assert!(prune::hook(&model, path).unwrap().unwrap().is::<CustomFromMask>());
    }
    // S11: an error leaves everything as it was.
    let error = prune::global_unstructured_with(&mut model, paths, l1(1), &cap(0.5)).unwrap_err();
    assert!(matches!(
        error,
        Error::Amount(AmountError::Capped {
            requested: 1,
            achievable: 0,
            ..
        })
    ));
    let own = Threshold(Part::Entries, 9.0);
    prune::global_unstructured_with(&mut model, paths, own, &cap(0.5)).unwrap_err();
    let scores = ArrayD::from_elem(vec![2, 2], f32::NAN);
    let options = normalized().scores("0.weight", &scores);
    prune::global_unstructured_with(&mut model, paths, l1(1), &options).unwrap_err();
    assert_eq!(state(&model), before);
    // Scores and options together: of the two that remain in the first tensor, the one with the lower score is
    // pruned.
    let scores = array![[0.0, 5.0], [0.0, 1.0]];
    let options = cap(0.75).scores("0.weight", &scores);
    prune::global_unstructured_with(&mut model, paths, l1(1), &options).unwrap();
    assert_eq!(state(&model)[0].0, [false, true, false, false]);
    assert_eq!(prune::container(&model, "0.weight").unwrap().unwrap().len(), 2);
}

// ---- against naive oracles ----

/// The norm in the documented order: squares in 16 lanes, joined pairwise.
fn documented(values: &[f64]) -> f64 {
    let mut lanes = [0.0; 16];
    values
        .iter()
        .enumerate()
        .for_each(|(i, x)| lanes[i % 16] += x * x);
    for half in [8, 4, 2, 1] {
        (0..half).for_each(|lane| lanes[lane] += lanes[lane + half]);
    }
    f64::sqrt(lanes[0])
}

/// What is kept after `k` entries are pruned under caps: each tensor's lowest are the candidates, and the lowest of
/// these are pruned.
fn naive(keys: &[Vec<f64>], kept: &[Vec<bool>], limits: &[usize], k: usize) -> Vec<Vec<bool>> {
    let mut candidates = Vec::new();
    for ((keys, kept), limit) in keys.iter().zip(kept).zip(limits) {
        let protected = without_lowest(slice::from_ref(keys), slice::from_ref(kept), *limit).remove(0);
        candidates.push(
            kept.iter()
                .zip(protected)
                .map(|(kept, protected)| *kept && !protected)
                .collect::<Vec<_>>(),
        );
    }
    let fallen_not = without_lowest(keys, &candidates, k);
    let mut after = kept.to_vec();
    for ((after, candidates), kept) in after.iter_mut().zip(&candidates).zip(&fallen_not) {
        for ((after, candidate), kept) in after.iter_mut().zip(candidates).zip(kept) {
            *after &= !candidate || *kept;
        }
    }
    after
}

/// Runs a plan on tensors of one type and compares with the oracle, in standard layout and reversed.
fn runs<T: Float>(
    by: EntryRank,
    options: &GlobalOptions<'static>,
    tensors: &[Vec<f32>],
    kept: &[Vec<bool>],
    pick: prop::sample::Index,
) where
    f32: AsPrimitive<T>,
{
    let tensors: Vec<ArrayD<T>> = tensors
        .iter()
        .map(|t| array(&[t.len()], t.iter().map(|x| x.as_()).collect()))
        .collect();
    // The same entries as a view that runs backwards.
    let backwards: Vec<ArrayD<T>> = tensors
        .iter()
        .map(|t| array(t.shape(), t.as_slice().unwrap().iter().rev().copied().collect()))
        .collect();
    let priors: Vec<_> = kept.iter().map(|kept| mask(&[kept.len()], kept)).collect();
    let keys: Vec<Vec<f64>> = tensors
        .iter()
        .enumerate()
        .map(|(position, t)| {
            let values: Vec<f64> = t.iter().map(|x| x.as_()).collect();
            let norm = if options.is_normalized() {
                documented(&values)
            } else {
                1.0
            };
            let share = |x: f64| if norm == 0.0 { 0.0 } else { x / norm };
            match by {
                EntryRank::Random { seed } => {
                    let mut key = [0; 32];
                    key[..8].copy_from_slice(&seed.to_le_bytes());
                    key[8..16].copy_from_slice(&(position as u64).to_le_bytes());
                    key[24..].copy_from_slice(b"secateur");
                    let mut words = ChaCha8Rng::from_seed(key);
                    values.iter().map(|_| words.next_u32().into()).collect()
                }
                EntryRank::Value => values.into_iter().map(share).collect(),
                _ => values.into_iter().map(|x| share(x).abs()).collect(),
            }
        })
        .collect();
    let limits: Vec<usize> = kept
        .iter()
        .map(|kept| {
            let (remaining, all) = (kept.iter().filter(|kept| **kept).count(), kept.len());
            let most = options
                .cap("t")
                .map_or(all, |cap| (cap * all as f64).floor() as usize);
            most.saturating_sub(all - remaining)
        })
        .collect();
    let achievable: usize = limits.iter().sum();
    let k = pick.index(achievable + 1);
    let plan = |k| Plan::Entries {
        amount: Amount::count(k),
        by,
    };
    let expected = naive(&keys, kept, &limits, k);
    for reverse in [false, true] {
        let views = tensors.iter().zip(&backwards).map(|(t, b)| match reverse {
            false => t.view(),
            true => b.slice_axis(Axis(0), Slice::new(0, None, -1)),
        });
        let ranked: Vec<_> = views
            .zip(&priors)
            .map(|(scores, prior)| Ranked {
                name: "t",
                scores: scores.into(),
                prior: Some(prior),
            })
            .collect();
        let outcome = plan(k).compute_global_with(&ranked, options).unwrap();
        let got: Vec<_> = outcome.masks.iter().map(bits).collect();
        assert_eq!(got, expected, "{k} of {achievable} by {by:?} with {options:?}");
        assert_eq!((outcome.requested, outcome.pruned), (Some(k), k));
        let error = plan(achievable + 1)
            .compute_global_with(&ranked, options)
            .unwrap_err();
        assert!(
            matches!(
                error,
                Error::Amount(AmountError::Capped { requested, achievable: r, .. }) if (requested, r) == (achievable + 1, achievable)
            ) || matches!(error, Error::Amount(AmountError::TooLarge { .. }))
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn caps_and_norms_are_those_of_the_oracle(
        lens in prop::collection::vec(prop_oneof![0..100_usize, Just(64), Just(4096), 4000..9000_usize], 1..4),
        share in prop_oneof![Just(None), (0.0..=1.0_f64).prop_map(Some), Just(Some(0.5))],
        normalize in any::<bool>(),
        rank in 0..3_usize,
        pick in any::<prop::sample::Index>(),
        seed in any::<u64>(),
    ) {
        let mut data = rng(seed);
        // Many ties in some tensors, none in others; scales that differ; different shares of masked entries.
        let (mut tensors, mut kept) = (Vec::new(), Vec::new());
        for len in &lens {
            let (scale, coarse, masked) = (1 << (data.next_u32() % 6), data.next_u32().is_multiple_of(2), data.next_u32() % 4);
            let mut entry = || match coarse {
                true => (data.next_u32() % 9) as f32 - 4.0,
                false => uniform(&mut data) as f32,
            };
            tensors.push((0..*len).map(|_| entry() * scale as f32).collect::<Vec<f32>>());
            kept.push((0..*len).map(|_| data.next_u32() % 4 >= masked).collect::<Vec<bool>>());
        }
        let mut options = GlobalOptions::new().normalize(normalize);
        if let Some(share) = share {
            options = options.max_sparsity(share).unwrap();
        }
        let by = match rank {
            0 => EntryRank::Value,
            1 if !normalize => EntryRank::Random { seed },
            _ => EntryRank::Magnitude,
        };
        match seed % 4 {
            0 => runs::<f16>(by, &options, &tensors, &kept, pick),
            1 => runs::<bf16>(by, &options, &tensors, &kept, pick),
            2 => runs::<f64>(by, &options, &tensors, &kept, pick),
            _ => runs::<f32>(by, &options, &tensors, &kept, pick),
        }
    }
}

#[test]
fn norms_are_summed_in_the_documented_order() {
    // S5: tensors of the same entries in another order each have norms that differ by rounding only, which then ranks
    // the same entry of each.
    let mut data = rng(4);
    let mut entries: Vec<f64> = (0..5000)
        .map(|i| uniform(&mut data) * 1.7_f64.powi(i % 10))
        .collect();
    let smallest = entries.iter().fold(f64::MAX, |least, x| least.min(x.abs()));
    let (mut tensors, mut ranks) = (Vec::new(), Vec::new());
    for tensor in 0..12 {
        for i in (1..entries.len()).rev() {
            entries.swap(i, data.next_u32() as usize % (i + 1));
        }
        ranks.push((smallest / documented(&entries), tensor));
        tensors.push(array(&[entries.len()], entries.clone()));
    }
    ranks.sort_by(|a, b| a.partial_cmp(b).unwrap());
    assert!(ranks[0].0 < ranks[11].0, "rounding tells them apart");
    let ranked: Vec<_> = tensors
        .iter()
        .map(|tensor| Ranked {
            name: "",
            scores: tensor.view().into(),
            prior: None,
        })
        .collect();
    for k in 0..=12 {
        let plan = Plan::Entries {
            amount: Amount::count(k),
            by: EntryRank::Magnitude,
        };
        let masks = plan.compute_global_with(&ranked, &normalized()).unwrap().masks;
        for (position, (_, tensor)) in ranks.iter().enumerate() {
            assert_eq!(masks[*tensor].count_pruned(), usize::from(position < k), "{k}");
        }
    }
}
