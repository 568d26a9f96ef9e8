//! Selection of the k lowest, against a bare read of the same array at the speed of memory.
//!
//! `cargo bench --bench select`; `SELECT_MAX=100000000` for the largest size too, which takes 400 MB for the weights.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use half::bf16;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;
use secateurs::mask::select::{Cut, CutFinder, Order, RandomSegment, Segment, lowest, lowest_random};
use std::hint::black_box;
use std::time::Duration;

const LAYER: usize = 4096 * 4096;

fn uniform(n: usize) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    (0..n)
        .map(|_| (rng.next_u32() >> 8) as f32 / (1 << 23) as f32 - 1.0)
        .collect()
}

/// A prior mask that keeps about `share` of 256 entries, at random.
fn prior(n: usize, share: u8) -> Vec<u64> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut bytes = [0; 64];
    let mut mask: Vec<u64> = (0..n.div_ceil(64))
        .map(|_| {
            rng.fill_bytes(&mut bytes);
            bytes
                .iter()
                .enumerate()
                .fold(0, |word, (i, byte)| word | u64::from(*byte < share) << i)
        })
        .collect();
    if !n.is_multiple_of(64) {
        *mask.last_mut().unwrap() &= (1 << (n % 64)) - 1;
    }
    mask
}

/// The limit that memory sets: a bare read of all entries, with the vector instructions that selection uses.
fn read(values: &[f32]) -> u32 {
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || {
            let (whole, rest) = values.as_chunks::<64>();
            let mut any = [0; 64];
            for entries in whole {
                for (any, x) in any.iter_mut().zip(entries) {
                    *any |= x.to_bits();
                }
            }
            any.iter().fold(0, |a, b| a | b) | rest.iter().fold(0, |a, x| a | x.to_bits())
        },
    )
}

fn sizes(c: &mut Criterion) {
    let max: usize = std::env::var("SELECT_MAX")
        .ok()
        .and_then(|max| max.parse().ok())
        .unwrap_or(LAYER);
    for n in [
        1_000,
        4_096,
        10_000,
        100_000,
        1_000_000,
        10_000_000,
        LAYER,
        100_000_000,
    ] {
        if n > max {
            continue;
        }
        let values = uniform(n);
        let mut group = c.benchmark_group("uniform");
        group
            .throughput(Throughput::Elements(n as u64))
            .sample_size(if n > 1_000_000 { 10 } else { 50 });
        group.bench_function(BenchmarkId::new("read", n), |b| {
            b.iter(|| read(black_box(&values)))
        });
        for share in [0.5, 0.9] {
            let k = (n as f64 * share) as usize;
            group.bench_function(BenchmarkId::new(format!("lowest {share}"), n), |b| {
                b.iter(|| lowest(&[Segment::new(black_box(&values))], k, Order::Magnitude))
            });
        }
        for (name, share) in [("half pruned", 128), ("90 % pruned", 26)] {
            let prior = prior(n, share);
            let left: usize = prior.iter().map(|word| word.count_ones() as usize).sum();
            group.bench_function(BenchmarkId::new(name, n), |b| {
                let segment = Segment {
                    values: &values,
                    prior: Some(&prior),
                };
                b.iter(|| lowest(black_box(&[segment]), left / 2, Order::Magnitude))
            });
        }
        group.bench_function(BenchmarkId::new("random", n), |b| {
            let segment = RandomSegment {
                len: n,
                prior: None,
                key: [1; 32],
            };
            b.iter(|| lowest_random(black_box(&[segment]), n / 2))
        });
        group.finish();
    }
}

fn adversaries(c: &mut Criterion) {
    let n = LAYER;
    let noise = uniform(n);
    let from = |f: &dyn Fn(usize) -> f32| -> Vec<f32> { (0..n).map(f).collect() };
    let mut group = c.benchmark_group("adversaries");
    group.throughput(Throughput::Elements(n as u64)).sample_size(10);
    let inputs: [(&str, &dyn Fn(usize) -> f32); 12] = [
        ("uniform", &|i| noise[i]),
        ("all equal", &|_| 0.5),
        ("two values", &|i| if noise[i] < 0.0 { 0.5 } else { -0.25 }),
        ("sorted", &|i| i as f32 / n as f32),
        ("reversed", &|i| 1.0 - i as f32 / n as f32),
        ("subnormals", &|i| noise[i] * 1e-39),
        ("one outlier", &|i| if i == n / 3 { 1e30 } else { noise[i] }),
        ("half zeros", &|i| noise[i].max(0.0)),
        ("half zeros, half +1", &|i| {
            if noise[i] < 0.0 { 0.0 } else { 1.0 + noise[i] }
        }),
        ("in step with a stride", &|i| {
            if i % 256 == 0 || i % 1000 == 0 {
                10.0
            } else {
                noise[i]
            }
        }),
        ("256 levels", &|i| (noise[i] * 256.0).round()),
        ("in rows", &|i| (i / 4096) as f32 + noise[i]),
    ];
    for (name, input) in inputs {
        let values = from(input);
        group.bench_function(name, |b| {
            b.iter(|| lowest(&[Segment::new(black_box(&values))], n / 2, Order::Magnitude))
        });
    }
    group.finish();
}

fn types(c: &mut Criterion) {
    let n = LAYER;
    let mut group = c.benchmark_group("types");
    group.throughput(Throughput::Elements(n as u64)).sample_size(10);
    let values: Vec<bf16> = uniform(n).into_iter().map(bf16::from_f32).collect();
    group.bench_function("bf16", |b| {
        b.iter(|| lowest(&[Segment::new(black_box(&values))], n / 2, Order::Magnitude))
    });
    let values: Vec<f64> = uniform(n).into_iter().map(f64::from).collect();
    group.bench_function("f64", |b| {
        b.iter(|| lowest(&[Segment::new(black_box(&values))], n / 2, Order::Magnitude))
    });
    group.finish();
}

fn cut(values: &[f32]) -> Cut {
    let mut finder = CutFinder::new(values.len() / 2, Order::Magnitude);
    loop {
        values
            .chunks(1 << 16)
            .for_each(|chunk| finder.feed(chunk, None).unwrap());
        if let Some(cut) = finder.end_pass().unwrap() {
            return cut;
        }
    }
}

fn stream(c: &mut Criterion) {
    let values = uniform(LAYER);
    let mut group = c.benchmark_group("stream");
    group
        .throughput(Throughput::Elements(LAYER as u64))
        .sample_size(10);
    group.bench_function("find", |b| b.iter(|| cut(black_box(&values))));
    let cut = cut(&values);
    let mut mask = vec![0; LAYER / 64];
    group.bench_function("write", |b| {
        b.iter(|| cut.writer().mask(black_box(&values), None, &mut mask))
    });
    let mut zeroed = values.clone();
    group.bench_function("zero", |b| {
        b.iter(|| cut.writer().zero(black_box(&mut zeroed), None))
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    targets = sizes, adversaries, types, stream
}
criterion_main!(benches);
