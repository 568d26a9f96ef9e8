//! Dropping and growing, as a pure function, against a naive oracle.

use ndarray::{ArrayD, array};
use proptest::prelude::*;
use secateurs::mask::Mask;
use secateurs::train::{Growth, drop_and_grow};

/// What is dropped and what grows, by sorting.
fn naive(weights: &[f32], scores: &[f32], kept: &[bool], count: usize) -> Vec<bool> {
    let mut active: Vec<usize> = (0..kept.len()).filter(|i| kept[*i]).collect();
    active.sort_by(|a, b| weights[*a].abs().total_cmp(&weights[*b].abs()).then(a.cmp(b)));
    let mut new = kept.to_vec();
    active[..count].iter().for_each(|i| new[*i] = false);
    let mut candidates: Vec<usize> = (0..kept.len()).filter(|i| !new[*i]).collect();
    candidates.sort_by(|a, b| scores[*a].abs().total_cmp(&scores[*b].abs()).then(a.cmp(b)));
    let rest = candidates.len() - count;
    candidates[rest..].iter().for_each(|i| new[*i] = true);
    new
}

fn differences(a: &[bool], b: &[bool]) -> Vec<usize> {
    (0..a.len()).filter(|i| a[*i] && !b[*i]).collect()
}

proptest! {
    #[test]
    fn it_does_what_sorting_does(
        entries in proptest::collection::vec((-3..3_i8, -3..3_i8, any::<bool>()), 1..80),
        share in 0.0..=1.0,
    ) {
        let weights: Vec<f32> = entries.iter().map(|entry| f32::from(entry.0)).collect();
        let scores: Vec<f32> = entries.iter().map(|entry| f32::from(entry.1)).collect();
        let kept: Vec<bool> = entries.iter().map(|entry| entry.2).collect();
        let count = (share * kept.iter().filter(|kept| **kept).count() as f64) as usize;
        let mask = Mask::from_bool(ndarray::ArrayView1::from(&kept));
        let growth = Growth::Scores(ndarray::ArrayView1::from(&scores).into());
        let exchange = drop_and_grow(ndarray::ArrayView1::from(&weights), growth, &mask, count).unwrap();
        let expected = naive(&weights, &scores, &kept, count);
        prop_assert_eq!(exchange.mask.iter().collect::<Vec<_>>(), expected.clone());
        prop_assert_eq!(exchange.dropped, differences(&kept, &expected));
        prop_assert_eq!(exchange.grown, differences(&expected, &kept));
        prop_assert_eq!(exchange.mask.count_kept(), mask.count_kept());
    }

    #[test]
    fn growth_at_random_keeps_the_count_and_follows_the_seed(seed in any::<u64>(), count in 0..30_usize) {
        let weights = ArrayD::<f32>::ones(vec![10, 10]);
        let mask = Mask::from_fn(weights.view(), |_| true);
        let words = vec![u64::MAX >> 34, 0];
        let mask = Mask::from_words(mask.shape(), words).unwrap();
        let exchange = |seed| drop_and_grow(&weights, Growth::Random { seed }, &mask, count).unwrap();
        prop_assert_eq!(exchange(seed).mask.count_kept(), 30);
        prop_assert_eq!(exchange(seed), exchange(seed));
        if count > 8 {
            prop_assert_ne!(exchange(seed), exchange(seed ^ 1));
        }
    }
}

#[test]
fn entries_just_dropped_may_grow_again() {
    let weights = array![0.1_f32, 0.2, 0.9, 0.0];
    let gradient = array![9.0_f32, 0.1, 0.0, 0.5];
    let mask = Mask::from_array(array![1, 1, 1, 0].view()).unwrap();
    let exchange = drop_and_grow(&weights, Growth::Scores((&gradient).into()), &mask, 2).unwrap();
    assert_eq!(
        exchange.mask,
        Mask::from_array(array![1, 0, 1, 1].view()).unwrap()
    );
    assert_eq!((exchange.dropped, exchange.grown), (vec![1], vec![3]));
}

#[test]
fn what_cannot_be_exchanged_is_refused() {
    let (weights, nan) = (array![1.0_f32, 2.0], array![f32::NAN, 1.0]);
    let mask = Mask::from_array(array![0, 1].view()).unwrap();
    let grow = |weights, scores, count| drop_and_grow(weights, Growth::Scores(scores), &mask, count);
    let error = grow(&weights, (&weights).into(), 2).unwrap_err().to_string();
    assert!(error.contains("2 entries") && error.contains("only 1"), "{error}");
    assert!(grow(&weights, (&nan).into(), 1).is_err(), "a NaN that may grow");
    assert!(
        grow(&nan, (&weights).into(), 1).is_ok(),
        "a NaN under the mask is not ranked"
    );
    let short = array![1.0_f32];
    assert!(grow(&short, (&weights).into(), 1).is_err());
    assert!(grow(&weights, (&short).into(), 1).is_err());
}
