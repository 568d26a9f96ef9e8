//! Removes half of the channels of a model: `cargo run --release -p secateurs-onnx --example shrink_file -- IN OUT`.

use std::path::Path;
use std::time::Instant;

use secateurs_onnx::{Options, shrink_file};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [input, output] = &arguments[..] else {
        return Err("give an input and an output".into());
    };
    let begun = Instant::now();
    let report = shrink_file(Path::new(input), Path::new(output), &Options::new(0.5)?, false)?;
    println!("{report}\n{:.2?}", begun.elapsed());
    Ok(())
}
