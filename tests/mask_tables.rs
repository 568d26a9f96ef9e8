//! Scores and the masks they lead to, small enough to check by eye.
//!
//! Tables are written as text: rows are separated by `/`, and matrices of a third dimension by `|`. In a mask `1`
//! is kept and `0` is pruned.

mod common;

use ndarray::ArrayD;
use secateurs::mask::{
    self, Amount, CustomFromMask, Identity, L1Unstructured, LnStructured, Mask, Norm, PruningMethod, Ranked,
    ScoreUnstructured,
};

/// The array that a table writes.
fn read(table: &str) -> ArrayD<f32> {
    let blocks: Vec<Vec<Vec<f32>>> = table
        .split('|')
        .map(|block| {
            block
                .split('/')
                .map(|row| {
                    row.split_whitespace()
                        .map(|number| number.parse().unwrap())
                        .collect()
                })
                .collect()
        })
        .collect();
    let (rows, columns) = (blocks[0].len(), blocks[0][0].len());
    let shape = match (table.contains('|'), table.contains('/')) {
        (true, _) => vec![blocks.len(), rows, columns],
        (false, true) => vec![rows, columns],
        (false, false) => vec![columns],
    };
    common::array(&shape, blocks.into_iter().flatten().flatten().collect())
}

fn read_mask(table: &str) -> Mask {
    Mask::from_array(read(table).view()).unwrap()
}

/// Asserts the mask of these scores where nothing is pruned yet.
#[track_caller]
fn check(method: impl PruningMethod, scores: &str, expected: &str) {
    let mask = mask::compute(&method, read(scores).view(), None).unwrap().mask;
    assert_eq!(
        mask.to_array::<u8>(),
        read_mask(expected).to_array::<u8>(),
        "{method:?}"
    );
    let all = Mask::ones(mask.shape());
    assert_eq!(
        method.compute_mask(read(scores).view(), &all).unwrap(),
        mask,
        "{method:?}, compute_mask"
    );
}

/// Asserts the mask of these scores on top of a prior mask.
#[track_caller]
fn check_on(method: impl PruningMethod, prior: &str, scores: &str, expected: &str) {
    let mask = mask::compute(&method, read(scores).view(), Some(&read_mask(prior)))
        .unwrap()
        .mask;
    assert_eq!(
        mask.to_array::<u8>(),
        read_mask(expected).to_array::<u8>(),
        "{method:?}"
    );
    let direct = method
        .compute_mask(read(scores).view(), &read_mask(prior))
        .unwrap();
    assert_eq!(direct, mask, "{method:?}, compute_mask");
}

fn l1<A: TryInto<Amount, Error: Into<secateurs::Error>>>(amount: A) -> L1Unstructured {
    L1Unstructured::new(amount).unwrap()
}

fn score<A: TryInto<Amount, Error: Into<secateurs::Error>>>(amount: A) -> ScoreUnstructured {
    ScoreUnstructured::new(amount).unwrap()
}

fn ln<A: TryInto<Amount, Error: Into<secateurs::Error>>>(amount: A, n: &str, dim: isize) -> LnStructured {
    LnStructured::new(amount, n.parse::<Norm>().unwrap(), dim).unwrap()
}

#[test]
#[rustfmt::skip]
fn l1_unstructured() {
    let scores = "0.1 -3 2 -0.2 5 -1 4 0.3";
    check(l1(0),   scores, "1   1 1  1   1  1 1  1");
    check(l1(1),   scores, "0   1 1  1   1  1 1  1");
    check(l1(2),   scores, "0   1 1  0   1  1 1  1");
    check(l1(0.5), scores, "0   1 1  0   1  0 1  0");
    check(l1(7),   scores, "0   0 0  0   1  0 0  0");
    check(l1(1.0), scores, "0   0 0  0   0  0 0  0");

    // S5: ties are pruned in row-major order.
    check(l1(3), "1 1 1 / 1 1 1", "0 0 0 / 1 1 1");
    check(l1(3), "2 -1 2 / 1 2 -1", "1 0 1 / 0 1 0");
    check(l1(2), "2 -1 2 / 1 2 -1", "1 0 1 / 0 1 1");
    // S5: a zero is a zero, whatever its sign.
    check(l1(2), "0 -0 0 -0", "0 0 1 1");
    check(l1(2), "-0 0 -0 0", "0 0 1 1");
    // S6: −9 ranks as 9.
    check(l1(1), "-9 8 10", "1 0 1");
    // S8: infinities rank highest.
    check(l1(2), "inf 3e38 -inf -3e38", "1 0 1 0");
}

