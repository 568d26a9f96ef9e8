//! ONNX models of any bytes: reading, coupling, cutting, running.
//!
//! Under `cargo +nightly fuzz run onnx` this is a fuzz target, best begun with crates/secateurs-onnx/tests/data as its
//! corpus. Built plainly, it reads the files that it is given.
#![cfg_attr(fuzzing, no_main)]

use secateurs_onnx::{Inexact, Options, Resource, plan, shrink};

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| run(data));

#[cfg(not(fuzzing))]
fn main() {
    for input in std::env::args_os().skip(1) {
        run(&std::fs::read(&input).expect("an input to replay"));
    }
}

fn run(data: &[u8]) {
    let half = Options::new(0.5).expect("a half is an amount").round_to(1);
    let _ = plan(data, &half);
    let _ = shrink(data, &half);
    let _ = shrink(data, &Options::masked());
    let inexact = half.clone().inexact(Inexact::LayerNorm).inexact(Inexact::Maximum);
    let _ = shrink(data, &inexact.whole_heads(true));
    if let Ok(budget) = Options::budget(Resource::MultiplyAdds, 0.7) {
        let _ = plan(data, &budget);
    }
}
