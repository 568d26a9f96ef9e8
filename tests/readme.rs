//! The README shows code of other pages, which is compiled there, as doctests.

use std::fs;
use std::path::Path;

fn code(readme: &str, after: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(readme);
    let text = fs::read_to_string(path).unwrap();
    let (_, rest) = text.split_once(after).expect("the section is there");
    let (_, rest) = rest.split_once("```rust").expect("it has a code block");
    let (_, rest) = rest.split_once('\n').expect("the fence is a line");
    rest.split_once("```").expect("the block ends").0.to_owned()
}

fn check(section: &str, compiled: &str) {
    let shown = code("README.md", section);
    for line in shown.lines().filter(|line| !line.trim().is_empty()) {
        assert!(
            compiled.lines().any(|compiled| compiled.trim() == line.trim()),
            "{section}: `{line}` is not compiled"
        );
    }
}

#[test]
fn what_the_readme_shows_of_adapters_is_compiled() {
    for framework in ["candle", "burn"] {
        let package = format!("secateurs-{framework}");
        let compiled = code(&format!("crates/{package}/README.md"), &format!("# {package}"));
        check(&format!("## In {framework}"), &compiled);
    }
}

#[test]
fn what_the_readme_shows_of_training_is_compiled() {
    check(
        "## Prune while training",
        &code("docs/training.md", "# Pruning while training"),
    );
}
