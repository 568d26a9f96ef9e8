//! The main README shows the code of this crate's README, which is compiled as a doctest.

fn code(readme: &str, after: &str) -> String {
    let (_, rest) = readme.split_once(after).expect("the section is there");
    let (_, rest) = rest.split_once("```rust").expect("it has a code block");
    let (_, rest) = rest.split_once('\n').expect("the fence is a line");
    rest.split_once("```").expect("the block ends").0.to_owned()
}

#[test]
fn the_main_readme_shows_what_is_compiled_here() {
    let own = code(include_str!("../../README.md"), "# secateurs-candle");
    let shown = code(include_str!("../../../../README.md"), "## In candle");
    for line in shown.lines().filter(|line| !line.trim().is_empty()) {
        assert!(
            own.lines().any(|own| own.trim() == line.trim()),
            "`{line}` is not compiled"
        );
    }
}
