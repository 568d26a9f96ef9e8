//! The command `secateurs`: prunes, inspects and packs safetensors checkpoints of any size, and removes channels
//! from ONNX models.

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
    if cli.how.quiet {
        out.clear();
    } else if !matches!(cli.command, Command::Completions { .. } | Command::Man { .. }) {
        out = text::plain(&String::from_utf8_lossy(&out), true).into_bytes();
    }
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(&out).and_then(|()| stdout.flush());
    match done {
        Ok(code) => match written {
            // A reader that has seen enough, such as `head`, is not a failure.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                eprintln!("error: cannot write to standard output: {error}");
                ExitCode::from(FAILED)
            }
            _ => code,
        },
        Err(failure) => {
            eprintln!("error: {}", text::plain(&failure.to_string(), false));
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
        Command::Shrink(args) => commands::shrink::run(args, how, out)?,
        Command::Completions { shell } => {
            clap_complete::generate(*shell, &mut Cli::command(), "secateurs", out)
        }
        Command::Man { of } => commands::man::run(of.as_deref(), out)?,
    }
    Ok(ExitCode::SUCCESS)
}
