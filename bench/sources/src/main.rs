//! Measures what sources and extraction must reach, each figure beside its target and with every answer checked.
//!
//! | part | what is measured |
//! |---|---|
//! | `concurrent` | 100 entities, 6 HTTP services on loopback that take 50 ms for an answer |
//! | `dataset` | a million names and 400,000 ranges: loading, memory, lookups; beside it what others offer |
//! | `dead` | a batch of 50 while no source answers |
//! | `lexical` | names per second on one core |
//!
//! A wrong answer ends the run. `bench/README.md` says how to run it.

mod clock;
mod concurrent;
mod dataset;
mod dead;
mod fleet;
mod generator;
mod lexical;
mod machine;
mod page;
mod results;
mod rivals;
mod scoring;
mod spread;

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Parser;

use machine::Watch;
use results::Results;

#[derive(Debug, Parser)]
#[command(about = "Measures what sources and extraction must reach")]
struct Arguments {
    /// What to measure
    #[arg(long, value_delimiter = ',', default_value = "concurrent,dataset,dead,lexical")]
    what: Vec<String>,
    /// Fewer runs
    #[arg(long)]
    quick: bool,
    /// Where the results go; nowhere, if not given
    #[arg(long)]
    output: Option<PathBuf>,
    /// Where the page goes; nowhere, if not given
    #[arg(long)]
    page: Option<PathBuf>,
    /// Names for `lexical`, one a line; generated ones, if not given
    #[arg(long)]
    names: Option<PathBuf>,
    /// Folder of the models
    #[arg(long, default_value = "models")]
    models: PathBuf,
    /// Measures one rival of the data set in this process, prints it, and ends
    #[arg(long, hide = true, requires = "list")]
    rival: Option<String>,
    /// The rival's list
    #[arg(long, hide = true)]
    list: Option<PathBuf>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let (Some(name), Some(list)) = (&arguments.rival, &arguments.list) {
        println!("{}", rivals::measure(name, list)?);
        return Ok(());
    }
    let wants = |part: &str| arguments.what.iter().any(|wanted| wanted == part);
    let mut watch = Watch::start()?;
    let mut results = Results::default();
    if wants("concurrent") {
        results.concurrent = Some(concurrent::measure(arguments.quick).context("concurrent")?);
        watch.look()?;
    }
    if wants("dead") {
        results.dead = Some(dead::measure(&arguments.models, arguments.quick).context("dead")?);
        watch.look()?;
    }
    if wants("lexical") {
        results.lexical =
            Some(lexical::measure(arguments.names.as_deref(), arguments.quick).context("lexical")?);
        watch.look()?;
    }
    if wants("dataset") {
        results.dataset = Some(dataset::measure(arguments.quick).context("dataset")?);
        watch.look()?;
    }
    results.finish(watch.machine());
    println!("{}", page::targets(&results));
    if let Some(path) = &arguments.page {
        std::fs::write(path, page::page(&results)).with_context(|| path.display().to_string())?;
        println!("wrote {}", path.display());
    }
    if let Some(path) = &arguments.output {
        results.write(path)?;
        println!("wrote {}", path.display());
    }
    Ok(())
}
