//! Models that PyTorch exported, run in f32 by a runtime as well.
#![cfg(feature = "runtime")]

use secateurs_onnx::{Options, Report, Runtime, shrink};

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
    assert!(deviation < 1e-5 && latency.is_none(), "{deviation} {latency:?}");
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
