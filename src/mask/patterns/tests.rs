//! Scores against naive ones, in the documented order; sizes at which several threads work.

use half::{bf16, f16};
use ndarray::{ArrayD, Axis, IxDyn, Slice};

use super::blocks::Blocks;
use super::channels::{Channels, euclidean_norm};
use super::piece::Rows;
use super::read::{Entries, Masked};
use super::{Floats, Piece};
use crate::mask::float_view::FloatView;
use crate::mask::norm::Kind;
use crate::mask::{BlockRank, Mask, Norm};

/// Numbers of all magnitudes, zeros of both signs among them.
fn noise(i: usize) -> f64 {
    let x = (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let sign = if x & 1 == 0 { 1.0 } else { -1.0 };
    if x.is_multiple_of(11) {
        return 0.0 * sign;
    }
    sign * ((x >> 40) as f64 / (1 << 20) as f64)
}

fn array(shape: &[usize]) -> ArrayD<f64> {
    let entries = shape.iter().product();
    ArrayD::from_shape_vec(IxDyn(shape), (0..entries).map(noise).collect()).unwrap()
}

/// Runs a test on this many threads.
fn on_threads(test: impl Fn() + Sync) {
    #[cfg(feature = "rayon")]
    for threads in [1, 2, 7] {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(&test);
    }
    #[cfg(not(feature = "rayon"))]
    test();
}

/// 16 lanes, joined pairwise.
fn in_lanes(values: &[f64], empty: f64, join: fn(f64, f64) -> f64) -> f64 {
    let mut lanes = [empty; 16];
    for (i, x) in values.iter().enumerate() {
        lanes[i % 16] = join(lanes[i % 16], *x);
    }
    for half in [8, 4, 2, 1] {
        for lane in 0..half {
            lanes[lane] = join(lanes[lane], lanes[lane + half]);
        }
    }
    lanes[0]
}

fn naive_norms(values: &ArrayD<f64>, dim: usize, norm: Norm) -> Vec<f64> {
    let order = match norm.kind() {
        Kind::Frobenius => 2.0,
        Kind::Order(n) => n,
        Kind::Nuclear => unreachable!(),
    };
    let (empty, join): (f64, fn(f64, f64) -> f64) = match order {
        f64::INFINITY => (0.0, f64::max),
        f64::NEG_INFINITY => (f64::INFINITY, f64::min),
        _ => (0.0, |a, b| a + b),
    };
    let map = |x: f64| match order {
        0.0 => f64::from(x != 0.0),
        1.0 | f64::INFINITY | f64::NEG_INFINITY => x.abs(),
        2.0 => x * x,
        n => libm::pow(x.abs(), n),
    };
    let outer: usize = values.shape()[..dim].iter().product();
    let channels = values.axis_iter(Axis(dim)).map(|channel| {
        let entries: Vec<f64> = channel.iter().map(|x| map(*x)).collect();
        let inner = entries.len() / outer;
        let mut places = vec![empty; inner];
        for slab in entries.chunks(inner) {
            for (place, x) in places.iter_mut().zip(slab) {
                *place = join(*place, *x);
            }
        }
        let sum = in_lanes(&places, empty, join);
        match order {
            2.0 => sum.sqrt(),
            0.0 | 1.0 | f64::INFINITY | f64::NEG_INFINITY => sum,
            n => libm::pow(sum, 1.0 / n),
        }
    });
    channels.collect()
}

fn naive_blocks(values: &ArrayD<f64>, height: usize, width: usize, by: BlockRank) -> Vec<f64> {
    let join = match by {
        BlockRank::MeanSquare => |a: f64, b: f64| a + b,
        BlockRank::MaxAbs => f64::max,
    };
    let map = |x: f64| match by {
        BlockRank::MeanSquare => x * x,
        BlockRank::MaxAbs => x.abs(),
    };
    let (rows, columns) = (
        values.shape()[values.ndim() - 2],
        values.shape()[values.ndim() - 1],
    );
    let all: Vec<f64> = values.iter().map(|x| map(*x)).collect();
    let mut scores = Vec::new();
    for matrix in all.chunks(rows * columns) {
        for top in (0..rows).step_by(height) {
            for left in (0..columns).step_by(width) {
                let (bottom, right) = (rows.min(top + height), columns.min(left + width));
                let sums: Vec<f64> = (left..right)
                    .map(|column| {
                        (top..bottom).fold(0.0, |sum, row| join(sum, matrix[row * columns + column]))
                    })
                    .collect();
                let joined = in_lanes(&sums, 0.0, join);
                scores.push(match by {
                    BlockRank::MeanSquare => joined / ((bottom - top) * (right - left)) as f64,
                    BlockRank::MaxAbs => joined,
                });
            }
        }
    }
    scores
}

const ORDERS: [f64; 7] = [2.0, 1.0, 0.0, f64::INFINITY, f64::NEG_INFINITY, 3.5, -1.0];

/// Checks all scores of a view of one type, whose entries as f64 are `values`.
fn check(view: FloatView<'_>, values: &ArrayD<f64>, orders: &[f64]) {
    let shape = values.shape();
    let mask = Mask::collect(shape, (0..values.len()).map(|i| noise(i * 7 + 3) > -0.3));
    let mut zeroed = values.clone();
    mask.iter()
        .zip(&mut zeroed)
        .for_each(|(kept, x)| *x = if kept { *x } else { 0.0 });
    for (masked, expected) in [(Masked::AsGiven, values), (Masked::AsZero, &zeroed)] {
        let entries = Entries::new(view.view(), Some(&mask), masked);
        for dim in 0..shape.len() {
            let channels = Channels::along(dim as isize, shape).unwrap();
            for order in orders {
                let norm = Norm::order(*order).unwrap();
                let scorer = channels.scorer(norm, shape).unwrap();
                let expected = naive_norms(expected, dim, norm);
                assert_eq!(
                    channels.norms(&entries, &scorer),
                    expected,
                    "{shape:?} {dim} {norm} {masked:?}"
                );
            }
        }
        for (height, width) in [(4, 16), (7, 3), (1, 5000), (5000, 1)] {
            for by in [BlockRank::MeanSquare, BlockRank::MaxAbs] {
                let blocks = Blocks::of(shape, height, width).unwrap();
                let expected = naive_blocks(expected, height, width, by);
                assert_eq!(
                    blocks.scores(&entries, by),
                    expected,
                    "{shape:?} {height}×{width} {by:?} {masked:?}"
                );
            }
        }
        assert_eq!(
            euclidean_norm(&entries),
            naive_norms(&expected.clone().insert_axis(Axis(0)), 0, Norm::L2)[0]
        );
    }
}

#[test]
fn large_scores_are_those_of_the_documented_order_on_any_number_of_threads() {
    // More entries than 1 << 18, from which on there are several threads.
    for shape in [&[530, 520][..], &[3, 90_001], &[90_001, 3], &[40, 9, 31, 25]] {
        let wide = array(shape);
        let (f32s, brains) = (wide.mapv(|x| x as f32), wide.mapv(bf16::from_f64));
        on_threads(|| {
            check((&wide).into(), &wide, &[2.0]);
            check((&f32s).into(), &f32s.mapv(f64::from), &[2.0, f64::INFINITY]);
            check((&brains).into(), &brains.mapv(f64::from), &[1.0]);
        });
    }
}

#[test]
fn scores_are_those_of_the_documented_order_for_every_norm_type_and_layout() {
    for shape in [
        &[9, 70][..],
        &[1, 5],
        &[5, 1],
        &[6, 5, 7],
        &[3, 4, 2, 9],
        &[4, 3000],
    ] {
        let wide = array(shape);
        check((&wide).into(), &wide, &ORDERS);
        let halves = wide.mapv(f16::from_f64);
        check((&halves).into(), &halves.mapv(f64::from), &ORDERS);
        let f32s = wide.mapv(|x| x as f32);
        let transposed = f32s.t();
        check(transposed.clone().into(), &transposed.mapv(f64::from), &[2.0]);
        let mut reversed = f32s.view();
        reversed.invert_axis(Axis(1));
        check(reversed.clone().into(), &reversed.mapv(f64::from), &[2.0]);
        let mut stepped = f32s.view();
        stepped.slice_axis_inplace(Axis(0), Slice::from(..).step_by(2));
        check(stepped.clone().into(), &stepped.mapv(f64::from), &[2.0]);
    }
    // Longer than what is copied at once.
    let long = array(&[5, 30_000]);
    check(long.t().into(), &long.t().to_owned(), &[2.0, 1.0]);
}

#[test]
fn pieces_do_not_change_scores() {
    for shape in [&[9, 70][..], &[6, 5, 7], &[3, 40, 2, 9], &[0, 4], &[4, 0]] {
        let wide = array(shape);
        let values = wide.as_slice().unwrap();
        let packed =
            |piece: Piece| -> Vec<f64> { piece.each_run().flat_map(|run| values[run].to_vec()).collect() };
        let entries = Entries::new((&wide).into(), None, Masked::AsGiven);
        for size in [1, 7, 64, 100, 100_000] {
            for dim in 0..shape.len() {
                let channels = Channels::along(dim as isize, shape).unwrap();
                let norms = ORDERS.map(|order| Norm::order(order).unwrap());
                let nuclear = (shape.len() == 3).then_some(Norm::NUCLEAR);
                for norm in norms.into_iter().chain(nuclear) {
                    let mut scorer = channels.scorer(norm, shape).unwrap();
                    let whole = channels.norms(&entries, &scorer);
                    for piece in scorer.pieces(0..channels.count, size, size) {
                        let values = packed(piece);
                        scorer.feed(Rows::packed(piece, Floats::F64(&values).widen(&mut Vec::new())));
                    }
                    assert_eq!(
                        scorer.finish(channels.count),
                        whole,
                        "{shape:?} {dim} {norm} {size}"
                    );
                }
            }
            let blocks = Blocks::of(shape, 4, 3).unwrap();
            let mut scorer = blocks.scorer(BlockRank::MeanSquare);
            for piece in blocks.pieces(blocks.bands(), size, size) {
                let values = packed(piece);
                scorer.feed(Rows::packed(piece, Floats::F64(&values).widen(&mut Vec::new())));
            }
            assert_eq!(
                scorer.finish(),
                blocks.scores(&entries, BlockRank::MeanSquare),
                "{shape:?} {size}"
            );
        }
    }
}

#[test]
fn selections_apply_to_any_range() {
    for shape in [&[9, 70][..], &[6, 5, 7], &[3, 4, 2, 9]] {
        let entries: usize = shape.iter().product();
        for dim in 0..shape.len() {
            let channels = Channels::along(dim as isize, shape).unwrap();
            let scores: Vec<f64> = (0..channels.count).map(noise).collect();
            let selection = channels.select(&scores, vec![true; channels.count], channels.count / 2);
            let mut lowest: Vec<usize> = (0..channels.count).collect();
            lowest.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]));
            let pruned = &lowest[..channels.count / 2];
            for first in [0, 1, 64, 100] {
                let len = entries - first.min(entries);
                let mut words = vec![u64::MAX; len.div_ceil(64)];
                selection.apply(first, len, &mut words);
                for i in 0..len {
                    let kept = !pruned.contains(&channels.of(first + i).0);
                    assert_eq!(
                        words[i / 64] >> (i % 64) & 1 == 1,
                        kept,
                        "{shape:?} {dim} {first} {i}"
                    );
                }
            }
        }
    }
}

#[test]
fn large_masks_are_applied_on_any_number_of_threads() {
    let weights = array(&[517, 513]).mapv(|x| x as f32);
    let mask = Mask::collect(weights.shape(), (0..weights.len()).map(|i| noise(i) > 0.1));
    let pairs = weights.iter().zip(mask.iter());
    let expected: Vec<u32> = pairs
        .map(|(x, kept)| if kept { x.to_bits() } else { 0 })
        .collect();
    on_threads(|| {
        let applied = mask.apply(weights.view()).unwrap();
        assert!(applied.iter().map(|x| x.to_bits()).eq(expected.iter().copied()));
        let mut in_place = weights.clone();
        mask.apply_inplace(in_place.view_mut()).unwrap();
        assert!(in_place.iter().map(|x| x.to_bits()).eq(expected.iter().copied()));
    });
}
