//! S18: the masks of a given seed are pinned for ever, and are what the documentation says they are.

mod common;

use common::{array, bits, rng};
use ndarray::ArrayD;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use secateurs::mask::{
    self, Amount, ChannelRank, EntryRank, Mask, Plan, PruningMethod, RandomStructured, RandomUnstructured,
    Ranked,
};

/// The mask as text, a row of the last dimension a word.
fn text(mask: &Mask) -> String {
    let row = mask.shape().last().copied().unwrap_or(1).max(1);
    let rows: Vec<String> = bits(mask)
        .chunks(row)
        .map(|row| row.iter().map(|&kept| if kept { '1' } else { '0' }).collect())
        .collect();
    rows.join(" ")
}

fn unstructured(amount: f64, seed: u64) -> RandomUnstructured {
    RandomUnstructured::new(amount, &mut rng(seed)).unwrap()
}

fn structured(amount: usize, dim: isize, seed: u64) -> RandomStructured {
    RandomStructured::new(amount, dim, &mut rng(seed)).unwrap()
}

fn of_ones(method: &dyn PruningMethod, shape: &[usize]) -> Mask {
    mask::compute(method, ArrayD::<f32>::ones(shape).view(), None)
        .unwrap()
        .mask
}

/// The keys of the units of one use of a random method, after the documented definition.
fn documented_keys(seed: u64, parameter: u64, update: u64, units: usize) -> Vec<f64> {
    let mut key = Vec::new();
    key.extend(seed.to_le_bytes());
    key.extend(parameter.to_le_bytes());
    key.extend(update.to_le_bytes());
    key.extend(b"secateur");
    let mut stream = ChaCha8Rng::from_seed(key.try_into().unwrap());
    (0..units).map(|_| f64::from(stream.next_u32())).collect()
}

#[test]
fn the_seed_is_one_draw() {
    // S18: one u64, drawn when the method is made, kept and shown.
    let (mut used, mut alone) = (rng(5), rng(5));
    let first = RandomUnstructured::new(0.5, &mut used).unwrap();
    let second = RandomStructured::new(0.5, -1, &mut used).unwrap();
    assert_eq!(
        [first.seed(), second.seed()],
        [alone.next_u64(), alone.next_u64()]
    );
    assert_eq!(used.next_u64(), alone.next_u64());
    assert_ne!(first.seed(), second.seed());

    // An amount that is refused draws nothing.
    assert!(RandomUnstructured::new(1.5, &mut used).is_err());
    assert!(RandomStructured::new(-1, 0, &mut used).is_err());
    assert_eq!(used.next_u64(), alone.next_u64());
}

#[test]
fn pinned_unstructured() {
    for (seed, amount, shape, expected) in [
        (0, 0.5, &[16][..], "1010011001010011"),
        (1, 0.5, &[16], "1001111110000100"),
        (2, 0.25, &[4, 8], "11111101 11110100 01011111 11100111"),
        (
            42,
            0.9,
            &[2, 3, 10],
            "0000000000 0000100100 0000000100 0000000000 1010000000 0001000000",
        ),
        (
            7,
            0.5,
            &[100],
            "0010101111111010100101111011010100001010100111000011011101001000000100000101101111001110000111101100",
        ),
    ] {
        let mask = of_ones(&unstructured(amount, seed), shape);
        assert_eq!(text(&mask), expected, "seed {seed}");
    }
}

#[test]
fn pinned_structured() {
    for (seed, amount, dim, shape, expected) in [
        (0, 2, 0, &[6, 2][..], "11 00 11 00 11 11"),
        (1, 3, 1, &[2, 8], "10011011 10011011"),
        (2, 5, -1, &[1, 10], "1101010010"),
        (42, 1, 1, &[2, 3, 2], "11 00 11 11 00 11"),
    ] {
        let mask = of_ones(&structured(amount, dim, seed), shape);
        assert_eq!(text(&mask), expected, "seed {seed}");
    }
}

#[test]
fn pinned_on_top_of_a_prior_mask() {
    let prior = mask::compute(&unstructured(0.5, 0), ArrayD::<f32>::ones(vec![32]).view(), None)
        .unwrap()
        .mask;
    let second = mask::compute(
        &unstructured(0.5, 1),
        ArrayD::<f32>::ones(vec![32]).view(),
        Some(&prior),
    )
    .unwrap();
    assert_eq!(text(&prior), "00100110010100100101111011101100");
    assert_eq!(text(&second.mask), "00000010000000000001011001101100");
}

