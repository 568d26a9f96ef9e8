//! The recipes say what really happens: every command in docs/recipes.md is run, and its output compared.
//!
//! With the variable `SECATEURS_BLESS` set the page is written anew instead.

mod common;
#[path = "../examples/model.rs"]
mod model;

use std::fs;
use std::path::Path;

use common::{Place, Ran};

/// Runs every command of the page that begins with `secateurs`, in one place and in order, and returns the page with
/// what they said. `echo $?` shows the exit code of the one before; other commands say nothing here.
fn play(page: &str, place: &Place) -> String {
    let (mut played, mut in_console, mut code) = (String::new(), false, None);
    for line in page.lines() {
        if line.starts_with("```") {
            in_console = line == "```console";
        }
        let command = line.strip_prefix("$ ").filter(|_| in_console);
        if in_console && command.is_none() && !line.starts_with("```") {
            continue; // what was said once
        }
        played += line;
        played.push('\n');
        match command {
            Some("echo $?") => played += &format!("{}\n", code.unwrap_or_default()),
            Some(command) if command.starts_with("secateurs ") => {
                let ran = place.run(&words(command)[1..]);
                code = ran.code;
                played += &said(&ran);
            }
            _ => {}
        }
    }
    played
}

/// The words of a command line; the page has no quotes but simple ones around a word.
fn words(command: &str) -> Vec<&str> {
    let words = command.split_whitespace();
    words.map(|word| word.trim_matches('\'')).collect()
}

fn said(ran: &Ran) -> String {
    let all = format!("{}{}", ran.out, ran.err);
    let lines = all.lines().map(|line| format!("{}\n", line.trim_end()));
    lines.collect()
}

#[test]
fn the_page_shows_what_the_command_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/recipes.md");
    let page = fs::read_to_string(&path).unwrap();
    let place = Place::new();
    model::write(&place.path("")).unwrap();
    let played = play(&page, &place);
    assert!(page.matches("$ secateurs ").count() >= 15);
    if std::env::var_os("SECATEURS_BLESS").is_some() {
        fs::write(path, played).unwrap();
    } else {
        assert_eq!(page, played, "docs/recipes.md is not what the command says");
    }
}
