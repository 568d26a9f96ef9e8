//! A small version of the example `digits`: two runs print the same, another seed something else.

#[path = "../examples/common/data.rs"]
mod data;
#[path = "../examples/digits/experiment.rs"]
mod experiment;
#[path = "../examples/digits/pruning.rs"]
mod pruning;
#[path = "../examples/digits/report.rs"]
mod report;
#[path = "../examples/digits/size.rs"]
mod size;
#[path = "../examples/common/train.rs"]
mod train;

use indicatif::ProgressBar;

use data::Digits;
use experiment::Epochs;

#[test]
fn two_runs_print_the_same() {
    // Few images, so that this is fast where nothing is optimised; how well they are learnt does not matter.
    let (test, train) = Digits::load().unwrap().split();
    let epochs = Epochs {
        training: 1,
        fine_tuning: 1,
    };
    let run = |seed| {
        let comparison = experiment::run(seed, epochs, &train, &test, &ProgressBar::hidden()).unwrap();
        let weights = comparison
            .magnitude
            .iter()
            .chain(&comparison.random)
            .map(|stage| {
                let state = secateurs::nn::state_dict(&stage.baked);
                let bits = state
                    .iter()
                    .flat_map(|(_, array)| array.iter().map(|x| x.to_bits()));
                bits.collect::<Vec<_>>()
            });
        (comparison.to_string(), weights.collect::<Vec<_>>())
    };
    let (table, weights) = run(0);
    let (again, weights_again) = run(0);
    assert_eq!(table, again);
    assert!(weights == weights_again, "the same table, but other weights");
    assert_ne!(run(1).1, weights);
}
