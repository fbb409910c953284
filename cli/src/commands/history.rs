//! `history`: every score of an entity, oldest first, and what changed from each to the next.

use std::io;
use std::path::PathBuf;

use serde_json::json;
use tribunal_core::Score;
use tribunal_core::time::rfc3339_millis;
use tribunal_runtime::now_ms;

use super::explain::{entity, no_score};
use crate::aws::scores::Scores;
use crate::aws::stack::Stack;
use crate::exit::Outcome;
use crate::globals::Globals;
use crate::output::json_scores;
use crate::show::history::{Change, write};
use crate::stored::StoredScores;
use crate::when::When;

/// Most scores that are shown: the newest.
const MAX_SCORES: usize = 1_000;

/// Arguments of `history`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Domain name or IP address, as pasted.
    #[arg(value_name = "ENTITY")]
    entity: String,
    /// Asked for since: a span back from now (24h, 7d), a day (2026-11-24, UTC), or an RFC 3339 time.
    #[arg(long, value_name = "WHEN", value_parser = When::parse)]
    since: Option<When>,
    /// Read the scores of a file (JSON lines, `-` is standard input) instead of the stack's table.
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
}

/// Shows the scores.
pub(crate) async fn run(args: Args, globals: Globals) -> anyhow::Result<Outcome> {
    let entity = entity(args.entity)?;
    let now = now_ms();
    let since = args.since.map_or(0, |since| since.millis(now));
    let mut scores: Vec<Score> = match args.from {
        Some(file) => {
            let from = rfc3339_millis(since);
            let found = StoredScores::open(&file)?.of_entity(entity.name())?;
            found.into_iter().map(|stored| stored.score).filter(|s| s.requested_at >= from).collect()
        }
        None => {
            let stack = Stack::connect(&globals).await?;
            let items = Scores::of(&stack).between(entity.name(), since, u64::MAX, MAX_SCORES).await?;
            items.into_iter().rev().map(|item| item.score).collect()
        }
    };
    scores.drain(..scores.len().saturating_sub(MAX_SCORES));
    if scores.is_empty() {
        return Err(no_score(&entity).into());
    }
    let changes: Vec<Change> = scores.windows(2).map(|pair| Change::between(&pair[0], &pair[1])).collect();
    let mut out = io::stdout().lock();
    if globals.json {
        json_scores(&mut out, &scores, json!({"changes": changes}))?;
    } else {
        write(&mut out, globals.screen(), &scores, &changes, now)?;
    }
    Ok(Outcome::Done)
}