#[test]
#[rustfmt::skip]
fn score_unstructured() {
    // S6: as they are, sign and all.
    let scores = "0.1 -3 2 -0.2 5 -1 4 0.3";
    check(score(1),   scores, "1 0 1 1 1 1 1 1");
    check(score(0.5), scores, "0 0 1 0 1 0 1 1");
    check(score(1), "-9 8 10", "0 1 1");
    check(score(2), "0 -0 0 -0", "0 0 1 1");
    check(score(2), "-0 0 -0 0", "0 0 1 1");
    check(score(3), "inf -inf 3 -3", "1 0 0 0");
}

#[test]
#[rustfmt::skip]
fn on_top_of_a_prior_mask() {
    // S3: the amount is relative to what remains, here 4 entries.
    let prior = "1 0 1 / 0 1 1";
    check_on(l1(0.5), prior, "5 0 1 / 0 2 3", "1 0 0 / 0 0 1");
    check_on(l1(1),   prior, "5 0 1 / 0 2 3", "1 0 0 / 0 1 1");
    check_on(l1(4),   prior, "5 0 1 / 0 2 3", "0 0 0 / 0 0 0");
    check_on(score(1), prior, "5 -9 1 / -9 2 -3", "1 0 1 / 0 1 0");
    // 0.3 of 4 is 1.2, so 1; of 6 it would be 1.8, so 2.
    check_on(l1(0.3), prior, "5 0 1 / 0 2 3", "1 0 0 / 0 1 1");
    // `until` speaks of all 6 entries, of which 2 are pruned already.
    let until = |sparsity| l1(Amount::until(sparsity).unwrap());
    check_on(until(0.5), prior, "5 0 1 / 0 2 3", "1 0 0 / 0 1 1");
    check_on(until(0.2), prior, "5 0 1 / 0 2 3", "1 0 1 / 0 1 1");

    check_on(Identity, prior, "5 0 1 / 0 2 3", "1 0 1 / 0 1 1");
    // S12: a mask that keeps what is pruned already does not bring it back.
    let custom = CustomFromMask::new(read_mask("1 1 0 / 1 1 1"));
    check_on(custom, prior, "5 0 1 / 0 2 3", "1 0 0 / 0 1 1");
}

#[test]
#[rustfmt::skip]
fn ln_structured_rows_and_columns() {
    let scores = "1 -1 4 / 3 0 0 / 2 2 2";
    // Rows: sums 6, 3, 6; sums of squares 18, 9, 12; largest 4, 3, 2; smallest 1, 0, 2; non-zero 3, 1, 3.
    check(ln(1, "1",    0), scores, "1 1 1 / 0 0 0 / 1 1 1");
    check(ln(2, "1",    0), scores, "0 0 0 / 0 0 0 / 1 1 1");
    check(ln(2, "2",    0), scores, "1 1 1 / 0 0 0 / 0 0 0");
    check(ln(2, "fro",  0), scores, "1 1 1 / 0 0 0 / 0 0 0");
    check(ln(1, "inf",  0), scores, "1 1 1 / 1 1 1 / 0 0 0");
    check(ln(2, "inf",  0), scores, "1 1 1 / 0 0 0 / 0 0 0");
    check(ln(2, "-inf", 0), scores, "0 0 0 / 0 0 0 / 1 1 1");
    check(ln(2, "0",    0), scores, "0 0 0 / 0 0 0 / 1 1 1");
    // Σ√|x|: 4, 1.73, 4.24. Σ|x|³: 66, 27, 24. 1/Σ(1/|x|): 0.44, 0 (an entry is 0), 0.67.
    check(ln(2, "0.5",  0), scores, "0 0 0 / 0 0 0 / 1 1 1");
    check(ln(1, "3",    0), scores, "1 1 1 / 1 1 1 / 0 0 0");
    check(ln(1, "-1",   0), scores, "1 1 1 / 0 0 0 / 1 1 1");
    check(ln(2, "-1",   0), scores, "0 0 0 / 0 0 0 / 1 1 1");
    // Columns: sums 6, 3, 6; largest 3, 2, 4.
    check(ln(1, "1",    1), scores, "1 0 1 / 1 0 1 / 1 0 1");
    check(ln(2, "1",   -1), scores, "0 0 1 / 0 0 1 / 0 0 1");
    check(ln(2, "inf", -1), scores, "0 0 1 / 0 0 1 / 0 0 1");
    check(ln(1, "1",   -2), scores, "1 1 1 / 0 0 0 / 1 1 1");
    // A fraction of 3 channels: 1.5 goes to the even 2, 0.9 to 1.
    check(ln(0.5, "1",  0), scores, "0 0 0 / 0 0 0 / 1 1 1");
    check(ln(0.3, "1",  0), scores, "1 1 1 / 0 0 0 / 1 1 1");
}

