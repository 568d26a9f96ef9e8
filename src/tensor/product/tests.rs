//! Products against those of ndarray, bit for bit.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2};
use proptest::prelude::*;

use super::{Matrix, add_product};

/// Numbers of both signs that need rounding.
fn numbers(len: usize, seed: u32) -> Vec<f32> {
    let number = |i: usize| ((i as u32).wrapping_mul(2_654_435_761).wrapping_add(seed) >> 8) as f32;
    (0..len).map(|i| number(i) / 8_388_608.0 - 1.0).collect()
}

fn expected(a: ArrayView2<'_, f32>, b: ArrayView2<'_, f32>, out: &[f32]) -> Vec<f32> {
    let mut out = Array2::from_shape_vec((a.nrows(), b.ncols()), out.to_vec()).unwrap();
    general_mat_mul(1.0, &a, &b, 1.0, &mut out);
    out.into_raw_vec_and_offset().0
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_layout_and_number_of_threads_gives_what_ndarray_gives(
        rows in 0..60usize,
        depth in prop_oneof![0..40usize, 250..260usize, 500..520usize],
        columns in 0..50usize,
        seed in any::<u32>(),
    ) {
        // ndarray's product fuses multiplications and additions where the machine can; elsewhere it is the one here.
        let (left, right) = (numbers(rows * depth, seed), numbers(depth * columns, !seed));
        let start = numbers(rows * columns, seed ^ 0x5555);
        let lefts = [Matrix::new(&left, rows, depth), Matrix::new(&left, depth, rows).t()];
        let rights = [Matrix::new(&right, depth, columns), Matrix::new(&right, columns, depth).t()];
        for (a, b) in lefts.into_iter().flat_map(|a| rights.map(|b| (a, b))) {
            let expected = expected(a.view(), b.view(), &start);
            let mut out = start.clone();
            add_product(a, b, &mut out);
            prop_assert_eq!(&out, &expected);
            #[cfg(feature = "rayon")]
            for threads in [1, 2, 7] {
                use super::{Right, Threads};
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let mut out = start.clone();
                pool.install(|| Right::new(b).add_product(Threads::Many, a, &mut out));
                prop_assert_eq!(&out, &expected);
            }
        }
    }
}