#[test]
fn entries_are_pruned_as_documented() {
    for (seed, len, pruned) in [
        (0, 1, 1),
        (1, 7, 3),
        (2, 64, 32),
        (3, 65, 64),
        (4, 10_007, 5_000),
        (5, 150_001, 1_000),
    ] {
        let method = RandomUnstructured::new(pruned, &mut rng(seed)).unwrap();
        let keys = documented_keys(method.seed(), 0, 0, len);
        let expected = common::without_lowest(&[keys], &[vec![true; len]], pruned);
        assert_eq!(bits(&of_ones(&method, &[len])), expected[0], "seed {seed}");
    }
}

#[test]
fn entries_keep_their_keys_under_a_prior_mask() {
    // Keys are addressed by position: what is masked already shifts nothing.
    let mut data = rng(10);
    for (len, pruned) in [(50, 10), (1_000, 400), (70_001, 20_000)] {
        let kept: Vec<bool> = (0..len).map(|_| !data.next_u32().is_multiple_of(4)).collect();
        let method = RandomUnstructured::new(pruned, &mut data).unwrap();
        let keys = documented_keys(method.seed(), 0, 0, len);
        let expected = common::without_lowest(&[keys], std::slice::from_ref(&kept), pruned);
        let prior = common::mask(&[len], &kept);
        let outcome = mask::compute(&method, ArrayD::<f32>::zeros(vec![len]).view(), Some(&prior)).unwrap();
        assert_eq!(bits(&outcome.mask), expected[0], "{len} entries");
        assert_eq!((outcome.requested, outcome.pruned), (Some(pruned), pruned));
    }
}

#[test]
fn global_tensors_have_a_stream_each() {
    let sizes = [9, 130, 64, 0, 20_000];
    let scores: Vec<ArrayD<f32>> = sizes.iter().map(|&len| ArrayD::zeros(vec![len])).collect();
    let tensors: Vec<_> = scores
        .iter()
        .map(|s| Ranked {
            name: "",
            scores: s.view().into(),
            prior: None,
        })
        .collect();
    for (seed, pruned) in [(0, 5), (1, 6_000), (2, 20_200)] {
        let method = RandomUnstructured::new(pruned, &mut rng(seed)).unwrap();
        let keys: Vec<_> = (0..)
            .zip(sizes)
            .map(|(i, len)| documented_keys(method.seed(), i, 0, len))
            .collect();
        let expected = common::without_lowest(&keys, &sizes.map(|len| vec![true; len]), pruned);
        let outcome = mask::compute_global(&method, &tensors).unwrap();
        let masks: Vec<_> = outcome.masks.iter().map(bits).collect();
        assert!(masks == expected, "seed {seed}");
        // A global call over one tensor is a call on that tensor.
        let alone = mask::compute_global(&method, &tensors[4..]);
        if pruned <= sizes[4] {
            assert_eq!(alone.unwrap().masks[0], of_ones(&method, &[sizes[4]]));
        } else {
            assert!(alone.is_err());
        }
    }
}

#[test]
fn channels_are_pruned_as_documented() {
    for (seed, count, pruned) in [(0, 2, 1), (1, 8, 3), (2, 100, 99), (3, 3_000, 1_500)] {
        let method = RandomStructured::new(pruned, 1, &mut rng(seed)).unwrap();
        let keys = documented_keys(method.seed(), 0, 0, count);
        let row = common::without_lowest(&[keys], &[vec![true; count]], pruned).remove(0);
        let expected = [row.clone(), row].concat();
        assert_eq!(bits(&of_ones(&method, &[2, count])), expected, "seed {seed}");
        // The dimension that numbers the channels decides nothing else.
        let transposed = RandomStructured::new(pruned, 0, &mut rng(seed)).unwrap();
        let t = of_ones(&transposed, &[count, 2]).to_bool().reversed_axes();
        assert_eq!(t.iter().copied().collect::<Vec<_>>(), expected, "seed {seed}");
    }
}

