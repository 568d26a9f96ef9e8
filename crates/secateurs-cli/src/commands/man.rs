//! `secateurs man`.

use clap::CommandFactory;
use clap_mangen::Man;

use crate::args::Cli;
use crate::failure::Failure;

/// Writes the man page of the command, or of one of its subcommands.
pub fn run(of: Option<&str>, out: &mut Vec<u8>) -> Result<(), Failure> {
    let mut command = Cli::command();
    command.build(); // gives each subcommand its full name, and the options of every command
    let page = match of {
        None => command,
        Some(name) => match command.find_subcommand(name) {
            Some(found) => found.clone(),
            None => {
                let names = command.get_subcommands().map(clap::Command::get_name);
                let known = names.filter(|name| *name != "help").collect::<Vec<_>>();
                return Err(Failure::options(format!(
                    "there is no subcommand `{name}`; the subcommands are {}",
                    known.join(", ")
                )));
            }
        },
    };
    Man::new(page).render(out).expect("memory can be written to");
    Ok(())
}