#[test]
#[rustfmt::skip]
fn ln_structured_three_dimensions() {
    let scores = "1 2 / 3 4 | 0 1 / 0 9";
    // Along 0: 10, 10. Along 1: 4, 16. Along 2: 4, 16.
    check(ln(1, "1",  0), scores, "0 0 / 0 0 | 1 1 / 1 1"); // a tie: the lower index is pruned
    check(ln(1, "1",  1), scores, "0 0 / 1 1 | 0 0 / 1 1");
    check(ln(1, "1", -1), scores, "0 1 / 0 1 | 0 1 / 0 1");
    check(ln(1, "inf", 0), scores, "0 0 / 0 0 | 1 1 / 1 1");
    // Singular values: of [3 0; 0 4] they add up to 7, of [5 5; 5 5] to 10, of [0 6; 6 0] to 12.
    let matrices = "5 5 / 5 5 | 3 0 / 0 4 | 0 6 / 6 0";
    check(ln(1, "nuc", 0), matrices, "1 1 / 1 1 | 0 0 / 0 0 | 1 1 / 1 1");
    check(ln(2, "nuc", 0), matrices, "0 0 / 0 0 | 0 0 / 0 0 | 1 1 / 1 1");
    // Their Frobenius norms are 10, 5 and 8.5: another order.
    check(ln(2, "fro", 0), matrices, "1 1 / 1 1 | 0 0 / 0 0 | 0 0 / 0 0");
}

#[test]
#[rustfmt::skip]
fn ln_structured_on_top_of_a_prior_mask() {
    // S3: the second row is wholly pruned, so 2 channels remain, and half of them is 1.
    check_on(ln(0.5, "1", 0), "1 1 / 0 0 / 0 1", "9 9 / 0 0 / 8 8", "1 1 / 0 0 / 0 0");
    // S7: scores that are given count as given, also where the mask prunes.
    check_on(ln(1, "1", 0), "1 1 / 0 1 / 1 1", "1 1 / 9 0 / 2 2", "0 0 / 0 1 / 1 1");
    // A parameter's own pruned entries are zeros: its partly pruned channels rank low.
    check_on(ln(1, "1", 0), "1 1 / 0 1 / 1 1", "1 1 / 0 0 / 2 2", "1 1 / 0 0 / 1 1");
    check_on(ln(1, "-inf", 0), "1 1 / 0 1 / 1 1", "1 1 / 0 9 / 2 2", "1 1 / 0 0 / 1 1");
    check_on(ln(1, "0", 0), "1 1 / 0 1 / 1 1", "1 1 / 0 9 / 2 2", "1 1 / 0 0 / 1 1");
    // S8: a NaN that is masked already does not count: here the row ranks by its 1.
    check_on(ln(1, "1", 0), "1 1 / 0 1 / 1 1", "2 2 / NaN 1 / 3 3", "1 1 / 0 0 / 1 1");
    check_on(l1(1), "0 1 / 1 1", "NaN 2 / 1 3", "0 1 / 0 1");
}

#[test]
fn global_unstructured() {
    let (a, b, c) = (read("4 -1 / 2 7"), read("1 -1 3"), read("0.5"));
    let ranked = |prior| {
        [
            Ranked {
                name: "a",
                scores: a.view().into(),
                prior,
            },
            Ranked {
                name: "b",
                scores: b.view().into(),
                prior: None,
            },
            Ranked {
                name: "c",
                scores: c.view().into(),
                prior: None,
            },
        ]
    };
    // S5, S17: all ranked together; ties are pruned in the order of the list.
    for (k, masks) in [
        (0, ["1 1 / 1 1", "1 1 1", "1"]),
        (1, ["1 1 / 1 1", "1 1 1", "0"]),
        (2, ["1 0 / 1 1", "1 1 1", "0"]),
        (3, ["1 0 / 1 1", "0 1 1", "0"]),
        (5, ["1 0 / 0 1", "0 0 1", "0"]),
        (8, ["0 0 / 0 0", "0 0 0", "0"]),
    ] {
        let outcome = mask::compute_global(&l1(k), &ranked(None)).unwrap();
        assert_eq!(outcome.masks, masks.map(read_mask), "{k} entries");
        assert_eq!((outcome.requested, outcome.pruned), (Some(k), k));
    }
    // S3: one entry is pruned already, so 7 remain, and 0.5 of them is 4 (halves round to even).
    let prior = read_mask("1 1 / 0 1");
    let outcome = mask::compute_global(&l1(0.5), &ranked(Some(&prior))).unwrap();
    assert_eq!(outcome.masks, ["1 0 / 0 1", "0 0 1", "0"].map(read_mask));
    assert_eq!((outcome.requested, outcome.pruned), (Some(4), 4));
}
