//! Models that PyTorch exported, run in f32 by a runtime as well.
#![cfg(feature = "runtime")]

use secateurs_onnx::{Error, Inexact, Options, Report, Resource, Runtime, plan, shrink};

fn half() -> Options {
    Options::new(0.5).unwrap().round_to(1)
}

fn report(options: &Options) -> Report {
    shrink(include_bytes!("data/resnet.onnx"), options)
        .unwrap()
        .report
}

#[test]
fn a_runtime_agrees_in_f32_and_times_only_when_asked() {
    let run = |options: Options| match report(&options).runtime {
        Some(Runtime::Ran {
            deviation, latency, ..
        }) => (deviation, latency),
        other => panic!("{other:?}"),
    };
    let (deviation, latency) = run(half());
    assert!(
        deviation.unwrap() < 1e-5 && latency.is_none(),
        "{deviation:?} {latency:?}"
    );
    let latency = run(half().time(true)).1.unwrap();
    assert!(latency.runs >= 5 && !latency.before.is_zero() && !latency.after.is_zero());
    assert_eq!(report(&half().verify(false)).runtime, None);
}

#[test]
fn the_report_says_what_was_found() {
    let text = report(&half().time(true)).to_string();
    assert!(text.contains("verified in f32 "), "{text}");
    assert!(text.contains("one sample, one thread"), "{text}");
    assert!(!report(&half()).to_string().contains("latency"));
}

#[test]
fn an_inexact_cut_is_timed_but_not_compared() {
    let options = half().inexact(Inexact::LayerNorm).time(true);
    let report = shrink(include_bytes!("data/vit.onnx"), &options).unwrap().report;
    assert!(report.accepted_deviation.is_some());
    match report.runtime {
        Some(Runtime::Ran {
            deviation, latency, ..
        }) => assert!(deviation.is_none() && latency.is_some()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_budget_of_latency_is_met_or_refused() {
    let model = include_bytes!("data/resnet.onnx");
    let budget = |share| Options::budget(Resource::Latency, share).unwrap().round_to(1);
    // Whatever the machine does meanwhile, one model does not take a millionth of the time of the other.
    let refused = plan(model, &budget(1e-6)).unwrap_err();
    assert!(matches!(refused, Error::Budget { .. }), "{refused}");
    assert!(plan(model, &budget(1.0)).unwrap().removed() < 53);
    // The runtime does not know this layout of GRU.
    let unknown = plan(include_bytes!("data/gru_new.onnx"), &budget(0.5)).unwrap_err();
    assert!(
        unknown.to_string().contains("latency cannot be measured"),
        "{unknown}"
    );
}
