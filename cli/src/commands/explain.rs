//! `explain`: how the risk of an entity comes about, step by step.

use std::io;
use std::path::PathBuf;

use tribunal_core::ensemble::{EnsembleDefinition, Thresholds};
use tribunal_core::score::EnsembleRef;
use tribunal_core::time::parse_rfc3339;
use tribunal_core::{Entity, Score};
use tribunal_registry::Pointer;
use tribunal_runtime::{chain, now_ms};

use super::models::bucket_registry;
use crate::aws::scores::Scores;
use crate::aws::stack::Stack;
use crate::exit::{Failure, Outcome};
use crate::globals::Globals;
use crate::input::{Given, normalise};
use crate::output::{escape, json_line};
use crate::show;
use crate::show::explained::Explained;
use crate::stored::{Stored, StoredScores};
use crate::when::When;

/// Arguments of `explain`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Base risk, points of every reason, points of the rest: they add up to the risk. With --at, the score that was
the latest then, with what was left of it by then.

Examples:
  tribunal explain paypa1-login.com
  tribunal explain 'paypa1-login[.]com' --at 2026-11-20T12:00:00Z --json
  tribunal score --local paypa1-login.com --explain")]
pub(crate) struct Args {
    /// Domain name or IP address, as pasted.
    #[arg(value_name = "ENTITY")]
    entity: String,
    /// As of when: a span back from now (24h, 7d), a day (2026-11-24, UTC), or an RFC 3339 time.
    #[arg(long, value_name = "WHEN", value_parser = When::parse)]
    at: Option<When>,
    /// Read the scores of a file (JSON lines, `-` is standard input) instead of the stack's table.
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
}

/// Explains the score.
pub(crate) async fn run(args: Args, globals: Globals) -> anyhow::Result<Outcome> {
    let entity = entity(args.entity)?;
    let now = now_ms();
    let at_ms = args.at.map_or(now, |at| at.millis(now));
    let (score, thresholds) = match args.from {
        Some(file) => {
            let stored = StoredScores::open(&file)?.of_entity(entity.name())?;
            (pick(stored, at_ms).map(|stored| stored.score), None)
        }
        None => {
            let stack = Stack::connect(&globals).await?;
            let item = Scores::of(&stack).latest(entity.name(), at_ms).await?;
            let score = item.map(|item| item.score);
            let thresholds = match &score {
                Some(score) => thresholds(&stack, score).await,
                None => None,
            };
            (score, thresholds)
        }
    };
    let score = score.ok_or_else(|| no_score(&entity))?;
    let shown = Explained::of(&score, thresholds, at_ms);
    let mut out = io::stdout().lock();
    if globals.json {
        json_line(&mut out, &shown)?;
    } else {
        show::waterfall::write(&mut out, globals.screen(), &score, &shown)?;
    }
    Ok(Outcome::Done)
}

/// The entity that was given.
pub(super) fn entity(text: String) -> anyhow::Result<Entity> {
    let given = Given { line: None, text };
    normalise(&given).map_err(|refused| Failure::usage(refused.describe()).into())
}

/// What to say of an entity that has no score.
pub(super) fn no_score(entity: &Entity) -> Failure {
    Failure::not_found(format!("{} has no score", entity.name()))
        .hint(format!("score it now: tribunal score {}", entity.name()))
}

/// The newest of the scores, oldest first, that was asked for by a time.
pub(super) fn pick(stored: Vec<Stored>, at_ms: u64) -> Option<Stored> {
    let asked = |stored: &Stored| parse_rfc3339(&stored.score.requested_at).is_ok_and(|ms| ms <= at_ms);
    stored.into_iter().rfind(asked)
}

/// Where the verdicts of a score's definition begin. It explains without them too: a definition that is gone is a note.
async fn thresholds(stack: &Stack, score: &Score) -> Option<Thresholds> {
    let loaded = async {
        let registry = bucket_registry(stack).await?;
        let EnsembleRef { version, digest } = score.ensemble.clone();
        let found = registry.load_ensemble_version(&Pointer { version, digest }).await?;
        anyhow::Ok(EnsembleDefinition::parse(&found.bytes)?)
    };
    match loaded.await {
        Ok(definition) => Some(*definition.thresholds.get(score.kind)),
        Err(error) => {
            let why = chain(error.as_ref());
            show::note(&format!("thresholds are not shown: {}", escape(&why)));
            None
        }
    }
}
