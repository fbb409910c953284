//! `dataset`: builds data sets out of lists, shows what one holds and says of an entity, and publishes it.

mod build;
mod compile;
mod inspect;
mod lists;
mod publish;

use crate::exit::Outcome;
use crate::globals::Globals;

/// Arguments of `dataset`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Build a data set out of CSV or JSON lines (plain, .gz or .zst), to be asked as a source.
    Build(build::Args),
    /// Check a data set of any format (also a MaxMind DB), and say what it holds and what it says of an entity.
    Inspect(inspect::Args),
    /// Publish a data set: what runs picks it up within a minute or two, without a deployment.
    Publish(publish::Args),
    /// Compile tables of address ranges to the data set `ip-ranges`, which features read.
    Compile(compile::Args),
}

/// Builds, compiles, inspects or publishes.
pub(crate) fn run(args: Args, globals: Globals) -> anyhow::Result<Outcome> {
    match args.command {
        Command::Build(args) => build::run(&args, &globals),
        Command::Inspect(args) => inspect::run(&args, &globals),
        Command::Publish(args) => super::block_on(publish::run(args, globals)),
        Command::Compile(args) => compile::run(args, &globals),
    }
}
