//! `tribunal`: entities in, scores out, and a look at the deployment between them.
//!
//! `main` parses the arguments, runs one command of [`commands`] and turns what became of it into an exit
//! code ([`exit`]). Results go to standard output, as a table or, with `--json`, as one JSON object per line;
//! progress, notes and errors go to standard error.
//!
//! `score --local`, `features`, `lexicon` and `dataset` run in this process and call nobody, but for
//! `dataset publish`. Every other command finds the deployment by the name of its stack ([`aws::stack`]).

mod aws;
mod commands;
mod exit;
mod globals;
mod input;
mod marking;
mod matrix;
mod output;
mod show;
mod stored;
mod when;

use std::process::ExitCode;

use clap::Parser;

use commands::Command;
use globals::Globals;

/// Scores how likely a domain name or an IP address is malicious.
#[derive(Debug, Parser)]
#[command(name = "tribunal", version, after_help = exit::HELP, propagate_version = true)]
struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let json = cli.globals.json;
    exit::report(commands::run(cli.command, cli.globals), json)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        super::Cli::command().debug_assert();
    }

    #[test]
    fn the_documentation_has_every_command_and_exit_code() {
        let page = include_str!("../../docs/cli.md");
        for command in super::Cli::command().get_subcommands() {
            assert!(
                page.contains(&format!("`{}", command.get_name())),
                "docs/cli.md lacks {}",
                command.get_name()
            );
        }
        let codes = super::exit::HELP.lines().filter_map(|line| line.strip_prefix("  ")?.split_once("  "));
        let documented: Vec<&str> = codes.map(|(code, _)| code).collect();
        assert_eq!(documented, ["0", "1", "2", "3", "4", "5", "6"]);
        for code in documented {
            assert!(page.contains(&format!("\n| {code} | ")), "docs/cli.md lacks exit code {code}");
        }
    }
}