#[test]
fn scores_and_their_type_do_not_matter() {
    // S8: a method that reads no scores does not care what they are.
    let method = unstructured(0.5, 3);
    let expected = of_ones(&method, &[5, 5]);
    let nan = ArrayD::from_elem(vec![5, 5], f32::NAN);
    assert_eq!(mask::compute(&method, nan.view(), None).unwrap().mask, expected);
    let plan = method.plan().unwrap();
    let wide = array(&[5, 5], (0..25).map(f64::from).collect());
    assert_eq!(plan.compute(wide.view(), None).unwrap().mask, expected);
    let half = wide.mapv(half::f16::from_f64);
    assert_eq!(plan.compute(half.view(), None).unwrap().mask, expected);

    // A plan with the seed is the method.
    let amount = Amount::fraction(0.5).unwrap();
    let plan = Plan::Entries {
        amount,
        by: EntryRank::Random { seed: method.seed() },
    };
    assert_eq!(plan.compute(nan.view(), None).unwrap().mask, expected);
    let method = structured(2, 0, 3);
    let by = ChannelRank::Random { seed: method.seed() };
    let plan = Plan::Channels {
        amount: Amount::count(2),
        dim: -2,
        by,
    };
    assert_eq!(
        plan.compute(nan.view(), None).unwrap().mask,
        of_ones(&method, &[5, 5])
    );
}

#[test]
fn equal_layers_get_different_masks() {
    let scores = ArrayD::<f32>::ones(vec![8, 8]);
    let layers = ["a", "b", "c"].map(|name| Ranked {
        name,
        scores: scores.view().into(),
        prior: None,
    });
    let outcome = mask::compute_global(&unstructured(0.5, 1), &layers).unwrap();
    let [a, b, c] = &outcome.masks[..] else {
        panic!("three masks")
    };
    assert!(a != b && b != c && a != c);
    assert_eq!(outcome.pruned, 96);

    // The same method gives the same mask whenever it is requested; another seed gives another.
    assert_eq!(
        mask::compute_global(&unstructured(0.5, 1), &layers).unwrap(),
        outcome
    );
    assert_ne!(
        mask::compute_global(&unstructured(0.5, 2), &layers).unwrap(),
        outcome
    );
}

#[test]
fn every_unit_is_equally_likely() {
    // 4,000 masks that prune 5 of 20: each entry is pruned 1,000 times, give or take 27 (one standard deviation).
    let (masks, units, pruned) = (4_000, 20, 5);
    let mut entries = vec![0_u32; units];
    let mut pairs = vec![0_u32; units * units];
    let mut channels = vec![0_u32; units];
    let mut data = rng(123);
    for _ in 0..masks {
        let pruned_units = of_ones(&RandomUnstructured::new(pruned, &mut data).unwrap(), &[4, 5]).not();
        let pruned_units: Vec<usize> = (0..units).filter(|&i| bits(&pruned_units)[i]).collect();
        assert_eq!(pruned_units.len(), pruned);
        for &i in &pruned_units {
            entries[i] += 1;
            pruned_units.iter().for_each(|&j| pairs[i * units + j] += 1);
        }
        let rows = of_ones(&RandomStructured::new(pruned, 0, &mut data).unwrap(), &[units, 1]);
        bits(&rows)
            .iter()
            .zip(&mut channels)
            .for_each(|(kept, count)| *count += u32::from(!kept));
    }
    // Of a sample without replacement, Σ (count − expected)² / (expected × (1 − 5/20)) × 19/20 is χ² with 19
    // degrees of freedom: above 43.8 once in a thousand.
    let chi_square = |counts: &[u32]| {
        let expected = f64::from(masks * pruned as u32) / units as f64;
        let squares: f64 = counts.iter().map(|&n| (f64::from(n) - expected).powi(2)).sum();
        squares / (expected * 0.75) * 0.95
    };
    assert!(chi_square(&entries) < 43.8, "{entries:?}");
    assert!(chi_square(&channels) < 43.8, "{channels:?}");
    // Both entries of a pair are pruned in 5/20 × 4/19 of the masks: 210.5 times, give or take 14; 5 deviations are
    // allowed.
    for i in 0..units {
        for j in 0..i {
            let together = f64::from(pairs[i * units + j]);
            assert!((together - 210.5).abs() < 5.0 * 14.2, "{i} and {j}: {together}");
        }
    }
}
