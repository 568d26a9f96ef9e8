//! The memory that pruning takes: at most a tenth of the weights' bytes beyond the packed masks, by every built-in
//! method, on pruned parameters too.
//!
//! One test, because the counter counts the whole process.

use ndarray::{Array, ArrayD, Axis, IxDyn, Slice};
use peak_alloc::PeakAlloc;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use secateurs::mask::{
    self, Amount, BlockRank, BlockStructured, CustomFromMask, FloatView, GlobalOptions, Identity,
    L1Unstructured, LnStructured, Mask, NmStructured, PruningMethod, RandomStructured, RandomUnstructured,
    Ranked, ScoreUnstructured,
};
use secateurs::nn::{Linear, Sequential};
use secateurs::prune;

#[global_allocator]
static COUNTED: PeakAlloc = PeakAlloc;

const SIDE: usize = 1024;
const WEIGHTS: usize = SIDE * SIDE * size_of::<f32>();
const MASK: usize = SIDE * SIDE / 8;

/// By how many bytes the program grew at most while `work` ran, results included.
fn grown<R>(work: impl FnOnce() -> R) -> usize {
    let before = COUNTED.current_usage();
    COUNTED.reset_peak_usage();
    let result = work();
    let peak = COUNTED.peak_usage();
    drop(result);
    peak.saturating_sub(before)
}

fn uniform(rng: &mut ChaCha8Rng) -> ArrayD<f32> {
    ArrayD::from_shape_simple_fn(IxDyn(&[SIDE, SIDE]), || rng.random_range(-1.0..1.0))
}

