//! The memory that pruning and masked steps take beyond the masks.
//!
//! One test, because the counter counts the whole process.

use candle_core::{Device, Tensor, Var};
use peak_alloc::PeakAlloc;
use secateurs::prune;
use secateurs_candle::CandleModel;

#[global_allocator]
static COUNTED: PeakAlloc = PeakAlloc;

const SIDE: usize = 1024;
const WEIGHTS: usize = SIDE * SIDE * size_of::<f32>();

/// By how many bytes the program grew at most while `work` ran.
fn grown(work: impl FnOnce()) -> usize {
    let before = COUNTED.current_usage();
    COUNTED.reset_peak_usage();
    work();
    COUNTED.peak_usage().saturating_sub(before)
}

#[test]
fn variables_are_ranked_and_masked_where_they_are() {
    let weight = Var::from_tensor(&Tensor::randn(0f32, 1.0, (SIDE, SIDE), &Device::Cpu).unwrap()).unwrap();
    let mut model = CandleModel::from_vars([("weight", weight.clone())]).unwrap();

    // The originals of a quarter of the weights are kept, and nothing else of their size is made.
    let first = grown(|| drop(prune::l1_unstructured(&mut model, "weight", 0.25).unwrap()));
    assert!(first < WEIGHTS * 4 / 10, "{first} of {WEIGHTS} bytes");
    // Ranked again while masked. Old and new originals exist together: 1/4 and 5/16.
    let second = grown(|| drop(prune::ln_structured(&mut model, "weight", SIDE / 16, 2, 0).unwrap()));
    assert!(second < WEIGHTS * 7 / 10, "{second} of {WEIGHTS} bytes");

    // A step makes no second tensor.
    let mut grads = weight.sqr().unwrap().sum_all().unwrap().backward().unwrap();
    let step = grown(|| {
        model.mask_gradients(&mut grads).unwrap();
        model.apply().unwrap();
    });
    assert!(step < WEIGHTS / 100, "{step} of {WEIGHTS} bytes");
}
