//! One module per command: its arguments, and what it does.

mod asker;
mod completions;
mod dataset;
mod dlq;
mod enqueue;
mod ensemble;
mod evaluate;
mod explain;
mod export;
mod features;
mod get;
mod history;
mod lexicon;
mod list;
mod local;
mod model;
mod models;
mod replay;
mod score;
mod sources;
mod start;
mod status;
mod wait;
mod watch;

use anyhow::Context as _;
use clap::Subcommand;

use crate::exit::Outcome;
use crate::globals::Globals;

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Put entities on the queue to be scored.
    Enqueue(enqueue::Args),
    /// Score entities now and print the result, riskiest first.
    Score(score::Args),
    /// Show the latest score of an entity with everything stored about it.
    Get(get::Args),
    /// Explain a score: how the risk comes about, reason by reason.
    Explain(explain::Args),
    /// Write scores for other tools: CSV, JSON lines, STIX 2.1, MISP.
    Export(export::Args),
    /// Compute a stored score again, with the versions that made it, and compare bit by bit.
    Replay(replay::Args),
    /// Show every score of an entity, oldest first, and what changed.
    History(history::Args),
    /// List the scores of a verdict, riskiest first.
    List(list::Args),
    /// Wait for entities to be scored, or follow new verdicts.
    Watch(watch::Args),
    /// Start executions directly, past the queue, and do not wait.
    Start(start::Args),
    /// Show what is on the dead-letter queue and why, or move it back.
    Dlq(dlq::Args),
    /// Show the deployment: queues, table, state machine, models.
    Status(status::Args),
    /// Publish a folder of models, and a data set, to the stack's bucket.
    Publish(models::PublishArgs),
    /// List the models, the ensemble definition and the data sets that are in force.
    Models(models::Args),
    /// Inspect a model file, compute its answers, compare them with the trainer's, or compile it.
    Model(model::Args),
    /// Score a labelled file in this process, and say how good the scores are.
    Evaluate(evaluate::Args),
    /// Check, publish and show the ensemble definition; allow and deny entities.
    Ensemble(ensemble::Args),
    /// Show, check and publish the intelligence sources that extraction asks.
    Sources(sources::Args),
    /// Compute the features of entities, here and now; or print their schema.
    Features(features::Args),
    /// Compile the lexicon that the features read, or show what one holds.
    Lexicon(lexicon::Args),
    /// Build data sets, show what one holds and says of an entity, and publish it.
    Dataset(dataset::Args),
    /// Print a completion script for a shell.
    Completions(completions::Args),
}

/// Runs a command.
pub(crate) fn run(command: Command, globals: Globals) -> anyhow::Result<Outcome> {
    match command {
        Command::Completions(args) => completions::run(&args),
        Command::Model(args) => model::run(args, &globals),
        Command::Features(args) => features::run(args, globals.json),
        Command::Lexicon(args) => lexicon::run(args, globals.json),
        Command::Dataset(args) => dataset::run(args, globals),
        deployed => block_on(run_deployed(deployed, globals)),
    }
}

async fn run_deployed(command: Command, globals: Globals) -> anyhow::Result<Outcome> {
    match command {
        Command::Enqueue(args) => Box::pin(enqueue::run(args, globals)).await,
        Command::Score(args) => Box::pin(score::run(args, globals)).await,
        Command::Get(args) => Box::pin(get::run(args, globals)).await,
        Command::Explain(args) => Box::pin(explain::run(args, globals)).await,
        Command::Export(args) => Box::pin(export::run(args, globals)).await,
        Command::Replay(args) => Box::pin(replay::run(args, globals)).await,
        Command::History(args) => Box::pin(history::run(args, globals)).await,
        Command::List(args) => Box::pin(list::run(args, globals)).await,
        Command::Watch(args) => Box::pin(watch::run(args, globals)).await,
        Command::Start(args) => Box::pin(start::run(args, globals)).await,
        Command::Dlq(args) => Box::pin(dlq::run(args, globals)).await,
        Command::Status(args) => Box::pin(status::run(args, globals)).await,
        Command::Publish(args) => Box::pin(models::publish(args, globals)).await,
        Command::Models(args) => Box::pin(models::run(args, globals)).await,
        Command::Evaluate(args) => Box::pin(evaluate::run(args, globals)).await,
        Command::Ensemble(args) => Box::pin(ensemble::run(args, globals)).await,
        Command::Sources(args) => Box::pin(sources::run(args, globals)).await,
        Command::Completions(args) => completions::run(&args),
        Command::Model(args) => model::run(args, &globals),
        Command::Features(args) => features::run(args, globals.json),
        Command::Lexicon(args) => lexicon::run(args, globals.json),
        Command::Dataset(args) => dataset::run(args, globals),
    }
}

fn block_on<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the asynchronous runtime")?
        .block_on(future)
}