#[test]
fn pruning_takes_a_tenth_of_the_weights_beyond_the_masks() {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let weights = uniform(&mut rng);
    let half = RandomUnstructured::new(0.5, &mut rng).unwrap();
    let half = mask::compute(&half, weights.view(), None).unwrap().mask;
    let amount = Amount::fraction(0.5).unwrap();
    let methods: Vec<Box<dyn PruningMethod>> = vec![
        Box::new(Identity),
        Box::new(L1Unstructured::new(amount).unwrap()),
        Box::new(ScoreUnstructured::new(amount).unwrap()),
        Box::new(RandomUnstructured::new(amount, &mut rng).unwrap()),
        Box::new(RandomStructured::new(amount, 0, &mut rng).unwrap()),
        Box::new(LnStructured::new(amount, 2, 0).unwrap()),
        Box::new(LnStructured::new(amount, f64::INFINITY, 1).unwrap()),
        Box::new(NmStructured::new(2, 4, 1).unwrap()),
        // It holds a score of 8 bytes for each block: with blocks of 20 entries or more, a tenth of f32 weights.
        Box::new(BlockStructured::new(amount, 8, 8, BlockRank::MaxAbs).unwrap()),
        Box::new(CustomFromMask::new(half.clone())),
    ];
    // Adversarial values take no more.
    let levels = weights.mapv(|x| (x * 4.0).round());
    let equal = ArrayD::from_elem(weights.raw_dim(), 0.5_f32);
    let rising = Array::from_shape_fn(weights.raw_dim(), |i| (i[0] * SIDE + i[1]) as f32);
    let within = |what: &str, grown: usize, masks: usize, weights: usize| {
        let beyond = grown.saturating_sub(masks);
        println!(
            "{what}: {:.1} % beyond the masks",
            100.0 * beyond as f64 / weights as f64
        );
        assert!(
            beyond <= weights / 10,
            "{what}: {beyond} bytes beyond the masks are more than a tenth of {weights}"
        );
    };
    for method in &methods {
        for (name, scores) in [
            ("uniform", &weights),
            ("levels", &levels),
            ("equal", &equal),
            ("rising", &rising),
        ] {
            for prior in [None, Some(&half)] {
                let grown = grown(|| mask::compute(&**method, scores.view(), prior).unwrap());
                within(
                    &format!("{method:?} of {name} entries, {prior:?}"),
                    grown,
                    MASK,
                    WEIGHTS,
                );
            }
        }
    }

    // Views of other layouts, of two types, take no copy of the whole.
    let wide = ArrayD::from_shape_simple_fn(IxDyn(&[2 * SIDE, SIDE]), || rng.random_range(-1.0..1.0_f64));
    let mut reversed = weights.view();
    reversed.invert_axis(Axis(0));
    reversed.invert_axis(Axis(1));
    let stepped = wide.slice_each_axis(|axis| Slice::new(0, None, if axis.axis == Axis(0) { -2 } else { 1 }));
    let narrow = wide.mapv(|x| x as f32);
    let stepped_narrow =
        narrow.slice_each_axis(|axis| Slice::new(0, None, if axis.axis == Axis(0) { 2 } else { 1 }));
    let views: [(&str, FloatView<'_>, usize); 5] = [
        ("transposed", weights.t().into(), WEIGHTS),
        ("reversed", reversed.into(), WEIGHTS),
        ("stepped", stepped.view().into(), 2 * WEIGHTS),
        ("stepped and transposed", stepped.t().into(), 2 * WEIGHTS),
        ("stepped f32", stepped_narrow.into(), WEIGHTS),
    ];
    for method in &methods {
        for (name, view, weights) in &views {
            for prior in [None, Some(&half)] {
                let grown = grown(|| mask::compute(&**method, view.view(), prior).unwrap());
                let beyond = grown.saturating_sub(MASK);
                println!(
                    "{method:?} of a {name} view: {:.1} %",
                    100.0 * beyond as f64 / *weights as f64
                );
                assert!(
                    beyond <= weights / 8,
                    "{method:?} of a {name} view, {prior:?}: {beyond} bytes"
                );
            }
        }
    }

    let tensors = ["a", "b", "c"].map(|name| Ranked {
        name,
        scores: weights.view().into(),
        prior: None,
    });
    let method = L1Unstructured::new(0.8).unwrap();
    let capped = GlobalOptions::new().max_sparsity(0.9).unwrap();
    for (what, options, masks) in [
        ("global", GlobalOptions::new(), 3 * MASK),
        ("normalized", GlobalOptions::new().normalize(true), 3 * MASK),
        ("capped", capped, 3 * MASK),
    ] {
        let grown = grown(|| mask::compute_global_with(&method, &tensors, &options).unwrap());
        within(what, grown, masks, 3 * WEIGHTS);
    }

    // Modules: the effective weight is made later, when forward needs it. A second method finds the first mask there,
    // and a global one keeps each parameter's share of it in the hook as well.
    let layer = || Linear::from_arrays(weights.clone().into_dimensionality().unwrap(), None).unwrap();
    let mut model = Sequential::new().push(layer()).push(layer());
    for (what, grown) in [
        (
            "l1",
            grown(|| prune::l1_unstructured(&mut model, "0.weight", 0.5).unwrap()),
        ),
        (
            "l1 again",
            grown(|| prune::l1_unstructured(&mut model, "0.weight", 0.5).unwrap()),
        ),
        (
            "ln on top",
            grown(|| prune::ln_structured(&mut model, "0.weight", 0.5, 2, 0).unwrap()),
        ),
        (
            "ln along dim 1",
            grown(|| prune::ln_structured(&mut model, "0.weight", 0.5, 2, 1).unwrap()),
        ),
        (
            "random",
            grown(|| prune::random_unstructured(&mut model, "1.weight", 0.5, &mut rng).unwrap()),
        ),
    ] {
        within(what, grown, MASK, WEIGHTS);
    }
    let paths = ["0.weight", "1.weight"];
    let global =
        grown(|| prune::global_unstructured(&mut model, paths, L1Unstructured::new(0.5).unwrap()).unwrap());
    within("global in modules", global, 2 * 2 * MASK, 2 * WEIGHTS);
    assert!(Mask::ones(&[SIDE, SIDE]).as_words().len() * 8 == MASK);
}
