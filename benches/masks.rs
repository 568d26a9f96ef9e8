//! Structured norms, random masks, mask algebra, mask application and the forward of a pruned layer, against a bare
//! copy of the same weights.
//!
//! `cargo bench --bench masks`; `MASKS_MAX=100000000` for the largest size too, which takes some gigabytes.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ndarray::{Array2, ArrayD, IxDyn};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use secateurs::mask::{
    self, BlockRank, BlockStructured, LnStructured, Mask, NmStructured, RandomUnstructured,
};
use secateurs::nn::{Linear, Module, ParamTreeExt};
use secateurs::prune;
use secateurs::tensor::Tensor;

fn uniform(shape: &[usize]) -> ArrayD<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    ArrayD::from_shape_simple_fn(IxDyn(shape), || rng.random_range(-1.0..1.0))
}

fn half(shape: &[usize]) -> Mask {
    let method = RandomUnstructured::new(0.5, &mut ChaCha8Rng::seed_from_u64(1)).unwrap();
    let scores = ArrayD::<f32>::zeros(IxDyn(shape));
    mask::compute(&method, scores.view(), None).unwrap().mask
}

/// Square matrices of 10³ to 10⁸ entries, or up to the number in the variable.
fn sides() -> impl Iterator<Item = usize> {
    let max = std::env::var("MASKS_MAX").ok().and_then(|max| max.parse().ok());
    let max = max.unwrap_or(4096 * 4096);
    [32, 100, 320, 1000, 3200, 4096, 10_000]
        .into_iter()
        .filter(move |side| side * side <= max)
}

fn methods(c: &mut Criterion) {
    for side in sides() {
        let (shape, entries) = ([side, side], side * side);
        let weights = uniform(&shape);
        let prior = half(&shape);
        let mut group = c.benchmark_group("methods");
        group
            .throughput(Throughput::Elements(entries as u64))
            .sample_size(if entries > 1_000_000 { 10 } else { 50 });
        group.bench_function(BenchmarkId::new("copy", entries), |b| {
            b.iter(|| black_box(&weights).clone())
        });
        for dim in [0, 1] {
            for (name, prior) in [("ln", None), ("ln, half pruned", Some(&prior))] {
                let method = LnStructured::new(0.5, 2, dim).unwrap();
                group.bench_function(BenchmarkId::new(format!("{name}, dim {dim}"), entries), |b| {
                    b.iter(|| mask::compute(&method, black_box(&weights).view(), prior))
                });
            }
        }
        let random = RandomUnstructured::new(0.5, &mut ChaCha8Rng::seed_from_u64(2)).unwrap();
        group.bench_function(BenchmarkId::new("random", entries), |b| {
            b.iter(|| mask::compute(&random, black_box(&weights).view(), None))
        });
        if side % 4 == 0 {
            let groups = NmStructured::new(2, 4, 1).unwrap();
            group.bench_function(BenchmarkId::new("2:4", entries), |b| {
                b.iter(|| mask::compute(&groups, black_box(&weights).view(), None))
            });
        }
        let blocks = BlockStructured::new(0.5, 16, 16, BlockRank::MeanSquare).unwrap();
        group.bench_function(BenchmarkId::new("blocks 16×16", entries), |b| {
            b.iter(|| mask::compute(&blocks, black_box(&weights).view(), None))
        });
        group.finish();
    }
}

/// Reads all weights with the machine's vector instructions, on as many threads as norms use. No norm can be faster.
fn read(weights: &[f32]) -> u32 {
    let part = |part: &[f32]| {
        pulp::Arch::new().dispatch(
            #[inline(always)]
            || {
                let mut lanes = [0; 64];
                for row in part.as_chunks::<64>().0 {
                    for (lane, x) in lanes.iter_mut().zip(row) {
                        *lane |= x.to_bits();
                    }
                }
                lanes.into_iter().fold(0, |all, lane| all | lane)
            },
        )
    };
    let threads = rayon::current_num_threads();
    let mut parts = weights.chunks(weights.len().div_ceil(threads).next_multiple_of(64));
    let first = parts.next().unwrap_or_default();
    let mut others = vec![0; threads];
    let mut all = 0;
    rayon::in_place_scope(|scope| {
        for (other, weights) in others.iter_mut().zip(parts) {
            scope.spawn(move |_| *other = part(weights));
        }
        all = part(first);
    });
    others.into_iter().fold(all, |all, other| all | other)
}

