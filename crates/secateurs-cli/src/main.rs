//! The command `secateurs`: prunes, inspects and packs safetensors checkpoints of any size.

mod args;
mod commands;
mod failure;
mod glob;
mod progress;
mod signals;
mod text;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use args::{Cli, Command};
use failure::Failure;

/// Exit code of `diff` where anything differs.
const DIFFERENT: u8 = 1;

/// Exit code of everything that could not be done.
const FAILED: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::parse();
    signals::watch();
    let mut out = Vec::new();
    let done = run(&cli, &mut out);
    // A reader that has seen enough, such as `head`, is no failure.
    match io::stdout().lock().write_all(&out) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => eprintln!("error: {error}"),
        _ => {}
    }
    match done {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::from(FAILED)
        }
    }
}

fn run(cli: &Cli, out: &mut Vec<u8>) -> Result<ExitCode, Failure> {
    let how = &cli.how;
    match &cli.command {
        Command::Prune(args) => commands::prune::run(args, how, out)?,
        Command::Inspect(args) => commands::inspect::run(args, how, out)?,
        Command::Apply(args) => commands::apply::run(args, how, out)?,
        Command::Masks(args) => commands::masks::run(args, how, out)?,
        Command::Diff(args) => {
            if commands::diff::run(args, how, out)? {
                return Ok(ExitCode::from(DIFFERENT));
            }
        }
        Command::Bake(args) => commands::bake::run(args, how, out)?,
        Command::Pack(args) => commands::pack::run(args, how, out)?,
        Command::Unpack(args) => commands::unpack::run(args, how, out)?,
        Command::Completions { shell } => {
            clap_complete::generate(*shell, &mut Cli::command(), "secateurs", out)
        }
    }
    Ok(ExitCode::SUCCESS)
}
