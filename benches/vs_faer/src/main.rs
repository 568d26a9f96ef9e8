//! The Cholesky factorisation behind `criteria::sparse_gpt` beside faer's: `cargo run --release` in this
//! folder.
//!
//! It checks first that the factors agree, then times both by turns, with 1 and 2 threads, and shows medians.
//! It also says in how many bits faer's factor depends on the number of threads.
//!
//! The factorisation is private to secateurs, so its source files are included.

#[allow(dead_code)]
#[path = "../../../src/criteria/sparse_gpt/linalg/mod.rs"]
mod linalg;
#[path = "."]
mod mask {
    #[allow(dead_code)]
    #[path = "../../../src/mask/parallel.rs"]
    pub mod parallel;
}

use std::time::Instant;

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt::factor::{self, LltParams};
use faer::{Mat, Par, Spec};
use linalg::cholesky::factorize;

fn main() {
    println!(
        "| size | threads | faer | secateurs | ratio | largest difference | faer: entries that differ from 1 thread |"
    );
    println!("|---|---|---|---|---|---|---|");
    for n in [256, 512, 1024, 2048, 4096] {
        let matrix = matrix(n);
        let (alone, _) = by_faer(&matrix, Par::Seq);
        for threads in [1, 2] {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            let par = if threads == 1 {
                Par::Seq
            } else {
                Par::rayon(threads)
            };
            let (mut theirs, mut ours) = (Vec::new(), Vec::new());
            for _ in 0..7 {
                let (factor, seconds) = pool.install(|| by_faer(&matrix, par));
                theirs.push(seconds);
                let (own, seconds) = pool.install(|| by_us(&matrix, n));
                ours.push(seconds);
                if ours.len() == 7 {
                    report(n, threads, median(theirs), median(ours), &factor, &own, &alone);
                    break;
                }
            }
        }
    }
}

fn report(
    n: usize,
    threads: usize,
    theirs: f64,
    ours: f64,
    factor: &Mat<f64>,
    own: &[f64],
    alone: &Mat<f64>,
) {
    let lower = || (0..n).flat_map(|i| (0..=i).map(move |j| (i, j)));
    let scale = lower().map(|at| factor[at].abs()).fold(0.0, f64::max);
    let difference = lower()
        .map(|(i, j)| (factor[(i, j)] - own[i * n + j]).abs() / scale)
        .fold(0.0, f64::max);
    assert!(difference < 1e-12, "the factors differ");
    let differ = lower().filter(|&at| factor[at] != alone[at]).count();
    println!(
        "| {n} | {threads} | {:.2} ms | {:.2} ms | {:.2} | {difference:.0e} | {differ} |",
        theirs * 1e3,
        ours * 1e3,
        theirs / ours
    );
}

fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

/// XᵀX of random X, with dampening.
fn matrix(n: usize) -> Mat<f64> {
    let noise = |i: usize, j: usize| {
        let hashed = ((i as u64) << 32 | j as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        ((hashed ^ hashed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 11) as f64 / (1_u64 << 53) as f64
            - 0.5
    };
    let inputs = Mat::from_fn(n, n, noise);
    let mut matrix = inputs.transpose() * &inputs;
    for i in 0..n {
        matrix[(i, i)] += 0.01 * n as f64 / 12.0;
    }
    matrix
}

fn by_faer(matrix: &Mat<f64>, par: Par) -> (Mat<f64>, f64) {
    let mut factor = matrix.clone();
    let params = Spec::<LltParams, f64>::default();
    let mut memory = MemBuffer::new(factor::cholesky_in_place_scratch::<f64>(
        matrix.nrows(),
        par,
        params,
    ));
    let start = Instant::now();
    factor::cholesky_in_place(
        factor.as_mut(),
        Default::default(),
        par,
        MemStack::new(&mut memory),
        params,
    )
    .unwrap();
    let seconds = start.elapsed().as_secs_f64();
    (factor, seconds)
}

fn by_us(matrix: &Mat<f64>, n: usize) -> (Vec<f64>, f64) {
    let mut factor: Vec<f64> = (0..n * n).map(|at| matrix[(at / n, at % n)]).collect();
    let start = Instant::now();
    factorize(&mut factor, n).unwrap();
    (factor, start.elapsed().as_secs_f64())
}