/// Norms of channels against one bare read, alternately, on one thread and on two.
fn norms(c: &mut Criterion) {
    for shape in [&[4096, 4096][..], &[512, 512, 3, 3]] {
        let weights = uniform(shape);
        for threads in [1, 2] {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            let mut group = c.benchmark_group(format!("norms of {shape:?}, threads {threads}"));
            group.throughput(Throughput::Elements(weights.len() as u64));
            group.bench_function("read", |b| {
                pool.install(|| b.iter(|| read(black_box(&weights).as_slice().unwrap())))
            });
            for dim in [0, 1] {
                let method = LnStructured::new(0.5, 2, dim).unwrap();
                group.bench_function(format!("ln dim {dim}"), |b| {
                    pool.install(|| b.iter(|| mask::compute(&method, black_box(&weights).view(), None)))
                });
            }
            group.finish();
        }
    }
}

fn convolution(c: &mut Criterion) {
    let weights = uniform(&[512, 512, 3, 3]);
    let mut group = c.benchmark_group("ln of a convolution 512×512×3×3");
    group.throughput(Throughput::Elements(weights.len() as u64));
    for dim in 0..4 {
        let method = LnStructured::new(1, 2, dim).unwrap();
        group.bench_function(BenchmarkId::new("dim", dim), |b| {
            b.iter(|| mask::compute(&method, black_box(&weights).view(), None))
        });
    }
    group.finish();
}

fn masks(c: &mut Criterion) {
    for side in sides() {
        let (shape, entries) = ([side, side], side * side);
        let weights = uniform(&shape);
        let (a, b) = (half(&shape), half(&shape).not());
        let mut group = c.benchmark_group("masks");
        group
            .throughput(Throughput::Elements(entries as u64))
            .sample_size(if entries > 1_000_000 { 10 } else { 50 });
        group.bench_function(BenchmarkId::new("and", entries), |bench| {
            bench.iter(|| black_box(&a).and(&b))
        });
        group.bench_function(BenchmarkId::new("or", entries), |bench| {
            bench.iter(|| black_box(&a).or(&b))
        });
        group.bench_function(BenchmarkId::new("not", entries), |bench| {
            bench.iter(|| black_box(&a).not())
        });
        group.bench_function(BenchmarkId::new("count", entries), |bench| {
            bench.iter(|| black_box(&a).count_kept())
        });
        group.bench_function(BenchmarkId::new("apply", entries), |bench| {
            bench.iter(|| black_box(&a).apply(weights.view()))
        });
        let mut changed = weights.clone();
        group.bench_function(BenchmarkId::new("apply in place", entries), |bench| {
            bench.iter(|| black_box(&a).apply_inplace(changed.view_mut()))
        });
        group.finish();
    }
}

/// The forward of one row through a layer, where the weight is most of the work.
fn forward(c: &mut Criterion) {
    let side = 2048;
    let dense = || Linear::without_bias(side, side, &mut ChaCha8Rng::seed_from_u64(0)).unwrap();
    let pruned = || {
        let mut layer = dense();
        prune::l1_unstructured(&mut layer, "weight", 0.5).unwrap();
        layer
    };
    let input = Tensor::new(Array2::<f32>::ones((1, side)));
    let mut group = c.benchmark_group("forward 2048×2048");
    for (name, layer) in [("dense", dense()), ("pruned", pruned())] {
        group.bench_function(name, |b| b.iter(|| layer.forward(black_box(&input))));
    }
    group.bench_function("pruned, the first time", |b| {
        b.iter_batched_ref(
            pruned,
            |layer| layer.forward(black_box(&input)),
            BatchSize::PerIteration,
        )
    });
    group.bench_function("the pruned weight alone", |b| {
        b.iter_batched_ref(
            pruned,
            |layer| layer.parameter("weight").unwrap().effective().len(),
            BatchSize::PerIteration,
        )
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_secs(1));
    targets = methods, norms, convolution, masks, forward
}
criterion_main!(benches);
